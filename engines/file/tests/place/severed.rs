//! A real directory that a process can be cut off from, as if it had been killed there and then.

use std::{
    any::Any,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use larder_file::{
    Directory,
    disk::{Disk, File},
};

/// Whether the process still reaches the disk; and the lock of the directory, which goes with that.
type Line = Arc<RwLock<Option<Option<Box<dyn Any + Send + Sync>>>>>;

/// A directory, as one process sees it.
#[derive(Clone, Debug)]
pub(crate) struct Severed {
    directory: Arc<Directory>,
    line: Line,
}

impl Severed {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory: Arc::new(directory), line: Arc::new(RwLock::new(Some(None))) }
    }

    /// Ends it in the middle of whatever is done: nothing that comes later reaches the disk.
    pub(crate) fn sever(&self) {
        *self.line.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn through<T>(line: &Line, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let line = line.read().unwrap_or_else(PoisonError::into_inner);
    if line.is_none() { Err(io::Error::other("the process was killed")) } else { work() }
}

impl Disk for Severed {
    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        let lock = through(&self.line, || self.directory.lock())?;
        let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
        *line.as_mut().ok_or_else(|| io::Error::other("the process was killed"))? = Some(lock);
        Ok(Box::new(Unlock(self.line.clone())))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        through(&self.line, || self.directory.list(directory))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        through(&self.line, || self.directory.create_directory(path))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = through(&self.line, || self.directory.create(path))?;
        Ok(Arc::new(SeveredFile { file, line: self.line.clone() }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = through(&self.line, || self.directory.open(path))?;
        Ok(Arc::new(SeveredFile { file, line: self.line.clone() }))
    }

    fn sync_files(&self, files: &[Arc<dyn File>]) -> io::Result<()> {
        // What is handed on must be its own again; that each can be synced alone is enough here.
        files.iter().try_for_each(|file| file.sync())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        through(&self.line, || self.directory.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        through(&self.line, || self.directory.remove(path))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        through(&self.line, || self.directory.sync_directory(path))
    }

    fn boot(&self) -> Option<String> {
        self.directory.boot()
    }
}

/// Gives the lock back where that has not happened yet.
struct Unlock(Line);

impl Drop for Unlock {
    fn drop(&mut self) {
        if let Some(lock) = self.0.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *lock = None;
        }
    }
}

#[derive(Debug)]
struct SeveredFile {
    file: Arc<dyn File>,
    line: Line,
}

impl File for SeveredFile {
    fn length(&self) -> io::Result<u64> {
        through(&self.line, || self.file.length())
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        through(&self.line, || self.file.read(at, length))
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        through(&self.line, || self.file.write(at, bytes))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        through(&self.line, || self.file.truncate(length))
    }

    fn sync(&self) -> io::Result<()> {
        through(&self.line, || self.file.sync())
    }
}
