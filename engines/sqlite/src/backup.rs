//! Copies of the store, made while others work on it.

use std::path::{Path, PathBuf};

use larder_core::{BoxFuture, Error, ErrorKind, Result, Revision, engine::Backup};
use rusqlite::{Connection, backup};

use crate::{engine::SqliteEngine, error::explain, lineage, new_file::NewFile, read};

impl Backup for SqliteEngine {
    fn backup<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Revision>> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.readers.read(false, move |connection| copy(connection, path))
    }
}

/// Copies what `connection` sees to the new file `path`.
fn copy(connection: &Connection, path: PathBuf) -> Result<Revision> {
    let place = NewFile::beside(&path)?;
    let mut target = Connection::open(place.path()).map_err(explain)?;
    // All pages in one step: a single read transaction, so the copy is of one moment and nobody's writes start it over.
    let step = backup::Backup::new(connection, &mut target).and_then(|backup| backup.step(-1)).map_err(explain)?;
    if step != backup::StepResult::Done {
        return Err(Error::new(ErrorKind::Unavailable, "the file is locked and cannot be copied now").engine("sqlite"));
    }
    // What is written to the copy from now on is another past than the original's.
    lineage::draw(&target)?;
    let revision = read::head(&target)?;
    target.close().map_err(|(_, error)| explain(error))?;
    place.move_to(&path)?;
    Ok(revision)
}
