//! Watching: what it costs writers, how fast a watcher catches up, how soon it hears.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use larder::{Revision, Store};
use tokio::runtime::Runtime;

use crate::{
    raw,
    report::{Report, in_turns},
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const WATCHERS: u32 = 1_000;
const SETS: u32 = 4_000;
const CHANGES: u32 = 100_000;
const HEARD: usize = 500;
const IDLE_WATCHERS: u32 = 10_000;
const IDLE_FOR: Duration = Duration::from_secs(20);

fn open(runtime: &Runtime, path: &Path) -> larder::Result<Store> {
    runtime.block_on(larder::open(&format!("sqlite:{}", path.display())))
}

/// One writer at full speed, alone and with a thousand watchers who wait for something else.
pub(crate) fn beside_watchers(report: &mut Report, runtime: &Runtime, directory: &Path) -> Outcome {
    let alone = open(runtime, &directory.join("alone.db"))?;
    let watched = open(runtime, &directory.join("watched.db"))?;
    for n in 0..WATCHERS {
        let mut watch = runtime.block_on(watched.watch(&format!("elsewhere-{n}/")).start())?;
        runtime.spawn(async move { while watch.next().await.is_ok() {} });
    }
    let write = |store: &Store| {
        runtime.block_on(async {
            for n in 0..SETS {
                store.set(format!("here/{}", n % 100), vec![7; 256]).await.expect("sets");
            }
        });
    };
    let [watched_rate, alone_rate] = in_turns(SETS, [&mut || write(&watched), &mut || write(&alone)]);
    report.row("sqlite watch: one writer beside 1000 watchers", watched_rate, alone_rate, "without watchers", 0.8);
    runtime.block_on(watched.close())?;
    runtime.block_on(alone.close())?;
    Ok(())
}

/// A watcher that has been away reads everything the log holds.
pub(crate) fn catching_up(report: &mut Report, runtime: &Runtime, directory: &Path) -> Outcome {
    let path = directory.join("log.db");
    let store = open(runtime, &path)?;
    let bulk = store.with_native_limits();
    for first in (0..CHANGES).step_by(1000) {
        let sets =
            (first..first + 1000).fold(bulk.commit(), |commit, n| commit.set(format!("k/{}", n % 5000), vec![7; 256]));
        runtime.block_on(sets.into_future())?;
    }
    let connection = raw::open(&path)?;
    let [ours, raw] = in_turns(
        CHANGES,
        [
            &mut || {
                runtime.block_on(async {
                    let mut watch = store.watch("k/").after(Revision::ZERO).start().await.expect("starts");
                    let mut left = CHANGES as usize;
                    while left > 0 {
                        left -= watch.next().await.expect("goes on").changes.len();
                    }
                });
            },
            &mut || {
                let mut log = connection.prepare_cached(raw::LOG).expect("prepares");
                let rows = log.query_map([], raw::LogRow::read).expect("queries");
                let read = rows.map(|row| black_box(row.expect("reads"))).fold(0, |read, _| read + 1);
                assert_eq!(read, CHANGES as usize);
            },
        ],
    );
    report.row("sqlite watch: resume over 100000 changes", ours, raw, "a scan of the log's whole rows", 0.5);
    runtime.block_on(store.close())?;
    Ok(())
}

/// How long after a commit was acknowledged a watcher has it; latencies are no ratio and are told beside the table.
pub(crate) fn hearing(runtime: &Runtime, directory: &Path) -> Outcome {
    let path = directory.join("heard.db");
    let store = open(runtime, &path)?;
    let other = open(runtime, &path)?;
    for (who, writer) in [("the same store", &store), ("another process's handle", &other)] {
        let mut watch = runtime.block_on(store.watch("k").start())?;
        let mut heard = Vec::with_capacity(HEARD);
        runtime.block_on(async {
            for _ in 0..HEARD {
                let waiting = tokio::spawn(async move {
                    watch.next().await.expect("goes on");
                    (Instant::now(), watch)
                });
                writer.set("k", "x").await.expect("sets");
                let acknowledged = Instant::now();
                let (at, back) = waiting.await.expect("no panic");
                watch = back;
                heard.push(at.saturating_duration_since(acknowledged).as_micros());
            }
        });
        heard.sort_unstable();
        println!("heard of a commit of {who}: median {} us after its acknowledgement", heard[HEARD / 2]);
    }
    Ok(())
}

/// What many watchers cost who all wait for what does not come, as Linux counts it.
pub(crate) fn idling(runtime: &Runtime, directory: &Path) -> Outcome {
    let store = open(runtime, &directory.join("idle.db"))?;
    let first = runtime.block_on(store.watch("first").start())?;
    let Some((_, before)) = used() else { return Ok(()) };
    for n in 0..IDLE_WATCHERS {
        let mut watch = runtime.block_on(store.watch(&format!("nothing-{n}/")).start())?;
        runtime.spawn(async move { while watch.next().await.is_ok() {} });
    }
    std::thread::sleep(Duration::from_secs(1));
    let Some((ticks, memory)) = used() else { return Ok(()) };
    std::thread::sleep(IDLE_FOR);
    let Some((later, _)) = used() else { return Ok(()) };
    drop(first);
    // A tick is a hundredth of a second, so so many of them in so many seconds are percent.
    let percent = (later - ticks) as f64 / IDLE_FOR.as_secs_f64();
    let each = memory.saturating_sub(before) as f64 / f64::from(IDLE_WATCHERS);
    println!("{IDLE_WATCHERS} idle watchers: {percent:.2} % of a core, {each:.2} KiB each");
    runtime.block_on(store.close())?;
    Ok(())
}

/// Processor time of this process in ticks, and its memory in KiB, where Linux tells them.
fn used() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some((ticks, memory.trim().strip_suffix(" kB")?.parse().ok()?))
}
