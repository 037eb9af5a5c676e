//! The real disk: a directory of the file system.

use std::{
    any::Any,
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(target_os = "linux")]
use std::sync::OnceLock;

use crate::disk::{Disk, File};

/// The file that is locked; nothing stands in it.
pub(crate) const LOCK: &str = "lock";

/// So many files are synced by syncing the file system that they are in.
#[cfg(target_os = "linux")]
const MANY: usize = 16;

/// A directory of the file system.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    /// Opened before anything is written: a failure is told to whoever was there when it happened.
    #[cfg(target_os = "linux")]
    handle: OnceLock<fs::File>,
}

impl Directory {
    /// The directory `root`, which has to be there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            #[cfg(target_os = "linux")]
            handle: OnceLock::new(),
        }
    }

    #[cfg(target_os = "linux")]
    fn handle(&self) -> io::Result<&fs::File> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let handle = fs::File::open(&self.root)?;
        Ok(self.handle.get_or_init(|| handle))
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for Directory {
    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        #[cfg(target_os = "linux")]
        self.handle()?;
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(self.path(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for item in fs::read_dir(self.path(directory))? {
            let item = item?;
            // A name that is no text is none of ours, and is not taken for one that is.
            let name = item.file_name().to_string_lossy().into_owned();
            names.push(if item.file_type()?.is_dir() { name + "/" } else { name });
        }
        Ok(names)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        match fs::create_dir(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.path(path).is_dir() => Ok(()),
            made => made,
        }
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(path))?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let path = self.path(path);
        let file = match fs::OpenOptions::new().read(true).write(true).open(&path) {
            // Somebody has protected the file; that is no reason not to read it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::File::open(&path),
            opened => opened,
        };
        Ok(Arc::new(file?))
    }

    #[cfg(target_os = "linux")]
    fn sync_files(&self, files: &[Arc<dyn File>]) -> io::Result<()> {
        if files.len() < MANY {
            return files.iter().try_for_each(|file| file.sync());
        }
        // One by one each waits for the journal of the file system; together they wait once.
        Ok(rustix::fs::syncfs(self.handle()?)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        sync_directory(&self.path(path))
    }

    fn boot(&self) -> Option<String> {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
    }
}

#[cfg(unix)]
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// A directory is no file elsewhere, and its entries are as safe as the file system makes them.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

impl File for fs::File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        read_exact(self, &mut bytes, at)?;
        Ok(bytes)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        write_all(self, bytes, at)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(unix)]
fn read_exact(file: &fs::File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(unix)]
fn write_all(file: &fs::File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact(file: &fs::File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (bytes, at) = (&mut bytes[read..], at + read as u64),
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_all(file: &fs::File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        (bytes, at) = (&bytes[written..], at + written as u64);
    }
    Ok(())
}
