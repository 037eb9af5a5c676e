//! Recorded histories: several threads on several handles, everything they were answered, and the checkers on it.
//!
//! Threads race for real, so a seed tells what is asked and not how it turns out; a history that is refused shows itself.

use std::{
    collections::BTreeMap,
    future::IntoFuture as _,
    task::{Context, Waker},
};

use futures_lite::future::block_on;
use larder_core::{Condition, Entry, Error, ErrorKind, Found, Receipt, Revision, Store, Version, engine::Resolution};

use crate::{
    Factory,
    check::{
        Clock,
        linear::{self, Answer, Call, Held, Operation},
        serial::{self, Fate, State, Transaction},
    },
    ground::{Ground, race},
    model::Difference,
    random::Random,
};

/// How many threads work at once.
const THREADS: usize = 4;
/// What each of them does in one history.
const STEPS: u64 = 12;
/// How many histories are recorded in one place, each on keys of its own.
const IN_ONE_PLACE: u64 = 50;

/// Records `count` histories of single keys and as many of transactions, and checks them.
///
/// # Errors
/// The first that could not have happened.
pub fn histories(factory: &dyn Factory, seed: u64, count: u64) -> Result<u64, Difference> {
    for first in (0..count).step_by(IN_ONE_PLACE as usize) {
        let ground = Ground::new(factory, seed.wrapping_add(first));
        let stores = [ground.store(), ground.store()];
        for number in first..count.min(first + IN_ONE_PLACE) {
            let seed = seed.wrapping_add(number);
            operations(&stores, seed).map_err(|story| Difference { seed, story })?;
            transactions(&stores, seed).map_err(|story| Difference { seed, story })?;
        }
    }
    Ok(count)
}

/// Records reads, sets, compare-and-sets and deletes, and refuses what is not linearizable.
pub(crate) fn operations(stores: &[Store; 2], seed: u64) -> Result<(), String> {
    let clock = Clock::default();
    let recorded = race(THREADS, |racer| {
        let store = &stores[racer % 2];
        let mut random = Random::new(seed ^ (racer as u64) << 56);
        // What this thread saw of each key, to compare with.
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        let mut recorded = Vec::new();
        for step in 0..STEPS {
            let key = format!("linear/{seed}/{}", random.below(2));
            let value = (racer as u64) << 32 | step;
            let known = seen.get(&key).copied().unwrap_or(0);
            let call = match random.below(8) {
                0..3 => Call::Read,
                3..5 => Call::Set(value),
                5 => Call::Delete,
                _ => Call::SetIf { expected: known, value },
            };
            let gives_up = random.once_in(8);
            let called = clock.tick();
            let answer = if gives_up { abandon(store, &key, call) } else { ask(store, &key, call) };
            match answer {
                Some(Answer::Found(found)) => drop(seen.insert(key.clone(), found.map_or(0, |held| held.version))),
                Some(Answer::Set(version) | Answer::Met(version)) => drop(seen.insert(key.clone(), version)),
                Some(Answer::Deleted(_)) => drop(seen.insert(key.clone(), 0)),
                None => {}
            }
            recorded.push(Operation { key, call, called, answered: answer.map(|answer| (clock.tick(), answer)) });
        }
        recorded
    });
    let mut all = recorded.concat();
    for key in [format!("linear/{seed}/0"), format!("linear/{seed}/1")] {
        let (called, answer) = (clock.tick(), ask(&stores[0], &key, Call::Read));
        all.push(Operation { key, call: Call::Read, called, answered: answer.map(|answer| (clock.tick(), answer)) });
    }
    linear::check(&all).map_err(|bad| bad.to_string())
}

fn number(entry: &Entry) -> u64 {
    let text = str::from_utf8(entry.value.bytes()).ok();
    // Nobody writes the largest number, so no order explains it.
    text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

/// Asks, waits, and answers what was answered.
fn ask(store: &Store, key: &str, call: Call) -> Option<Answer> {
    let set = |answer: Result<Version, Error>| match answer {
        Ok(version) => Answer::Set(version.get()),
        Err(error) => match error.as_conflict().map(|conflict| conflict.found) {
            Some(Found::Entry { version, .. }) => Answer::Met(version.get()),
            Some(Found::Absent) => Answer::Met(0),
            other => panic!("a set that is racing was answered {error:?} with {other:?}"),
        },
    };
    Some(block_on(async {
        match call {
            Call::Read => {
                let entry = store.get(key).await.expect("reads");
                Answer::Found(entry.map(|entry| Held { version: entry.version.get(), value: number(&entry) }))
            }
            Call::Set(value) => set(store.set(key, value.to_string()).await.map(|stamp| stamp.version)),
            Call::SetIf { expected, value } => {
                set(store.set(key, value.to_string()).if_version(expected).await.map(|stamp| stamp.version))
            }
            Call::Delete => Answer::Deleted(store.delete(key).await.expect("deletes")),
        }
    }))
}

/// Begins, and goes away: nobody knows what became of it.
fn abandon(store: &Store, key: &str, call: Call) -> Option<Answer> {
    let mut asking = Box::pin(async { ask_once(store, key, call).await });
    let _ = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    None
}

async fn ask_once(store: &Store, key: &str, call: Call) {
    // Nobody waits for the answer.
    let _ = match call {
        Call::Read => store.get(key).await.map(|_| ()),
        Call::Set(value) => store.set(key, value.to_string()).await.map(|_| ()),
        Call::SetIf { expected, value } => store.set(key, value.to_string()).if_version(expected).await.map(|_| ()),
        Call::Delete => store.delete(key).await.map(|_| ()),
    };
}

/// Records transactions that read keys and ranges and write what depends on them, and refuses what is not serializable.
pub(crate) fn transactions(stores: &[Store; 2], seed: u64) -> Result<(), String> {
    let clock = Clock::default();
    let recorded = race(THREADS, |racer| {
        let mut random = Random::new(!seed ^ (racer as u64) << 56);
        let one = |step| transact(&stores[racer % 2], &clock, seed, (racer as u64) << 32 | step, &mut random);
        (0..STEPS).map(one).collect::<Vec<_>>()
    });
    let mut all = recorded.concat();
    let called = clock.tick();
    let (range, revision) = range(&stores[1], &format!("serial/{seed}/"));
    all.push(Transaction {
        called,
        answered: Some(clock.tick()),
        ranges: vec![range],
        fate: Fate::Read(revision.get()),
        ..Transaction::default()
    });
    serial::check(&all).map_err(|bad| bad.to_string())
}

fn range(store: &Store, prefix: &str) -> ((String, State), Revision) {
    let found = block_on(store.scan(prefix)).expect("scans");
    let state = found.items.iter().map(|entry| (entry.address.key.as_str().to_owned(), number(entry))).collect();
    ((prefix.to_owned(), state), found.revision)
}

fn transact(store: &Store, clock: &Clock, seed: u64, value: u64, random: &mut Random) -> Transaction {
    let key = |n: u64| format!("serial/{seed}/{}/{}", n % 2, n / 2);
    let mut transaction = Transaction { called: clock.tick(), ..Transaction::default() };
    let mut commit = store.commit();
    match random.below(5) {
        // Two keys as of one moment, and nothing else.
        0 => {
            let keys = [key(random.below(6)), key(random.below(6))];
            let found = block_on(store.get_many(&keys)).expect("reads");
            transaction.fate = Fate::Read(found.revision.get());
            transaction.reads = keys.into_iter().zip(found.value.iter().map(|entry| entry.as_ref().map(number))).collect();
        }
        // A range as of one moment, and nothing else.
        1 => {
            let (range, revision) = range(store, &format!("serial/{seed}/{}/", random.below(2)));
            transaction.fate = Fate::Read(revision.get());
            transaction.ranges.push(range);
        }
        kind => {
            let read_at = store.world().now();
            if kind < 4 {
                let name = key(random.below(6));
                let found = block_on(store.get(&name)).expect("reads");
                let condition = found.as_ref().map_or(Condition::Absent, |entry| Condition::Revision(entry.revision));
                commit = commit.check(&name, condition);
                transaction.reads.push((name, found.as_ref().map(number)));
            }
            if kind == 3 {
                let (range, revision) = range(store, &format!("serial/{seed}/{}/", random.below(2)));
                commit = commit.check_unchanged(&range.0, revision, read_at);
                transaction.ranges.push(range);
            }
            let first = random.below(6);
            for n in [first, (first + 1 + random.below(5)) % 6] {
                let write = (!random.once_in(4)).then_some(value);
                commit = match write {
                    Some(value) => commit.set(key(n), value.to_string()),
                    None => commit.delete(key(n)),
                };
                transaction.writes.push((key(n), write));
            }
            let id = store.world().commit_id();
            let mut sending = commit.id(id).into_future();
            if random.once_in(6) {
                let _ = sending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                drop(sending);
                match block_on(store.resolve(id)).expect("resolves") {
                    Resolution::Committed(receipt) => happened(&mut transaction, &receipt),
                    other => assert_eq!(other, Resolution::Never, "an id of a moment ago is not forgotten"),
                }
            } else {
                match block_on(sending) {
                    Ok(receipt) => happened(&mut transaction, &receipt),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
        }
    }
    transaction.answered = Some(clock.tick());
    transaction
}

fn happened(transaction: &mut Transaction, receipt: &Receipt) {
    let nothing = receipt.writes.iter().all(|written| written.version == Version::ZERO && !written.existed);
    let revision = receipt.revision.get();
    // One that changed nothing took no revision of its own, and stands with the readers.
    transaction.fate = if nothing { Fate::Read(revision) } else { Fate::Wrote(revision) };
}
