//! Time: transactions, reading as of the past, sweeping.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use larder::{Action, Condition, MetadataChange, Retention, Revision, Store, Timestamp, Value};
use tokio::runtime::Runtime;

use crate::{
    report::{Report, in_turns, scatter},
    sqlite::{store, together},
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const TASKS: u32 = 64;
const TRANSACTIONS: u32 = 4_096;
const KEYS: u32 = 5_000;
const CHANGES: u32 = 100_000;
const READS: u32 = 20_000;
const SETS: usize = 20_000;

/// Two reads and two writes, as a transaction and as a commit with checks.
pub(crate) fn transactions(report: &mut Report, runtime: &Runtime, directory: &Path) -> Outcome {
    let store = store(runtime, &directory.join("transactions.db"))?;
    let keys = |task: u32, n: u32| (format!("{task}/a/{}", n % 64), format!("{task}/b/{}", n % 64));
    let [transactions, commits] = in_turns(
        TRANSACTIONS,
        [
            &mut || {
                together(runtime, TASKS, |task| {
                    let store = store.clone();
                    async move {
                        for n in 0..TRANSACTIONS / TASKS {
                            let (a, b) = &keys(task, n);
                            let move_one = async |mut t: larder::Transaction| {
                                let (x, y) = (t.get_json::<u32>(a).await?, t.get_json::<u32>(b).await?);
                                t.set_json(a, &(x.unwrap_or(0) + 1))?;
                                t.set_json(b, &(y.unwrap_or(0) + 1))
                            };
                            store.transact(move_one).await?;
                        }
                        Ok(())
                    }
                });
            },
            &mut || {
                together(runtime, TASKS, |task| {
                    let store = store.clone();
                    async move {
                        for n in 0..TRANSACTIONS / TASKS {
                            let (a, b) = keys(task, n);
                            let (x, y) = (store.get(&a).await?, store.get(&b).await?);
                            let next = |entry: &Option<larder::Entry>| {
                                let number = entry.as_ref().and_then(|entry| entry.value.as_integer()).unwrap_or(0);
                                Value::json((number + 1).to_string())
                            };
                            let still = |entry: &Option<larder::Entry>| {
                                entry.as_ref().map_or(Condition::Absent, |entry| Condition::Revision(entry.revision))
                            };
                            let commit = store.commit().check(&a, still(&x)).check(&b, still(&y));
                            commit.set(&a, next(&x)?).set(&b, next(&y)?).await?;
                        }
                        Ok(())
                    }
                });
            },
        ],
    );
    report.row("sqlite time: transaction, 64 tasks", transactions, commits, "the same as checks and commits", 0.7);
    runtime.block_on(store.close())?;
    Ok(())
}

/// A get of what has changed since, among 100,000 changes.
pub(crate) fn past(report: &mut Report, runtime: &Runtime, directory: &Path) -> Outcome {
    let store = store(runtime, &directory.join("past.db"))?;
    let bulk = store.with_native_limits();
    let key = |n: u32| format!("k/{n:05}");
    let write = |first: u32, count: u32| {
        for from in (first..first + count).step_by(1000) {
            let sets = (from..from + 1000).fold(bulk.commit(), |commit, n| commit.set(key(n % KEYS), vec![7; 256]));
            runtime.block_on(sets.into_future())?;
        }
        Ok::<_, larder::Error>(())
    };
    write(0, KEYS)?;
    let then: Revision = runtime.block_on(store.status())?.revision;
    write(0, CHANGES)?;
    let view = runtime.block_on(store.view_at(then))?;
    let [past, present] = in_turns(
        READS,
        [
            &mut || {
                runtime.block_on(async {
                    for n in 0..READS {
                        let found = view.get(key(scatter(n, KEYS))).await.expect("reads");
                        assert!(found.is_some_and(|entry| entry.revision <= then));
                    }
                });
            },
            &mut || {
                runtime.block_on(async {
                    for n in 0..READS {
                        assert!(store.get(key(scatter(n, KEYS))).await.expect("reads").is_some());
                    }
                });
            },
        ],
    );
    report.row("sqlite time: get as of 100000 changes ago", past, present, "a get", 0.33);
    runtime.block_on(store.close())?;
    Ok(())
}

/// How long sets take while what has expired is swept up beside them.
pub(crate) fn sweeping(report: &mut Report, runtime: &Runtime, directory: &Path, entries: u32) -> Outcome {
    let path = directory.join("sweeping.db");
    let builder = larder::Builder::new(format!("sqlite:{}", path.display())).retention(None);
    let store = runtime.block_on(builder.open())?;
    let bulk = store.with_native_limits();
    let soon: Timestamp = store.world().now().after(Duration::from_secs(1));
    for first in (0..entries).step_by(1000) {
        let sets = (first..first + 1000).fold(bulk.commit(), |commit, n| {
            let (value, metadata) = (Value::opaque(vec![7; 64]), MetadataChange::Keep);
            commit.action(format!("old/{n}"), Action::Put { value, expires_at: Some(soon), metadata })
        });
        runtime.block_on(sets.into_future())?;
    }
    let alone = p99(runtime, &store);
    let done = Arc::new(AtomicBool::new(false));
    let sweeper = runtime.spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let (start, kept) = (Instant::now(), store.keep(Retention::default()).await);
            done.store(true, Ordering::SeqCst);
            (start.elapsed(), kept)
        }
    });
    let mut beside = Vec::new();
    while !done.load(Ordering::SeqCst) {
        beside.push(p99(runtime, &store));
    }
    let (took, kept) = runtime.block_on(sweeper)?;
    let swept = kept?.expired;
    println!("{swept} expired entries swept in {:.1} s, beside a task that sets without a pause", took.as_secs_f64());
    beside.sort_unstable();
    let beside = beside.get(beside.len() / 2).copied().unwrap_or(alone);
    let rate = |p99: Duration| 1.0 / p99.as_secs_f64();
    report.row("sqlite time: 1 / p99 of sets beside sweeping", rate(beside), rate(alone), "without sweeping", 0.5);
    runtime.block_on(store.close())?;
    Ok(())
}

/// What one in a hundred sets takes longer than.
fn p99(runtime: &Runtime, store: &Store) -> Duration {
    runtime.block_on(async {
        let mut took = Vec::with_capacity(SETS);
        for n in 0..SETS {
            let start = Instant::now();
            store.set(format!("new/{}", n % 1000), vec![7; 64]).await.expect("sets");
            took.push(start.elapsed());
        }
        took.sort_unstable();
        took[SETS * 99 / 100]
    })
}
