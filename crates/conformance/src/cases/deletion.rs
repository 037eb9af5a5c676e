//! Namespaces that are deleted while others delete, create and use them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_lite::future::block_on;
use larder_core::{Engine, ErrorKind, Namespace, Result, Select, Store, Timestamp};

use crate::{
    fault::Fault,
    ground::{Ground, Seam, fails, metadata, namespace},
};

/// More than a commit takes, so that clearing them is two.
const ENTRIES: usize = 100;

fn bound(store: &Store, space: &Namespace) -> Store {
    store.in_namespace(space).expect("anybody may use it")
}

/// Deletes `space`, and lets `act` happen just before the commit with this number. Says whether it came to that.
fn delete(seam: &Seam, space: &Namespace, recursive: bool, commit: usize, act: impl FnOnce() + Send + 'static) -> Deleted {
    let acted = Arc::new(AtomicBool::new(false));
    let acting = acted.clone();
    let engine: Arc<dyn Engine> = Fault::meanwhile(commit, seam.engine.clone(), move || {
        acting.store(true, Ordering::SeqCst);
        act();
    });
    let store = Store::new(engine, Arc::new(seam.world.clone()));
    let answer = block_on(store.delete_namespace(space, recursive));
    Deleted { answer, acted: acted.load(Ordering::SeqCst) }
}

struct Deleted {
    answer: Result<u64>,
    acted: bool,
}

pub(super) fn namespaces_deleted_twice_at_once_leave_what_comes_after(ground: &Ground) {
    let (seam, space) = (ground.open(), namespace("doomed"));
    let store = seam.store();
    for commit in 1.. {
        let what = format!("ended before commit {commit} of another one");
        block_on(store.create_namespace(&space, metadata(r#"{"n":1}"#))).expect("creates");
        let stamps = block_on(bound(&store, &space).set_many((0..ENTRIES).map(|n| (format!("k{n}"), "v"))));
        assert!(stamps.iter().all(Result::is_ok));
        let (other, name) = (ground.store(), space.clone());
        let deleted = delete(&seam, &space, true, commit, move || {
            block_on(async {
                // While there is something left it takes the word; once nothing is, it need not be said.
                let alone = bound(&other, &name).count(Select::all()).await.expect("counts") == 0;
                other.delete_namespace(&name, !alone).await.expect("ends what the other one has begun");
                other.create_namespace(&name, metadata(r#"{"n":2}"#)).await.expect("creates what is gone");
                bound(&other, &name).set("new", "v").await.expect("sets in what is new");
            });
        });
        assert!(deleted.answer.is_ok_and(|gone| gone <= ENTRIES as u64), "{what}: it is deleted all the same");
        if !deleted.acted {
            assert!(commit > 2, "clearing this many entries is more than one commit");
            return;
        }
        let listed = block_on(store.list_namespaces()).expect("lists");
        let info =
            listed.iter().find(|info| info.namespace == space).unwrap_or_else(|| panic!("{what}: the new one is gone"));
        assert_eq!((info.registered, info.metadata.as_str()), (true, r#"{"n":2}"#), "{what}: it is not what was created");
        let bound = bound(&store, &space);
        assert_eq!(block_on(bound.list(Select::all())).expect("lists").items.len(), 1, "{what}: the new entry is gone");
        block_on(bound.set("newer", "v").into_future())
            .unwrap_or_else(|error| panic!("{what}: it takes no writes: {error}"));
        assert_eq!(block_on(store.delete_namespace(&space, true)).ok(), Some(2));
    }
}

pub(super) fn namespaces_are_deleted_by_what_they_hold_in_the_end(ground: &Ground) {
    let (seam, space) = (ground.open(), namespace("doomed"));
    let store = seam.store();
    type Act = fn(&Seam, &Store);
    let meanwhile: [(&str, Act, bool); 4] = [
        (
            "an entry that came and went",
            |_, bound| {
                block_on(bound.set("k", "v").into_future()).expect("sets");
                assert_eq!(block_on(bound.delete("k")).ok(), Some(true));
            },
            true,
        ),
        (
            "a log that was trimmed",
            |seam, _| {
                let head = seam.put("elsewhere", "v").revision;
                seam.trim(head, Timestamp::EPOCH);
            },
            true,
        ),
        (
            "an entry that stays",
            |_, bound| {
                block_on(bound.set("k", "v").into_future()).expect("sets");
            },
            false,
        ),
        (
            "another deletion that broke off",
            |seam, bound| {
                block_on(bound.set("k", "v").into_future()).expect("sets");
                let cut: Arc<dyn Engine> = Fault::after(1, seam.engine.clone());
                let cut = Store::new(cut, Arc::new(seam.world.clone()));
                fails(block_on(cut.delete_namespace(bound.namespace(), true)), ErrorKind::Unavailable);
            },
            false,
        ),
    ];
    for (what, act, deletes) in meanwhile {
        block_on(store.create_namespace(&space, metadata("{}"))).expect("creates");
        let (other, name) = (ground.open(), space.clone());
        let deleted = delete(&seam, &space, false, 0, move || act(&other, &bound(&other.store(), &name)));
        assert!(deleted.acted, "{what} did not come in between");
        if deletes {
            assert_eq!(deleted.answer.ok(), Some(0), "{what}: it is empty, and that is what was asked");
        } else {
            fails(deleted.answer, ErrorKind::NotEmpty);
            assert_eq!(block_on(store.delete_namespace(&space, true)).ok(), Some(1), "{what}: it is all there");
        }
        fails(block_on(store.delete_namespace(&space, true)), ErrorKind::NotFound);
    }
}

pub(super) fn status_counts_nothing_of_the_stores_own(ground: &Ground) {
    let store = ground.store();
    let long = metadata(&format!(r#"{{"long":"{}"}}"#, "x".repeat(60_000)));
    block_on(async {
        store.set("mine", "v").await.expect("sets");
        for n in 0..200 {
            store.create_namespace(&namespace(&format!("n{n}")), long.clone()).await.expect("creates");
        }
        let status = store.status().await.expect("is known");
        assert_eq!((status.entries, status.bytes, status.namespaces), (1, 5, 201));
    });
}
