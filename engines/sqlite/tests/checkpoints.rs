//! The write-ahead log stays small however long somebody writes, and what is in it is in the file soon.

use std::fs;

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{Action, Address, Commit, Engine, Key, MetadataChange, Namespace, StoreId, Value, World, Write};
use larder_sqlite::{SqliteConfig, SqliteEngine};

/// At 4000 pages the writer begins it anew; whoever reads just then delays that a little.
const LOG_BYTES_MAX: u64 = 5000 * 4120;

#[test]
fn the_log_is_begun_anew_while_somebody_writes_without_a_pause() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (path, log) = (directory.path().join("long.db"), directory.path().join("long.db-wal"));
    let engine = block_on(SqliteEngine::open(SqliteConfig::new(&path), StoreId::from_bytes([1; 16]))).expect("opens");
    let world = TestWorld::new(1);
    let mut written = 0;
    for n in 0..1500_u32 {
        let address = Address::new(Namespace::default(), Key::new(format!("k{}", n % 100)).expect("a good key"));
        let value = Value::opaque(vec![7; 40_000]);
        written += 40_000;
        let action = Action::Put { value, expires_at: None, metadata: MetadataChange::Keep };
        let (id, now) = (world.commit_id(), world.now());
        let commit = Commit { id, now, checks: vec![], writes: vec![Write { address, action }] };
        block_on(engine.commit(vec![commit])).swap_remove(0).expect("commits");
        let length = fs::metadata(&log).expect("there is a log").len();
        assert!(length <= LOG_BYTES_MAX, "{length} bytes after {written}");
    }
    assert!(written > 2 * LOG_BYTES_MAX, "it would not have fitted into the log");
    block_on(engine.close()).expect("closes");
    assert!(!log.exists(), "closed, the file has it all");
}
