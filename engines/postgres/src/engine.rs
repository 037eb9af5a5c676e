//! The engine: the seam on one hand, readers and writer on the other.

use std::sync::Arc;

use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Durability, Engine, Entry, Error, ErrorKind, Limits,
    Namespace, Outcome, Range, Result, Snapshot, StoreId, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Capabilities, EngineStatus, Indexes, Page, Pushdown, Reach, Resolution, Scan, Signals},
};

use crate::{
    config::PostgresConfig,
    error::{closed, unavailable},
    keeper::Keeper,
    log, place, read,
    readers::Readers,
    runtime,
    signals::Listener,
    trim::Task,
    undo,
    writer::{Gone, Job, SILENCE, Writer},
};

/// What a server takes at most. PostgreSQL itself ends at a billion bytes a value, and for all values of a statement.
pub(crate) const LIMITS: Limits =
    Limits { value_bytes: 64 << 20, commit_writes: 4096, commit_checks: 4096, commit_bytes: 128 << 20 };

/// A store in one schema of a database.
///
/// A clone is another handle to the same connections.
#[derive(Clone, Debug)]
pub struct PostgresEngine {
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Writer,
    listener: Arc<Listener>,
    durability: Durability,
}

impl PostgresEngine {
    /// Connects, and creates the store with the identity `fresh` where there is none.
    ///
    /// # Errors
    /// `Unavailable` for a server that cannot be reached; `Denied` for one that does not let us in, or not create what is
    /// missing; `NotFound` for a missing database, or a missing store that is not to be created; `Invalid` for a schema of
    /// another program; `Unsupported` for a store of a newer version, a server of an older one, and one that cannot give
    /// the durability asked for. Nothing is touched by any of them.
    pub async fn open(config: PostgresConfig, fresh: StoreId) -> Result<Self> {
        // Somebody else may be creating the same store for a while.
        let opened = runtime::within(config.patience + SILENCE, place::open(&config, fresh)).await;
        let silent = || unavailable(format!("the server at {} has fallen silent", config.place()));
        let place::Store { id, durability, session } = opened.ok_or_else(silent)??;
        let keeper = Arc::new(Keeper::new(config, id));
        let writer = Writer::start(keeper.clone(), durability, session).await?;
        let listener = Arc::new(Listener::new(keeper.clone()));
        Ok(Self { readers: Arc::new(Readers::new(keeper)), writer, listener, durability })
    }
}

/// What is told to whoever asked a writer that is gone for anything but a commit.
pub(crate) fn failed(gone: Gone) -> Error {
    match gone {
        Gone::Before => closed(),
        Gone::Meanwhile => Error::new(ErrorKind::Internal, "the task that writes failed").engine("postgres"),
    }
}

impl Engine for PostgresEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "postgres", limits: LIMITS, durability: self.durability, reach: Reach::Cluster }
    }

    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        Box::pin(read::get(&self.readers, addresses, now))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        Box::pin(read::scan(&self.readers, scan))
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        Box::pin(read::list(&self.readers, scan))
    }

    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        Box::pin(read::count(&self.readers, range, now))
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        let ids: Vec<CommitId> = group.iter().map(|commit| commit.id).collect();
        Box::pin(async move {
            if self.readers.is_closed() {
                return ids.iter().map(|_| Err(closed())).collect();
            }
            let unknown = |id| Err(Error::outcome_unknown(id, "the task that writes failed").engine("postgres"));
            match self.writer.ask(|answer| Job::Commit(group, answer)).await {
                Ok(answers) => answers,
                Err(Gone::Before) => ids.iter().map(|_| Err(closed())).collect(),
                Err(Gone::Meanwhile) => ids.into_iter().map(unknown).collect(),
            }
        })
    }

    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        Box::pin(
            async move { self.writer.ask(|answer| Job::Resolve(id, answer)).await.unwrap_or_else(|gone| Err(failed(gone))) },
        )
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        Box::pin(log::changes(&self.readers, query))
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        Box::pin(undo::undo(&self.readers, undo))
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        Box::pin(read::usage(&self.readers, namespace))
    }

    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(async move {
            let (mut changes, mut ids) = (0, 0);
            let mut task = Task::new(trim);
            // Step by step, so that commits that wait in the meantime get their turn.
            loop {
                let step =
                    self.writer.ask(|answer| Job::Trim(task, answer)).await.unwrap_or_else(|gone| Err(failed(gone)))?;
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
        Box::pin(read::expired(&self.readers, now, limit))
    }

    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        Box::pin(read::status(&self.readers, now))
    }

    fn pushdown(&self) -> Option<&dyn Pushdown> {
        Some(self)
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }

    fn signals(&self) -> Option<&dyn Signals> {
        Some(&*self.listener)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.readers.close();
            self.listener.close();
            // A writer that has gone already has let go of its session.
            let _ = self.writer.ask(Job::Close).await;
            Ok(())
        })
    }
}
