//! An engine of which one call fails: the n-th, whatever it is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Engine, Entry, Error, ErrorKind, Filter, Index, Limits,
    Namespace, Outcome, Range, Result, Snapshot, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Backup, Capabilities, EngineStatus, Filtered, IndexWalk, Indexes, Page, Pushdown, Resolution, Scan, Walked},
    index::{IndexId, IndexStatus, Span},
    query::{Condition, Fit},
};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It never arrives, and the caller is told so.
    Refused,
    /// It arrives and is done, and its answer is lost.
    AnswerLost,
    /// It never arrives, and nobody can tell.
    Lost,
}

/// An engine of which one call fails.
#[derive(Debug)]
pub(crate) struct Nth {
    below: Arc<dyn Engine>,
    /// How many calls get through before the one that fails.
    left: AtomicUsize,
    failure: Failure,
}

/// Stands for all calls having been let through, the one that failed included.
const OVER: usize = usize::MAX;

impl Nth {
    /// Lets `calls` calls through, fails the next one, and lets all others through.
    pub(crate) fn new(calls: usize, failure: Failure, below: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self { below, left: AtomicUsize::new(calls), failure })
    }

    /// Whether the call that fails was made.
    pub(crate) fn has_failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) == OVER
    }

    /// How this call fails, if it is its turn.
    fn turn(&self) -> Option<Failure> {
        let next = |left: usize| (left != OVER).then(|| left.checked_sub(1).unwrap_or(OVER));
        let turn = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) == Ok(0);
        turn.then_some(self.failure)
    }

    fn call<'a, T: Send + 'a>(&'a self, call: impl FnOnce() -> BoxFuture<'a, Result<T>>) -> BoxFuture<'a, Result<T>> {
        match self.turn() {
            None => call(),
            Some(Failure::Refused | Failure::Lost) => Box::pin(std::future::ready(Err(gone()))),
            Some(Failure::AnswerLost) => {
                let calling = call();
                Box::pin(async move {
                    drop(calling.await);
                    Err(gone())
                })
            }
        }
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Unavailable, "the case has cut the line")
}

impl Engine for Nth {
    fn capabilities(&self) -> Capabilities {
        Capabilities { limits: Limits::FLOOR, ..self.below.capabilities() }
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        match self.turn() {
            None => self.below.commit(group),
            Some(Failure::Refused) => Box::pin(std::future::ready(group.iter().map(|_| Err(gone())).collect())),
            Some(failure) => Box::pin(async move {
                let ids: Vec<CommitId> = group.iter().map(|commit| commit.id).collect();
                if failure == Failure::AnswerLost {
                    drop(self.below.commit(group).await);
                }
                ids.into_iter().map(|id| Err(Error::outcome_unknown(id, "the case has cut the line"))).collect()
            }),
        }
    }

    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        self.call(|| self.below.get(addresses, now))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        self.call(|| self.below.scan(scan))
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        self.call(|| self.below.list(scan))
    }

    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        self.call(|| self.below.count(range, now))
    }

    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        self.call(|| self.below.resolve(id))
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        self.call(|| self.below.changes(query))
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        self.call(|| self.below.undo(undo))
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        self.call(|| self.below.usage(namespace))
    }

    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        self.call(|| self.below.trim(trim))
    }

    fn expired(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>> {
        self.call(|| self.below.expired(now, limit))
    }

    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        self.call(|| self.below.status(now))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.below.close()
    }

    fn backup(&self) -> Option<&dyn Backup> {
        self.below.backup()
    }

    fn pushdown(&self) -> Option<&dyn Pushdown> {
        self.below.pushdown().map(|_| self as &dyn Pushdown)
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        self.below.indexes().map(|_| self as &dyn Indexes)
    }
}

/// Who has a facet of this engine got it from one that has it.
const HAS_IT: &str = "the engine below has this facet";

impl Pushdown for Nth {
    fn fit(&self, condition: &Condition) -> Fit {
        self.below.pushdown().expect(HAS_IT).fit(condition)
    }

    fn filter(&self, scan: Scan, filter: Filter) -> BoxFuture<'_, Result<Snapshot<Filtered>>> {
        self.call(|| self.below.pushdown().expect(HAS_IT).filter(scan, filter))
    }
}

impl Nth {
    fn kept(&self) -> &dyn Indexes {
        self.below.indexes().expect(HAS_IT)
    }
}

impl Indexes for Nth {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        self.call(|| self.kept().list(namespace))
    }

    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        self.call(|| self.kept().create(namespace, index))
    }

    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        self.call(|| self.kept().drop(id))
    }

    fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        self.call(|| self.kept().advance(id, limit, now))
    }

    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        self.call(|| self.kept().walk(walk))
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        self.call(|| self.kept().estimate(id, spans, most))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_lite::future::block_on;
    use larder_core::{LogBounds, Namespace, Position, Retention, Store, StoreId, memory::MemoryEngine};

    use super::*;
    use crate::TestWorld;

    /// How many calls it takes to keep a store in bounds, of which somebody holds a log of so many changes.
    fn calls_to_keep(changes: u32) -> usize {
        let engine = Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16])));
        let calls = Nth::new(OVER - 1, Failure::Refused, engine);
        let store = Store::new(calls.clone(), Arc::new(TestWorld::new(1)));
        let first = block_on(store.set("k", "1").into_future()).expect("sets").revision;
        for n in 1..changes {
            block_on(store.set("k", n.to_string()).into_future()).expect("sets");
        }
        let position = Position { lineage: block_on(store.status()).expect("answers").lineage, revision: first };
        block_on(store.hold("copy", position, Duration::from_secs(1_000))).expect("holds");
        let bounds = |bytes| LogBounds { age: None, bytes: Some(bytes) };
        block_on(store.bound_log(&Namespace::default(), bounds(1))).expect("bounds");
        block_on(store.bound_log(&Namespace::new("roomy").expect("a good name"), bounds(1 << 20))).expect("bounds");

        let before = calls.left.load(Ordering::SeqCst);
        let kept = block_on(store.keep(Retention { bytes: 1, ..Retention::default() })).expect("keeps");
        assert_eq!(kept.changes, 1, "what is not held goes");
        before - calls.left.load(Ordering::SeqCst)
    }

    #[test]
    fn a_log_that_is_held_is_not_read_all_over_again_by_everyone_who_keeps_it_in_bounds() {
        assert_eq!(calls_to_keep(300), calls_to_keep(3_000));
    }
}
