//! Places for stores in directories.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use larder_conformance::Site;
use larder_core::{BoxFuture, Engine, Error, ErrorKind, Result, StoreId};
use larder_surrealkv::{SurrealKvConfig, SurrealKvEngine};
use tempfile::TempDir;

pub(crate) async fn open(path: &Path) -> Result<impl Engine> {
    SurrealKvEngine::open(SurrealKvConfig::new(path), StoreId::from_bytes([7; 16])).await
}

/// A directory of its own, gone with the case.
///
/// Each crash leaves the files behind as they are and goes on with a copy of them: that is what the next process finds
/// when one was killed.
pub(crate) struct Place {
    directory: TempDir,
    crashes: Mutex<usize>,
}

impl Place {
    pub(crate) fn fresh() -> Self {
        Self::within(&std::env::temp_dir())
    }

    pub(crate) fn within(parent: &Path) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a temporary directory can be made");
        Self { directory, crashes: Mutex::default() }
    }

    fn store(&self, crashes: usize) -> PathBuf {
        self.directory.path().join(format!("larder-{crashes}"))
    }
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async {
            let crashes = *self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(Arc::new(open(&self.store(crashes)).await?) as Arc<dyn Engine>)
        })
    }

    fn crash(&self) -> Option<BoxFuture<'_, Result<()>>> {
        let mut crashes = self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = (self.store(*crashes), self.store(*crashes + 1));
        *crashes += 1;
        let failed = |error: io::Error| Error::new(ErrorKind::Internal, "the files cannot be copied").caused_by(error);
        Some(Box::pin(std::future::ready(copy(&before, &after).map_err(failed))))
    }
}

/// Copies a directory. Stores of the suite are small: all they hold is in the log that SurrealKV only appends to.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, target) = (entry?, to.to_owned());
        let target = target.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?
        } else {
            fs::copy(entry.path(), target).map(|_| ())?
        }
    }
    Ok(())
}
