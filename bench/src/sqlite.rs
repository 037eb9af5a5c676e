//! SQLite: reads among many entries, durable writes by few and many tasks.

use std::{future::Future, path::Path};

use futures_lite::future::block_on;
use larder::{Select, Store};
use tokio::runtime::Runtime;

use crate::{
    raw,
    report::{Report, in_turns, scatter},
};

const VALUE: [u8; 256] = [7; 256];
const READS: u32 = 100_000;
const LISTS: u32 = 2_000;
const TASKS: u32 = 64;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn key(n: u32) -> String {
    format!("group-{:05}/{n:08}", n / 100)
}

pub(crate) fn store(runtime: &Runtime, path: &Path) -> larder::Result<Store> {
    runtime.block_on(larder::open(&format!("sqlite:{}", path.display())))
}

/// Runs `tasks` tasks at once and waits for all.
pub(crate) fn together<F>(runtime: &Runtime, tasks: u32, task: impl Fn(u32) -> F)
where
    F: Future<Output = larder::Result<()>> + Send + 'static,
{
    runtime.block_on(async {
        let running: Vec<_> = (0..tasks).map(|n| runtime.spawn(task(n))).collect();
        for task in running {
            task.await.expect("no task panics").expect("no operation fails");
        }
    });
}

/// Sets so many keys that no other round sets, each in a commit of its own, by so many tasks.
pub(crate) fn sets(runtime: &Runtime, store: &Store, (tasks, sets): (u32, u32), round: u32) {
    together(runtime, tasks, |task| {
        let store = store.clone();
        async move {
            for n in 0..sets / tasks {
                store.set(key(round * sets + n * tasks + task), &VALUE).await?;
            }
            Ok(())
        }
    });
}

async fn fill(store: &Store, entries: u32) -> larder::Result<()> {
    let store = store.with_native_limits();
    for first in (0..entries).step_by(1000) {
        let keys = first..(first + 1000).min(entries);
        keys.fold(store.commit(), |commit, n| commit.set(key(n), &VALUE)).await?;
    }
    Ok(())
}

pub(crate) fn reads(report: &mut Report, runtime: &Runtime, directory: &Path, entries: u32) -> Outcome {
    let path = directory.join("reads.db");
    let large = store(runtime, &path)?;
    runtime.block_on(fill(&large, entries))?;
    let connection = raw::open(&path)?;

    let [raw, blocking, one, many] = in_turns(
        READS,
        [
            &mut || {
                for n in 0..READS {
                    let read = connection
                        .prepare_cached("SELECT version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value FROM entries WHERE namespace = 'default' AND key = ?1")
                        .and_then(|mut statement| statement.query_row([key(scatter(n, entries))], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(8)?))));
                    assert_eq!(read.expect("the entry is there").1.len(), VALUE.len());
                }
            },
            &mut || {
                for n in 0..READS {
                    assert!(block_on(large.get(key(scatter(n, entries)))).is_ok_and(|entry| entry.is_some()));
                }
            },
            &mut || {
                together(runtime, 1, |_| {
                    let store = large.clone();
                    async move {
                        for n in 0..READS {
                            assert!(store.get(key(scatter(n, entries))).await?.is_some());
                        }
                        Ok(())
                    }
                });
            },
            &mut || {
                together(runtime, TASKS, |task| {
                    let store = large.clone();
                    async move {
                        for n in 0..READS / TASKS {
                            assert!(store.get(key(scatter(task * READS + n, entries))).await?.is_some());
                        }
                        Ok(())
                    }
                });
            },
        ],
    );
    let against = "prepared statement, one connection";
    report.row(format!("sqlite get 256 B among {entries}, blocking"), blocking, raw, against, 0.5);
    report.row("sqlite get, async, one task", one, raw, against, 0.25);
    report.row("sqlite get, async, 64 tasks", many, raw, against, 1.0);

    let path = directory.join("small.db");
    let small = store(runtime, &path)?;
    runtime.block_on(fill(&small, 10_000))?;
    let list = |store: &Store, groups: u32| {
        for n in 0..LISTS {
            let prefix = format!("group-{:05}/", scatter(n, groups));
            let found = runtime.block_on(store.list(Select::prefix(prefix).limit(100)));
            assert_eq!(found.expect("a list succeeds").items.len(), 100);
        }
    };
    let [raw, ours, few] = in_turns(
        LISTS,
        [
            &mut || {
                for n in 0..LISTS {
                    let group = scatter(n, entries / 100);
                    let keys: rusqlite::Result<Vec<String>> = connection
                        .prepare_cached("SELECT key FROM entries WHERE namespace = 'default' AND key >= ?1 AND key < ?2 AND (expires_at IS NULL OR expires_at > 0) ORDER BY key LIMIT 100")
                        .and_then(|mut statement| statement.query_map([format!("group-{group:05}/"), format!("group-{group:05}0")], |row| row.get(0))?.collect());
                    assert_eq!(keys.expect("a list succeeds").len(), 100);
                }
            },
            &mut || list(&large, entries / 100),
            &mut || list(&small, 100),
        ],
    );
    report.row(format!("sqlite list of 100 keys among {entries}"), ours, raw, "the same query by hand", 0.7);
    report.row("the same", ours, few, "the same among 10000", 0.77);
    runtime.block_on(large.close())?;
    runtime.block_on(small.close())?;
    Ok(())
}

pub(crate) fn writes(report: &mut Report, runtime: &Runtime, directory: &Path, per_round: u32) -> Outcome {
    let store = store(runtime, &directory.join("writes.db"))?;
    let mut connection = raw::create(&directory.join("raw.db"))?;
    let mut bulk = raw::create(&directory.join("bulk.db"))?;
    let (mut single, mut bulked) = (0, 0);
    let sets = |store: &Store, tasks: u32, round: u32| sets(runtime, store, (tasks, per_round), round);
    // Every round sets new keys, on both sides.
    let (mut one_round, mut some_round, mut many_round) = (0, 1000, 2000);
    let [raw, all, one, some, many] = in_turns(
        per_round,
        [
            &mut || {
                for _ in 0..per_round {
                    single += 1;
                    let transaction =
                        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("begins");
                    raw::set(&transaction, single, &key(single), &VALUE).expect("sets");
                    raw::commit(&transaction, single).expect("remembers");
                    raw::head(&transaction, single).expect("counts");
                    transaction.commit().expect("commits");
                }
            },
            &mut || {
                let transaction = bulk.transaction().expect("begins");
                for _ in 0..per_round {
                    bulked += 1;
                    raw::set(&transaction, bulked, &key(bulked), &VALUE).expect("sets");
                    raw::commit(&transaction, bulked).expect("remembers");
                }
                raw::head(&transaction, bulked).expect("counts");
                transaction.commit().expect("commits");
            },
            &mut || {
                one_round += 1;
                sets(&store, 1, one_round);
            },
            &mut || {
                some_round += 1;
                sets(&store, 64, some_round);
            },
            &mut || {
                many_round += 1;
                sets(&store, 1024, many_round);
            },
        ],
    );
    report.row("sqlite set, durable, one task", one, raw, "one transaction a set", 0.9);
    report.row("sqlite set, durable, 64 tasks", some, one, "one task", 25.0);
    report.row("sqlite set, durable, 1024 tasks", many, all, "all in one transaction", 0.4);
    runtime.block_on(store.close())?;
    Ok(())
}
