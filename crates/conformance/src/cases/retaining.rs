//! Retention of a namespace by itself, and holds: what of the log stays, for whom, and how long.

use std::time::Duration;

use futures_lite::future::block_on;
use larder_core::{Address, ErrorKind, Hold, Kept, LogBounds, Position, Retention, Revision, Store};

use crate::ground::{Ground, Seam, at, fails, namespace, put, seconds};

/// Nothing is forgotten for the sake of the store.
const ALL: Retention = Retention {
    age: Duration::from_secs(1 << 30),
    bytes: u64::MAX,
    held_bytes: u64::MAX,
    ids: Duration::from_secs(1 << 30),
};

fn keep(store: &Store, retention: Retention) -> Kept {
    block_on(store.keep(retention)).expect("keeps")
}

/// Writes `count` times to `name`, once a second, and answers the revisions.
fn write(seam: &Seam, name: &str, count: usize) -> Vec<Revision> {
    let address = Address::new(namespace(name), at("k").key);
    let mut step = |n: usize| {
        seam.world.step(seconds(1));
        seam.draft().write(address.clone(), put(&format!("{n:010}"))).done().revision
    };
    (0..count).map(&mut step).collect()
}

/// From when on the log of `name` is there.
fn reaches(store: &Store, name: &str, revision: Revision) -> bool {
    let scope = store.scope(&namespace(name)).expect("a scope");
    match block_on(scope.view_at(revision)) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Trimmed, "{error}");
            false
        }
    }
}

pub(super) fn keeping_bounds_the_log_of_a_namespace_by_itself(ground: &Ground) {
    let seam = ground.open();
    let (store, noisy) = (seam.store(), namespace("noisy"));
    let quiet = write(&seam, "quiet", 3);
    let early = write(&seam, "noisy", 300);
    let bounds = |age: Option<u64>, bytes| LogBounds { age: age.map(seconds), bytes };
    block_on(store.bound_log(&noisy, bounds(Some(100), None))).expect("bounds");
    assert_eq!(block_on(store.log_bounds(&noisy)).ok(), Some(bounds(Some(100), None)));
    assert_eq!(block_on(store.log_bounds(&namespace("quiet"))).ok(), Some(LogBounds::default()));
    assert_eq!(keep(&store, ALL).changes, 199, "what is older than a hundred seconds, and nobody else's");
    assert!(reaches(&store, "noisy", early[198]) && !reaches(&store, "noisy", early[197]));
    assert!(quiet.iter().all(|revision| reaches(&store, "quiet", *revision)), "a neighbour's log stays as it is");
    assert_eq!(keep(&store, ALL).changes, 0, "once is enough");

    // By bytes: a change takes the key and what was before it.
    block_on(store.bound_log(&noisy, bounds(None, Some(110)))).expect("bounds");
    assert_eq!(keep(&store, ALL).changes, 91);
    let usage = block_on(store.scope(&noisy).expect("a scope").usage()).expect("counted");
    assert_eq!((usage.log_bytes, usage.entries), (110, 1), "as much as fits is kept");
    assert!(quiet.iter().all(|revision| reaches(&store, "quiet", *revision)));

    // Trimming the store itself comes first, and does not put off the rest.
    write(&seam, "noisy", 50);
    let own = Retention { age: seconds(400), ..ALL };
    seam.world.step(seconds(100));
    assert!(keep(&store, own).changes >= 50 && !reaches(&store, "quiet", quiet[0]));
    let usage = block_on(store.scope(&noisy).expect("a scope").usage()).expect("counted");
    assert_eq!(usage.log_bytes, 110, "the bounds of the namespace hold in the same turn");

    block_on(store.bound_log(&noisy, LogBounds::default())).expect("no bounds any more");
    assert_eq!(block_on(store.log_bounds(&noisy)).ok(), Some(LogBounds::default()));
    write(&seam, "noisy", 50);
    assert_eq!(keep(&store, ALL).changes, 0);
    fails(block_on(store.bound_log(&noisy, bounds(Some(0), None))), ErrorKind::Invalid);
    let reserved = namespace("larder:holds");
    fails(block_on(store.bound_log(&reserved, bounds(Some(1), None))), ErrorKind::Denied);
}

pub(super) fn keeping_waits_for_whoever_holds_the_log(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let short = Retention { age: seconds(5), ..ALL };
    let revisions = write(&seam, "default", 10);
    let view = block_on(store.view_at(revisions[3])).expect("reaches back");
    let hold = block_on(store.hold("backup", view.position(), seconds(60))).expect("holds");
    assert_eq!((hold.position, hold.expires_at), (view.position(), seam.now().after(seconds(60))));
    block_on(store.hold("other", block_on(store.view()).expect("the present").position(), seconds(60))).expect("holds");
    let names = |store: &Store| -> Vec<String> {
        let holds: Vec<Hold> = block_on(store.holds()).expect("lists");
        holds.into_iter().map(|hold| hold.name.as_str().to_owned()).collect()
    };
    assert_eq!(names(&store), ["backup", "other"]);
    seam.world.step(seconds(50));
    keep(&store, short);
    assert_eq!(seam.status().oldest, revisions[3], "as far as nobody holds it");
    let seen = block_on(view.get("k")).expect("it is held").map(|entry| entry.revision);
    assert_eq!(seen, Some(revisions[3]));
    fails(block_on(store.view_at(revisions[2])), ErrorKind::Trimmed);

    // Renewed it holds longer, moved it holds less.
    block_on(store.hold("backup", view.position(), seconds(60))).expect("renews");
    seam.world.step(seconds(50));
    keep(&store, short);
    assert!(block_on(view.scan("")).is_ok(), "the other one has expired, this one was renewed");
    assert_eq!(names(&store), ["backup"]);
    let position = Position { revision: revisions[6], ..view.position() };
    block_on(store.hold("backup", position, seconds(60))).expect("moves");
    keep(&store, short);
    assert_eq!(seam.status().oldest, revisions[6]);
    fails(block_on(view.scan("")), ErrorKind::Trimmed);

    // What cannot be held is told, and what was held under the name before stays so.
    fails(block_on(store.hold("backup", view.position(), seconds(60))), ErrorKind::Trimmed);
    fails(block_on(store.hold("late", view.position(), seconds(60))), ErrorKind::Trimmed);
    let beyond = Position { revision: Revision::new(1 << 40), ..view.position() };
    fails(block_on(store.hold("late", beyond, seconds(60))), ErrorKind::Trimmed);
    assert_eq!(names(&store), ["backup"]);
    seam.world.step(seconds(20));
    keep(&store, short);
    assert_eq!(seam.status().oldest, revisions[6], "the refused one has not taken its place");

    block_on(store.release_hold("backup")).expect("lets go");
    fails(block_on(store.release_hold("backup")), ErrorKind::NotFound);
    keep(&store, short);
    assert!(seam.status().oldest > revisions[9]);
}

pub(super) fn keeping_lets_go_of_what_is_held_for_too_long_or_too_much(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let hold = |revision| {
        let position = Position { lineage: seam.status().lineage, revision };
        block_on(store.hold("forgotten", position, seconds(60))).expect("holds")
    };
    let revisions = write(&seam, "default", 10);
    hold(revisions[0]);
    seam.world.step(seconds(60));
    keep(&store, Retention { age: seconds(5), ..ALL });
    assert!(seam.status().oldest > revisions[9], "a hold ends by itself");
    // The cap holds, whoever holds.
    let revisions = write(&seam, "default", 100);
    hold(revisions[0]);
    keep(&store, Retention { bytes: 0, held_bytes: 500, ..ALL });
    let status = seam.status();
    assert!(status.oldest > revisions[0] && (400..=500).contains(&status.log_bytes), "{}", status.log_bytes);
}

pub(super) fn keeping_holds_namespaces_that_are_bounded_by_themselves(ground: &Ground) {
    let seam = ground.open();
    let (store, noisy) = (seam.store(), namespace("noisy"));
    let revisions = write(&seam, "noisy", 20);
    block_on(store.bound_log(&noisy, LogBounds { age: Some(seconds(1)), bytes: None })).expect("bounds");
    let position = Position { lineage: seam.status().lineage, revision: revisions[4] };
    block_on(store.hold("copy", position, seconds(1_000))).expect("holds");
    seam.world.step(seconds(100));
    assert_eq!(keep(&store, ALL).changes, 5);
    assert!(reaches(&store, "noisy", revisions[4]) && !reaches(&store, "noisy", revisions[3]));
}
