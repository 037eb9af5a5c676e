//! Places for stores in directories.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use larder_conformance::Site;
use larder_core::{BoxFuture, Durability, Engine, ErrorKind, Result, StoreId};
use larder_file::{Directory, Door, FileMap, Layout, Tuning, open_map};
use tempfile::TempDir;

use severed::Severed;

#[path = "severed.rs"]
mod severed;

/// A directory of its own, gone with the case. Little gathers there, so that a case meets everything that a store does.
pub(crate) struct Place {
    directory: TempDir,
    /// What this process has open, and its way to the disk.
    opened: Mutex<Option<(Severed, Door)>>,
}

const TUNING: Tuning = Tuning { small_bytes: 2048, journal_bytes: 64 << 10, gather_ms: Some(1) };

impl Place {
    /// In memory of the machine, where it has that: what is asked is what is written, not how fast disks are.
    pub(crate) fn fresh() -> Self {
        let quick = Path::new("/dev/shm");
        if quick.is_dir() { Self::within(quick) } else { Self::within(&std::env::temp_dir()) }
    }

    pub(crate) fn within(parent: &Path) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a temporary directory can be made");
        Self { directory, opened: Mutex::default() }
    }

    /// One handle more to what is open, or the first one.
    fn map(&self) -> Result<FileMap> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = opened.as_ref().and_then(|(_, door)| door.enter()) {
            return Ok(map);
        }
        let disk = Severed::new(Directory::new(self.directory.path()));
        let map = loop {
            match FileMap::open_on(Arc::new(disk.clone()), Durability::Full, TUNING, Layout::STORE) {
                // The last handle was dropped, and somebody is about to close what it was of.
                Err(error) if error.kind() == ErrorKind::Unavailable && opened.is_some() => std::thread::yield_now(),
                map => break map?,
            }
        };
        *opened = Some((disk, map.door()));
        Ok(map)
    }
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async {
            let engine = open_map(self.map()?, StoreId::from_bytes([7; 16]), true).await?;
            Ok(Arc::new(engine) as Arc<dyn Engine>)
        })
    }

    fn crash(&self) -> Option<BoxFuture<'_, Result<()>>> {
        // Whatever is under way ends in the middle, and the next one finds what the directory holds.
        if let Some((disk, _)) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take() {
            disk.sever();
        }
        Some(Box::pin(std::future::ready(Ok(()))))
    }
}
