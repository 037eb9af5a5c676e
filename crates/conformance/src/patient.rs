//! An engine as seen by a caller who does what errors say: waits and sends again, or asks what became of a commit.
//!
//! On it the recordings and the watches of this crate run over a line that fails all the time. What was refused must not have
//! happened, and what nobody knows is found out by its id, so in the end every answer is definite and can be held against the
//! others. Knows nothing of what disturbs the line.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Engine, Entry, Error, ErrorKind, Namespace, Outcome, Range,
    Result, Snapshot, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Capabilities, EngineStatus, Page, Resolution, Scan},
};

use crate::random::Random;

/// After this time an engine is taken for one that never comes back.
const PATIENCE: Duration = Duration::from_secs(180);

/// An engine over a line that fails.
#[derive(Debug)]
pub struct Patient {
    engine: Arc<dyn Engine>,
    /// For ids: what was refused is sent again under another one.
    random: Mutex<Random>,
}

impl Patient {
    /// `engine`, asked patiently; `seed` is where the ids come from.
    pub fn new(engine: Arc<dyn Engine>, seed: u64) -> Self {
        Self { engine, random: Mutex::new(Random::new(seed)) }
    }

    async fn ask<'a, T>(&'a self, question: impl Fn() -> BoxFuture<'a, Result<T>>) -> Result<T> {
        let begun = Instant::now();
        loop {
            match question().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => wait(begun, &error),
                answer => return answer,
            }
        }
    }

    /// Makes the answer to a commit definite, however long that takes.
    async fn definite(&self, mut commit: Commit, mut answer: Result<Outcome>) -> Result<Outcome> {
        let begun = Instant::now();
        loop {
            let error = match answer {
                Err(error) if [ErrorKind::Unavailable, ErrorKind::OutcomeUnknown].contains(&error.kind()) => error,
                answer => return answer,
            };
            let id = commit.id;
            match (error.kind(), self.ask(|| self.engine.resolve(id)).await?) {
                (ErrorKind::OutcomeUnknown, Resolution::Committed(receipt)) => return Ok(Outcome::Committed(receipt)),
                (_, Resolution::Never) => {}
                (_, other) => panic!("a commit was answered {error}, and then it turned out as {other:?}"),
            }
            wait(begun, &error);
            // That one is fenced now.
            let random = u128::from(self.random.lock().unwrap_or_else(PoisonError::into_inner).bits());
            commit.id = CommitId::new(id.made_at(), random << 64);
            answer = self.engine.commit(vec![commit.clone()]).await.swap_remove(0);
        }
    }
}

fn wait(begun: Instant, error: &Error) {
    assert!(begun.elapsed() < PATIENCE, "the engine never came back: {error}");
    thread::sleep(Duration::from_millis(1));
}

impl Engine for Patient {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        Box::pin(async move { self.ask(|| self.engine.get(addresses.clone(), now)).await })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        Box::pin(async move { self.ask(|| self.engine.scan(scan.clone())).await })
    }

    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        Box::pin(async move { self.ask(|| self.engine.list(scan.clone())).await })
    }

    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        Box::pin(async move { self.ask(|| self.engine.count(range.clone(), now)).await })
    }

    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(group.len());
            for (commit, answer) in group.iter().zip(self.engine.commit(group.clone()).await) {
                answers.push(self.definite(commit.clone(), answer).await);
            }
            answers
        })
    }

    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        Box::pin(self.ask(move || self.engine.resolve(id)))
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        Box::pin(async move { self.ask(|| self.engine.changes(query.clone())).await })
    }

    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        Box::pin(async move { self.ask(|| self.engine.undo(undo.clone())).await })
    }

    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        Box::pin(async move { self.ask(|| self.engine.usage(namespace.clone())).await })
    }

    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        Box::pin(async move { self.ask(|| self.engine.trim(trim.clone())).await })
    }

    fn expired(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>> {
        Box::pin(self.ask(move || self.engine.expired(now, limit)))
    }

    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        Box::pin(self.ask(move || self.engine.status(now)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.engine.close()
    }
}
