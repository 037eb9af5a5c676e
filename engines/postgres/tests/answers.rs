//! Answers that are lost on their way: the server has committed, and nobody hears of it.

mod place;

use futures_lite::future::block_on;
use larder_conformance::{
    TestWorld,
    proxy::{Cut, Proxy, Words},
};
use larder_core::{
    Action, Address, Commit, Engine, ErrorKind, Key, Namespace, Outcome, Revision, StoreId, Timestamp, World as _, Write,
    engine::Resolution,
};
use larder_postgres::{PostgresConfig, PostgresEngine};
use place::{Place, server};

/// How a COMMIT looks on the line, and how its answer.
const WORDS: Words = Words { commit: b"COMMIT\0", answer: b"COMMIT\0" };

/// A way to the server of the tests.
fn way() -> Proxy {
    let server = server();
    let port = server.rsplit_once('/').and_then(|(place, _)| place.rsplit_once(':')?.1.parse().ok());
    Proxy::before(port.expect("a URL with a port"), WORDS)
}

/// A store that is reached over `port`.
fn over(place: &Place, port: u16) -> PostgresEngine {
    let (front, back) = server().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL with a user");
    let database = back.split_once('/').expect("a URL with a database").1;
    let url = format!("{front}@127.0.0.1:{port}/{database}?schema={}", place.schema());
    let config = PostgresConfig::parse(&url).expect("a good URL");
    block_on(PostgresEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens")
}

fn add(world: &TestWorld) -> Commit {
    let address = Address::new(Namespace::default(), Key::new("n").expect("a good key"));
    let action = Action::Add { delta: 1, floor: i64::MIN, ceiling: i64::MAX };
    Commit { id: world.commit_id(), now: world.now(), checks: vec![], writes: vec![Write { address, action }] }
}

/// The answer is lost, the engine asks again under the same id, and finds out that it has happened.
#[test]
fn a_commit_whose_answer_is_lost_happens_once() {
    let place = Place::fresh();
    let way = way();
    let (engine, world) = (over(&place, way.port()), TestWorld::new(1));
    for n in 1..=5 {
        way.cut(Cut::After, false);
        let group = vec![add(&world), add(&world)];
        for (place, answer) in block_on(engine.commit(group)).into_iter().enumerate() {
            let Ok(Outcome::Committed(receipt)) = answer else { panic!("it has happened: {answer:?}") };
            assert_eq!(receipt.revision, Revision::new(2 * (n - 1) + place as u64 + 1));
        }
        assert!(way.has_cut(), "an answer was lost");
        assert_eq!(block_on(engine.status(Timestamp::EPOCH)).expect("answers").revision, Revision::new(2 * n));
    }
}

/// The answer is lost and the server cannot be asked: that is told, and later the id tells what became of it.
#[test]
fn a_commit_of_which_nobody_heard_is_unknown_until_somebody_asks() {
    let place = Place::fresh();
    let way = way();
    let (engine, world) = (over(&place, way.port()), TestWorld::new(1));
    let commit = add(&world);
    way.cut(Cut::After, true);
    let answer = block_on(engine.commit(vec![commit.clone()])).swap_remove(0);
    let error = answer.expect_err("nobody heard");
    assert_eq!((error.kind(), error.unknown_commit()), (ErrorKind::OutcomeUnknown, Some(commit.id)), "{error}");
    let late = block_on(engine.commit(vec![add(&world)])).swap_remove(0);
    assert_eq!(late.map_err(|error| error.kind()), Err(ErrorKind::Unavailable), "what was never sent is not unknown");
    way.mend();
    assert!(matches!(block_on(engine.resolve(commit.id)), Ok(Resolution::Committed(_))));
    assert_eq!(block_on(engine.status(Timestamp::EPOCH)).expect("answers").revision, Revision::new(1));
}
