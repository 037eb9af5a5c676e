//! More than a week of overwrites, with a clock that the test turns: what a store takes on its disk stays in bounds.

use std::{fs, path::Path, sync::Arc, time::Duration};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{Durability, Retention, Store, StoreId};
use larder_sqlite::{SqliteConfig, SqliteEngine};

const KEYS: u64 = 100;
const VALUE_BYTES: u64 = 1024;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAYS: u64 = 10;

/// What a change takes in the file at most: three rows of a little more than 1 KiB share a page of 4 KiB, and the index
/// takes some.
const CHANGE_BYTES_MAX: u64 = 1536;
/// What a commit's id takes at most: its receipt names a version for each of 100 writes.
const ID_BYTES_MAX: u64 = 3072;
/// Free pages that a trim leaves, the schema, and pages that are not full.
const REST_BYTES_MAX: u64 = 512 << 10;
/// The write-ahead log begins anew every 4,000 pages; one commit, or one step of a trim, may come on top.
const AHEAD_BYTES_MAX: u64 = 24 << 20;

/// A number of `small` for every day, and of `full` where `LARDER_SOAK` is 1.
fn size(small: u64, full: u64) -> u64 {
    if std::env::var("LARDER_SOAK").is_ok_and(|soak| soak == "1") { full } else { small }
}

/// The bytes of the file and of the write-ahead log beside it.
fn sizes(path: &Path) -> (u64, u64) {
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    (length(path), length(&path.with_extension("db-wal")))
}

fn overwrite(store: &Store, round: u64) {
    let value = |key: u64| vec![(round % 251) as u8 ^ key as u8; VALUE_BYTES as usize];
    let sets = (0..KEYS).fold(store.commit(), |commit, key| commit.set(format!("key/{key:03}"), value(key)));
    block_on(sets.into_future()).expect("sets");
}

/// 100 keys of 1 KiB are written over and over for ten days, and a day of that is kept, looked after every hour: the file
/// never grows beyond what a day and an hour take. When the writing ends and the day is over, it is as small as what
/// lives in it.
///
/// They are written over every half an hour, and every minute where `LARDER_SOAK` is 1.
#[test]
fn a_week_of_overwrites_stays_in_bounds() {
    let an_hour = size(2, 60);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("week.db");
    let world = TestWorld::new(1);
    let mut config = SqliteConfig::new(&path);
    config.durability = Durability::Relaxed;
    let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
    let store = Store::new(Arc::new(engine), Arc::new(world.clone())).with_native_limits();
    let retention = Retention { age: 24 * HOUR, bytes: u64::MAX, ids: 24 * HOUR, ..Retention::default() };

    // A day, and the hour before one looks after it again.
    let commits_max = 25 * an_hour + 1;
    let bound = (commits_max * KEYS + KEYS) * CHANGE_BYTES_MAX + commits_max * ID_BYTES_MAX + REST_BYTES_MAX;
    let (mut written, mut largest, mut ahead_largest) = (0, 0, 0);
    for hour in 0..DAYS * 24 {
        for round in 0..an_hour {
            world.step(HOUR / u32::try_from(an_hour).expect("some in an hour"));
            overwrite(&store, hour * an_hour + round);
            written += KEYS * VALUE_BYTES;
            let (file, ahead) = sizes(&path);
            (largest, ahead_largest) = (file.max(largest), ahead.max(ahead_largest));
        }
        block_on(store.keep(retention)).expect("keeps");
        let (file, ahead) = sizes(&path);
        let at = format!("hour {hour}: {file} bytes in the file, {ahead} ahead of it");
        assert!(largest <= bound && ahead_largest <= AHEAD_BYTES_MAX, "{at}; at most {largest} and {ahead_largest}");
        let status = block_on(store.status()).expect("answers");
        // What is just a day old is kept.
        assert!(status.changes <= (24 * an_hour + 1) * KEYS, "{at}; {} changes are kept", status.changes);
    }
    assert!(written > 5 * bound, "without a bound it would be far larger: {written} bytes written");
    assert!(largest > bound / 3, "the bound is not far off: {largest} of {bound}");

    world.step(25 * HOUR);
    let kept = block_on(store.keep(retention)).expect("keeps");
    let (left, ahead) = sizes(&path);
    let status = block_on(store.status()).expect("answers");
    println!(
        "{written} bytes written in {DAYS} days; a day of them kept: at most {largest} in the file (bound {bound}) and \
         {ahead_largest} ahead of it; after all of it was trimmed {left} and {ahead}, of which {} live",
        status.bytes
    );
    assert_eq!((status.changes, status.log_bytes, status.entries), (0, 0, KEYS));
    assert!(kept.changes > 0 && kept.ids > 0, "{kept:?}");
    assert!(left <= KEYS * CHANGE_BYTES_MAX + REST_BYTES_MAX, "{left} bytes are left");
    assert_eq!(ahead, 0, "all of it is in the file");
    let entry = block_on(store.get("key/007")).expect("reads").expect("it is there");
    assert_eq!(entry.version.get(), DAYS * 24 * an_hour);
    block_on(store.close()).expect("closes");
}
