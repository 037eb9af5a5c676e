//! Places for stores in directories.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::{
    collections::BTreeMap,
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

/// What a directory holds, by the paths of its files.
type Picture = BTreeMap<PathBuf, Vec<u8>>;

/// Copies a directory as it is at one moment, whatever is done to its files meanwhile: two pictures of it, one after the other,
/// that are the same are what it was between them. Stores of the suite are small.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let take = || {
        let mut picture = Picture::new();
        look(from, Path::new(""), &mut picture).map(|()| picture)
    };
    let mut before = None;
    let picture = loop {
        match take() {
            Ok(now) if before.as_ref() == Some(&now) => break now,
            Ok(now) => before = Some(now),
            // A file went away while it was looked for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => before = None,
            Err(error) => return Err(error),
        }
    };
    for (path, bytes) in picture {
        let path = to.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

fn look(directory: &Path, within: &Path, picture: &mut Picture) -> io::Result<()> {
    for entry in fs::read_dir(directory.join(within))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            look(directory, &path, picture)?;
        } else {
            picture.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}
