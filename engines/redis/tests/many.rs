//! Many at once: gets that are asked together, and more that has expired than one step looks at.

mod place;

use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future::{block_on, poll_once};
use futures_util::future::join_all;
use larder_core::{
    Action, Address, Check, Commit, CommitId, Condition, Engine as _, Entry, Key, Metadata, MetadataChange, Namespace,
    Outcome, Quota, Range, Result, Snapshot, Timestamp, Value, Write, engine::EngineStatus,
};
use larder_redis::RedisEngine;
use place::{fresh_at, open};

fn at(key: &str) -> Address {
    Address::new(Namespace::default(), Key::new(key).expect("valid"))
}

fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis_saturating(millis)
}

fn put(key: &str, value: &str, expires_at: Option<Timestamp>) -> Write {
    let value = Value::opaque(value.to_owned());
    Write { address: at(key), action: Action::Put { value, expires_at, metadata: MetadataChange::Keep } }
}

fn commit(engine: &RedisEngine, id: u128, writes: Vec<Write>) {
    let id = CommitId::from_bytes(id.to_be_bytes());
    let answers = block_on(engine.commit(vec![Commit { id, now: Timestamp::EPOCH, checks: Vec::new(), writes }]));
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
}

fn engine() -> RedisEngine {
    block_on(open(&fresh_at(&place::server()))).expect("opens")
}

/// One question is asked for many callers. Each is told of its own keys, also when others no longer listen.
#[test]
fn gets_at_the_same_time_each_get_their_own() {
    let engine = engine();
    commit(&engine, 1, (0..900).map(|n| put(&format!("k{n}"), &format!("v{n}"), None)).collect());
    for _ in 0..4 {
        // Of every kind: one key, several, none, so many that they are asked for alone; and one that is absent.
        let keys = |n: usize| match n % 10 {
            7 => Vec::new(),
            8 => (n % 500..n % 500 + 200).collect(),
            9 => vec![n, 10_000 + n, n + 1],
            _ => vec![n],
        };
        let check = |n: usize, read: Result<Snapshot<Vec<Option<Entry>>>>| {
            let read = read.expect("reads");
            let found = read.value.iter().map(|entry| entry.as_ref().map(|entry| entry.value.bytes().clone()));
            let expected = keys(n).into_iter().map(|k| (k < 900).then(|| format!("v{k}").into()));
            assert!(found.eq(expected), "{n}");
            assert_eq!(read.revision.get(), 1);
        };
        let mut left = Vec::new();
        for n in 0..800 {
            let mut asked = engine.get(keys(n).iter().map(|k| at(&format!("k{k}"))).collect(), Timestamp::EPOCH);
            match block_on(poll_once(&mut asked)) {
                Some(read) => check(n, read),
                // Nobody listens any longer.
                None if n % 3 == 0 => {}
                None => left.push(async move { (n, asked.await) }),
            }
        }
        for (n, read) in block_on(join_all(left)) {
            check(n, read);
        }
    }
}

/// Most entries show all but their value at a glance. One with long metadata does not, and nothing of it is lost when it is
/// replaced; nor is what it weighs, whether its value is long or short.
#[test]
fn what_is_more_than_a_glance_is_replaced_like_anything_else() {
    let engine = engine();
    let long = Metadata::parse(format!("{{\"note\":\"{}\"}}", "x".repeat(5000)).as_bytes()).expect("valid");
    let write = |key: &str, value: &str, metadata| {
        let value = Value::opaque(value.to_owned());
        Write { address: at(key), action: Action::Put { value, expires_at: None, metadata } }
    };
    let told = || {
        let EngineStatus { entries, bytes, log_bytes, .. } = block_on(engine.status(moment(0))).expect("answers");
        (entries, bytes, log_bytes)
    };
    commit(
        &engine,
        1,
        vec![write("a", "v", MetadataChange::Replace(long.clone())), write("b", &"v".repeat(9000), MetadataChange::Keep)],
    );
    let (a, b, keys) = (1 + 1 + long.len() as u64, 1 + 9000, 2);
    assert_eq!(told(), (2, a + b, keys));
    commit(&engine, 2, vec![write("a", "w", MetadataChange::Keep), write("b", "w", MetadataChange::Keep)]);
    assert_eq!(told(), (2, a + 2, keys + a + b));
    let read = block_on(engine.get(vec![at("a")], moment(0))).expect("reads").value;
    assert_eq!(read.into_iter().flatten().next().map(|entry| entry.metadata), Some(long));
}

/// After many groups that only add entries, nobody expects to meet one. One that is met all the same is not overlooked: not
/// by a write, and not by a check alone.
#[test]
fn entries_are_met_after_many_groups_that_met_none() {
    let engine = engine();
    let mut id = 0;
    let mut next = |writes: Vec<Write>, checks: Vec<Check>| {
        id += 1;
        let commit = Commit { id: CommitId::from_bytes(u128::to_be_bytes(id)), now: Timestamp::EPOCH, checks, writes };
        block_on(engine.commit(vec![commit])).remove(0).expect("is answered")
    };
    for round in 0..3 {
        for n in 0..40 {
            next(vec![put(&format!("{round}/{n}"), "v", None)], Vec::new());
        }
        let absent = |key: &str| Check::Key { address: at(key), condition: Condition::Absent };
        match round {
            0 => {
                let Outcome::Committed(receipt) = next(vec![put("new", "v", None), put("0/7", "v", None)], Vec::new())
                else {
                    panic!("nothing speaks against it");
                };
                assert_eq!(receipt.writes.iter().map(|one| one.version.get()).collect::<Vec<_>>(), [1, 2]);
            }
            1 => assert!(matches!(next(Vec::new(), vec![absent("nobody"), absent("1/7")]), Outcome::Conflicted(_))),
            _ => assert!(matches!(next(Vec::new(), vec![absent("nobody")]), Outcome::Committed(_))),
        }
    }
}

/// What a group looks at is asked piece by piece, and others come in between. What it is decided by is of one moment all the
/// same: of what a namespace takes, and of what is to be replaced in it.
#[test]
fn a_quota_is_not_exceeded_by_what_stood_there_at_another_moment() {
    let url = fresh_at(&place::server());
    let (own, other) = (block_on(open(&url)).expect("opens"), block_on(open(&url)).expect("opens"));
    let large = "v".repeat(1000);
    let delete = || Write { address: at("z"), action: Action::Delete };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in 0..500 {
                commit(&other, 1_000_000 + id, vec![if id % 2 == 0 { put("z", &large, None) } else { delete() }]);
            }
            done.store(true, Ordering::Relaxed);
        });
        // So many questions that the server does not read them at once.
        let mut checks: Vec<Check> =
            (0..1000).map(|n| Check::Key { address: at(&format!("absent/{n}")), condition: Condition::Absent }).collect();
        let quota = Quota { bytes: Some(1001), ..Quota::default() };
        checks.push(Check::Quota { namespace: Namespace::default(), quota });
        let mut id = 0;
        while !done.load(Ordering::Relaxed) {
            id += 1;
            let id = CommitId::from_bytes(u128::to_be_bytes(id));
            let writes = vec![put("z", &large, None)];
            let commit = Commit { id, now: Timestamp::EPOCH, checks: checks.clone(), writes };
            let answer = block_on(own.commit(vec![commit])).remove(0);
            assert!(matches!(answer, Ok(Outcome::Committed(_))), "{answer:?}");
        }
    });
}

/// Counting looks at everything that has expired and is still there. It does so in steps, and what it says is of one moment
/// all the same, however many others come in between.
#[test]
fn what_has_expired_is_counted_off_in_steps() {
    const EXPIRED: usize = 3500;
    let (engine, plain) = (engine(), engine());
    let lasting = || (0..3).map(|n| put(&format!("lasting{n}"), "v", None)).collect::<Vec<_>>();
    commit(&plain, 1, lasting());
    commit(&engine, 1, lasting());
    for first in (0..EXPIRED).step_by(500) {
        let writes = (first..first + 500).map(|n| put(&format!("short{n}"), "v", Some(moment(5)))).collect();
        commit(&engine, 2 + first as u128, writes);
    }
    let told = |engine: &RedisEngine| {
        let EngineStatus { entries, bytes, .. } = block_on(engine.status(moment(10))).expect("answers");
        let counted = |range| block_on(engine.count(range, moment(10))).expect("counts").value;
        let prefix = Range::prefix(&Namespace::default(), "short");
        (entries, bytes, counted(Range::namespace(&Namespace::default())), counted(prefix))
    };
    assert_eq!(told(&engine), told(&plain));
    assert_eq!(told(&engine).2, 3);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut id = 1_000_000;
            while !done.load(Ordering::Relaxed) {
                id += 1;
                commit(&engine, id, vec![put("lasting0", "v", None)]);
            }
        });
        for _ in 0..5 {
            assert_eq!(told(&engine), told(&plain));
        }
        done.store(true, Ordering::Relaxed);
    });
}
