//! G7, as a watcher sees it: every change of its range once, in order, commits whole, from wherever it begins.

use std::{collections::BTreeMap, future::IntoFuture as _, pin::pin};

use futures_lite::future::{block_on, poll_once};
use larder_core::{
    ChangeKind, ErrorKind, Glob, Lineage, Position, Receipt, Retention, Revision, Store, Timestamp, Trim, Value, Watch,
    WatchBuilder, field,
};

use crate::{
    case,
    ground::{Ground, Seam, fails, namespace, put_until, race, seconds},
    random::Random,
    watching::{a_while, batches, next, told, until, wait},
};

fn head(store: &Store) -> Revision {
    block_on(store.status()).expect("the status is known").revision
}

/// A commit of a few keys, of which some are deleted.
fn write(store: &Store, random: &mut Random) -> Receipt {
    let mut commit = store.commit();
    // Each key once, so that every write is a change of its own.
    for letter in ["a", "b", "c"] {
        if random.once_in(3) {
            continue;
        }
        let key = format!("{letter}/{}", random.below(4));
        commit = if random.once_in(4) { commit.delete(key) } else { commit.set(key, random.below(100).to_string()) };
    }
    block_on(commit.into_future()).expect("commits")
}

/// A last commit that every range of these cases holds something of.
fn last(store: &Store) -> Revision {
    let commit = store.commit().set("a/0", "last").set("b/3", "last").set("c/1", "last");
    block_on(commit.into_future()).expect("commits").revision
}

/// Which keys a watch is about.
type Wanted = fn(&str) -> bool;

/// One watch of every kind, with what it is about.
fn kinds(store: &Store) -> Vec<(&'static str, Watch, Wanted)> {
    let glob = Glob::new("*/3").expect("a good glob");
    vec![
        ("a watch of everything", started(store.watch("")), |_| true),
        ("a watch of a prefix", started(store.watch("b/")), |key| key.starts_with("b/")),
        ("a watch of a glob", started(store.watch_glob(glob)), |key| key.ends_with("/3")),
        ("a watch of a key", started(store.watch_key("c/1")), |key| key == "c/1"),
        ("a watch of the store", started(store.watch_all()), |_| true),
    ]
}

fn started(watch: WatchBuilder<'_>) -> Watch {
    block_on(watch.start()).expect("a watch starts")
}

pub(super) fn g7_watchers_get_all_of_their_range_once_and_in_order(ground: &Ground) {
    let seam = ground.open();
    history(&seam, &[seam.store(), ground.store()], case::seed());
}

/// Four threads write through two handles, and watches of every kind on both of them are compared with the log, which
/// is compared with what the threads were answered.
pub(crate) fn history(seam: &Seam, stores: &[Store; 2], seed: u64) {
    let begun = seam.head();
    let mut watches = [kinds(&stores[0]), kinds(&stores[1])];
    let receipts = race(4, |racer| {
        let mut random = Random::new(seed ^ (racer as u64) << 56);
        (0..25).map(|_| write(&stores[racer % 2], &mut random)).collect::<Vec<_>>()
    });
    let end = last(&stores[0]);
    let log = seam.changes_after(begun);
    let mut logged: BTreeMap<Revision, usize> = BTreeMap::new();
    log.iter().for_each(|change| *logged.entry(change.revision).or_default() += 1);
    for receipt in receipts.concat() {
        let changed = receipt.writes.iter().filter(|written| written.existed || written.version.get() > 0).count();
        if changed > 0 {
            assert_eq!(logged.remove(&receipt.revision), Some(changed), "what writers were answered is in the log");
        }
    }
    assert_eq!(logged.into_keys().collect::<Vec<_>>(), [end], "and nothing else");
    for (what, watch, wanted) in watches.iter_mut().flatten() {
        let found = until(&seam.world, watch, end);
        told(what, &found, &batches(&log, |address| wanted(&address.key)));
        assert!(block_on(poll_once(watch.next())).is_none(), "{what}: nothing comes after the last");
    }
}

pub(super) fn g7_a_quiet_handle_hears_the_others(ground: &Ground) {
    let (quiet, busy) = (ground.store(), ground.store());
    let mut watch = started(quiet.watch("k/"));
    for n in 0..20 {
        // One at a time, so that nothing else wakes whoever listens.
        block_on(busy.set("beside", "x").into_future()).expect("sets");
        let revision = block_on(busy.set(format!("k/{n}"), "x").into_future()).expect("sets").revision;
        assert_eq!(until(&ground.world, &mut watch, revision).len(), 1);
    }
}

pub(super) fn g7_a_slow_watcher_loses_nothing(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let mut watch = started(store.watch(""));
    // More than is read at once, and commits lie across whatever a page is.
    for n in 0..150 {
        let sets = ["x", "y", "z"].into_iter().fold(store.commit(), |commit, key| commit.set(key, n.to_string()));
        block_on(sets.into_future()).expect("commits");
    }
    let found = until(&ground.world, &mut watch, head(&store));
    told("a slow watch", &found, &batches(&seam.changes_after(Revision::ZERO), |_| true));
    assert_eq!(found.len(), 150);
}

pub(super) fn g7_a_watch_is_resumed_anywhere(ground: &Ground) {
    let mut seam = ground.open();
    let mut random = Random::new(case::seed());
    for _ in 0..30 {
        write(&seam.store(), &mut random);
    }
    let end = last(&seam.store());
    let log = seam.changes_after(Revision::ZERO);
    let whole = batches(&log, |address| address.key.starts_with("b/"));
    for stop in 0..=whole.len() {
        let store = seam.store();
        let mut first = started(store.watch("b/").after(Revision::ZERO));
        let mut found: Vec<_> = (0..stop).map(|_| next(&ground.world, &mut first).expect("goes on")).collect();
        let position = first.position();
        drop(first);
        if stop % 8 == 0 {
            seam = ground.reopen(seam);
        }
        let store = seam.store();
        let mut second = started(store.watch("b/").resume(position));
        if stop < whole.len() {
            found.extend(until(&ground.world, &mut second, end));
        } else {
            assert!(block_on(poll_once(second.next())).is_none(), "nothing is left to tell");
        }
        told("what was told before and after the stop", &found, &whole);
    }
}

pub(super) fn g7_a_bookmark_is_true_at_any_moment(ground: &Ground) {
    let seam = ground.open();
    let stores = [seam.store(), ground.store()];
    let mut random = Random::new(case::seed());
    let mut watch = started(stores[0].watch("b/"));
    let mut found = Vec::new();
    for _ in 0..60 {
        let store = &stores[random.below(2) as usize];
        let (key, value) = (if random.once_in(4) { "b/1" } else { "a/1" }, random.below(100).to_string());
        block_on(store.set(key, value).into_future()).expect("sets");
        // Looks now and then, mostly to find nothing; whoever probes may have done so or not.
        for _ in 0..random.below(3) {
            ground.world.step(seconds(1));
            if let Some(batch) = block_on(poll_once(watch.next())) {
                found.push(batch.expect("goes on"));
            }
        }
        let position = watch.position();
        let log = seam.changes_after(Revision::ZERO);
        let whole = batches(&log, |address| address.key.starts_with("b/"));
        let told_of: Revision = found.last().map_or(Revision::ZERO, |batch| batch.revision);
        let next = whole.iter().map(|batch| batch.revision).find(|revision| *revision > told_of);
        assert!(position.revision >= told_of, "a bookmark would tell again what was told");
        assert!(next.is_none_or(|next| position.revision < next), "a bookmark would skip what is still to come");
    }
    // A quiet watch moves on with the store without being told of anything, however often.
    for _ in 0..3 {
        let quiet = block_on(stores[1].set("a/1", "quiet").into_future()).expect("sets").revision;
        wait(&ground.world, async {
            let mut patience = 1;
            while watch.position().revision < quiet {
                match poll_for(watch.next(), patience).await {
                    Some(batch) => {
                        found.push(batch.expect("goes on"));
                        patience = 1;
                    }
                    None => patience += 1,
                }
            }
        });
    }
    let position = watch.position();
    drop(watch);
    // What is behind the bookmark may go.
    seam.trim(position.revision, Timestamp::EPOCH);
    let mut watch = started(stores[1].watch("b/").resume(position));
    let end = block_on(stores[0].set("b/2", "end").into_future()).expect("sets").revision;
    let rest = until(&ground.world, &mut watch, end);
    assert_eq!(rest.len(), 1, "nothing is told again");
}

pub(super) fn g7_a_watch_that_comes_too_late_is_told(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let mut slow = started(store.watch(""));
    let begun = slow.position();
    for n in 0..300 {
        block_on(store.set("k", n.to_string()).into_future()).expect("sets");
    }
    let end = head(&store);
    block_on(store.engine().trim(Trim::new(end, Timestamp::EPOCH))).expect("trims");
    let error = loop {
        match next(&ground.world, &mut slow) {
            // What it had read before may still come.
            Ok(batch) => assert!(batch.revision < end, "what is left is told as if it were everything"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.oldest()), (ErrorKind::Trimmed, Some(end)));
    fails(next(&ground.world, &mut slow), ErrorKind::Trimmed);
    let elsewhere = Position { lineage: Lineage::new(begun.lineage.get().wrapping_add(7)), revision: end };
    for late in [
        store.watch("").resume(begun),
        store.watch_key("k").after(Revision::new(end.get() - 1)),
        store.watch("").after(Revision::new(end.get() + 1)),
        store.watch("").resume(elsewhere),
    ] {
        fails(block_on(late.start()), ErrorKind::Trimmed);
    }
    let mut anew = started(store.watch("").after(end));
    let later = block_on(store.set("k", "x").into_future()).expect("sets").revision;
    assert_eq!(until(&ground.world, &mut anew, later).len(), 1);
}

pub(super) fn g7_watchers_are_told_what_expires(ground: &Ground) {
    let seam = ground.open();
    let (store, other) = (seam.store(), ground.store());
    let at = seam.now().after(seconds(10));
    seam.draft().act("a", put_until("1", at)).act("b", put_until("1", at)).put("c", "1").done();
    let mut watches = [started(store.watch("")), started(other.watch(""))];
    seam.world.set(at);
    let over = seam.put("a", "2").revision;
    let kept = block_on(other.keep(Retention::default())).expect("keeps");
    assert_eq!(kept.expired, 1, "the other one is swept up");
    let end = seam.put("c", "2").revision;
    for watch in &mut watches {
        let found = until(&ground.world, watch, end);
        let kinds: Vec<Vec<(ChangeKind, &str)>> = found
            .iter()
            .map(|batch| batch.changes.iter().map(|change| (change.kind, change.address.key.as_str())).collect())
            .collect();
        let written_over = vec![(ChangeKind::Expired, "a"), (ChangeKind::Created, "a")];
        let swept = vec![(ChangeKind::Expired, "b")];
        assert_eq!(kinds, [written_over, swept, vec![(ChangeKind::Updated, "c")]]);
        assert_eq!(found[0].revision, over);
    }
}

pub(super) fn g7_a_wait_that_is_given_up_loses_nothing(ground: &Ground) {
    const WRITES: u64 = 200;
    let seam = ground.open();
    let (store, other) = (seam.store(), ground.store());
    let mut watch = started(store.watch(""));
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..WRITES {
                let store = if n % 2 == 0 { &store } else { &other };
                block_on(store.set(format!("k{}", n % 3), n.to_string()).into_future()).expect("sets");
            }
        });
        // Begins to wait and gives up, over and over, at whatever moment of its reading that is.
        let world = &ground.world;
        let mut found = Vec::new();
        wait(world, async {
            let mut patience = 1;
            while (found.len() as u64) < WRITES {
                match poll_for(watch.next(), patience).await {
                    Some(batch) => {
                        found.push(batch.expect("goes on"));
                        patience = 1;
                    }
                    // An engine that is far away never answers whoever looks but once.
                    None => patience += 1,
                }
            }
        });
        found
    });
    told("a watch that was given up again and again", &found, &batches(&seam.changes_after(Revision::ZERO), |_| true));
}

pub(super) fn g7_a_watch_hears_its_namespace_alone(ground: &Ground) {
    let seam: Seam = ground.open();
    let (store, space) = (seam.store(), namespace("wasm:guest"));
    let guest = ground.store().in_namespace(&space).expect("a user's namespace");
    let mut watches = [started(store.watch("")), started(guest.watch("")), started(store.watch_all())];
    block_on(store.create_namespace(&space, larder_core::Metadata::default())).expect("creates");
    for n in 0..10 {
        let store = if n % 3 == 0 { &guest } else { &store };
        block_on(store.set(format!("k{n}"), "x").into_future()).expect("sets");
    }
    let same = store.in_namespace(&space).expect("a user's namespace");
    let end = store.commit().set("end", "x").within(&same).set("end", "x");
    let end = block_on(end.into_future()).expect("commits").revision;
    let log = seam.changes_after(Revision::ZERO);
    assert!(log.iter().any(|change| change.address.namespace.is_reserved()), "the store has written for itself");
    let found = watches.each_mut().map(|watch| until(&ground.world, watch, end));
    told("a watch of the first namespace", &found[0], &batches(&log, |address| address.namespace == *store.namespace()));
    told("a watch of the other", &found[1], &batches(&log, |address| address.namespace == space));
    told("a watch of the store", &found[2], &batches(&log, |address| !address.namespace.is_reserved()));
}

/// A filter on a watch tells what comes to be let through, and what ceases to be.
pub(crate) fn g7_a_filter_tells_what_comes_and_what_goes(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let mut watch = started(store.watch("job/").filter(field("state").eq("failed")));
    let states = [("a", r#"{"state":"new"}"#), ("b", r#"{"state":"failed"}"#), ("a", r#"{"state":"failed"}"#)];
    for (key, value) in states {
        block_on(store.set(format!("job/{key}"), Value::detect(value)).into_future()).expect("sets");
    }
    block_on(store.set("elsewhere", Value::detect(r#"{"state":"failed"}"#)).into_future()).expect("sets");
    block_on(store.set("job/a", Value::detect(r#"{"state":"done"}"#)).into_future()).expect("sets");
    block_on(store.set("job/a", Value::detect(r#"{"state":"new"}"#)).into_future()).expect("sets");
    let end = block_on(store.delete("job/b")).map(|_| seam.status().revision).expect("deletes");
    let told = until(&ground.world, &mut watch, end);
    let told: Vec<_> =
        told.iter().flat_map(|batch| &batch.changes).map(|change| (&*change.address.key, change.kind)).collect();
    let expected = [
        ("job/b", ChangeKind::Created),
        ("job/a", ChangeKind::Updated),
        ("job/a", ChangeKind::Updated),
        ("job/b", ChangeKind::Deleted),
    ];
    assert_eq!(told, expected);
}

/// Waits for `future` until it has been looked at so many times, a while between, and then gives it up.
async fn poll_for<T>(future: impl Future<Output = T>, times: u32) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Some(done) = poll_once(future.as_mut()).await {
            return Some(done);
        }
        a_while().await;
    }
    None
}
