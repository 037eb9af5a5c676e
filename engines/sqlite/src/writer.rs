//! The writer: one thread, one connection, one transaction at a time.
//!
//! Writes run here, so they never block an executor. What a caller has handed over is done whether the caller waits for
//! it or not.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use futures_channel::oneshot;
use larder_core::{Commit, CommitId, Durability, Error, ErrorKind, Limits, Outcome, Result, Trim, engine::Resolution};
use rusqlite::Connection;

use crate::{
    apply::{self, Head},
    error::{self, explain},
    lineage,
    log::{self, Step},
};

/// What the writer is asked to do, and where to answer.
#[derive(Debug)]
pub(crate) enum Job {
    Commit(Vec<Commit>, oneshot::Sender<Vec<Result<Outcome>>>),
    Resolve(CommitId, oneshot::Sender<Result<Resolution>>),
    Trim(Trim, oneshot::Sender<Result<Step>>),
    Close(oneshot::Sender<Result<()>>),
}

/// The way to the writer; when the last one is dropped, the thread ends.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Sender<Job>);

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection, limits: Limits, durability: Durability) -> Result<Self> {
        let (sender, jobs) = channel();
        let relaxed_boot = (durability == Durability::Relaxed).then(lineage::boot);
        let desk = Desk { connection, limits, relaxed_boot };
        thread::Builder::new().name("larder-sqlite".to_owned()).spawn(move || desk.work(&jobs)).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the system cannot start one more thread").engine("sqlite").caused_by(error)
        })?;
        Ok(Self(sender))
    }

    /// Hands over a job and waits for its answer; `None` when the writer is gone.
    pub(crate) async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.0.send(job(answer)).ok()?;
        answered.await.ok()
    }
}

struct Desk {
    connection: Connection,
    limits: Limits,
    /// The boot of the system, when what is acknowledged may still be lost to a power cut.
    relaxed_boot: Option<String>,
}

impl Desk {
    fn work(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            // Whoever asked may have gone; the work is done all the same.
            match job {
                Job::Commit(group, answer) => drop(answer.send(self.group(&group))),
                Job::Resolve(id, answer) => drop(answer.send(self.resolve(id))),
                Job::Trim(trim, answer) => drop(answer.send(log::trim_step(&mut self.connection, trim))),
                Job::Close(answer) => {
                    let _ = answer.send(self.close());
                    return;
                }
            }
        }
        // Dropped without a close: there is nobody left to tell.
        let _ = self.close();
    }

    /// Decides and applies each commit; together with the others if that goes well, else each on its own, so that what
    /// is too much for the disk does not take its neighbours with it.
    fn group(&self, group: &[Commit]) -> Vec<Result<Outcome>> {
        match self.together(group) {
            Ok(answers) => answers,
            Err(_) if group.len() > 1 => group.iter().flat_map(|commit| self.group(std::slice::from_ref(commit))).collect(),
            Err(Failure::Refused(error)) => vec![Err(error)],
            Err(Failure::Unknown(error)) => {
                group.iter().map(|commit| Err(Error::outcome_unknown(commit.id, &error))).collect()
            }
        }
    }

    fn together(&self, group: &[Commit]) -> Result<Vec<Result<Outcome>>, Failure> {
        self.transaction(|connection, head| {
            let decide = |commit| match self.limits.verify(commit) {
                Ok(()) => apply::commit(connection, head, commit),
                Err(refusal) => Ok(Err(refusal)),
            };
            group.iter().map(decide).collect()
        })
    }

    fn resolve(&self, id: CommitId) -> Result<Resolution> {
        let resolved = self.transaction(|connection, head| match apply::remembered(connection, id)? {
            Some(resolution) => Ok(resolution),
            None => apply::fence(connection, head, id),
        });
        resolved.map_err(|failure| match failure {
            Failure::Refused(error) | Failure::Unknown(error) => error,
        })
    }

    /// Runs `work` in a write transaction.
    ///
    /// The lock is taken at the beginning: a transaction that reads first and locks later can find that the world has
    /// moved in between.
    fn transaction<T>(&self, work: impl FnOnce(&Connection, &mut Head) -> Result<T>) -> Result<T, Failure> {
        let run = |sql: &str| self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        run("BEGIN IMMEDIATE").map_err(|error| Failure::Refused(explain(error)))?;
        let worked = Head::read(&self.connection).and_then(|before| {
            let mut head = before.clone();
            let answer = work(&self.connection, &mut head)?;
            if head != before {
                head.write(&self.connection, self.relaxed_boot.as_deref())?;
            }
            Ok(answer)
        });
        let failure = match worked {
            Err(error) => Failure::Refused(error),
            Ok(answer) => match run("COMMIT") {
                Ok(_) => return Ok(answer),
                Err(error) if error::wrote_nothing(&error) => Failure::Refused(explain(error)),
                Err(error) => Failure::Unknown(explain(error)),
            },
        };
        if !self.connection.is_autocommit() {
            run("ROLLBACK").map_err(|error| Failure::Unknown(explain(error)))?;
        }
        Err(failure)
    }

    /// Lets go of the file. What a power cut could have taken is made safe first.
    fn close(self) -> Result<()> {
        if self.relaxed_boot.is_some() {
            self.connection.pragma_update(None, "synchronous", "FULL").map_err(explain)?;
            self.connection.execute("UPDATE store SET relaxed_boot = NULL", []).map_err(explain)?;
        }
        self.connection.close().map_err(|(_, error)| explain(error))
    }
}

/// Why a transaction did not end well.
enum Failure {
    /// Nothing of it was written.
    Refused(Error),
    /// It may have been written.
    Unknown(Error),
}
