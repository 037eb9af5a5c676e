//! Which directories this process has open.
//!
//! A directory belongs to one process at a time; within that, whoever opens it again gets a handle to what is open.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
};

use larder_core::Result;

use crate::home::Home;

/// What is open, or is about to be, or about to be no longer.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Home>>> = Mutex::new(BTreeMap::new());
static CHANGED: Condvar = Condvar::new();

/// Says that a directory is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct Presence(PathBuf);

/// What is open at `path`, opened by `open` where nothing is. `enter` says whether somebody else's can still be entered.
pub(crate) fn share(
    path: PathBuf,
    enter: impl Fn(&Home) -> bool,
    open: impl FnOnce(Presence) -> Result<Arc<Home>>,
) -> Result<Arc<Home>> {
    let mut all = lock();
    while let Some(home) = all.get(&path) {
        match home.upgrade() {
            Some(home) if enter(&home) => return Ok(home),
            // On its way out, or on its way in.
            _ => all = CHANGED.wait(all).unwrap_or_else(PoisonError::into_inner),
        }
    }
    all.insert(path.clone(), Weak::new());
    drop(all);
    let home = open(Presence(path.clone()))?;
    lock().insert(path, Arc::downgrade(&home));
    CHANGED.notify_all();
    Ok(home)
}

impl Drop for Presence {
    fn drop(&mut self) {
        lock().remove(&self.0);
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<PathBuf, Weak<Home>>> {
    // Whole between any two statements, so a panic elsewhere has not broken it.
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
