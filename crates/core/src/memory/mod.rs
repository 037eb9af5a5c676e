//! The memory engine: the executable specification.
//!
//! State and log as plain maps under one lock. What any engine must answer is what this one answers; where a rule is
//! the same for all, it stands in [`decide`](crate::decide) and not here.

mod state;

use std::{
    future::ready,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::{
    address::{Address, Range},
    change::{Changes, ChangesQuery, Trim, Trimmed, Undo, Undone},
    commit::{Commit, Outcome},
    engine::{
        Capabilities, Durability, Engine, EngineStatus, IndexWalk, Indexes, Page, Reach, Resolution, Scan, Snapshot, Usage,
        Walked,
    },
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::{CommitId, StoreId},
    index::{Index, IndexId, IndexStatus, Span},
    limits::Limits,
    namespace::Namespace,
    send::BoxFuture,
    time::Timestamp,
};
use state::State;

/// An engine that keeps everything in the memory of the process.
///
/// A clone is another handle to the same store. The store lives as long as one of them.
#[derive(Clone, Debug)]
pub struct MemoryEngine(Arc<RwLock<State>>);

/// What the memory engine takes at most.
const LIMITS: Limits = Limits { value_bytes: 64 << 20, commit_writes: 4096, commit_checks: 4096, commit_bytes: 128 << 20 };

impl MemoryEngine {
    /// An empty store with this identity.
    pub fn new(store: StoreId) -> Self {
        Self(Arc::new(RwLock::new(State::new(store))))
    }

    fn read<T>(&self, answer: impl FnOnce(RwLockReadGuard<'_, State>) -> T) -> Result<T> {
        let state = self.0.read().map_err(|_| poisoned())?;
        if state.closed { Err(closed()) } else { Ok(answer(state)) }
    }

    fn write<T>(&self, answer: impl FnOnce(RwLockWriteGuard<'_, State>) -> T) -> Result<T> {
        let state = self.0.write().map_err(|_| poisoned())?;
        if state.closed { Err(closed()) } else { Ok(answer(state)) }
    }
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Internal, "a thread panicked while it held the store").engine("memory")
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed").engine("memory")
}

fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    Box::pin(ready(answer))
}

impl Engine for MemoryEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "memory", limits: LIMITS, durability: Durability::Volatile, reach: Reach::Process }
    }

    fn get(&self, addresses: Vec<Address>, at: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        now(self.read(|state| {
            let value = addresses.iter().map(|address| state.live(address, at).cloned()).collect();
            Snapshot { revision: state.head, value }
        }))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        now(self.read(|state| Snapshot { revision: state.head, value: state.page(&scan, Entry::clone) }))
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        now(self.read(|state| Snapshot { revision: state.head, value: state.page(&scan, |entry| entry.address.clone()) }))
    }

    fn count(&self, range: Range, at: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        now(self.read(|state| {
            let value = state.range(&range).filter(|entry| !entry.is_expired(at)).count() as u64;
            Snapshot { revision: state.head, value }
        }))
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        let answers = group.into_iter().map(|commit| {
            LIMITS.verify(&commit)?;
            self.write(|mut state| state.commit(&commit))?
        });
        now(answers.collect())
    }

    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        now(self.write(|mut state| state.resolve(id)))
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        now(self.read(|state| state.changes(&query)).flatten())
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        now(self.read(|state| Ok(Snapshot { revision: state.head, value: state.undo(&undo)? })).flatten())
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        now(self.read(|state| Snapshot { revision: state.head, value: state.usage(&namespace) }))
    }

    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        now(self.write(|mut state| state.trim(&trim)))
    }

    fn expired(&self, at: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>> {
        now(self.read(|state| state.expired(at, limit)))
    }

    fn status(&self, at: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        now(self.read(|state| state.status(at)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        now(self.0.write().map_err(|_| poisoned()).map(|mut state| state.closed = true))
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }
}

impl Indexes for MemoryEngine {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        now(self.read(|state| state.list_indexes(namespace.as_ref())))
    }

    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        now(self.write(|mut state| state.create_index(namespace, index)).flatten())
    }

    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        now(self.write(|mut state| state.drop_index(id)))
    }

    fn advance(&self, id: IndexId, limit: usize, at: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        now(self.write(|mut state| state.advance_index(id, limit, at)).flatten())
    }

    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        now(self.read(|state| state.walk(&walk).map(|value| Snapshot { revision: state.head, value })))
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        now(self.read(|state| state.estimate(id, &spans, most)))
    }
}
