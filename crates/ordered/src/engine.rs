//! The engine: the seam on one hand, a map on the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Engine, Entry, Error, ErrorKind, Namespace, Outcome, Range,
    Result, Snapshot, StoreId, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Capabilities, EngineStatus, Indexes, Page, Resolution, Scan},
};

use crate::{
    error::closed,
    keeper::Keeper,
    lane::{Gone, Job, Lane},
    log,
    map::Map,
    place, read,
    trim::Task,
    undo,
};

/// How a store in a map is opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Whether to create the store where there is nothing.
    pub create: bool,
    /// How long a commit is tried again whose answer was lost, or that others were faster than.
    pub patience: Duration,
}

impl Default for Opening {
    fn default() -> Self {
        Self { create: true, patience: Duration::from_secs(10) }
    }
}

/// A store in a map.
///
/// A clone is the same handle. When the last one of the last handle is dropped, what was handed over is done first.
#[derive(Clone, Debug)]
pub struct OrderedEngine {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) lane: Arc<Lane>,
    handle: Arc<Handle>,
}

/// What one opening is of those that share a map.
#[derive(Debug)]
struct Handle {
    keeper: Arc<Keeper>,
    is_closed: AtomicBool,
}

impl Handle {
    fn new(keeper: &Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self { keeper: keeper.clone(), is_closed: AtomicBool::new(false) })
    }

    /// Closes it, and tells whether it was the last one that was open.
    fn close(&self) -> bool {
        !self.is_closed.swap(true, Ordering::AcqRel) && self.keeper.leave()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl OrderedEngine {
    /// Finds the store in `map`, and creates it with the identity `fresh` where there is nothing.
    ///
    /// # Errors
    /// `NotFound` for a missing store that is not to be created; `Invalid` for a map that holds something else;
    /// `Unsupported` for a store of a newer version; those of the map. Nothing is touched by any of them.
    pub async fn open(map: Arc<dyn Map>, fresh: StoreId, opening: Opening) -> Result<Self> {
        let name = map.capabilities().engine;
        let open = async {
            let store = place::open(&*map, fresh, opening.create).await?;
            let keeper = Arc::new(Keeper::new(map.clone(), store, opening.patience));
            let lane = Arc::new(Lane::start(keeper.clone())?);
            Ok(Self { handle: Handle::new(&keeper), keeper, lane })
        };
        open.await.map_err(|error: Error| error.engine(name))
    }

    /// Another handle to the same map, closed by itself; `None` where the last one was closed already.
    pub fn another(&self) -> Option<Self> {
        self.keeper.enter().then(|| Self { handle: Handle::new(&self.keeper), ..self.clone() })
    }

    /// What becomes another handle as long as there is one.
    pub fn downgrade(&self) -> impl Fn() -> Option<Self> + Send + Sync + 'static {
        let (keeper, lane) = (Arc::downgrade(&self.keeper), Arc::downgrade(&self.lane));
        move || {
            let (keeper, lane) = (keeper.upgrade()?, lane.upgrade()?);
            keeper.enter().then(|| Self { handle: Handle::new(&keeper), keeper: keeper.clone(), lane })
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed.load(Ordering::Acquire)
    }

    /// Answers with the name of the engine in every error.
    pub(crate) fn named<'a, T: 'a>(
        &'a self,
        answer: impl Future<Output = Result<T>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>> {
        let name = self.keeper.map.capabilities().engine;
        Box::pin(async move {
            let answer = if self.is_closed() { Err(closed()) } else { answer.await };
            answer.map_err(|error| error.engine(name))
        })
    }
}

impl Engine for OrderedEngine {
    fn capabilities(&self) -> Capabilities {
        self.keeper.map.capabilities()
    }

    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        self.named(read::get(&self.keeper, addresses, now))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        self.named(read::scan(&self.keeper, scan))
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        self.named(read::list(&self.keeper, scan))
    }

    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        self.named(read::count(&self.keeper, range, now))
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        let name = self.capabilities().engine;
        let ids: Vec<CommitId> = group.iter().map(|commit| commit.id).collect();
        Box::pin(async move {
            let unknown = |id| Error::outcome_unknown(id, "the thread that writes failed");
            let asked = match self.is_closed() {
                true => Err(Gone::Before),
                false => self.lane.ask(|answer| Job::Commit(group, answer)).await,
            };
            let answers: Vec<Result<Outcome>> = match asked {
                Ok(answers) => answers,
                Err(Gone::Before) => ids.iter().map(|_| Err(closed())).collect(),
                Err(Gone::Meanwhile) => ids.into_iter().map(|id| Err(unknown(id))).collect(),
            };
            // What is wrong with a commit is so on every engine.
            let is_own = |error: &Error| {
                !matches!(
                    error.kind(),
                    ErrorKind::Invalid | ErrorKind::Limit | ErrorKind::NotFound | ErrorKind::InvalidState
                )
            };
            let named = |error: Error| if is_own(&error) { error.engine(name) } else { error };
            answers.into_iter().map(|answer| answer.map_err(named)).collect()
        })
    }

    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        self.named(async move { self.lane.ask(|answer| Job::Resolve(id, answer)).await? })
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        self.named(log::changes(&self.keeper, query))
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        self.named(undo::undo(&self.keeper, undo))
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        self.named(read::usage(&self.keeper, namespace))
    }

    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        self.named(async move {
            let (mut changes, mut ids) = (0, 0);
            let mut task = Task::new(trim);
            // Step by step, so that commits that wait in the meantime get their turn.
            loop {
                let step = self.lane.ask(|answer| Job::Trim(task, answer)).await??;
                changes += step.trimmed.changes;
                ids += step.trimmed.ids;
                match step.next {
                    Some(next) => task = next,
                    None => return Ok(Trimmed { oldest: step.trimmed.oldest, changes, ids }),
                }
            }
        })
    }

    fn expired(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>> {
        self.named(read::expired(&self.keeper, now, limit))
    }

    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        self.named(read::status(&self.keeper, now))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        let name = self.capabilities().engine;
        Box::pin(async move {
            if !self.handle.close() {
                return Ok(());
            }
            // A lane that has gone already has closed the map.
            let closed = self.lane.ask(Job::Close).await.unwrap_or(Ok(()));
            closed.map_err(|error| error.engine(name))
        })
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }
}
