//! Which files this process has open.
//!
//! When a process closes any descriptor of a file, the system lets go of every POSIX lock it holds on that file, those of
//! SQLite included, and another program could then take the store for unused. So nobody here opens a file by other means
//! than SQLite's while a connection to it is open.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use larder_core::Result;

/// What makes two paths the same file: device and inode, or the path where there are none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] std::path::PathBuf);

/// How many stores of this process have each file open.
static OPEN: Mutex<BTreeMap<Identity, usize>> = Mutex::new(BTreeMap::new());

/// Says that a file is open, until it is dropped; to be dropped after the last connection.
#[derive(Debug)]
pub(crate) struct Presence(Identity);

/// Connects to the file `path`; before that `look` may open it by itself, unless it is open here already and has been
/// looked at.
pub(crate) fn enter<T>(
    path: &Path,
    look: impl FnOnce() -> Result<()>,
    connect: impl FnOnce() -> Result<T>,
) -> Result<(Arc<Presence>, T)> {
    // Held until the connection stands, so that nobody looks between our look and our first lock.
    let mut open = lock();
    let identity = identify(path);
    if !open.contains_key(&identity) {
        look()?;
    }
    let connected = connect()?;
    *open.entry(identity.clone()).or_default() += 1;
    Ok((Arc::new(Presence(identity)), connected))
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut open = lock();
        if let Some(count) = open.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.0);
            }
        }
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<Identity, usize>> {
    // Whole between any two statements, so a panic elsewhere has not broken it.
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Found without opening the file. One that has just vanished is like no other, and connecting to it fails.
#[cfg(unix)]
fn identify(path: &Path) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    Identity(std::fs::metadata(path).map_or((0, 0), |metadata| (metadata.dev(), metadata.ino())))
}

#[cfg(not(unix))]
fn identify(path: &Path) -> Identity {
    Identity(path.to_owned())
}
