//! `bench`: a quick impression of the store that is open, on this machine, in a namespace of its own.
//!
//! Comparisons with the engine's own driver, under controlled conditions, are the business of the workspace's `bench`.

use std::time::{Duration, Instant};

use clap::Args;
use larder::{Error, ErrorKind, Namespace, Result, Select, Store};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::grouped,
};

const VALUE_BYTES: usize = 256;
const MANY_TASKS: u64 = 64;
const LIST_KEYS: usize = 100;

/// Measure the store for a few seconds, in a namespace of its own that is deleted afterwards
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  larder bench\n  larder --store sqlite:/mnt/disk/try.db --durability relaxed bench --seconds 3"
)]
pub(crate) struct BenchArguments {
    /// How many entries of 256 bytes to work on
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,

    /// How long each measurement takes
    #[arg(long, value_name = "N", default_value = "1", value_parser = duration)]
    seconds: Duration,
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Set,
    Get,
    List,
}

#[derive(Serialize)]
struct Row {
    work: &'static str,
    tasks: u64,
    per_second: u64,
}

pub(crate) async fn run(session: &mut Session, arguments: BenchArguments) -> Result<(), Failure> {
    let store = session.open(Missing::Create).await?;
    let namespace = Namespace::new(format!("bench-{:032x}", store.world().random()))?;
    let scratch = store.in_namespace(&namespace)?;
    let measured = measure(&scratch, &arguments).await;
    // Also after a failure: what is deleted comes first, what went wrong second.
    let cleaned = match store.delete_namespace(&namespace, true).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let rows = measured?;
    cleaned?;

    let output = &mut session.output;
    if output.json {
        return Ok(output.json(&rows)?);
    }
    let capabilities = store.engine().capabilities();
    let durability = capabilities.durability.as_str();
    let entries = grouped(arguments.entries);
    output.line(format_args!(
        "{entries} entries of {VALUE_BYTES} bytes, {}, durability {durability}\n",
        capabilities.engine
    ))?;
    output.line(format_args!("{:<18}{:>6}{:>14}", "work", "tasks", "per second"))?;
    for row in &rows {
        output.line(format_args!("{:<18}{:>6}{:>14}", row.work, row.tasks, grouped(row.per_second)))?;
    }
    Ok(())
}

async fn measure(store: &Store, arguments: &BenchArguments) -> Result<Vec<Row>> {
    fill(store, arguments.entries).await?;
    let mut rows = Vec::new();
    for (name, work, tasks) in [
        ("set", Work::Set, 1),
        ("set", Work::Set, MANY_TASKS),
        ("get", Work::Get, 1),
        ("get", Work::Get, MANY_TASKS),
        ("list of 100 keys", Work::List, 1),
    ] {
        let per_second = rate(store, work, tasks, arguments).await?;
        rows.push(Row { work: name, tasks, per_second });
    }
    Ok(rows)
}

async fn fill(store: &Store, entries: u64) -> Result<()> {
    let native = store.with_native_limits();
    let step = native.limits().commit_writes.min(1000) as u64;
    let mut next = 0;
    while next < entries {
        let end = entries.min(next + step);
        let mut commit = native.commit();
        for number in next..end {
            commit = commit.set(key(number), vec![b'x'; VALUE_BYTES]);
        }
        commit.await?;
        next = end;
    }
    Ok(())
}

fn key(number: u64) -> String {
    format!("key/{number:012}")
}

/// How often a second `tasks` tasks do `work` together.
async fn rate(store: &Store, work: Work, tasks: u64, arguments: &BenchArguments) -> Result<u64> {
    let began = Instant::now();
    let deadline = began + arguments.seconds;
    let entries = arguments.entries;
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let store = store.clone();
        running.spawn(async move {
            let mut done = 0;
            // Any order that visits everything will do; a multiplier spreads it.
            let mut number = task;
            while done == 0 || Instant::now() < deadline {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                once(&store, work, (number >> 16) % entries).await?;
                done += 1;
            }
            Ok::<u64, Error>(done)
        });
    }
    let mut done = 0;
    while let Some(task) = running.join_next().await {
        done +=
            task.map_err(|error| Error::new(ErrorKind::Internal, "a task of the measurement died").caused_by(error))??;
    }
    Ok((done as f64 / began.elapsed().as_secs_f64()) as u64)
}

async fn once(store: &Store, work: Work, number: u64) -> Result<()> {
    match work {
        Work::Set => store.set(key(number), vec![b'y'; VALUE_BYTES]).await.map(drop),
        Work::Get => store.get(key(number)).await.map(drop),
        Work::List => store.list(Select::prefix("key/").limit(LIST_KEYS)).await.map(drop),
    }
}
