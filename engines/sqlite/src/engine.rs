//! The engine: the seam on one hand, readers and writer on the other.

use std::sync::Arc;

use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Durability, Engine, Entry, Error, ErrorKind, Limits,
    Namespace, Outcome, Range, Result, Snapshot, StoreId, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Backup, Capabilities, EngineStatus, Indexes, Page, Pushdown, Reach, Resolution, Scan},
};

use crate::{
    checkpoint,
    config::SqliteConfig,
    error::closed,
    file, head,
    kept::Kept,
    lineage, log, read,
    readers::Readers,
    trim::Task,
    undo,
    writer::{Desk, Gone, Job, Writer},
};

/// What a file takes at most. SQLite itself ends at a billion bytes a row.
pub(crate) const LIMITS: Limits =
    Limits { value_bytes: 64 << 20, commit_writes: 4096, commit_checks: 4096, commit_bytes: 128 << 20 };

/// Reads of up to this many rows count as small.
pub(crate) const SMALL: usize = 128;

/// A store in one file.
///
/// A clone is another handle to the same connections.
#[derive(Clone, Debug)]
pub struct SqliteEngine {
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Writer,
    durability: Durability,
}

impl SqliteEngine {
    /// Opens the file, and creates it with the identity `fresh` where there is none.
    ///
    /// # Errors
    /// `NotFound` for a missing directory, or a missing file that is not to be created; `Invalid` for a directory, an
    /// empty file and a file of another program; `Unsupported` for one of a newer version; `Denied` for a read-only
    /// one; `Corrupt` for one that was cut off. None of them is touched.
    pub async fn open(config: SqliteConfig, fresh: StoreId) -> Result<Self> {
        blocking::unblock(move || Self::open_blocking(&config, fresh)).await
    }

    fn open_blocking(config: &SqliteConfig, fresh: StoreId) -> Result<Self> {
        let (path, presence, mut connection) = file::open(config, fresh)?;
        lineage::notice_lost_past(&connection)?;
        let readers = Readers::new(path.clone(), config.clone(), presence.clone());
        readers.warm()?;
        let progress = Arc::default();
        checkpoint::begin(&mut connection, &readers, &progress)?;
        let desk = Desk {
            connection,
            path,
            config: config.clone(),
            readers: readers.clone(),
            progress,
            kept: Kept::default(),
            presence,
        };
        let writer = Writer::start(desk)?;
        Ok(Self { readers, writer, durability: config.durability })
    }
}

/// What is told to whoever asked a writer that is gone for anything but a commit.
pub(crate) fn failed(gone: Gone) -> Error {
    match gone {
        Gone::Before => closed(),
        Gone::Meanwhile => Error::new(ErrorKind::Internal, "the thread that writes failed").engine("sqlite"),
    }
}

impl Engine for SqliteEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "sqlite", limits: LIMITS, durability: self.durability, reach: Reach::Host }
    }

    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        self.readers.read(addresses.len() <= SMALL, move |connection| read::get(connection, &addresses, now))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        self.readers.read(scan.limit <= SMALL, move |connection| read::scan(connection, &scan))
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        self.readers.read(scan.limit <= SMALL, move |connection| read::list(connection, &scan))
    }

    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        self.readers.read(false, move |connection| read::count(connection, &range, now))
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        let ids: Vec<CommitId> = group.iter().map(|commit| commit.id).collect();
        Box::pin(async move {
            if self.readers.is_closed() {
                return ids.iter().map(|_| Err(closed())).collect();
            }
            let unknown = |id| Err(Error::outcome_unknown(id, "the thread that writes failed").engine("sqlite"));
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
        self.readers.read(query.limit <= SMALL, move |connection| log::changes(connection, &query))
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        self.readers.read(undo.limit <= SMALL, move |connection| undo::undo(connection, &undo))
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        self.readers.read(true, move |connection| head::usage(connection, &namespace))
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
        self.readers.read(limit <= SMALL, move |connection| read::expired(connection, now, limit))
    }

    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        self.readers.read(false, move |connection| read::status(connection, now))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.readers.close().await;
            // A writer that has gone already has closed its connection.
            self.writer.ask(Job::Close).await.unwrap_or(Ok(()))
        })
    }

    fn backup(&self) -> Option<&dyn Backup> {
        Some(self)
    }

    fn pushdown(&self) -> Option<&dyn Pushdown> {
        Some(self)
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }
}
