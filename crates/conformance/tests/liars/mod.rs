//! Engines that lie: each is the memory engine with one thing done wrong.
//!
//! A lie changes what passes through the seam and leaves everything else to the honest engine. Handles close one by one
//! and call themselves durable, so that every case closes and opens them as it would those of an engine on disk.

mod commits;
mod crashes;
mod identities;
mod indexes;
mod kept;
mod logs;
mod moments;
mod names;
mod pasts;
mod queries;
mod reads;
mod rooms;
mod uniques;

use std::{
    fmt::Debug,
    future::ready,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_lite::future::block_on;
use larder_conformance::Site;
use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Durability, Engine, Entry, Error, ErrorKind, Filter, Index,
    Namespace, Outcome, Range, Result, Snapshot, StoreId, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Capabilities, EngineStatus, Filtered, IndexWalk, Indexes, Page, Pushdown, Resolution, Scan, Walked},
    index::{IndexId, IndexStatus},
    memory::MemoryEngine,
    query::{Condition, Fit, matches},
};

/// A way to be wrong. What it does not mention is honest.
pub(crate) trait Lie: Debug + Send + Sync + 'static {
    fn name(&self) -> String {
        std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default().to_owned()
    }

    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        honest.get(addresses, now)
    }

    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        honest.scan(scan)
    }

    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        honest.filter(scan, &|entry| matches(&filter, entry))
    }

    fn count(&self, honest: &Honest, range: Range, now: Timestamp) -> Result<Snapshot<u64>> {
        honest.count(range, now)
    }

    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        honest.commit(commit)
    }

    fn group(&self, honest: &Honest, group: Vec<Commit>) -> Vec<Result<Outcome>> {
        group.into_iter().map(|commit| self.commit(honest, commit)).collect()
    }

    /// Creates an index, and answers how it is then.
    fn create_index(&self, honest: &Honest, namespace: Namespace, index: Index) -> Result<IndexStatus> {
        honest.create_index(namespace, index)
    }

    fn drop_index(&self, honest: &Honest, id: IndexId) -> Result<bool> {
        honest.drop_index(id)
    }

    fn advance(&self, honest: &Honest, id: IndexId, limit: usize, now: Timestamp) -> Result<Option<IndexStatus>> {
        honest.advance(id, limit, now)
    }

    fn list_indexes(&self, honest: &Honest, namespace: Option<Namespace>) -> Result<Vec<IndexStatus>> {
        honest.list_indexes(namespace)
    }

    fn walk(&self, honest: &Honest, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
        honest.walk(walk)
    }

    fn resolve(&self, honest: &Honest, id: CommitId) -> Result<Resolution> {
        honest.resolve(id)
    }

    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        honest.changes(query)
    }

    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        honest.undo(undo)
    }

    fn usage(&self, honest: &Honest, namespace: Namespace) -> Result<Snapshot<Usage>> {
        honest.usage(namespace)
    }

    fn trim(&self, honest: &Honest, trim: Trim) -> Result<Trimmed> {
        honest.trim(trim)
    }

    fn expired(&self, honest: &Honest, now: Timestamp, limit: usize) -> Result<Vec<Address>> {
        honest.expired(now, limit)
    }

    fn status(&self, honest: &Honest, now: Timestamp) -> Result<EngineStatus> {
        honest.status_at(now)
    }

    /// A handle is being closed; whether it is closed from then on.
    fn closing(&self, _honest: &Honest) -> bool {
        true
    }

    /// The process dies; what was done is still there, unless somebody lies.
    fn crashing(&self, _honest: &Honest) {}
}

/// The truth, and nothing but the truth.
#[derive(Debug)]
pub(crate) struct Truth;
impl Lie for Truth {}

/// The memory engine without its futures: it answers at once.
#[derive(Debug)]
pub(crate) struct Honest {
    engine: Mutex<MemoryEngine>,
    /// Everything that was done, in order, so that it can be done again otherwise.
    deeds: Mutex<Vec<Deed>>,
}

/// Something that changes a store.
#[derive(Clone, Debug)]
enum Deed {
    Commit(Commit),
    Resolve(CommitId),
    Trim(Trim),
    CreateIndex(Namespace, Index),
    DropIndex(IndexId),
    Advance(IndexId, usize, Timestamp),
}

impl Deed {
    /// Does it on `engine`.
    fn again(&self, engine: &MemoryEngine) {
        match self.clone() {
            Self::Commit(commit) => drop(block_on(engine.commit(vec![commit]))),
            Self::Resolve(id) => drop(block_on(engine.resolve(id))),
            Self::Trim(trim) => drop(block_on(engine.trim(trim))),
            Self::CreateIndex(namespace, index) => drop(block_on(Indexes::create(engine, namespace, index))),
            Self::DropIndex(id) => drop(block_on(Indexes::drop(engine, id))),
            Self::Advance(id, limit, now) => drop(block_on(engine.advance(id, limit, now))),
        }
    }
}

/// How many entries a filter looks at in a call: few, so that there are many calls.
const LOOKED_AT: usize = 40;

impl Honest {
    fn new() -> Self {
        Self { engine: Mutex::new(MemoryEngine::new(StoreId::from_bytes([9; 16]))), deeds: Mutex::default() }
    }

    fn engine(&self) -> MemoryEngine {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins anew with nothing in it.
    fn forget(&self) {
        self.replay(Vec::clear);
    }

    fn deeds(&self) -> Vec<Deed> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, deed: Deed) {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner).push(deed);
    }

    /// Begins anew with what `change` leaves of everything that was done.
    fn replay(&self, change: impl FnOnce(&mut Vec<Deed>)) {
        let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut deeds);
        let anew = Self::new().engine();
        deeds.iter().for_each(|deed| deed.again(&anew));
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = anew;
    }

    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        block_on(self.engine().get(addresses, now))
    }

    /// What is stored at `address`, expired or not.
    fn stored(&self, address: &Address) -> Option<Entry> {
        self.get(vec![address.clone()], Timestamp::EPOCH).ok()?.value.pop().flatten()
    }

    fn scan(&self, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        block_on(self.engine().scan(scan))
    }

    /// What `keep` says yes to of the next few entries; it stops where it has as many as are wanted.
    fn filter(&self, scan: Scan, keep: &dyn Fn(&Entry) -> bool) -> Result<Snapshot<Filtered>> {
        let wanted = scan.limit;
        let Snapshot { revision, value: Page { items, more } } = self.scan(Scan { limit: LOOKED_AT, ..scan })?;
        let mut found = Filtered { items: Vec::new(), examined: 0, through: None };
        for (index, entry) in items.iter().enumerate() {
            found.examined += 1;
            if keep(entry) {
                found.items.push(entry.clone());
            }
            let last = index + 1 == items.len();
            if (last && more) || (!last && found.items.len() == wanted) {
                found.through = Some(entry.address.clone());
                break;
            }
        }
        Ok(Snapshot { revision, value: found })
    }

    fn count(&self, range: Range, now: Timestamp) -> Result<Snapshot<u64>> {
        block_on(self.engine().count(range, now))
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.note(Deed::Commit(commit.clone()));
        block_on(self.engine().commit(vec![commit])).swap_remove(0)
    }

    fn resolve(&self, id: CommitId) -> Result<Resolution> {
        self.note(Deed::Resolve(id));
        block_on(self.engine().resolve(id))
    }

    fn changes(&self, query: ChangesQuery) -> Result<Changes> {
        block_on(self.engine().changes(query))
    }

    fn undo(&self, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        block_on(self.engine().undo(undo))
    }

    fn usage(&self, namespace: Namespace) -> Result<Snapshot<Usage>> {
        block_on(self.engine().usage(namespace))
    }

    fn trim(&self, trim: Trim) -> Result<Trimmed> {
        self.note(Deed::Trim(trim.clone()));
        block_on(self.engine().trim(trim))
    }

    fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<Address>> {
        block_on(self.engine().expired(now, limit))
    }

    fn status(&self) -> EngineStatus {
        self.status_at(Timestamp::EPOCH).expect("memory knows its status")
    }

    fn status_at(&self, now: Timestamp) -> Result<EngineStatus> {
        block_on(self.engine().status(now))
    }
}

/// Makes a lie; each handle has one of its own, because some of them remember.
pub(crate) type Make = fn() -> Arc<dyn Lie>;

/// Every lie there is.
pub(crate) fn all() -> Vec<Make> {
    let reading = [logs::all(), moments::all(), pasts::all(), queries::all(), reads::all()].concat();
    let writing = [commits::all(), crashes::all(), identities::all(), names::all(), rooms::all()].concat();
    [reading, writing, indexes::all(), uniques::all()].concat()
}

/// A place for one store that lies.
pub(crate) struct Den {
    honest: Arc<Honest>,
    lie: Make,
}

impl Den {
    pub(crate) fn new(lie: Make) -> Self {
        Self { honest: Arc::new(Honest::new()), lie }
    }
}

impl Site for Den {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        let (honest, lie) = (self.honest.clone(), (self.lie)());
        let engine: Arc<dyn Engine> = Arc::new(Liar { honest, lie, closed: AtomicBool::new(false) });
        Box::pin(ready(Ok(engine)))
    }

    fn crash(&self) -> Option<BoxFuture<'_, Result<()>>> {
        (self.lie)().crashing(&self.honest);
        Some(Box::pin(ready(Ok(()))))
    }
}

/// A handle to a store that lies.
#[derive(Debug)]
struct Liar {
    honest: Arc<Honest>,
    lie: Arc<dyn Lie>,
    closed: AtomicBool,
}

impl Liar {
    fn open(&self) -> Result<&Honest> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Closed, "the handle was closed")),
            false => Ok(&self.honest),
        }
    }
}

fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, T> {
    Box::pin(ready(answer))
}

impl Engine for Liar {
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "liar", durability: Durability::Full, ..self.honest.engine().capabilities() }
    }

    fn get(&self, addresses: Vec<Address>, at: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        now(self.open().and_then(|honest| self.lie.get(honest, addresses, at)))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        now(self.open().and_then(|honest| self.lie.scan(honest, scan)))
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        now(self.open().and_then(|honest| self.lie.scan(honest, scan)).map(|Snapshot { revision, value }| {
            let items = value.items.into_iter().map(|entry| entry.address).collect();
            Snapshot { revision, value: Page { items, more: value.more } }
        }))
    }

    fn count(&self, range: Range, at: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        now(self.open().and_then(|honest| self.lie.count(honest, range, at)))
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        now(match self.open() {
            Ok(honest) => self.lie.group(honest, group),
            Err(_) => group.iter().map(|_| self.open().and(Err(Error::new(ErrorKind::Closed, "it stays closed")))).collect(),
        })
    }

    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        now(self.open().and_then(|honest| self.lie.resolve(honest, id)))
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        now(self.open().and_then(|honest| self.lie.changes(honest, query)))
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        now(self.open().and_then(|honest| self.lie.undo(honest, undo)))
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        now(self.open().and_then(|honest| self.lie.usage(honest, namespace)))
    }

    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        now(self.open().and_then(|honest| self.lie.trim(honest, trim)))
    }

    fn expired(&self, at: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>> {
        now(self.open().and_then(|honest| self.lie.expired(honest, at, limit)))
    }

    fn status(&self, at: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        now(self.open().and_then(|honest| self.lie.status(honest, at)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        if !self.closed.load(Ordering::SeqCst) {
            self.closed.store(self.lie.closing(&self.honest), Ordering::SeqCst);
        }
        now(Ok(()))
    }

    fn pushdown(&self) -> Option<&dyn Pushdown> {
        Some(self)
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }
}

impl Pushdown for Liar {
    // Nobody asks again, so that every lie gets through.
    fn fit(&self, _: &Condition) -> Fit {
        Fit::Exact
    }

    fn filter(&self, scan: Scan, filter: Filter) -> BoxFuture<'_, Result<Snapshot<Filtered>>> {
        now(self.open().and_then(|honest| self.lie.filter(honest, scan, filter)))
    }
}
