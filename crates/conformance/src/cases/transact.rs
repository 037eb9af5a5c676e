//! G5: a transaction from its beginning to its end: run again, rolled back, parked, lost on its way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_lite::future::{self, block_on};
use larder_core::{
    BoxFuture, CommitId, Error, ErrorKind, Isolation, Key, Scope, Store, Timestamp, Transaction, TransactionState, Value,
    World, engine::Resolution,
};

use crate::{
    TestWorld,
    fault::Fault,
    ground::{Ground, Seam, fails, namespace, race, seconds},
};

/// A world whose clock stands still and in which nobody sleeps: whoever would is only behind the others.
#[derive(Debug)]
struct Restless(TestWorld, AtomicUsize);

/// How often somebody would have slept who tries for ever.
const SLEEPS_MAX: usize = 20_000;

impl World for Restless {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn random(&self) -> u128 {
        self.0.random()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        let sleeps = self.1.fetch_add(1, Ordering::SeqCst);
        assert!(sleeps < SLEEPS_MAX, "somebody tries again and again, and never gets on");
        Box::pin(future::yield_now())
    }
}

fn restless(seam: &Seam) -> Store {
    Store::new(seam.engine.clone(), Arc::new(Restless(seam.world.clone(), AtomicUsize::new(0))))
}

pub(super) fn g5_transact_tries_again_and_happens_once(ground: &Ground) {
    let seam = ground.open();
    let (store, other) = (restless(&seam), ground.store());
    block_on(async {
        // By a key that was read, and by a range.
        for ranged in [false, true] {
            let attempts = AtomicUsize::new(0);
            let answer = store.transact(async |mut t| {
                let attempt = attempts.fetch_add(1, Ordering::SeqCst);
                let read = if ranged { t.count("k").await? } else { t.get_json("n").await?.unwrap_or_default() };
                if attempt < 3 {
                    other.set("n", Value::integer(40 + attempt as i64)).await?;
                    other.set(format!("k{attempt}"), "1").await?;
                }
                t.add("times", 1, 0..=9).await?;
                Ok(read)
            });
            let expected = if ranged { 3 } else { 42 };
            assert_eq!(answer.await.ok(), Some(expected), "the answer is that of the attempt that happened");
            assert_eq!(attempts.load(Ordering::SeqCst), 4);
            assert_eq!(store.get_json::<i64>("times").await.ok().flatten(), Some(1 + i64::from(ranged)));
            other.clear("n").await.expect("clears");
        }
    });
}

pub(super) fn g5_transact_ends_at_its_deadline(ground: &Ground) {
    let seam = ground.open();
    let (store, other) = (restless(&seam), ground.store());
    let mut attempts = 0;
    let answer = store.transact_for(seconds(5), |mut t: Transaction| {
        attempts += 1;
        let (other, world) = (other.clone(), seam.world.clone());
        async move {
            t.get("k").await?;
            other.set("k", "in between").await?;
            world.step(seconds(3));
            t.set("k", "never")
        }
    });
    fails(block_on(answer), ErrorKind::Conflict);
    assert_eq!(attempts, 2, "after three seconds there was time, after six there was none");
    assert_eq!(seam.text("k").as_deref(), Some("in between"));
}

pub(super) fn g5_transact_loses_nothing_in_a_race(ground: &Ground) {
    let handles = [ground.open(), ground.open()];
    const RACERS: usize = 4;
    const ROUNDS: i64 = 12;
    race(RACERS, |racer| {
        let store = restless(&handles[racer % 2]);
        for round in 0..ROUNDS {
            let body = async |mut t: Transaction| {
                // The number is how many there are, and everybody leaves one more.
                let before = t.count("one/").await?;
                t.set(format!("one/{racer}/{round}"), Value::integer(before as i64))
            };
            block_on(store.transact(body)).expect("everybody's turn comes");
        }
    });
    let found = block_on(handles[0].store().scan("one/")).expect("scans").items;
    let mut numbers: Vec<i64> = found.iter().filter_map(|entry| entry.value.as_integer()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..RACERS as i64 * ROUNDS).collect::<Vec<_>>(), "each number was seen by one of them");
}

pub(super) fn g5_what_is_rolled_back_leaves_nothing(ground: &Ground) {
    let seam = ground.open();
    let store = restless(&seam);
    seam.put("k", "1");
    let before = seam.picture();
    block_on(async {
        let mut ids = Vec::new();
        let rolled_back = store.transact(|mut t: Transaction| {
            ids.push(t.id());
            async move {
                t.set("k", "2")?;
                t.rollback();
                Ok(7)
            }
        });
        assert_eq!(rolled_back.await.ok(), Some(7), "a body may roll back and answer");
        let failed: Result<(), Error> = store
            .transact(async |mut t| {
                t.set("k", "2")?;
                Err(Error::new(ErrorKind::NotFound, "the body has its reasons"))
            })
            .await;
        fails(failed, ErrorKind::NotFound);
        // A conflict that is the body's own is not tried again: it would be met again.
        let mut attempts = 0;
        let refused = store.transact(|mut t: Transaction| {
            attempts += 1;
            async move { t.add("k", 5, 0..=3).await }
        });
        fails(refused.await, ErrorKind::Conflict);
        assert_eq!(attempts, 1);

        let mut dropped = store.begin(Isolation::default());
        dropped.set("k", "2").expect("writes");
        ids.push(dropped.id());
        drop(dropped);
        let mut t = store.begin(Isolation::default());
        ids.push(t.id());
        t.set("k", "2").expect("writes");
        t.rollback();
        fails(t.set("k", "2"), ErrorKind::InvalidState);
        fails(t.get("k").await, ErrorKind::InvalidState);
        fails(t.scan("").await, ErrorKind::InvalidState);
        fails(t.count("").await, ErrorKind::InvalidState);
        fails(t.commit().await, ErrorKind::InvalidState);
        for id in ids {
            assert_eq!(store.transaction_state(id).await.ok(), Some(TransactionState::RolledBack));
        }
    });
    assert_eq!(seam.picture(), before);
}

pub(super) fn g5_a_transaction_has_a_state(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        let mut t = store.begin(Isolation::ReadUncommitted);
        assert_eq!(t.isolation(), Isolation::Serializable, "more is delivered than was asked for");
        let id = t.id();
        t.set("k", "1").expect("writes");
        assert_eq!(store.transaction_state(id).await.ok(), Some(TransactionState::Open));
        let receipt = t.commit().await.expect("commits");
        assert_eq!(store.transaction_state(id).await.ok(), Some(TransactionState::Committed(receipt)));
        let mut loser = store.begin(Isolation::default());
        loser.get("k").await.expect("reads");
        store.set("k", "2").await.expect("sets");
        loser.set("k", "3").expect("writes");
        let id = loser.id();
        fails(loser.commit().await, ErrorKind::Conflict);
        assert_eq!(store.transaction_state(id).await.ok(), Some(TransactionState::RolledBack));
        let never = store.world().commit_id();
        assert_eq!(store.transaction_state(never).await.ok(), Some(TransactionState::RolledBack));
    });
}

pub(super) fn g5_a_parked_transaction_goes_on(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let begun = |scope: &Scope, key: &str| -> Transaction {
        let mut t = scope.begin(Isolation::default());
        block_on(t.get(key)).expect("reads");
        t.set(key, "parked").expect("writes");
        t
    };
    block_on(async {
        let id = begun(&store, "k").park(seconds(60)).expect("there is room");
        assert_eq!(store.transaction_state(id).await.ok(), Some(TransactionState::Open));
        let scope = store.scope(&namespace("other")).expect("a scope");
        fails(scope.resume(id), ErrorKind::NotFound);
        fails(store.resume(store.world().commit_id()), ErrorKind::NotFound);
        seam.world.step(seconds(59));
        let mut t = store.resume(id).expect("it waits");
        fails(store.resume(id), ErrorKind::InvalidState);
        assert!(t.exists("k").await.is_ok_and(|there| there), "with all that it had written");
        let id = t.park(seconds(60)).expect("there is room");
        assert!(store.resume(id).expect("it waits").commit().await.is_ok());
        assert_eq!(seam.text("k").as_deref(), Some("parked"));
        fails(store.resume(id), ErrorKind::NotFound);

        // What it had read is still guarded.
        let id = begun(&store, "k").park(seconds(60)).expect("there is room");
        seam.put("k", "meanwhile");
        fails(store.resume(id).expect("it waits").commit().await, ErrorKind::Conflict);

        // One that has waited for too long is gone, whoever asks first.
        for ask in [true, false] {
            let id = begun(&store, "idle").park(seconds(60)).expect("there is room");
            seam.world.step(seconds(60));
            if ask {
                assert_eq!(store.transaction_state(id).await.ok(), Some(TransactionState::RolledBack));
            }
            fails(store.resume(id), ErrorKind::NotFound);
        }
        assert_eq!(seam.get("idle"), None);
    });
}

pub(super) fn g5_a_parked_transaction_is_taken_up_with_the_rights_it_had(ground: &Ground) {
    let store = ground.store();
    let scope = store.scope(&namespace("guest")).expect("a scope");
    let park = |scope: &Scope| scope.begin(Isolation::default()).park(seconds(60)).expect("there is room");
    let narrow = scope.narrowed("a/").expect("narrower");
    let id = park(&scope);
    // Taken up by a narrower handle it would still be the wider transaction.
    for other in [&narrow, &scope.read_only(), &scope.with_largest_value(3)] {
        fails(other.resume(id), ErrorKind::NotFound);
    }
    assert!(scope.resume(id).is_ok());
    assert!(narrow.resume(park(&narrow)).is_ok());
}

pub(super) fn g5_so_many_transactions_wait(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let park = || store.begin(Isolation::default()).park(seconds(60));
    let ids: Vec<CommitId> = (0..1024).map(|_| park().expect("there is room")).collect();
    fails(park(), ErrorKind::Limit);
    drop(store.resume(ids[0]).expect("it waits"));
    park().expect("there is room for one more");
    fails(park(), ErrorKind::Limit);
    seam.world.step(seconds(60));
    park().expect("the others have waited for too long");
}

pub(super) fn g5_a_transaction_has_limits(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        let mut t = store.begin(Isolation::default());
        for n in 0..64 {
            t.set(format!("{n}"), "1").expect("as many as a commit takes");
        }
        fails(t.set("64", "1"), ErrorKind::Limit);
        t.set("0", "again").expect("the same key is no other one");
        fails(t.add("65", 1, 0..=9).await, ErrorKind::Limit);
        assert_eq!(t.count("").await.ok(), Some(64), "what was refused is not there");
        let many = (0..10_001).map(|n| Key::new(format!("{n}")).expect("a key"));
        fails(t.get_many(many).await, ErrorKind::Limit);
        assert_eq!(t.commit().await.map(|receipt| receipt.writes.len()).ok(), Some(64));

        // What is touched brings no value along, and so as many may be touched as a commit takes.
        let large = "x".repeat(1 << 20);
        for key in ["large", "larger"] {
            store.set(key, &*large).await.expect("a mebibyte fits");
        }
        let mut t = store.begin(Isolation::default());
        for key in ["large", "larger"] {
            t.touch(key, Some(seconds(60))).await.expect("touches");
        }
        t.commit().await.expect("commits");

        let stranger = ground.store();
        let mut t = store.begin(Isolation::default());
        fails(t.within(&stranger).map(drop), ErrorKind::Invalid);
    });
}

pub(super) fn g14_a_transaction_finds_out_what_became_of_it(ground: &Ground) {
    let seam = ground.open();
    for happened in [false, true] {
        // The answer to the first commit is lost, whether it happened or not.
        let fault = Fault::deaf(0, happened, seam.engine.clone());
        let store = Store::new(fault, Arc::new(Restless(seam.world.clone(), AtomicUsize::new(0))));
        let mut attempts = 0;
        let sum = block_on(store.transact(|mut t: Transaction| {
            attempts += 1;
            async move { t.add("n", 1, 0..=9).await }
        }));
        assert_eq!((attempts, sum.ok()), if happened { (1, Some(2)) } else { (2, Some(1)) });
    }
    assert_eq!(seam.text("n").as_deref(), Some("2"), "each of the two happened once");

    for happened in [false, true] {
        let fault = Fault::deaf(0, happened, seam.engine.clone());
        let store = Store::new(fault, Arc::new(seam.world.clone()));
        let mut t = store.begin(Isolation::default());
        let id = t.id();
        t.set("k", "1").expect("writes");
        let error = fails(block_on(t.commit()), ErrorKind::OutcomeUnknown);
        assert_eq!(error.unknown_commit(), Some(id), "a transaction is known by its id");
        let state = block_on(store.transaction_state(id)).expect("it is known");
        assert_eq!(matches!(state, TransactionState::Committed(_)), happened, "{state:?}");
        assert_eq!(matches!(seam.resolve(id), Resolution::Committed(_)), happened);
        assert_eq!(seam.get("k").is_some(), happened);
    }
}
