//! Commits that travel together, and callers that go away.

use std::{
    collections::BTreeSet,
    future::IntoFuture,
    sync::Arc,
    task::{Context, Waker},
};

use futures_lite::future::block_on;
use larder_core::{Engine, ErrorKind, Revision, Store, World, engine::Resolution};

use crate::{
    fault::Fault,
    ground::{Ground, committed, fails, race},
};

/// A store on an engine that never answers at once, so that commits gather and callers can go away in between.
fn slow(ground: &Ground) -> Store {
    let engine: Arc<dyn Engine> = Fault::slow(ground.open().engine);
    Store::new(engine, Arc::new(ground.world.clone()))
}

pub(super) fn groups_of_any_size_answer_each_commit(ground: &Ground) {
    let seam = ground.open();
    assert!(seam.commit(vec![]).is_empty(), "an empty group has no answers");
    for size in [1, 2, 65, 300] {
        let since = seam.head();
        let group =
            (0..size).map(|n| seam.draft().put(&format!("k{n:03}"), &format!("{size}")).add("n", 1, 0..=1_000).commit());
        let revisions: Vec<Revision> =
            seam.commit(group.collect()).into_iter().map(|answer| committed(answer).revision).collect();
        assert!(revisions.is_sorted_by(|a, b| a < b) && revisions[0] > since, "each commit has a revision of its own");
        let log = seam.changes_after(since);
        let logged: BTreeSet<Revision> = log.iter().map(|change| change.revision).collect();
        assert_eq!(logged.len(), size, "each commit is in the log by itself");
    }
    assert_eq!(seam.text("n").as_deref(), Some("368"));
}

pub(super) fn groups_outlive_a_caller_that_goes_away(ground: &Ground) {
    let store = slow(ground);
    for round in 0..10 {
        let (left, right, id) = (format!("left/{round}"), format!("right/{round}"), ground.world.commit_id());
        let mut commit = store.commit().id(id).set(&left, "v").set(&right, "v").into_future();
        let mut beside = store.set(format!("beside/{round}"), "v").into_future();
        let mut context = Context::from_waker(Waker::noop());
        // One is at work, the other one waits; then the first caller goes away.
        let sent = commit.as_mut().poll(&mut context).is_ready();
        let waits = beside.as_mut().poll(&mut context).is_ready();
        drop(commit);
        if !waits {
            block_on(beside).expect("a neighbour's caller going away harms nobody");
        }
        block_on(store.set("next", round.to_string()).into_future()).expect("whoever comes next is served");
        let there = block_on(async { (store.exists(&left).await.ok(), store.exists(&right).await.ok()) });
        assert_eq!(there.0, there.1, "half of a commit has happened");
        match block_on(store.resolve(id)).expect("resolves") {
            Resolution::Committed(_) => assert_eq!(there.0, Some(true)),
            other => assert_eq!((other, there.0, sent), (Resolution::Never, Some(false), false)),
        }
    }
}

pub(super) fn groups_survive_a_dropped_future_of_the_engine(ground: &Ground) {
    let seam = ground.open();
    for round in 0..10 {
        let commits: Vec<_> = ["a", "b"]
            .map(|key| seam.draft().put(&format!("{key}/{round}"), "v").put(&format!("{key}2/{round}"), "v").commit())
            .into();
        let mut future = seam.engine.commit(commits.clone());
        let mut context = Context::from_waker(Waker::noop());
        // Answered or not, from here on nobody waits for it.
        let _ = future.as_mut().poll(&mut context);
        drop(future);
        seam.put("next", "v");
        for (key, commit) in ["a", "b"].into_iter().zip(commits) {
            let happened = matches!(seam.resolve(commit.id), Resolution::Committed(_));
            for name in [format!("{key}/{round}"), format!("{key}2/{round}")] {
                assert_eq!(seam.get(&name).is_some(), happened, "it may still happen, whole, or it never will");
            }
        }
    }
}

pub(super) fn groups_form_and_answer_everybody(ground: &Ground) {
    let store = slow(ground);
    let stamps = race(4, |racer| {
        let sets = (0..16).map(|n| (format!("{racer}/{}", n % 8), n.to_string()));
        block_on(store.set_many(sets)).into_iter().map(|stamp| stamp.expect("sets")).collect::<Vec<_>>()
    });
    for stamps in &stamps {
        let versions: Vec<u64> = stamps.iter().map(|stamp| stamp.version.get()).collect();
        assert_eq!(versions, [[1; 8], [2; 8]].concat(), "each caller gets the answer to what it sent");
    }
    let revisions: BTreeSet<Revision> = stamps.iter().flatten().map(|stamp| stamp.revision).collect();
    assert_eq!((revisions.len(), block_on(store.count("")).ok()), (64, Some(32)));
}

pub(super) fn groups_that_cannot_be_sent_fail_one_and_all(ground: &Ground) {
    let seam = ground.open();
    let engine: Arc<dyn Engine> = Fault::after(0, seam.engine.clone());
    let store = Store::new(engine, Arc::new(ground.world.clone()));
    for stamp in block_on(store.set_many([("a", "1"), ("b", "2"), ("c", "3")])) {
        let error = fails(stamp, ErrorKind::Unavailable);
        assert!(error.is_retryable(), "nothing has happened, so the same may be sent again");
    }
    assert_eq!(seam.keys().len(), 0);
    block_on(seam.store().set("a", "1").into_future()).expect("the engine underneath is well");
}
