//! An engine in front of another one that is slow or breaks off, at a place that a case chooses.
//!
//! It changes no answer: what gets through is what the engine underneath says.

pub(crate) mod nth;
pub(crate) mod restless;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_lite::future;
use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Engine, Entry, Error, ErrorKind, Limits, Namespace,
    Outcome, Range, Result, Snapshot, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Backup, Capabilities, EngineStatus, Indexes, Page, Pushdown, Resolution, Scan},
};

/// An engine that takes its time over commits, keeps to the floor of limits, and fails when a case says so.
#[derive(Debug)]
pub(crate) struct Fault {
    below: Arc<dyn Engine>,
    /// How many more calls of `commit` get through; the others are told that the engine cannot be reached.
    commits_left: AtomicUsize,
    /// How often a commit lets others run before it goes on.
    pauses: usize,
    /// What others do just before one of the commits gets through.
    meanwhile: Mutex<Option<Meanwhile>>,
    /// Whose answer is lost: the commit with this number, which happened or not.
    deaf: Option<(AtomicUsize, bool)>,
}

/// What happens once, before the commit with this number; the first one is 0.
struct Meanwhile {
    commit: usize,
    act: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meanwhile").field("commit", &self.commit).finish_non_exhaustive()
    }
}

impl Fault {
    /// Lets `commits` calls of `commit` through, and no more.
    pub(crate) fn after(commits: usize, below: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self { below, commits_left: AtomicUsize::new(commits), pauses: 0, meanwhile: Mutex::default(), deaf: None })
    }

    /// Never answers a commit at once.
    pub(crate) fn slow(below: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            below,
            commits_left: AtomicUsize::new(usize::MAX),
            pauses: 3,
            meanwhile: Mutex::default(),
            deaf: None,
        })
    }

    /// Lets `act` happen just before the commit with this number, counted from 0, reaches the engine.
    pub(crate) fn meanwhile(commit: usize, below: Arc<dyn Engine>, act: impl FnOnce() + Send + 'static) -> Arc<Self> {
        let meanwhile = Mutex::new(Some(Meanwhile { commit, act: Box::new(act) }));
        Arc::new(Self { below, commits_left: AtomicUsize::new(usize::MAX), pauses: 0, meanwhile, deaf: None })
    }

    /// Loses the answer to the commit with this number, counted from 0, whether it `happened` or not.
    pub(crate) fn deaf(commit: usize, happened: bool, below: Arc<dyn Engine>) -> Arc<Self> {
        let (commits_left, deaf) = (AtomicUsize::new(usize::MAX), Some((AtomicUsize::new(commit), happened)));
        Arc::new(Self { below, commits_left, pauses: 0, meanwhile: Mutex::default(), deaf })
    }

    /// Takes what is to happen before the next commit, if it is its turn.
    fn turn(&self) -> Option<Meanwhile> {
        let mut meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        let next = meanwhile.as_mut()?;
        if next.commit == 0 {
            return meanwhile.take();
        }
        next.commit -= 1;
        None
    }
}

impl Engine for Fault {
    fn capabilities(&self) -> Capabilities {
        Capabilities { limits: Limits::FLOOR, ..self.below.capabilities() }
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        let taken = self.commits_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if taken.is_err() {
            let gone = || Err(Error::new(ErrorKind::Unavailable, "the case has pulled the plug"));
            let answers = group.iter().map(|_| gone()).collect();
            return Box::pin(future::ready(answers));
        }
        if let Some(meanwhile) = self.turn() {
            (meanwhile.act)();
        }
        let lost = self.deaf.as_ref().filter(|(commit, _)| commit.fetch_sub(1, Ordering::SeqCst) == 0);
        let happens = lost.is_none_or(|(_, happened)| *happened);
        Box::pin(async move {
            for _ in 0..self.pauses {
                future::yield_now().await;
            }
            let ids: Vec<CommitId> = group.iter().map(|commit| commit.id).collect();
            let answers = if happens { self.below.commit(group).await } else { Vec::new() };
            if lost.is_none() {
                return answers;
            }
            ids.into_iter().map(|id| Err(Error::outcome_unknown(id, "the answer was lost"))).collect()
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
        self.below.indexes()
    }
}
