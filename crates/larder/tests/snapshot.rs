//! A long scan is as of one moment, while everything is being rewritten under it.
//!
//! `LARDER_SOAK=1` makes it a million entries instead of some thousands.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use larder::{Builder, Result, Retention, Revision, Select, Store};

const WRITERS: u64 = 16;
/// So many keys are always written in one commit, all with the same number.
const GROUP: u64 = 64;
/// What the log is bounded to while nobody holds it.
const LOG_BYTES: u64 = 1 << 20;

fn key(group: u64, n: u64) -> String {
    format!("k/{group:06}/{n:02}")
}

fn groups() -> u64 {
    if std::env::var_os("LARDER_SOAK").is_some() { 1_000_000 / GROUP } else { 20_000 / GROUP }
}

/// When each group was written, by revision, and with which number.
type Written = Arc<Mutex<BTreeMap<u64, BTreeMap<Revision, u64>>>>;

async fn write(store: &Store, group: u64, number: u64) -> Result<Revision> {
    let sets = (0..GROUP).fold(store.commit(), |commit, n| commit.set(key(group, n), format!("{number:060}")));
    Ok(sets.await?.revision)
}

/// Rewrites every 16th group, again and again, until it is told to stop.
async fn rewrite(store: Store, writer: u64, written: Written, stop: Arc<AtomicBool>) -> Result<u64> {
    let mut number = 1;
    loop {
        for group in (writer..groups()).step_by(WRITERS as usize) {
            if stop.load(Ordering::SeqCst) {
                return Ok(number);
            }
            let revision = write(&store, group, number).await?;
            written.lock().expect("nobody panics").entry(group).or_default().insert(revision, number);
        }
        number += 1;
    }
}

/// Trims as hard as it may, until it is told to stop.
async fn trim(store: Store, stop: Arc<AtomicBool>) -> Result<()> {
    let retention = Retention { bytes: LOG_BYTES, ..Retention::default() };
    while !stop.load(Ordering::SeqCst) {
        store.keep(retention).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// What this process takes of memory in MiB, where Linux tells it.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// Memory is counted by process, so one test is measured at a time.
static IN_TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn scan_under_writers(url: &str) -> Result<()> {
    let _turn = IN_TURN.lock().await;
    let store = Builder::new(url).retention(None).open().await?;
    let written = Written::default();
    for group in 0..groups() {
        let revision = write(&store, group, 0).await?;
        written.lock().expect("nobody panics").entry(group).or_default().insert(revision, 0);
    }
    store.keep(Retention { bytes: LOG_BYTES, ..Retention::default() }).await?;

    let stop = Arc::new(AtomicBool::new(false));
    let view = store.view().await?;
    store.hold("the scan", view.position(), Duration::from_secs(600)).await?;
    let writers: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(rewrite(store.clone(), n, written.clone(), stop.clone()))).collect();
    let trimmer = tokio::spawn(trim(store.clone(), stop.clone()));
    // Every group has been rewritten at least once before the scan comes to it.
    while written.lock().expect("nobody panics").values().any(|written| written.len() < 2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let before = memory();
    let (mut seen, mut most) = (0, before);
    let mut pages = view.pages(Select::all());
    while let Some(page) = pages.next().await? {
        for entry in page {
            let (group, n) = (seen / GROUP, seen % GROUP);
            assert_eq!(entry.address.key.as_str(), key(group, n), "in order, none missing, none twice");
            assert!(entry.revision <= view.revision(), "written after the moment of the scan");
            assert_eq!(entry.value.bytes(), &*format!("{:060}", 0), "another moment's value");
            seen += 1;
        }
        most = most.max(memory());
    }
    assert_eq!(seen, groups() * GROUP);

    // The same backwards and without a view: as of its own first page.
    let mut pages = store.pages(Select::all().reverse());
    let mut numbers = BTreeMap::<u64, u64>::new();
    let mut seen = 0;
    while let Some(page) = pages.next().await? {
        for entry in page {
            seen += 1;
            let group = (groups() * GROUP - seen) / GROUP;
            let number = std::str::from_utf8(entry.value.bytes()).ok().and_then(|text| text.parse().ok());
            let number: u64 = number.expect("a number was written");
            assert_eq!(*numbers.entry(group).or_insert(number), number, "half of a commit was seen in group {group}");
        }
    }
    let moment = pages.revision().expect("pages were read");
    stop.store(true, Ordering::SeqCst);
    let mut rounds = 0;
    for writer in writers {
        rounds = rounds.max(writer.await.expect("a writer does not panic")?);
    }
    trimmer.await.expect("the trimmer does not panic")?;
    for (group, number) in numbers {
        let written = written.lock().expect("nobody panics");
        let last = written[&group].range(..=moment).next_back().map(|(_, number)| *number);
        assert_eq!(Some(number), last, "group {group} is not as it was at revision {moment}");
    }

    let held = store.status().await?.log_bytes;
    store.release_hold("the scan").await?;
    store.keep(Retention { bytes: LOG_BYTES, ..Retention::default() }).await?;
    let left = store.status().await?.log_bytes;
    assert!(left <= LOG_BYTES, "{left} bytes of log are left of {LOG_BYTES}");
    println!(
        "{} entries scanned as of one moment while rewritten {rounds} times; log {held} bytes while held, {left} after; \
         memory {before:?} MiB before, {most:?} at most",
        groups() * GROUP
    );
    if url != "memory:"
        && let (Some(before), Some(most)) = (before, most)
    {
        assert!(most < before + 256, "memory grew from {before} to {most} MiB during a scan");
    }
    store.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_in_memory_sees_one_moment() {
    scan_under_writers("memory:").await.expect("scans");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_a_file_sees_one_moment() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    scan_under_writers(&format!("sqlite:{}", directory.path().join("scan.db").display())).await.expect("scans");
}
