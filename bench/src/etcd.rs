//! etcd: reads and durable writes by many tasks, on a member of our own in the directory of the benchmark.

use std::path::Path;

use larder::Store;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::{Request, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{
    report::{Report, in_turns, scatter},
    sqlite::together,
};

#[path = "../../engines/etcd/tests/server/mod.rs"]
mod server;

const VALUE: [u8; 256] = [7; 256];
const ENTRIES: u32 = 10_000;
const READS: u32 = 64_000;
const TASKS: u32 = 64;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What is said by hand: the fields of etcd's own messages that a program would use for this.
#[derive(Clone, PartialEq, Message)]
struct Range {
    #[prost(bytes, tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Found {
    #[prost(message, repeated, tag = "2")]
    pairs: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(int64, tag = "3")]
    mod_revision: i64,
    #[prost(bytes, tag = "5")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Compare {
    /// Equal is 0.
    #[prost(int32, tag = "1")]
    result: i32,
    /// The revision of the last write is 2.
    #[prost(int32, tag = "2")]
    target: i32,
    #[prost(bytes, tag = "3")]
    key: Vec<u8>,
    #[prost(int64, optional, tag = "6")]
    mod_revision: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Put {
    #[prost(bytes, tag = "1")]
    key: Vec<u8>,
    #[prost(bytes, tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Step {
    #[prost(message, optional, tag = "2")]
    put: Option<Put>,
}

#[derive(Clone, PartialEq, Message)]
struct Txn {
    #[prost(message, repeated, tag = "1")]
    compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    success: Vec<Step>,
}

#[derive(Clone, PartialEq, Message)]
struct Done {
    #[prost(bool, tag = "2")]
    succeeded: bool,
}

fn key(n: u32) -> String {
    format!("group-{:05}/{n:08}", n / 100)
}

async fn ask<Q: Message + 'static, A: Message + Default + 'static>(channel: &Channel, path: &'static str, question: Q) -> A {
    let mut way = Grpc::new(channel.clone());
    way.ready().await.expect("there is a way");
    let path = http::uri::PathAndQuery::from_static(path);
    way.unary(Request::new(question), path, ProstCodec::<Q, A>::default()).await.expect("it answers").into_inner()
}

async fn get(channel: &Channel, n: u32) -> Option<Pair> {
    let found: Found = ask(channel, "/etcdserverpb.KV/Range", Range { key: key(n).into() }).await;
    found.pairs.into_iter().next()
}

/// Reads, then puts if nobody has put meanwhile.
async fn set(channel: &Channel, n: u32) {
    let seen = get(channel, n).await.map_or(0, |pair| pair.mod_revision);
    let compare = Compare { target: 2, key: key(n).into(), mod_revision: Some(seen), ..Compare::default() };
    let put = Put { key: key(n).into(), value: VALUE.into() };
    let txn = Txn { compare: vec![compare], success: vec![Step { put: Some(put) }] };
    let done: Done = ask(channel, "/etcdserverpb.KV/Txn", txn).await;
    assert!(done.succeeded, "nobody else puts there");
}

pub(crate) fn measure(report: &mut Report, directory: &Path, sets: u32) -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = server::Server::start_in(directory, 1, &["--quota-backend-bytes", "8589934592"])?;
    let store = runtime.block_on(larder::open(&server.url()))?;
    let channels = runtime.block_on(async {
        let endpoint = Channel::from_shared(format!("http://127.0.0.1:{}", server.port()))?.tcp_nodelay(true);
        Ok::<_, Box<dyn std::error::Error>>([endpoint.connect().await?, endpoint.connect().await?])
    })?;
    runtime.block_on(fill(&store, &channels[0]))?;
    reads(report, &runtime, &store, &channels);
    writes(report, &runtime, &store, &channels, sets);
    runtime.block_on(store.close())?;
    Ok(())
}

async fn fill(store: &Store, channel: &Channel) -> larder::Result<()> {
    for first in (0..ENTRIES).step_by(50) {
        (first..first + 50).fold(store.commit(), |commit, n| commit.set(key(n), &VALUE)).await?;
        for n in first..first + 50 {
            set(channel, n).await;
        }
    }
    Ok(())
}

fn reads(report: &mut Report, runtime: &Runtime, store: &Store, channels: &[Channel; 2]) {
    let [raw, ours] = in_turns(
        READS,
        [
            &mut || {
                together(runtime, TASKS, |task| {
                    let channel = channels[task as usize % 2].clone();
                    async move {
                        for n in 0..READS / TASKS {
                            let found = get(&channel, scatter(task * READS + n, ENTRIES)).await.expect("is there");
                            assert_eq!(found.value.len(), VALUE.len());
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
    report.row("etcd get 256 B, 64 tasks", ours, raw, "Range over two connections shared", 0.7);
}

fn writes(report: &mut Report, runtime: &Runtime, store: &Store, channels: &[Channel; 2], sets: u32) {
    let mut rounds = [0; 2];
    let [by_hand, own] = &mut rounds;
    let [raw, ours] = in_turns(
        sets,
        [
            &mut || {
                together(runtime, TASKS, |task| {
                    let (channel, round) = (channels[task as usize % 2].clone(), *by_hand);
                    async move {
                        for n in 0..sets / TASKS {
                            set(&channel, 1_000_000 + round * sets + n * TASKS + task).await;
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
    report.row("etcd durable set 256 B, 64 tasks", ours, raw, "Range, then a compare-and-put, no log", 0.7);
}
