//! What the parts of an open store share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{config::Tuning, disk::Disk, held::Stored, layout::Layout, pairs::Pairs};

/// An open store, without whoever works on it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) tuning: Tuning,
    pairs: RwLock<Pairs>,
    /// The files of the state.
    stored: Mutex<BTreeMap<u64, Arc<Stored>>>,
    /// What the journal has that no state has.
    journal_bytes: AtomicU64,
    /// The directories of namespaces that are known to be there.
    directories: Mutex<BTreeSet<String>>,
}

impl Core {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        tuning: Tuning,
        pairs: Pairs,
        stored: BTreeMap<u64, Arc<Stored>>,
        journal_bytes: u64,
    ) -> Self {
        let (pairs, stored) = (RwLock::new(pairs), Mutex::new(stored));
        Self {
            disk,
            layout,
            tuning,
            pairs,
            stored,
            journal_bytes: AtomicU64::new(journal_bytes),
            directories: Mutex::default(),
        }
    }

    // What panics in here is a bug that leaves a batch half applied in memory, so nobody goes on after it.
    pub(crate) fn pairs(&self) -> RwLockReadGuard<'_, Pairs> {
        self.pairs.read().expect("nothing panics between two pairs of a batch")
    }

    pub(crate) fn pairs_mut(&self) -> RwLockWriteGuard<'_, Pairs> {
        self.pairs.write().expect("nothing panics between two pairs of a batch")
    }

    pub(crate) fn stored(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Stored>>> {
        // Replaced in one step, so a panic elsewhere has not broken it.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn directories(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Each name is true by itself, so a panic elsewhere has not broken it.
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn journal_bytes(&self) -> u64 {
        self.journal_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn journal_grew(&self, bytes: u64) {
        self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The state has what was in the journal, but for what came since.
    pub(crate) fn journal_shrank(&self, bytes: u64) {
        self.journal_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn state_bytes(&self) -> u64 {
        self.stored().values().map(|stored| stored.length).sum()
    }

    /// Whether the journal is so long that the state is to be written anew.
    pub(crate) fn is_journal_long(&self) -> bool {
        let journal = self.journal_bytes();
        journal > self.tuning.journal_bytes && journal > self.state_bytes() / 2
    }

    /// What all of it takes on the medium, but for what stands in the files of entries beside.
    pub(crate) fn size(&self) -> u64 {
        self.state_bytes() + self.journal_bytes()
    }
}

/// Looks at one moment until it is dropped.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) core: Arc<Core>,
    pub(crate) moment: u64,
}

impl Look {
    /// At the present.
    pub(crate) fn now(core: &Arc<Core>) -> Self {
        Self::at(core, &mut core.pairs_mut())
    }

    /// At the present of `pairs`, which are those of `core`.
    pub(crate) fn at(core: &Arc<Core>, pairs: &mut Pairs) -> Self {
        Self { core: core.clone(), moment: pairs.look() }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.core.pairs_mut().leave(self.moment);
    }
}
