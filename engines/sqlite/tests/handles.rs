//! Handles: several in one process, opened and closed while others work.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{ErrorKind, Select, Store, StoreId, Timestamp, Trim};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use rusqlite::Connection;

fn open(path: &Path) -> larder_core::Result<Store> {
    open_with(SqliteConfig::new(path))
}

fn open_with(config: SqliteConfig) -> larder_core::Result<Store> {
    let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16])))?;
    Ok(Store::new(Arc::new(engine), Arc::new(TestWorld::new(1))))
}

fn set(store: &Store, key: &str) {
    block_on(store.set(key, vec![7; 1000]).into_future()).expect("sets");
}

/// The locks that this process holds on a file, as Linux lists them.
#[cfg(target_os = "linux")]
fn locks(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{} ", fs::metadata(path).expect("the file is there").ino());
    let process = format!(" {} ", std::process::id());
    let all = fs::read_to_string("/proc/locks").expect("Linux lists its locks");
    all.lines().filter(|line| line.contains(&inode) && line.contains(&process)).count()
}

/// Looking at a file closes it again, and closing any descriptor of a file gives up every lock of the process on it. A
/// second handle that looks takes the locks of the first, and another program deletes the log under it.
#[cfg(target_os = "linux")]
#[test]
fn a_second_handle_leaves_the_locks_of_the_first() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("twice.db");
    let first = open(&path).expect("opens");
    set(&first, "a");
    let before = locks(&path);
    assert!(before > 0, "an open store is locked against being taken for unused");
    let second = open(&path).expect("opens again");
    assert!(locks(&path) >= before, "{} of {before} locks are left", locks(&path));
    block_on(second.close()).expect("closes");
    assert!(locks(&path) >= before, "{} of {before} locks are left", locks(&path));
    // The name may lead there in another way; the file is the same.
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("links");
    let third = open(&link).expect("opens through a link");
    assert!(locks(&path) >= before, "{} of {before} locks are left", locks(&path));
    assert_eq!(block_on(third.count(Select::all())).ok(), Some(1));
    block_on(third.close()).expect("closes");
    block_on(first.close()).expect("closes");
}

/// The log of a deleted file must not be replayed into a new store of the same name.
#[test]
fn a_log_without_its_file_is_not_taken_for_ours() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, log) = (directory.path().join("gone.db"), directory.path().join("gone.db-wal"));
    let store = open(&path).expect("opens");
    set(&store, "old");
    let left = fs::read(&log).expect("commits are in the log");
    block_on(store.close()).expect("closes");
    fs::remove_file(&path).expect("deletes");
    fs::write(&log, &left).expect("the log is left, as after a kill");

    let error = open(&path).expect_err("its log is still there");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("gone.db-wal is still there"), "{error}");
    assert!(!path.exists() && fs::read(&log).expect("reads") == left, "nothing was touched");

    let other = open(&directory.path().join("other.db")).expect("opens");
    let error = block_on(other.engine().backup().expect("copies").backup(&path)).expect_err("a log lies at the target");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    block_on(other.close()).expect("closes");

    fs::remove_file(&log).expect("deletes");
    let anew = open(&path).expect("opens");
    assert_eq!(block_on(anew.count(Select::all())).ok(), Some(0));
    block_on(anew.close()).expect("closes");
}

/// What this process has open, as Linux lists it.
#[cfg(target_os = "linux")]
fn open_files(directory: &Path) -> Vec<PathBuf> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("Linux lists descriptors");
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(directory)).collect()
}

/// After `close` nothing of the store is open: not by a read that was under way, not by the thread that writes.
#[cfg(target_os = "linux")]
#[test]
fn closing_waits_for_whoever_reads() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("busy.db");
    let store = open(&path).expect("opens").with_native_limits();
    for round in 0..20 {
        let sets = (0..500).fold(store.commit(), |commit, n| commit.set(format!("{round}/{n}"), vec![1; 2000]));
        block_on(sets.into_future()).expect("sets");
    }
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| while block_on(store.scan(Select::all())).is_ok() {})).collect();
        block_on(store.scan(Select::all())).expect("scans");
        block_on(store.close()).expect("closes");
        assert_eq!(open_files(directory.path()), Vec::<PathBuf>::new());
        for reader in readers {
            reader.join().expect("no reader panics");
        }
    });
    let error = block_on(store.set("late", "x").into_future()).expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(block_on(store.get("late")).expect_err("it is closed").kind(), ErrorKind::Closed);
    assert!(block_on(store.close()).is_ok(), "closing twice is fine");
    assert_eq!(open_files(directory.path()), Vec::<PathBuf>::new());
}

/// A file that somebody else has set to keep its free pages keeps them, and a trim ends all the same.
#[test]
fn a_trim_ends_where_no_space_can_be_given_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("kept.db");
    let store = open(&path).expect("opens");
    (0..300).for_each(|_| set(&store, "k"));
    block_on(store.close()).expect("closes");
    let shell = Connection::open(&path).expect("opens");
    shell.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM").expect("rewrites");
    drop(shell);

    let store = open(&path).expect("opens");
    let through = block_on(store.status()).expect("answers").revision;
    let trimmed = block_on(store.engine().trim(Trim::new(through, Timestamp::MAX))).expect("ends");
    assert_eq!((trimmed.changes, trimmed.oldest), (300, through));
    set(&store, "k");
    block_on(store.close()).expect("closes");
}

/// A patience longer than SQLite can count is as long as it can count.
#[test]
fn any_patience_is_taken() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = SqliteConfig::new(directory.path().join("patient.db"));
    config.busy_timeout = Duration::MAX;
    let store = open_with(config).expect("opens");
    set(&store, "k");
    block_on(store.close()).expect("closes");
}
