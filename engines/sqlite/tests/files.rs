//! Files: which ones are opened, which are refused untouched, how they grow, shrink and are copied.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{Durability, Error, ErrorKind, Lineage, Select, Store, StoreId, Timestamp, Trim};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use rusqlite::Connection;
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn open_with(config: SqliteConfig) -> Result<Store, Error> {
    let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16])))?;
    Ok(Store::new(Arc::new(engine), Arc::new(TestWorld::new(1))))
}

fn open(path: &Path) -> Store {
    open_with(SqliteConfig::new(path)).expect("the store opens")
}

fn close(store: Store) {
    block_on(store.close()).expect("the store closes");
}

/// A store with some entries, closed.
fn filled(path: &Path) {
    let store = open(path);
    for n in 0..200 {
        block_on(store.set(format!("k{n:03}"), vec![7; 500]).into_future()).expect("sets");
    }
    close(store);
}

/// Opening `path` is refused with `kind` and these words, and not a byte of the directory is another than before.
fn refused(path: &Path, kind: ErrorKind, words: &str) {
    let everything = |path: &Path| -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut files: Vec<_> = fs::read_dir(path.parent().expect("a directory"))
            .map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect())
            .unwrap_or_default();
        files.sort();
        files.into_iter().map(|file| (file.clone(), fs::read(file).ok())).collect()
    };
    let before = everything(path);
    for create in [false, true] {
        let mut config = SqliteConfig::new(path);
        config.create = create;
        let error = open_with(config).expect_err("it is refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(everything(path) == before, "{} was touched", path.display());
}

#[test]
fn a_file_of_another_program_is_refused() {
    let directory = directory();
    let text = directory.path().join("notes.txt");
    fs::write(&text, "dear diary".repeat(100)).expect("writes");
    refused(&text, ErrorKind::Invalid, "a file of another program");

    let database = directory.path().join("other.db");
    Connection::open(&database)
        .and_then(|other| other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)"))
        .expect("writes");
    refused(&database, ErrorKind::Invalid, "a SQLite file of another program");

    let empty = directory.path().join("empty.db");
    fs::write(&empty, "").expect("writes");
    refused(&empty, ErrorKind::Invalid, "an empty file");
}

#[test]
fn a_newer_version_is_refused() {
    let directory = directory();
    let path = directory.path().join("newer.db");
    filled(&path);
    Connection::open(&path)
        .and_then(|newer| {
            newer.pragma_update(None, "user_version", 99)?;
            newer.close().map_err(|(_, error)| error)
        })
        .expect("writes");
    refused(&path, ErrorKind::Unsupported, "written by a newer Larder");
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let directory = directory();
    let path = directory.path().join("cut.db");
    filled(&path);
    let whole = fs::read(&path).expect("reads");
    for length in [whole.len() / 2, whole.len() - 1, 4096, 99, 20] {
        fs::write(&path, &whole[..length]).expect("writes");
        refused(&path, ErrorKind::Corrupt, "damaged");
    }
}

#[test]
fn a_directory_a_missing_directory_and_a_read_only_file_are_refused() {
    let directory = directory();
    let inside = directory.path().join("folder");
    fs::create_dir(&inside).expect("makes");
    refused(&inside, ErrorKind::Invalid, "is a directory");
    refused(&directory.path().join("nowhere").join("x.db"), ErrorKind::NotFound, "does not exist");

    let path = directory.path().join("fixed.db");
    filled(&path);
    let mut permissions = fs::metadata(&path).expect("reads").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).expect("sets");
    refused(&path, ErrorKind::Denied, "read-only");
}

#[test]
fn a_missing_file_is_created_only_when_asked() {
    let directory = directory();
    let path = directory.path().join("new.db");
    let mut config = SqliteConfig::new(&path);
    config.create = false;
    let error = open_with(config).expect_err("nothing is there");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 0);
}

/// Everything after `sqlite:` is a path, whatever it looks like to SQLite or to a shell.
#[test]
fn odd_names_are_names() {
    let directory = directory();
    for name in ["odd ?&%#.db", "file:x?mode=memory", ":memory:", "a'b\"c.db", "ünï 🦀.db"] {
        let path = directory.path().join(name);
        filled(&path);
        let store = open(&path);
        assert_eq!(block_on(store.count(Select::all())).ok(), Some(200), "{name}");
        close(store);
        assert!(path.is_file(), "{name}");
    }
    assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 5, "nothing else was made");
}

/// Many handles open a store that is not there yet: one creates it, all find the same.
#[test]
fn creating_is_raced_by_nobody() {
    let directory = directory();
    let path = directory.path().join("raced.db");
    let ids: Vec<StoreId> = std::thread::scope(|scope| {
        let open_one = |n: u8| {
            let engine =
                block_on(SqliteEngine::open(SqliteConfig::new(&path), StoreId::from_bytes([n; 16]))).expect("opens");
            let store = Store::new(Arc::new(engine), Arc::new(TestWorld::new(u64::from(n))));
            block_on(store.status()).expect("answers").store
        };
        let threads: Vec<_> = (0..16).map(|n| scope.spawn(move || open_one(n))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}

/// Someone who holds the write lock for long is met with a clear refusal, and waiting for them harms nobody.
#[test]
fn a_lock_held_for_long_is_told() {
    let directory = directory();
    let path = directory.path().join("locked.db");
    filled(&path);
    let mut config = SqliteConfig::new(&path);
    config.busy_timeout = Duration::from_millis(50);
    let store = open_with(config).expect("opens");
    let holder = Connection::open(&path).expect("opens");
    holder.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let error = block_on(store.set("k000", "x").into_future()).expect_err("the lock is held");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
    assert_eq!(block_on(store.version("k000")).ok().map(|version| version.get()), Some(1), "readers are not blocked");
    holder.execute_batch("ROLLBACK").expect("unlocks");
    assert!(block_on(store.set("k000", "x").into_future()).is_ok());
    close(store);
}

#[test]
fn a_copy_is_whole_and_another_past() {
    let directory = directory();
    let (path, copy) = (directory.path().join("live.db"), directory.path().join("copy.db"));
    filled(&path);
    let store = open(&path);
    let backup = store.engine().backup().expect("a file can be copied");
    let revision = block_on(backup.backup(&copy)).expect("copies");
    block_on(store.set("later", "x").into_future()).expect("sets");

    let copied = open(&copy);
    let (original, status) = (block_on(store.status()).expect("answers"), block_on(copied.status()).expect("answers"));
    assert_eq!((status.revision, status.entries, status.store), (revision, 200, original.store));
    assert_ne!(status.lineage, original.lineage);
    let error = block_on(backup.backup(&copy)).expect_err("something is there");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    let error = block_on(backup.backup(&directory.path().join("no/where.db"))).expect_err("there is no directory");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    close(copied);
    close(store);
    assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 2, "nothing is left beside them");
}

/// Overwrites fill the log with what was before; a trim forgets it and the file becomes small again.
#[test]
fn trimmed_space_goes_back_to_the_disk() {
    let directory = directory();
    let path = directory.path().join("large.db");
    let store = open(&path).with_native_limits();
    for round in 0..20_u8 {
        let sets = (0..100).fold(store.commit(), |commit, n| commit.set(format!("k{n}"), vec![round; 10_000]));
        block_on(sets.into_future()).expect("sets");
    }
    let trim = Trim::new(block_on(store.status()).expect("answers").revision, Timestamp::EPOCH);
    let trimmed = block_on(store.engine().trim(trim)).expect("trims");
    assert_eq!(trimmed.changes, 2000);
    let large = 20 * 100 * 10_000;
    let left = fs::metadata(&path).expect("reads").len();
    assert!(left < large / 8, "{left} bytes are left of more than {large}");
    close(store);
}

/// With relaxed durability a power cut may take commits: who opens the file after one must not take its revisions for
/// those that were seen before. A clean end makes everything safe, and nothing changes.
#[test]
fn a_power_cut_under_relaxed_durability_begins_another_past() {
    let directory = directory();
    let path = directory.path().join("relaxed.db");
    let relaxed = || {
        let mut config = SqliteConfig::new(&path);
        config.durability = Durability::Relaxed;
        open_with(config).expect("opens")
    };
    let boot = |to: Option<&str>| {
        let file = Connection::open(&path).expect("opens");
        if let Some(boot) = to {
            file.execute("UPDATE store SET relaxed_boot = ?1", [boot]).expect("writes");
        }
        file.query_row("SELECT relaxed_boot FROM store", [], |row| row.get::<_, Option<String>>(0)).expect("reads")
    };
    let lineage = |store: &Store| block_on(store.status()).expect("answers").lineage;

    let store = relaxed();
    assert_eq!(block_on(store.status()).expect("answers").durability, Durability::Relaxed);
    block_on(store.set("k", "v").into_future()).expect("sets");
    assert!(boot(None).is_some(), "the boot is named while commits may be lost");
    close(store);
    assert_eq!(boot(None), None, "a clean end takes it away");
    let store = relaxed();
    assert_eq!(lineage(&store), Lineage::ZERO);
    close(store);

    boot(Some("a boot long ago"));
    let store = relaxed();
    assert_ne!(lineage(&store), Lineage::ZERO);
    close(store);
}

/// Who opens the file with the `sqlite3` shell finds names, JSON as text, and one row a key.
#[test]
fn the_file_is_plain_enough_for_a_shell() {
    let directory = directory();
    let path = directory.path().join("plain.db");
    let store = open(&path);
    block_on(store.set_json("users/ann", &[1, 2]).into_future()).expect("sets");
    close(store);
    let shell = Connection::open(&path).expect("opens");
    let row = shell.query_row(
        "SELECT namespace || '|' || key || '|' || version || '|' || (value ->> 1) FROM entries",
        [],
        |row| row.get::<_, String>(0),
    );
    assert_eq!(row.ok().as_deref(), Some("default|users/ann|1|2"));
    let vacuum: i64 = shell.pragma_query_value(None, "auto_vacuum", |row| row.get(0)).expect("reads");
    assert_eq!(vacuum, 2, "incremental, from creation on");
}
