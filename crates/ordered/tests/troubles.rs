//! What becomes of commits when the map races, loses answers, or fails.

mod place;

use std::{sync::Arc, time::Duration};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Address, Commit, CommitId, Engine, ErrorKind, Key, MetadataChange, Namespace, Outcome, Result, StoreId, Value,
    World as _, Write, engine::Resolution,
};
use larder_ordered::{Opening, OrderedEngine, TestMap, Trouble};

fn put(world: &TestWorld, key: &str) -> Commit {
    let address = Address::new(Namespace::default(), Key::new(key).expect("a good key"));
    let action = Action::Put { value: Value::opaque("v"), expires_at: None, metadata: MetadataChange::Keep };
    let id = CommitId::new(world.now(), world.random());
    Commit { id, now: world.now(), checks: Vec::new(), writes: vec![Write { address, action }] }
}

fn impatient(map: &TestMap) -> OrderedEngine {
    let opening = Opening { patience: Duration::ZERO, ..Opening::default() };
    block_on(OrderedEngine::open(Arc::new(map.clone()), StoreId::from_bytes([7; 16]), opening)).expect("it opens")
}

fn patient(map: &TestMap) -> OrderedEngine {
    block_on(place::open(map)).expect("it opens")
}

fn send(engine: &OrderedEngine, commits: &[Commit]) -> Vec<Result<Outcome>> {
    block_on(engine.commit(commits.to_vec()))
}

fn revisions(answers: Vec<Result<Outcome>>) -> Vec<u64> {
    let revision = |answer: Result<Outcome>| match answer {
        Ok(Outcome::Committed(receipt)) => receipt.revision.get(),
        other => panic!("this commit has to succeed, and was answered {other:?}"),
    };
    answers.into_iter().map(revision).collect()
}

fn version(engine: &OrderedEngine, world: &TestWorld, key: &str) -> Option<u64> {
    let address = Address::new(Namespace::default(), Key::new(key).expect("a good key"));
    let mut read = block_on(engine.get(vec![address], world.now())).expect("reads");
    read.value.pop().flatten().map(|entry| entry.version.get())
}

fn kinds(answers: Vec<Result<Outcome>>) -> Vec<ErrorKind> {
    let kind = |answer: Result<Outcome>| answer.map_err(|error| error.kind()).expect_err("this commit has to fail");
    answers.into_iter().map(kind).collect()
}

#[test]
fn whatever_happens_once_on_the_way_each_commit_happens_once() {
    for trouble in [Trouble::Race, Trouble::Lost, Trouble::Unheard] {
        let (world, map) = (TestWorld::new(1), TestMap::new());
        let engine = patient(&map);
        map.trouble([trouble; 3]);
        let group = [put(&world, "a"), put(&world, "b")];
        assert_eq!(revisions(send(&engine, &group)), [1, 2], "{trouble:?}");
        for key in ["a", "b"] {
            assert_eq!(version(&engine, &world, key), Some(1), "{trouble:?}: {key} was written once");
        }
        assert_eq!(revisions(send(&engine, &group)), [1, 2], "{trouble:?}: sent again, it is the same");
    }
}

/// Nobody may be told that a commit never happens as long as it yet may.
#[test]
fn what_is_not_known_is_told_to_be_unknown_and_is_known_later() {
    for (trouble, happened) in [(Trouble::Lost, false), (Trouble::Unheard, true)] {
        let (world, map) = (TestWorld::new(1), TestMap::new());
        let engine = impatient(&map);
        map.trouble([trouble]);
        let group = [put(&world, "a"), put(&world, "b")];
        assert_eq!(kinds(send(&engine, &group)), [ErrorKind::OutcomeUnknown; 2], "{trouble:?}");
        for commit in &group {
            let resolved = block_on(engine.resolve(commit.id)).expect("resolves");
            assert_eq!(matches!(resolved, Resolution::Committed(_)), happened, "{trouble:?}");
        }
        let after = send(&engine, &group);
        if happened {
            assert_eq!(revisions(after), [1, 2]);
        } else {
            assert_eq!(kinds(after), [ErrorKind::InvalidState; 2], "what was resolved as never having happened is fenced");
        }
    }
}

#[test]
fn what_failed_for_certain_has_not_happened_and_may_be_sent_again() {
    for trouble in [Trouble::Failed, Trouble::Race] {
        let (world, map) = (TestWorld::new(1), TestMap::new());
        let engine = impatient(&map);
        let before = map.pairs();
        map.trouble([trouble]);
        let group = [put(&world, "a"), put(&world, "b")];
        assert_eq!(kinds(send(&engine, &group)), [ErrorKind::Unavailable; 2], "{trouble:?}");
        assert_eq!(map.pairs(), before, "{trouble:?}");
        assert_eq!(revisions(send(&engine, &group)), [1, 2]);
    }
}

/// Round trips are what is dear: a group is one look, one question and one batch, whatever is in it.
#[test]
fn a_group_is_one_view_one_question_and_one_batch() {
    let (world, map) = (TestWorld::new(1), TestMap::new());
    let engine = patient(&map);
    for round in 0..3 {
        map.asked();
        let group: Vec<Commit> = (0..64).map(|number| put(&world, &format!("{round}/{}", number % 48))).collect();
        assert_eq!(revisions(send(&engine, &group)).len(), 64);
        // The first one looks at the indexes, too, of which it knows nothing yet.
        assert_eq!(map.asked(), [1, if round == 0 { 2 } else { 1 }, 1]);
    }
    let address = Address::new(Namespace::default(), Key::new("1/7").expect("a good key"));
    let read = block_on(engine.get(vec![address], world.now())).expect("reads");
    assert!(read.value[0].is_some());
    assert_eq!(map.asked(), [1, 1, 0], "a get is one question");
}
