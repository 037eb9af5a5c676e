//! Places for stores in files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use larder_conformance::Site;
use larder_core::{BoxFuture, Engine, Error, ErrorKind, Result, StoreId};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use tempfile::TempDir;

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

    fn file(&self, crashes: usize) -> PathBuf {
        self.directory.path().join(format!("larder-{crashes}.db"))
    }
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async {
            let crashes = *self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
            let config = SqliteConfig::new(self.file(crashes));
            let engine = SqliteEngine::open(config, StoreId::from_bytes([7; 16])).await?;
            Ok(Arc::new(engine) as Arc<dyn Engine>)
        })
    }

    fn crash(&self) -> Option<BoxFuture<'_, Result<()>>> {
        let mut crashes = self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = (self.file(*crashes), self.file(*crashes + 1));
        *crashes += 1;
        // The log last: whatever a checkpoint moves meanwhile is in it too. Its index is memory of the process.
        let copied = ["", "-wal"].into_iter().try_for_each(|ending| {
            let of = |path: &PathBuf| format!("{}{ending}", path.display());
            fs::copy(of(&before), of(&after)).map(|_| ())
        });
        let failed = |error: std::io::Error| Error::new(ErrorKind::Internal, "the files cannot be copied").caused_by(error);
        Some(Box::pin(std::future::ready(copied.map_err(failed))))
    }
}
