//! Members that end, stand still, and come back: what was acknowledged is there, and what is unknown can be learned.

mod place;
mod server;

use std::{
    collections::BTreeMap,
    future::IntoFuture as _,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use futures_lite::future::{block_on, poll_once};
use larder_core::{
    Action, Address, ChangesQuery, Commit, CommitId, Engine, ErrorKind, Key, Namespace, Outcome, Revision, Select, StoreId,
    Timestamp, Trim, Value, Write, engine::Resolution,
};
use larder_etcd::{EtcdConfig, OrderedEngine};
use place::{fresh_at, open, store};
use server::Server;

const NOW: Timestamp = Timestamp::EPOCH;

fn at(key: &str) -> Address {
    Address::new(Namespace::default(), Key::new(key).expect("valid"))
}

fn add(id: u64, key: &str) -> Commit {
    let action = Action::Add { delta: 1, floor: 0, ceiling: i64::MAX };
    let writes = ["total", key].map(|key| Write { address: at(key), action: action.clone() });
    Commit { id: CommitId::from_bytes(u128::from(id).to_be_bytes()), now: NOW, checks: Vec::new(), writes: writes.into() }
}

fn number(engine: &OrderedEngine, key: &str) -> i64 {
    let read = block_on(engine.get(vec![at(key)], NOW)).expect("reads");
    read.value[0].as_ref().and_then(|entry| entry.value.as_integer()).unwrap_or(0)
}

/// With less patience than is usual.
fn impatient(url: &str, patience: Duration) -> OrderedEngine {
    let mut config = EtcdConfig::parse(url).expect("a good URL");
    config.patience = patience;
    block_on(larder_etcd::open(config, StoreId::from_bytes([7; 16]))).expect("opens")
}

/// Whether the commit has happened in the end, whatever had to be done to learn it.
fn happened(engine: &OrderedEngine, commit: Commit) -> bool {
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

/// A crew that writes, while somebody does things to its cluster.
///
/// Afterwards everything that was acknowledged is there, nothing else, and the log tells all of it once and in order.
fn crew(server: &mut Server, rounds: usize, mut trouble: impl FnMut(&mut Server, usize)) {
    const WRITERS: u64 = 4;
    const BETWEEN: i64 = 40;
    let url = fresh_at(&server.url());
    let engines: Vec<OrderedEngine> = (0..WRITERS).map(|_| block_on(open(&url)).expect("opens")).collect();
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
        for round in 0..=rounds {
            // Between two troubles somebody gets something done.
            let before = acknowledged.load(Ordering::Relaxed);
            while acknowledged.load(Ordering::Relaxed) < before + BETWEEN {
                if writers.iter().any(|writer| writer.is_finished()) {
                    done.store(true, Ordering::Relaxed);
                    panic!("a writer failed");
                }
                thread::yield_now();
            }
            if round < rounds {
                trouble(server, round);
            }
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

    // Whoever watches is told of each change once.
    let store = store(fresh, 1);
    let mut watch = block_on(store.watch("").after(Revision::ZERO).start()).expect("starts");
    let (mut told, mut last) = (BTreeMap::<String, i64>::new(), Revision::ZERO);
    while last < status.revision {
        let batch = block_on(watch.next()).expect("goes on");
        assert!(batch.revision > last, "in order, each once");
        last = batch.revision;
        for change in batch.changes {
            *told.entry(change.address.key.as_str().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(told.remove("total"), Some(counted.iter().sum()));
    assert_eq!(told.into_values().collect::<Vec<_>>(), counted);
}

#[test]
fn what_was_acknowledged_survives_a_member_that_is_killed_under_its_writers() {
    let mut server = Server::start().expect("a server starts");
    crew(&mut server, 6, |server, _| {
        server.kill(0);
        server.again(0).expect("starts again");
    });
}

/// Whoever leads is killed, the others go on; then it comes back, and the next one is killed.
#[test]
fn a_crew_goes_on_when_the_leader_is_killed() {
    let mut server = Server::three().expect("a cluster starts");
    let mut gone = None;
    crew(&mut server, 4, |server, _| {
        if let Some(member) = gone.take() {
            server.again(member).expect("starts again");
        }
        let leader = server.leader();
        server.kill(leader);
        gone = Some(leader);
    });
}

/// A leader that stands still does not say that it is gone. The others find out, and so do we.
#[test]
fn a_crew_goes_on_when_the_leader_stands_still() {
    let mut server = Server::three().expect("a cluster starts");
    let mut still = None;
    crew(&mut server, 2, |server, _| {
        if let Some(member) = still.take() {
            server.signal(member, "-CONT");
        }
        let leader = server.leader();
        server.signal(leader, "-STOP");
        still = Some(leader);
    });
}

#[test]
fn two_of_three_are_enough_and_one_is_not() {
    let mut server = Server::three().expect("a cluster starts");
    let engine = impatient(&fresh_at(&server.url()), Duration::from_secs(6));
    assert!(happened(&engine, add(1, "k")));
    let leads = server.leader();
    let (leader, others): (Vec<usize>, Vec<usize>) = (0..3).partition(|member| *member == leads);
    server.kill(others[0]);
    assert!(happened(&engine, add(2, "k")));
    assert_eq!(number(&engine, "k"), 2);
    server.kill(leader[0]);
    let error = block_on(engine.get(vec![at("k")], NOW)).expect_err("nobody leads");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = block_on(engine.commit(vec![add(3, "k")])).remove(0).expect_err("nobody leads");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "nothing could be read, so nothing was sent: {error}");
    server.again(leader[0]).expect("starts again");
    let mut id = 3;
    while !happened(&engine, add(id, "k")) {
        id += 1;
    }
    assert_eq!(number(&engine, "k"), 3);
}

/// A handle that was open before goes on after, and whoever reads finds the way by themselves.
#[test]
fn handles_outlive_the_server() {
    let mut server = Server::start().expect("a server starts");
    let store = store(block_on(open(&fresh_at(&server.url()))).expect("opens"), 1);
    block_on(store.set("k", "v").into_future()).expect("sets");
    for _ in 0..3 {
        server.kill(0);
        let error = block_on(store.get("k")).expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        server.again(0).expect("starts again");
        assert!(block_on(store.get("k")).expect("reads").is_some());
        block_on(store.set("k", "v").into_future()).expect("sets");
        assert_eq!(block_on(store.scan(Select::all())).expect("scans").items.len(), 1);
    }
}

#[test]
fn a_server_that_stands_still_is_not_waited_for_for_ever() {
    let server = Server::start().expect("a server starts");
    let url = fresh_at(&server.url());
    let engine = impatient(&url, Duration::from_secs(3));
    assert!(happened(&engine, add(1, "k")));
    server.signal(0, "-STOP");
    // It stops when it comes to it, and may answer before that.
    let stopped = (0..1000).find_map(|_| block_on(engine.get(vec![at("k")], NOW)).err());
    let error = stopped.expect("it stands still");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = block_on(engine.commit(vec![add(2, "k")])).remove(0).expect_err("it stands still");
    // It was never sent: before that, the server would have had to say what there is.
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    server.signal(0, "-CONT");
    assert_eq!(number(&block_on(open(&url)).expect("opens"), "k"), 1);
}

/// Somebody empties the cluster: that is told, and no new store stands in the place of the old one unnoticed.
#[test]
fn a_store_that_is_gone_is_said_to_be_gone() {
    let server = Server::start().expect("a server starts");
    let url = fresh_at(&server.url());
    let engine = block_on(open(&url)).expect("opens");
    assert!(happened(&engine, add(1, "k")));
    server.ask("kv/deleterange", r#"{"key": "AA==", "range_end": "AA=="}"#).expect("answers");
    let asked = |engine: &OrderedEngine| {
        let read = block_on(engine.get(vec![at("k")], NOW)).map(drop).map_err(|error| error.kind());
        let written = block_on(engine.commit(vec![add(2, "k")])).remove(0).map(drop).map_err(|error| error.kind());
        (read, written)
    };
    assert_eq!(asked(&engine), (Err(ErrorKind::Corrupt), Err(ErrorKind::Corrupt)));
    let config = EtcdConfig::parse(&url).expect("a good URL");
    let other = block_on(larder_etcd::open(config, StoreId::from_bytes([8; 16]))).expect("creates another");
    assert_eq!(asked(&engine), (Err(ErrorKind::Corrupt), Err(ErrorKind::Corrupt)), "another store is not ours");
    assert_eq!(number(&other, "k"), 0);
}

/// The cluster forgets its own past whenever somebody tells it to. Ours is not in there.
#[test]
fn a_compaction_by_somebody_else_takes_nothing_from_us() {
    let server = Server::start().expect("a server starts");
    let engine = block_on(open(&fresh_at(&server.url()))).expect("opens");
    let lineage = block_on(engine.status(NOW)).expect("answers").lineage;
    for id in 1..=20 {
        assert!(happened(&engine, add(id, "k")));
        let (_, revision) = server.keys();
        let told = server.ask("kv/compaction", &format!(r#"{{"revision": "{revision}", "physical": true}}"#));
        assert!(told.expect("answers").contains("header"));
        assert_eq!(number(&engine, "k"), i64::try_from(id).expect("small"));
    }
    let changes = block_on(engine.changes(ChangesQuery::after(lineage, Revision::ZERO))).expect("is all there").changes;
    assert_eq!(changes.len(), 40);
    let values: Vec<Option<i64>> =
        changes.iter().step_by(2).map(|change| change.after.as_ref().and_then(|entry| entry.value.as_integer())).collect();
    assert_eq!(values, (1..=20).map(Some).collect::<Vec<_>>());
}

/// A cluster that has little room, and that knows after every write how much of it is left. (By itself it counts ten times a
/// second, and takes meanwhile whatever comes.)
fn cramped() -> Server {
    Server::with(1, &["--quota-backend-bytes", "16777216", "--backend-batch-limit", "1"]).expect("a server starts")
}

fn large(id: u64) -> Commit {
    let action = Action::Put {
        value: Value::opaque(vec![7; 1 << 20]),
        expires_at: None,
        metadata: larder_core::MetadataChange::Keep,
    };
    Commit { writes: vec![Write { address: at("large"), action }], ..add(id, "k") }
}

/// A cluster without room refuses, and nothing of the commit is there; when there is room again, it goes on.
#[test]
fn a_cluster_that_is_full_takes_nothing_and_keeps_what_it_has() {
    let mut server = cramped();
    let url = fresh_at(&server.url());
    let engine = block_on(open(&url)).expect("opens");
    let mut id = 1;
    let error = loop {
        match block_on(engine.commit(vec![large(id)])).remove(0) {
            Ok(_) => id += 1,
            Err(error) => break error,
        }
        assert!(id < 40, "it is never full");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("NOSPACE"), "{error}");
    let status = block_on(engine.status(NOW)).expect("answers");
    assert_eq!((status.revision.get(), status.entries), (id - 1, 1));
    let read = block_on(engine.get(vec![at("large")], NOW)).expect("reads").value.remove(0).expect("is there");
    assert_eq!(read.version.get(), id - 1);

    // Somebody who may gives it more room.
    server.kill(0);
    server.set("--quota-backend-bytes", "1073741824");
    server.again(0).expect("starts again");
    server.disarm();
    assert!(block_on(engine.commit(vec![large(id)])).remove(0).is_ok(), "there is room");
    let read = block_on(engine.get(vec![at("large")], NOW)).expect("reads").value.remove(0).expect("is there");
    assert_eq!(read.version.get(), id);
}

/// A cluster keeps what was overwritten and removed until it is told to forget it. Where it is ours, it is told before anybody
/// is refused for that.
#[test]
fn a_cluster_of_ours_is_not_filled_by_what_is_gone() {
    let server = cramped();
    let url = fresh_at(&server.url());
    let fill = |url: &str| {
        let engine = block_on(open(url)).expect("opens");
        (1..=40).find_map(|id| {
            block_on(engine.trim(Trim::new(Revision::new(u64::MAX), NOW))).expect("trims");
            block_on(engine.commit(vec![large(id)])).remove(0).err()
        })
    };
    assert_eq!(fill(&format!("{url}&compact=true")).map(|error| error.to_string()), None);
    let engine = block_on(open(&url)).expect("opens");
    let read = block_on(engine.get(vec![at("large")], NOW)).expect("reads").value.remove(0).expect("is there");
    assert_eq!(read.version.get(), 40);
}

/// Where the cluster is ours, what was is forgotten as time goes by, and nobody who reads or writes notices.
#[test]
fn a_cluster_of_ours_is_compacted_while_it_is_used() {
    let server = Server::start().expect("a server starts");
    let mut config = EtcdConfig::parse(&fresh_at(&server.url())).expect("a good URL");
    config.compact = true;
    config.compact_every = Duration::ZERO;
    let engine = block_on(larder_etcd::open(config, StoreId::from_bytes([7; 16]))).expect("opens");
    for id in 1..=50 {
        assert!(happened(&engine, add(id, "k")));
        assert_eq!(number(&engine, "k"), i64::try_from(id).expect("small"));
    }
    // What is compacted is not told; but who asks for what was there is told that it is gone.
    let past = r#"{"key": "AA==", "range_end": "AA==", "count_only": true, "revision": "5"}"#;
    while !server.ask("kv/range", past).expect("answers").contains("compacted") {
        thread::yield_now();
    }
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
