//! Answers that are lost on their way: the server has committed, and nobody hears of it.

mod place;

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Address, Commit, Engine, ErrorKind, Key, Namespace, Outcome, Revision, StoreId, Timestamp, World as _, Write,
    engine::Resolution,
};
use larder_postgres::{PostgresConfig, PostgresEngine};
use place::{Place, server};

/// What stands between a store and its server.
#[derive(Clone, Default)]
struct Way {
    /// How many answers to a COMMIT are yet to be lost.
    losses: Arc<AtomicUsize>,
    /// Whether nobody gets through any more.
    closed: Arc<AtomicBool>,
}

impl Way {
    /// A way to the server, and the port at which it begins.
    fn open() -> (Self, u16) {
        let (way, listener) = (Self::default(), TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
        let port = listener.local_addr().expect("an address").port();
        let own = way.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let way = own.clone();
                thread::spawn(move || way.carry(client));
            }
        });
        (way, port)
    }

    fn carry(self, client: TcpStream) {
        let (_, place) = server().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL with a user");
        let server = TcpStream::connect(place.split('/').next().expect("a host and a port")).expect("the server is there");
        let cut = [&client, &server].map(|end| end.try_clone().expect("a socket can be held twice"));
        let cut = move || cut.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        if self.closed.load(Ordering::SeqCst) {
            return cut();
        }
        let [mut from, mut to] = [&client, &server].map(|end| end.try_clone().expect("a socket can be held twice"));
        let (loses, told) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.losses));
        let losing = loses.clone();
        thread::spawn(move || {
            pass(&mut from, &mut to, |bytes| {
                let commits = bytes.windows(7).any(|window| window == b"COMMIT\0");
                let lost = |left: usize| left.checked_sub(1);
                if commits && told.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost).is_ok() {
                    losing.store(true, Ordering::SeqCst);
                }
                true
            });
        });
        let (mut to, mut from) = (client, server);
        pass(&mut from, &mut to, |bytes| {
            let lost = loses.load(Ordering::SeqCst);
            // The whole answer is dropped, and the line with it once the server has said that it is done.
            if lost && bytes.windows(7).any(|window| window == b"COMMIT\0") {
                cut();
            }
            !lost
        });
        cut();
    }
}

/// Passes on what `wanted` lets through, until one end is gone.
fn pass(from: &mut TcpStream, to: &mut TcpStream, mut wanted: impl FnMut(&[u8]) -> bool) {
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if wanted(&bytes[..count]) && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
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
    let (way, port) = Way::open();
    let (engine, world) = (over(&place, port), TestWorld::new(1));
    for n in 1..=5 {
        way.losses.store(1, Ordering::SeqCst);
        let group = vec![add(&world), add(&world)];
        for (place, answer) in block_on(engine.commit(group)).into_iter().enumerate() {
            let Ok(Outcome::Committed(receipt)) = answer else { panic!("it has happened: {answer:?}") };
            assert_eq!(receipt.revision, Revision::new(2 * (n - 1) + place as u64 + 1));
        }
        assert_eq!(way.losses.load(Ordering::SeqCst), 0, "an answer was lost");
        assert_eq!(block_on(engine.status(Timestamp::EPOCH)).expect("answers").revision, Revision::new(2 * n));
    }
}

/// The answer is lost and the server cannot be asked: that is told, and later the id tells what became of it.
#[test]
fn a_commit_of_which_nobody_heard_is_unknown_until_somebody_asks() {
    let place = Place::fresh();
    let (way, port) = Way::open();
    let (engine, world) = (over(&place, port), TestWorld::new(1));
    let commit = add(&world);
    way.losses.store(1, Ordering::SeqCst);
    way.closed.store(true, Ordering::SeqCst);
    let answer = block_on(engine.commit(vec![commit.clone()])).swap_remove(0);
    let error = answer.expect_err("nobody heard");
    assert_eq!((error.kind(), error.unknown_commit()), (ErrorKind::OutcomeUnknown, Some(commit.id)), "{error}");
    let late = block_on(engine.commit(vec![add(&world)])).swap_remove(0);
    assert_eq!(late.map_err(|error| error.kind()), Err(ErrorKind::Unavailable), "what was never sent is not unknown");
    way.closed.store(false, Ordering::SeqCst);
    assert!(matches!(block_on(engine.resolve(commit.id)), Ok(Resolution::Committed(_))));
    assert_eq!(block_on(engine.status(Timestamp::EPOCH)).expect("answers").revision, Revision::new(1));
}
