//! Servers that end, and begin again, or do not: what was acknowledged is there, or the past is another one.

mod place;
mod server;

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use futures_lite::future::{block_on, poll_once};
use larder_core::{
    Action, Address, ChangesQuery, Commit, CommitId, Engine as _, ErrorKind, Key, Namespace, Outcome, Select, Timestamp,
    Write, engine::Resolution,
};
use larder_redis::RedisEngine;
use place::{fresh_at, open, store};
use server::{DURABLE, Server};

const NOW: Timestamp = Timestamp::EPOCH;

fn at(key: &str) -> Address {
    Address::new(Namespace::default(), Key::new(key).expect("valid"))
}

fn add(id: u64, key: &str) -> Commit {
    let action = Action::Add { delta: 1, floor: 0, ceiling: i64::MAX };
    let writes = ["total", key].map(|key| Write { address: at(key), action: action.clone() });
    Commit { id: CommitId::from_bytes(u128::from(id).to_be_bytes()), now: NOW, checks: Vec::new(), writes: writes.into() }
}

fn number(engine: &RedisEngine, key: &str) -> i64 {
    let read = block_on(engine.get(vec![at(key)], NOW)).expect("reads");
    read.value[0].as_ref().and_then(|entry| entry.value.as_integer()).unwrap_or(0)
}

/// Whether the commit has happened in the end, whatever had to be done to learn it.
fn happened(engine: &RedisEngine, commit: Commit) -> bool {
    let id = commit.id;
    match block_on(engine.commit(vec![commit])).remove(0) {
        Ok(Outcome::Committed(_)) => true,
        Ok(Outcome::Conflicted(conflict)) => panic!("nothing speaks against it: {conflict}"),
        Err(error) if error.kind() == ErrorKind::Unavailable => false,
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => loop {
            match block_on(engine.resolve(id)) {
                Ok(Resolution::Committed(_)) => return true,
                Ok(_) => return false,
                Err(_) => thread::yield_now(),
            }
        },
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_was_acknowledged_survives_a_server_that_is_killed_under_its_writers() {
    const WRITERS: u64 = 4;
    const KILLS: i64 = 8;
    let mut server = Server::start().expect("a server starts");
    let url = fresh_at(&server.url());
    let engines: Vec<RedisEngine> = (0..WRITERS).map(|_| block_on(open(&url)).expect("opens")).collect();
    let lineage = block_on(engines[0].status(NOW)).expect("answers").lineage;
    let (done, ids, acknowledged) = (AtomicBool::new(false), AtomicU64::new(1), AtomicI64::new(0));
    let counted: Vec<i64> = thread::scope(|scope| {
        let writers: Vec<_> = engines
            .iter()
            .enumerate()
            .map(|(writer, engine)| {
                let (done, ids, acknowledged) = (&done, &ids, &acknowledged);
                scope.spawn(move || {
                    let (key, mut count) = (format!("writer/{writer}"), 0);
                    while !done.load(Ordering::Relaxed) {
                        if happened(engine, add(ids.fetch_add(1, Ordering::Relaxed), &key)) {
                            count += 1;
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    count
                })
            })
            .collect();
        for kill in 1..=KILLS {
            // Between two kills somebody gets something done.
            while acknowledged.load(Ordering::Relaxed) < kill * 40 {
                if writers.iter().any(|writer| writer.is_finished()) {
                    done.store(true, Ordering::Relaxed);
                    panic!("a writer failed");
                }
                thread::yield_now();
            }
            server.kill();
            server.again().expect("starts again");
        }
        done.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("no writer panics")).collect()
    });
    let fresh = block_on(open(&url)).expect("opens");
    for (writer, count) in counted.iter().enumerate() {
        assert_eq!(number(&fresh, &format!("writer/{writer}")), *count, "writer {writer}");
    }
    assert_eq!(number(&fresh, "total"), counted.iter().sum::<i64>());
    let status = block_on(fresh.status(NOW)).expect("answers");
    assert_eq!((status.lineage, status.entries), (lineage, WRITERS + 1), "nothing was lost, so the past is the same");
}

/// A handle that was open before goes on after, and whoever reads finds the way by themselves.
#[test]
fn handles_outlive_the_server() {
    let mut server = Server::start().expect("a server starts");
    let store = store(block_on(open(&fresh_at(&server.url()))).expect("opens"), 1);
    block_on(store.set("k", "v").into_future()).expect("sets");
    for _ in 0..3 {
        server.kill();
        let error = block_on(store.get("k")).expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        server.again().expect("starts again");
        assert!(block_on(store.get("k")).expect("reads").is_some());
        block_on(store.set("k", "v").into_future()).expect("sets");
        assert_eq!(block_on(store.scan(Select::all())).expect("scans").items.len(), 1);
    }
}

#[test]
fn a_server_that_stands_still_is_not_waited_for_for_ever() {
    let server = Server::start().expect("a server starts");
    let url = fresh_at(&server.url());
    let mut config = larder_redis::RedisConfig::parse(&url).expect("a good URL");
    config.patience = Duration::from_secs(2);
    let engine = block_on(RedisEngine::open(config, larder_core::StoreId::from_bytes([7; 16]))).expect("opens");
    assert!(happened(&engine, add(1, "k")));
    server.signal("-STOP");
    let error = block_on(engine.get(vec![at("k")], NOW)).expect_err("it stands still");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = block_on(engine.commit(vec![add(2, "k")])).remove(0).expect_err("it stands still");
    // It was never sent: before that, the server would have had to say what there is.
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    server.signal("-CONT");
    assert_eq!(number(&block_on(open(&url)).expect("opens"), "k"), 1);
}

/// What a server acknowledges before it is on its disk may be gone when it comes back. Whoever followed the log then would
/// be told of other changes under revisions it has seen.
#[test]
fn a_past_that_may_have_lost_something_is_another_one() {
    for (everysec, same) in [("always", true), ("everysec", false)] {
        let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", everysec]).expect("a server starts");
        let url = format!("{}&durability=relaxed", fresh_at(&server.url()));
        let engine = block_on(open(&url)).expect("opens");
        assert!(happened(&engine, add(1, "k")));
        let before = block_on(engine.status(NOW)).expect("answers");
        server.kill();
        server.again().expect("starts again");
        // The handle that was open notices as one that is opened anew does.
        for engine in [engine, block_on(open(&url)).expect("opens")] {
            let after = block_on(engine.status(NOW)).expect("answers");
            assert_eq!(after.lineage == before.lineage, same, "{everysec}");
            let asked = block_on(engine.changes(ChangesQuery::after(before.lineage, before.oldest)));
            let told = asked.map(|changes| changes.changes.len()).map_err(|error| error.kind());
            assert_eq!(told, if same { Ok(2) } else { Err(ErrorKind::Trimmed) }, "{everysec}");
        }
    }
}

/// A replica has what its master had, but for what it had not yet heard.
#[test]
fn a_promoted_replica_has_another_past() {
    for late in [false, true] {
        let mut master = Server::start().expect("a server starts");
        let url = fresh_at(&master.url());
        let follow = || {
            let mut settings = DURABLE.to_vec();
            let of = format!("127.0.0.1 {}", master.port());
            settings.extend(["--replicaof", &of]);
            Server::with(&settings).expect("a server starts")
        };
        // Whether it was there when the store was opened or came later.
        let early = (!late).then(follow);
        let before = {
            let engine = block_on(open(&url)).expect("opens");
            assert!(happened(&engine, add(1, "k")));
            block_on(engine.status(NOW)).expect("answers")
        };
        let replica = early.unwrap_or_else(follow);
        assert_eq!(master.ask("WAIT 1 60000").expect("answers"), ":1");
        while !replica.ask("EXISTS {x}").is_ok_and(|answer| answer == ":0")
            || replica.ask("DBSIZE").expect("answers") == ":0"
        {
            thread::yield_now();
        }
        assert_eq!(replica.ask("REPLICAOF NO ONE").expect("answers"), "+OK");
        let there = url.replace(&master.port().to_string(), &replica.port().to_string());
        master.kill();
        let engine = block_on(open(&there)).expect("opens");
        let after = block_on(engine.status(NOW)).expect("answers");
        assert_eq!((after.store, after.revision, after.entries), (before.store, before.revision, before.entries));
        assert_ne!(after.lineage, before.lineage, "late: {late}");
        let again = block_on(open(&there)).expect("opens again");
        assert_eq!(block_on(again.status(NOW)).expect("answers").lineage, after.lineage, "it is noticed once");
    }
}

/// Somebody empties the server of functions; the store brings them again.
#[test]
fn functions_that_are_gone_are_brought_again() {
    let server = Server::start().expect("a server starts");
    let engine = block_on(open(&fresh_at(&server.url()))).expect("opens");
    assert!(happened(&engine, add(1, "k")));
    assert_eq!(server.ask("FUNCTION FLUSH").expect("answers"), "+OK");
    assert_eq!(block_on(engine.status(NOW)).expect("answers").entries, 2);
    assert_eq!(server.ask("FUNCTION FLUSH").expect("answers"), "+OK");
    assert!(happened(&engine, add(2, "k")));
    assert_eq!(number(&engine, "total"), 2);
}

/// Somebody empties the server of everything: that is told, and no new store stands in the place of the old one unnoticed.
#[test]
fn a_store_that_is_gone_is_said_to_be_gone() {
    let server = Server::start().expect("a server starts");
    let url = fresh_at(&server.url());
    let engine = block_on(open(&url)).expect("opens");
    assert!(happened(&engine, add(1, "k")));
    assert_eq!(server.ask("FLUSHALL").expect("answers"), "+OK");
    let asked = |engine: &RedisEngine| {
        let read = block_on(engine.get(vec![at("k")], NOW)).map(drop).map_err(|error| error.kind());
        let written = block_on(engine.commit(vec![add(2, "k")])).remove(0).map(drop).map_err(|error| error.kind());
        (read, written)
    };
    assert_eq!(asked(&engine), (Err(ErrorKind::Corrupt), Err(ErrorKind::Corrupt)));
    let config = larder_redis::RedisConfig::parse(&url).expect("a good URL");
    let other = block_on(RedisEngine::open(config, larder_core::StoreId::from_bytes([8; 16]))).expect("creates another");
    assert_eq!(asked(&engine), (Err(ErrorKind::Corrupt), Err(ErrorKind::Corrupt)), "another store is not ours");
    assert_eq!(number(&other, "k"), 0);
}

/// A server without memory refuses, and nothing of the commit is there.
#[test]
fn a_server_that_is_full_takes_nothing_and_keeps_what_it_has() {
    let server = Server::start().expect("a server starts");
    let engine = block_on(open(&fresh_at(&server.url()))).expect("opens");
    assert!(happened(&engine, add(1, "k")));
    assert_eq!(server.ask("CONFIG SET maxmemory 1").expect("answers"), "+OK");
    let error = block_on(engine.commit(vec![add(2, "k"), add(3, "k")])).remove(1).expect_err("there is no room");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!((number(&engine, "k"), number(&engine, "total")), (1, 1));
    assert_eq!(server.ask("CONFIG SET maxmemory 0").expect("answers"), "+OK");
    assert!(happened(&engine, add(4, "k")));
    assert_eq!((number(&engine, "k"), number(&engine, "total")), (2, 2));
    let status = block_on(engine.status(NOW)).expect("answers");
    assert_eq!((status.revision.get(), status.changes), (2, 4));
}

/// Somebody asks, is not answered at once, and does not look again. Whoever asks after that is answered all the same.
#[test]
fn a_question_that_nobody_looks_after_holds_up_nobody() {
    let server = Server::start().expect("a server starts");
    let engine = block_on(open(&fresh_at(&server.url()))).expect("opens");
    let mut left: Vec<_> = (0..8).map(|_| engine.get(vec![at("k")], NOW)).collect();
    for asked in &mut left {
        drop(block_on(poll_once(asked)));
    }
    for _ in 0..8 {
        assert_eq!(number(&engine, "k"), 0);
    }
}
