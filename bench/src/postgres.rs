//! PostgreSQL: reads and durable writes by many tasks, on a server of our own in the directory of the benchmark.

use std::{path::Path, sync::Arc};

use larder::Store;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use crate::{
    report::{Report, in_turns, scatter},
    sqlite::together,
};

#[path = "../../engines/postgres/tests/server/mod.rs"]
pub(crate) mod server;

const VALUE: [u8; 256] = [7; 256];
const ENTRIES: u32 = 10_000;
const READS: u32 = 32_000;
const TASKS: u32 = 64;
/// One transaction a set, by hand, takes its time.
pub(crate) const SETS_MAX: u32 = 8_192;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn key(n: u32) -> String {
    format!("group-{:05}/{n:08}", n / 100)
}

/// So many connections with the tables of a store in their path.
fn clients(runtime: &Runtime, url: &str, count: u32) -> Result<Vec<Arc<Client>>, tokio_postgres::Error> {
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..count {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            runtime.spawn(connection);
            client.batch_execute("SET search_path TO raw; SET plan_cache_mode = force_generic_plan").await?;
            clients.push(Arc::new(client));
        }
        Ok(clients)
    })
}

pub(crate) fn measure(report: &mut Report, directory: &Path, sets: u32) -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Whoever runs the server has to get there.
    #[cfg(unix)]
    std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let server = server::Server::start_in(directory)?;
    let url = server.url();
    let clients = clients(&runtime, &url, TASKS)?;
    let store = runtime.block_on(larder::open(&format!("{url}?schema=ours")))?;
    runtime.block_on(async {
        clients[0].batch_execute(&format!("CREATE SCHEMA raw; {}", larder_postgres::SCHEMA)).await?;
        clients[0].batch_execute("INSERT INTO store VALUES (1, 'raw', 0, 0, 0, 0, 0, 0, 0, 0, 0, '')").await?;
        let fill = "INSERT INTO entries SELECT 'default', 'group-' || lpad((n / 100)::text, 5, '0') || '/' || lpad(n::text, 8, '0'), \
            1, 1, 0, 0, NULL, false, NULL, NULL, decode(repeat('07', 256), 'hex') FROM generate_series(0, $1::bigint - 1) AS n";
        clients[0].execute(fill, &[&i64::from(ENTRIES)]).await?;
        clients[0].batch_execute("ANALYZE entries").await
    })?;
    runtime.block_on(fill(&store))?;
    reads(report, &runtime, &store, &clients);
    writes(report, &runtime, &store, &clients, sets);
    runtime.block_on(store.close())?;
    Ok(())
}

async fn fill(store: &Store) -> larder::Result<()> {
    let store = store.with_native_limits();
    for first in (0..ENTRIES).step_by(1000) {
        (first..first + 1000).fold(store.commit(), |commit, n| commit.set(key(n), &VALUE)).await?;
    }
    Ok(())
}

fn reads(report: &mut Report, runtime: &Runtime, store: &Store, clients: &[Arc<Client>]) {
    const GET: &str = "SELECT version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value \
        FROM entries WHERE namespace = $1 AND key = $2";
    // The driver sends what several tasks ask over one connection without waiting: two of them, as we have.
    let by_hand = |connections: u32| {
        together(runtime, TASKS, |task| {
            let client = clients[(task % connections) as usize].clone();
            async move {
                let statement = client.prepare(GET).await.expect("prepares");
                for n in 0..READS / TASKS {
                    let row = client.query_one(&statement, &[&"default", &key(scatter(task * READS + n, ENTRIES))]).await;
                    assert_eq!(row.expect("the entry is there").get::<_, &[u8]>(8).len(), VALUE.len());
                }
                Ok(())
            }
        });
    };
    let [two, all, ours] = in_turns(
        READS,
        [&mut || by_hand(2), &mut || by_hand(TASKS), &mut || {
            together(runtime, TASKS, |task| {
                let store = store.clone();
                async move {
                    for n in 0..READS / TASKS {
                        assert!(store.get(key(scatter(task * READS + n, ENTRIES))).await?.is_some());
                    }
                    Ok(())
                }
            });
        }],
    );
    report.row("postgres get 256 B, 64 tasks", ours, all, "prepared statement, 64 connections", 0.7);
    report.row("the same", ours, two, "prepared statement, two connections shared", 0.7);
}

fn writes(report: &mut Report, runtime: &Runtime, store: &Store, clients: &[Arc<Client>], sets: u32) {
    let mut rounds = [0; 2];
    let [raw, ours] = {
        let [by_hand, own] = &mut rounds;
        in_turns(
            sets,
            [
                &mut || {
                    together(runtime, TASKS, |task| {
                        let (client, round) = (clients[task as usize].clone(), *by_hand);
                        async move {
                            for n in 0..sets / TASKS {
                                set(&client, round * sets + n * TASKS + task).await.expect("sets");
                            }
                            Ok(())
                        }
                    });
                    *by_hand += 1;
                },
                &mut || {
                    together(runtime, TASKS, |task| {
                        let (store, round) = (store.clone(), *own);
                        async move {
                            for n in 0..sets / TASKS {
                                store.set(key(1_000_000 + round * sets + n * TASKS + task), &VALUE).await?;
                            }
                            Ok(())
                        }
                    });
                    *own += 1;
                },
            ],
        )
    };
    report.row("postgres durable set 256 B, 64 tasks", ours, raw, "one transaction a set, 64 connections", 1.5);
}

/// One set by hand, in one trip: the same rows, under the same lock.
async fn set(client: &Client, n: u32) -> Result<(), tokio_postgres::Error> {
    let (key, id) = (key(1_000_000 + n), format!("{:032x}", u128::from(n) << 64));
    // Nothing of this is anybody's input.
    let value = "07".repeat(VALUE.len());
    client
        .batch_execute(&format!(
            "BEGIN; SELECT revision FROM store FOR UPDATE; \
             INSERT INTO log (place, at, kind, namespace, key) SELECT (revision + 1) * 8192, 0, 'created', 'default', '{key}' FROM store; \
             INSERT INTO entries SELECT 'default', '{key}', 1, revision + 1, 0, 0, NULL, false, NULL, NULL, '\\x{value}' FROM store \
             ON CONFLICT (namespace, key) DO UPDATE SET version = entries.version + 1, revision = excluded.revision, value = excluded.value; \
             INSERT INTO commits SELECT '\\x{id}', revision + 1, '[[1,0]]' FROM store; \
             INSERT INTO namespaces VALUES ('default', 1, 1, 1, 0) ON CONFLICT (namespace) DO UPDATE SET entries = namespaces.entries + 1; \
             UPDATE store SET revision = revision + 1, entries = entries + 1, changes = changes + 1; COMMIT"
        ))
        .await
}
