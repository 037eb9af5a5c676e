//! A copy that ends half-way, wherever that is, is gone on with and comes to the same.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use larder_conformance::TestWorld;
use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Engine, Entry, Error, ErrorKind, Index, Limits, Namespace,
    Outcome, Range, Result, Snapshot, Store, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Capabilities, EngineStatus, IndexWalk, Indexes, Page, Resolution, Scan, Walked},
    index::{IndexId, IndexStatus, Span},
};
use larder_moving::copy;

use crate::ground::{On, fill, fresh, now};

/// An engine that dies with its n-th commit: before it, or after it and without an answer.
#[derive(Debug)]
pub(crate) struct Dying {
    below: Arc<dyn Engine>,
    left: AtomicUsize,
    answer_lost: bool,
    limits: Limits,
    /// Whether it counts wrong, and loses a row of each page of an index.
    lies: bool,
}

impl Dying {
    pub(crate) fn lying(below: &Arc<dyn Engine>) -> Arc<Self> {
        let limits = Limits::FLOOR;
        Arc::new(Self { below: below.clone(), left: AtomicUsize::new(usize::MAX), answer_lost: false, limits, lies: true })
    }

    pub(crate) fn after(below: &Arc<dyn Engine>, commits: usize, answer_lost: bool, limits: Limits) -> Arc<Self> {
        Arc::new(Self { below: below.clone(), left: AtomicUsize::new(commits), answer_lost, limits, lies: false })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

impl Engine for Dying {
    fn capabilities(&self) -> Capabilities {
        Capabilities { limits: self.limits, ..self.below.capabilities() }
    }

    fn commit(&self, mut group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        let limits = self.limits;
        assert!(group.iter().all(|commit| limits.verify(commit).is_ok()), "every commit keeps to the limits");
        Box::pin(async move {
            let left = self.left.load(Ordering::SeqCst);
            let whole = group.len();
            let dies = left <= whole;
            if dies {
                group.truncate(left.saturating_sub(usize::from(!self.answer_lost)));
            }
            self.left.store(left.saturating_sub(whole), Ordering::SeqCst);
            let answers = self.below.commit(group).await;
            let died = || Err(Error::new(ErrorKind::Internal, "the engine has died"));
            if dies { (0..whole).map(|_| died()).collect() } else { answers }
        })
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
        let lie = u64::from(self.lies);
        Box::pin(async move {
            let mut usage = self.below.usage(namespace).await?;
            usage.value.bytes += lie;
            Ok(usage)
        })
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
    fn indexes(&self) -> Option<&dyn Indexes> {
        if self.lies { Some(self) } else { self.below.indexes() }
    }
}

impl Dying {
    fn own(&self) -> &dyn Indexes {
        self.below.indexes().expect("the engine below keeps indexes")
    }
}

impl Indexes for Dying {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        self.own().list(namespace)
    }
    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        self.own().create(namespace, index)
    }
    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        self.own().drop(id)
    }
    fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        self.own().advance(id, limit, now)
    }
    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        Box::pin(async move {
            let mut found = self.own().walk(walk).await?;
            found.iter_mut().for_each(|page| drop(page.value.items.pop()));
            Ok(found)
        })
    }
    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        self.own().estimate(id, spans, most)
    }
}

/// Wherever it dies: entries, commits of the log, and those that are as large as the engine takes, so that they have no room
/// for the progress.
#[tokio::test]
async fn a_copy_that_dies_anywhere_is_gone_on_with() -> Result<()> {
    for (history, answer_lost) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = TestWorld::new(11);
        let source = fresh(On::Memory, &world).await;
        fill(&source.store, &world, 11, 250).await?;
        // As many writes as there may be.
        for round in 0..3 {
            let mut commit = source.store.commit();
            for at in 0..Limits::FLOOR.commit_writes {
                commit = commit.set(format!("full/{at}"), format!("{round}"));
            }
            commit.await?;
        }
        for answer in source.store.set_many((0..600).map(|at| (format!("many/{at}"), "v"))).await {
            answer?;
        }
        let (before, mut deaths, mut life) = (now(&source.store).await, 0, 1);
        let target = fresh(On::Sqlite, &world).await;
        loop {
            let dying = Dying::after(target.store.engine(), life, answer_lost, Limits::FLOOR);
            let store = Store::new(dying.clone(), Arc::new(world.clone()));
            match copy(&source.store, &store).history(history).await {
                Ok(copied) => {
                    assert_eq!((copied.indexes, dying.is_dead()), (3, false));
                    break;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Internal, "{error}"),
            }
            assert!(dying.is_dead());
            deaths += 1;
            life = 2 + deaths % 4;
        }
        assert!(deaths > if history { 50 } else { 3 }, "it died {deaths} times");
        assert_eq!(before, now(&target.store).await, "history {history}, answer lost {answer_lost}");
        assert_eq!(source.store.holds().await?, []);
        let changes = target.store.history("full/7", 9, None).await?.changes.len();
        assert_eq!(changes, if history { 3 } else { 1 });
    }
    Ok(())
}
