//! New files: whole and durable from the moment they have their name.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use larder_core::{Error, ErrorKind, Result};

/// A file that is not yet where it belongs, and vanishes unless it is moved there.
pub(crate) struct NewFile(tempfile::NamedTempFile);

impl NewFile {
    /// In the directory of `path`, readable as the user's other files are.
    pub(crate) fn beside(path: &Path) -> Result<Self> {
        let directory = directory(path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".larder-new-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(directory).map(Self).map_err(|error| unwritable(directory, error))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Moves the file to `path`, durably, if nothing is there.
    ///
    /// # Errors
    /// `AlreadyExists` when something is, `Corrupt` when SQLite would take what lies beside `path` for a part of it.
    pub(crate) fn move_to(self, path: &Path) -> Result<()> {
        self.0.as_file().sync_all().map_err(|error| unwritable(path, error))?;
        // Our descriptor is closed before the file has a name by which others may have locked it: see `presence`.
        let place = self.0.into_temp_path();
        refuse_leftovers(path)?;
        match place.persist_noclobber(path) {
            Ok(()) => {
                let directory = directory(path);
                let synced = File::open(directory).and_then(|directory| directory.sync_all());
                synced.map_err(|error| unwritable(directory, error))
            }
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(occupied(path)),
            Err(error) => Err(unwritable(path, error.error)),
        }
    }
}

/// The file that SQLite keeps beside `path` under this ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A log without its file belongs to a store that was deleted or moved away; SQLite would replay it into a new one.
fn refuse_leftovers(path: &Path) -> Result<()> {
    for ending in ["-wal", "-journal"] {
        let log = beside(path, ending);
        let left = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        if left && path.exists() {
            return Err(occupied(path));
        }
        if left {
            let message = format!(
                "{} is missing, but {} is still there and may hold its last commits; bring the file back, or delete both",
                path.display(),
                log.display()
            );
            return Err(Error::new(ErrorKind::Corrupt, message).engine("sqlite"));
        }
    }
    Ok(())
}

fn occupied(path: &Path) -> Error {
    let message = format!("there is something at {} already; it was left as it is", path.display());
    Error::new(ErrorKind::AlreadyExists, message).engine("sqlite")
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    let (kind, what) = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Denied, "cannot be written to")
        }
        std::io::ErrorKind::StorageFull => (ErrorKind::Unavailable, "cannot be written to: the disk is full"),
        std::io::ErrorKind::NotFound => (ErrorKind::NotFound, "does not exist"),
        _ => (ErrorKind::Unavailable, "cannot be written to"),
    };
    Error::new(kind, format!("{} {what}", path.display())).engine("sqlite").caused_by(error)
}
