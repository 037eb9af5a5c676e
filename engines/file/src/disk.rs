//! What is asked of a disk, and nothing else is.
//!
//! Small, so that a test can bring a disk that loses, tears and reorders what was not synced, or that is full. Knows nothing of
//! stores. Paths are relative to the directory of the store, with `/` between names; the directory itself is `""`.

use std::{any::Any, fmt::Debug, io, sync::Arc};

/// A directory on some medium.
///
/// A write is safe when its file was synced. That there is a file of some name, or is none any more, is safe when its
/// directory was synced; of a rename it is that of the new name.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Takes the directory for this process, until what is answered is dropped or the process dies.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else has it.
    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// The names in a directory; those of directories end in `/`.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Makes a directory; that it is there is fine.
    fn create_directory(&self, path: &str) -> io::Result<()>;

    /// Makes a file that is empty, also where there was one.
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>>;

    /// A file to read, and to write where the system lets us.
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>>;

    /// As [`File::sync`] for each of `files`, all of which are in this directory.
    fn sync_files(&self, files: &[Arc<dyn File>]) -> io::Result<()> {
        files.iter().try_for_each(|file| file.sync())
    }

    /// Gives a file another name, in place of what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Who has it open can still read it.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes safe what the directory holds by name.
    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// Which boot of the system this is, where it can tell: what was not synced outlives a process, but no boot.
    fn boot(&self) -> Option<String>;
}

/// An open file.
pub trait File: Debug + Send + Sync + 'static {
    /// How many bytes it has.
    fn length(&self) -> io::Result<u64>;

    /// The bytes from `at` on, `length` of them.
    ///
    /// # Errors
    /// `UnexpectedEof` when there are fewer.
    fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Writes all of `bytes` from `at` on. A part may have been written when it fails.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off behind `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Makes safe what was written. When it fails, nobody knows what is, and a later success does not say.
    fn sync(&self) -> io::Result<()>;
}

/// The whole of a file.
pub(crate) fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    file.read(0, length)
}
