//! The directory is a map, for whoever makes an engine of one.

mod simulated;

use std::sync::Arc;

use bytes::Bytes;
use futures_lite::future::block_on;
use larder_core::Durability;
use larder_file::{FileConfig, FileMap, Layout, Tuning};
use larder_ordered::{Applied, Batch, Map};

use crate::simulated::Simulated;

#[test]
fn a_directory_is_a_map() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, durability, small_bytes) in [("full", Durability::Full, 2048), ("relaxed", Durability::Relaxed, 8)] {
        let mut config = FileConfig::new(directory.path().join(name));
        config.durability = durability;
        // Everything moves all the time.
        config.tuning = Tuning { small_bytes, journal_bytes: 4 << 10, gather_ms: Some(0) };
        larder_ordered::check(|| Arc::new(FileMap::open(&config, Layout::STORE).expect("opens")) as Arc<dyn Map>);
    }
}

/// Writers that wait together share a sync, and each is acknowledged behind it.
#[test]
fn batches_that_wait_together_share_a_sync() {
    const WRITERS: usize = 16;
    const EACH: usize = 20;
    let disk = Simulated::new(1);
    let tuning = Tuning { gather_ms: None, ..Tuning::default() };
    let map = FileMap::open_on(Arc::new(disk.clone()), Durability::Full, tuning, Layout::STORE).expect("opens");
    let before = disk.syncs();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let map = &map;
            scope.spawn(move || {
                for n in 0..EACH {
                    let guard = (Bytes::from(format!("g{writer}")), Bytes::from(n.to_string()));
                    let applied = block_on(async {
                        let view = map.view().await?;
                        map.apply(&*view, Batch { guard, ..Batch::default() }).await
                    });
                    assert!(matches!(applied, Ok(Applied::Done)), "{applied:?}");
                }
            });
        }
    });
    let syncs = disk.syncs() - before;
    assert!(syncs < WRITERS * EACH, "{syncs} syncs for {} batches", WRITERS * EACH);
}
