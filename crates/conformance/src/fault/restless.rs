//! An engine that walks indexes in small pieces, and lets others write in between.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Engine, Entry, Index, Namespace, Outcome, Range, Result,
    Snapshot, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Backup, Capabilities, EngineStatus, IndexWalk, Indexes, Page, Pushdown, Resolution, Scan, Walked},
    index::{IndexId, IndexStatus, Span},
};

/// How many rows a walk tells of at once, so that there are many walks.
const PIECE: usize = 3;

/// What happens between two walks of one query.
type Meanwhile = Box<dyn FnMut() + Send>;

/// An engine of which nothing is asked but that others get their turn.
pub(crate) struct Restless {
    below: Arc<dyn Engine>,
    meanwhile: Mutex<Option<Meanwhile>>,
    walks: AtomicU64,
}

impl Restless {
    pub(crate) fn over(below: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self { below, meanwhile: Mutex::default(), walks: AtomicU64::new(0) })
    }

    /// Does `act` before every walk but the first one, from now on.
    pub(crate) fn between_walks(&self, act: Option<Meanwhile>) {
        self.walks.store(0, Ordering::SeqCst);
        *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = act;
    }

    /// How many walks there were since then.
    pub(crate) fn walks(&self) -> u64 {
        self.walks.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Restless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restless").field("below", &self.below).finish_non_exhaustive()
    }
}

impl Engine for Restless {
    fn capabilities(&self) -> Capabilities {
        self.below.capabilities()
    }

    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        self.below.get(addresses, now)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        self.below.scan(scan)
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        self.below.list(scan)
    }

    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        self.below.count(range, now)
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        self.below.commit(group)
    }

    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        self.below.resolve(id)
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        self.below.changes(query)
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        self.below.undo(undo)
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        self.below.usage(namespace)
    }

    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        self.below.trim(trim)
    }

    fn expired(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>> {
        self.below.expired(now, limit)
    }

    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        self.below.status(now)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.below.close()
    }

    fn backup(&self) -> Option<&dyn Backup> {
        self.below.backup()
    }

    fn pushdown(&self) -> Option<&dyn Pushdown> {
        self.below.pushdown()
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        self.below.indexes().map(|_| self as &dyn Indexes)
    }
}

impl Restless {
    fn kept(&self) -> &dyn Indexes {
        self.below.indexes().expect("who has this facet got it from an engine that has it")
    }
}

impl Indexes for Restless {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        self.kept().list(namespace)
    }

    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        self.kept().create(namespace, index)
    }

    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        self.kept().drop(id)
    }

    fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        self.kept().advance(id, limit.min(PIECE), now)
    }

    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        if self.walks.fetch_add(1, Ordering::SeqCst) > 0
            && let Some(act) = &mut *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner)
        {
            act();
        }
        self.kept().walk(IndexWalk { limit: walk.limit.min(PIECE), ..walk })
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        self.kept().estimate(id, spans, most)
    }
}
