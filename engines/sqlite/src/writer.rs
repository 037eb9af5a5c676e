//! The writer: one thread, one connection, one transaction at a time.
//!
//! Writes run here, so they never block an executor. What a caller has handed over is done whether the caller waits for
//! it or not.

use std::{
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use futures_channel::oneshot;
use larder_core::{
    Commit, CommitId, Durability, Error, ErrorKind, Index, Namespace, Outcome, Result, Timestamp,
    engine::Resolution,
    index::{IndexId, IndexStatus},
};
use rusqlite::Connection;

use crate::{
    apply, build,
    checkpoint::{self, Progress},
    config::SqliteConfig,
    engine::LIMITS,
    error::{self, again, explain},
    file::connect,
    head::Head,
    kept::Kept,
    lineage,
    presence::Presence,
    readers::Readers,
    trim::{self, Step, Task},
};

/// What the writer is asked to do, and where to answer.
#[derive(Debug)]
pub(crate) enum Job {
    Commit(Vec<Commit>, oneshot::Sender<Vec<Result<Outcome>>>),
    Resolve(CommitId, oneshot::Sender<Result<Resolution>>),
    Trim(Task, oneshot::Sender<Result<Step>>),
    CreateIndex(Namespace, Index, oneshot::Sender<Result<IndexStatus>>),
    DropIndex(IndexId, oneshot::Sender<Result<bool>>),
    AdvanceIndex(IndexId, usize, Timestamp, oneshot::Sender<Result<Option<IndexStatus>>>),
    Close(oneshot::Sender<Result<()>>),
}

/// The way to the writer; when the last one is dropped, the thread ends.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Sender<Job>);

/// Why there is no answer.
pub(crate) enum Gone {
    /// The writer had ended before it was asked: nothing was done.
    Before,
    /// The writer ended or failed at work: nobody knows.
    Meanwhile,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(desk: Desk) -> Result<Self> {
        let (sender, jobs) = channel();
        thread::Builder::new().name("larder-sqlite".to_owned()).spawn(move || desk.work(&jobs)).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the system cannot start one more thread").engine("sqlite").caused_by(error)
        })?;
        Ok(Self(sender))
    }

    /// Hands over a job and waits for its answer.
    pub(crate) async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        self.0.send(job(answer)).map_err(|_| Gone::Before)?;
        answered.await.map_err(|_| Gone::Meanwhile)
    }
}

/// What the thread works with.
pub(crate) struct Desk {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) config: SqliteConfig,
    /// Whose connections do what the writer should not wait for.
    pub(crate) readers: Arc<Readers>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) kept: Kept,
    /// After the connection, so that it is dropped after it.
    pub(crate) presence: Arc<Presence>,
}

impl Desk {
    fn work(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            if let Job::Close(answer) = job {
                let _ = answer.send(self.close());
                return;
            }
            // A job that panics takes its answer with it, and nothing else.
            if panic::catch_unwind(AssertUnwindSafe(|| self.one(job))).is_err() {
                self.recover();
            }
        }
        // Dropped without a close: there is nobody left to tell.
        let _ = self.close();
    }

    fn one(&mut self, job: Job) {
        // Whoever asked may have gone; the work is done all the same.
        match job {
            Job::Commit(group, answer) => drop(answer.send(self.group(&group))),
            Job::Resolve(id, answer) => drop(answer.send(self.resolve(id))),
            Job::Trim(task, answer) => drop(answer.send(trim::step(&mut self.connection, &self.progress, task))),
            Job::CreateIndex(namespace, index, answer) => {
                drop(answer.send(self.by_itself(|connection, head| build::create(connection, head, &namespace, &index))));
            }
            Job::DropIndex(id, answer) => {
                drop(answer.send(self.by_itself(|connection, head| build::drop(connection, head, id))));
            }
            Job::AdvanceIndex(id, limit, now, answer) => {
                let advanced = self.by_itself(|connection, head| build::advance(connection, head, id, limit, now));
                // What cannot be built was dropped, and that stays.
                drop(answer.send(advanced.flatten()));
            }
            Job::Close(_) => unreachable!("closing ends the work before it gets here"),
        }
    }

    /// Decides and applies each commit; together with the others if that goes well, else each on its own, so that what
    /// is too much for the disk does not take its neighbours with it.
    fn group(&mut self, group: &[Commit]) -> Vec<Result<Outcome>> {
        match self.together(group) {
            Ok(answers) => answers,
            Err(Failure::Refused(_)) if group.len() > 1 => {
                group.iter().flat_map(|commit| self.group(std::slice::from_ref(commit))).collect()
            }
            // Nobody who waited for the same lock in vain should wait for it once more.
            Err(Failure::NotBegun(error) | Failure::Refused(error)) => group.iter().map(|_| Err(again(&error))).collect(),
            Err(Failure::Unknown(error)) => {
                group.iter().map(|commit| Err(Error::outcome_unknown(commit.id, &error))).collect()
            }
        }
    }

    fn together(&mut self, group: &[Commit]) -> Result<Vec<Result<Outcome>>, Failure> {
        let mut kept = std::mem::take(&mut self.kept);
        let answers = self.transaction(|connection, head| {
            kept.refresh(connection, head)?;
            let decide = |commit| match LIMITS.verify(commit) {
                Ok(()) => apply::commit(connection, head, &kept, commit),
                Err(refusal) => Ok(Err(refusal)),
            };
            group.iter().map(decide).collect()
        });
        self.kept = kept;
        answers
    }

    fn resolve(&mut self, id: CommitId) -> Result<Resolution> {
        self.by_itself(|connection, head| match apply::remembered(connection, id)? {
            Some(resolution) => Ok(resolution),
            None => apply::fence(connection, head, id),
        })
    }

    /// Runs `work`, which may be done twice, in a write transaction.
    fn by_itself<T>(&mut self, work: impl FnOnce(&Connection, &mut Head) -> Result<T>) -> Result<T> {
        self.transaction(work).map_err(|failure| match failure {
            Failure::NotBegun(error) | Failure::Refused(error) | Failure::Unknown(error) => error,
        })
    }

    /// Runs `work` in a write transaction.
    ///
    /// The lock is taken at the beginning: a transaction that reads first and locks later can find that the world has
    /// moved in between.
    fn transaction<T>(&mut self, work: impl FnOnce(&Connection, &mut Head) -> Result<T>) -> Result<T, Failure> {
        let connection = &self.connection;
        run(connection, "BEGIN IMMEDIATE").map_err(|error| Failure::NotBegun(explain(error)))?;
        let relaxed_boot = (self.config.durability == Durability::Relaxed).then(lineage::boot);
        let worked = Head::read(connection).and_then(|mut head| {
            let answer = work(connection, &mut head)?;
            head.write(connection, relaxed_boot)?;
            Ok(answer)
        });
        let failure = match worked {
            Err(error) => Failure::Refused(error),
            Ok(answer) => match run(connection, "COMMIT") {
                Ok(()) => return Ok(answer),
                Err(error) if error::wrote_nothing(&error) => Failure::Refused(explain(error)),
                Err(error) => Failure::Unknown(explain(error)),
            },
        };
        self.recover();
        Err(failure)
    }

    /// Ends a transaction that went wrong. Where even that fails, a new connection knows of no transaction.
    fn recover(&mut self) {
        let clean = self.connection.is_autocommit() || run(&self.connection, "ROLLBACK").is_ok();
        if !clean && let Ok(mut connection) = connect(&self.path, &self.config) {
            // Without it SQLite sees to the log itself, within commits.
            let _ = checkpoint::begin(&mut connection, &self.readers, &self.progress);
            self.connection = connection;
        }
    }

    /// Lets go of the file. What a power cut could have taken is made safe first.
    fn close(self) -> Result<()> {
        let Self { connection, presence, config, .. } = self;
        if config.durability == Durability::Relaxed {
            connection.pragma_update(None, "synchronous", "FULL").map_err(explain)?;
            connection.execute("UPDATE store SET relaxed_boot = NULL", []).map_err(explain)?;
        }
        let closed = connection.close().map_err(|(_, error)| explain(error));
        drop(presence);
        closed
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// Why a transaction did not end well.
enum Failure {
    /// The lock could not be had: nothing of it was even looked at.
    NotBegun(Error),
    /// Nothing of it was written.
    Refused(Error),
    /// It may have been written.
    Unknown(Error),
}
