//! Redis: reads and durable writes by many tasks, on a server of our own in the directory of the benchmark.

use std::path::Path;

use larder::Store;
use redis::{AsyncConnectionConfig, Client, Value, aio::MultiplexedConnection};
use tokio::runtime::{Builder, Runtime};

use crate::{
    report::{Report, in_turns, scatter},
    sqlite::together,
};

#[path = "../../engines/redis/tests/server/mod.rs"]
mod server;

const VALUE: [u8; 256] = [7; 256];
const ENTRIES: u32 = 10_000;
const READS: u32 = 64_000;
const TASKS: u32 = 64;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn key(n: u32) -> String {
    format!("group-{:05}/{n:08}", n / 100)
}

pub(crate) fn measure(report: &mut Report, directory: &Path, sets: u32) -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = server::Server::start_in(directory, server::DURABLE)?;
    let store = runtime.block_on(larder::open(&server.url()))?;
    // The driver sends what several tasks ask over one connection without waiting; two of them, as we have.
    let connections = runtime.block_on(async {
        let settings = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = Client::open(server.url())?;
        let one = client.get_multiplexed_async_connection_with_config(&settings).await?;
        let two = client.get_multiplexed_async_connection_with_config(&settings).await?;
        Ok::<_, redis::RedisError>([one, two])
    })?;
    runtime.block_on(fill(&store, &connections[0]))?;
    reads(report, &runtime, &store, &connections);
    writes(report, &runtime, &store, &connections, sets);
    runtime.block_on(store.close())?;
    Ok(())
}

async fn set(connection: &mut MultiplexedConnection, n: u32) {
    let set = redis::cmd("SET").arg(key(n)).arg(&VALUE[..]).query_async::<()>(connection).await;
    set.expect("sets");
}

async fn fill(store: &Store, connection: &MultiplexedConnection) -> larder::Result<()> {
    let mut connection = connection.clone();
    let store = store.with_native_limits();
    for first in (0..ENTRIES).step_by(1000) {
        (first..first + 1000).fold(store.commit(), |commit, n| commit.set(key(n), &VALUE)).await?;
        let mut many = redis::pipe();
        (first..first + 1000).for_each(|n| {
            many.set(key(n), &VALUE[..]).ignore();
        });
        many.query_async::<()>(&mut connection).await.expect("sets");
    }
    Ok(())
}

fn reads(report: &mut Report, runtime: &Runtime, store: &Store, connections: &[MultiplexedConnection; 2]) {
    let [raw, ours] = in_turns(
        READS,
        [
            &mut || {
                together(runtime, TASKS, |task| {
                    let mut connection = connections[task as usize % 2].clone();
                    async move {
                        for n in 0..READS / TASKS {
                            let get = redis::cmd("GET").arg(key(scatter(task * READS + n, ENTRIES))).clone();
                            match connection.send_packed_command(&get).await.expect("reads") {
                                Value::BulkString(value) => assert_eq!(value.len(), VALUE.len()),
                                other => panic!("{other:?}"),
                            }
                        }
                        Ok(())
                    }
                });
            },
            &mut || {
                together(runtime, TASKS, |task| {
                    let store = store.clone();
                    async move {
                        for n in 0..READS / TASKS {
                            assert!(store.get(key(scatter(task * READS + n, ENTRIES))).await?.is_some());
                        }
                        Ok(())
                    }
                });
            },
        ],
    );
    report.row("redis get 256 B, 64 tasks", ours, raw, "GET over two connections shared", 0.7);
}

fn writes(report: &mut Report, runtime: &Runtime, store: &Store, connections: &[MultiplexedConnection; 2], sets: u32) {
    let mut rounds = [0; 2];
    let [by_hand, own] = &mut rounds;
    let [raw, ours] = in_turns(
        sets,
        [
            &mut || {
                together(runtime, TASKS, |task| {
                    let (mut connection, round) = (connections[task as usize % 2].clone(), *by_hand);
                    async move {
                        for n in 0..sets / TASKS {
                            set(&mut connection, 1_000_000 + round * sets + n * TASKS + task).await;
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
    );
    report.row("redis durable set 256 B, 64 tasks", ours, raw, "SET over two connections shared, no log", 0.3);
}
