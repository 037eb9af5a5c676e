//! Readers: where questions are asked.
//!
//! What takes one statement is a moment of its own, and many callers ask over the same few sessions, one behind the other
//! without waiting. What takes more has a session to itself, in a transaction that sees one moment.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use larder_core::{Error, Result};
use tokio::sync::Semaphore;
use tokio_postgres::Row;

use crate::{
    error::{Attempt, Failure, closed, unavailable},
    keeper::Keeper,
    lane::Lane,
    runtime,
    session::{Parameters, Session},
};

/// How many sessions small questions share.
const SMALL: usize = 2;
/// How many sessions large questions share, which would hold up the small ones.
const LARGE: usize = 2;
/// How many questions of more than one statement are asked at a time.
const ALONE: usize = 4;

/// How often a server may show that it is there while it answers one question: after that it is not that it takes its time.
const PROBES: usize = 60;

/// Why there is no answer.
enum Unanswered {
    Failed(Failure),
    /// The server is silent.
    Never,
}

fn silent() -> Error {
    unavailable("the server has fallen silent")
}

/// The sessions for reading.
#[derive(Debug)]
pub(crate) struct Readers {
    keeper: Arc<Keeper>,
    small: [Arc<Lane>; SMALL],
    large: [Arc<Lane>; LARGE],
    turn: AtomicUsize,
    /// Sessions that nobody has at the moment; as many more as there are permits may be made.
    alone: Mutex<Vec<Session>>,
    permits: Semaphore,
    closed: AtomicBool,
}

impl Readers {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        let lane = |_| Arc::new(Lane::new(keeper.clone()));
        Self {
            small: std::array::from_fn(lane),
            large: std::array::from_fn(lane),
            turn: AtomicUsize::new(0),
            alone: Mutex::default(),
            permits: Semaphore::new(ALONE),
            closed: AtomicBool::new(false),
            keeper,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets go of every session; whoever has asked is still answered.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.small.iter().chain(&self.large).for_each(|lane| lane.end());
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `sql`, a single statement, among others.
    ///
    /// Asked once more when the session turns out to be gone: it may have been for long.
    pub(crate) async fn ask(&self, small: bool, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let lane = if small { &self.small[turn % SMALL] } else { &self.large[turn % LARGE] };
        let mut lost = None;
        for _ in 0..2 {
            if self.is_closed() {
                return Err(closed());
            }
            let session = lane.session().await?;
            let answer = session.query(sql, parameters);
            let answer = if small { self.soon(answer).await } else { self.alive(answer).await };
            match answer {
                Ok(rows) => return Ok(rows),
                Err(Unanswered::Never) => {
                    lane.give_up(&session);
                    return Err(silent());
                }
                Err(Unanswered::Failed(Failure::Refused(error))) => return Err(error),
                Err(Unanswered::Failed(Failure::Lost(error))) => lost = Some(error),
            }
        }
        Err(lost.expect("nobody gets here without having lost a session"))
    }

    /// Waits for an answer that takes no time at a server that is well.
    async fn soon<T>(&self, answer: impl Future<Output = Attempt<T>>) -> Result<T, Unanswered> {
        let answered = runtime::within(self.keeper.config.patience, answer).await;
        answered.ok_or(Unanswered::Never)?.map_err(Unanswered::Failed)
    }

    /// Waits for an answer that may take its time, as long as the server shows now and then that it is there.
    async fn alive<T>(&self, answer: impl Future<Output = Attempt<T>>) -> Result<T, Unanswered> {
        let mut answer = pin!(answer);
        for _ in 0..PROBES {
            if let Some(answered) = runtime::within(self.keeper.config.patience, answer.as_mut()).await {
                return answered.map_err(Unanswered::Failed);
            }
            if self.keeper.session().await.is_err() {
                break;
            }
        }
        Err(Unanswered::Never)
    }

    /// Reads in a transaction that sees one moment. `read` may be called twice, when a session turns out to be gone.
    pub(crate) async fn one_moment<T, F>(
        self: &Arc<Self>,
        read: impl Fn(Arc<Session>) -> F + Send + Sync + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Attempt<T>> + Send + 'static,
    {
        let readers = self.clone();
        // Whoever asked may go away in the middle; the session must not stay in its transaction.
        runtime::elsewhere(async move {
            let answer = match readers.alive(readers.moment(&read)).await {
                Err(Unanswered::Failed(Failure::Lost(_))) => readers.alive(readers.moment(&read)).await,
                other => other,
            };
            answer.map_err(|unanswered| match unanswered {
                Unanswered::Failed(failure) => failure.into_error(),
                Unanswered::Never => silent(),
            })
        })
        .await
    }

    async fn moment<T, F>(&self, read: &impl Fn(Arc<Session>) -> F) -> Attempt<T>
    where
        F: Future<Output = Attempt<T>>,
    {
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        if self.is_closed() {
            return Err(closed().into());
        }
        let idle = self.idle().pop().filter(|session| !session.is_gone());
        let session = match idle {
            Some(session) => session,
            None => self.keeper.session().await?,
        };
        let session = Arc::new(session);
        let answer = read(session.clone()).await?;
        // One whose transaction did not end well is not used again.
        if let Some(session) = Arc::into_inner(session).filter(|_| !self.is_closed()) {
            self.idle().push(session);
        }
        Ok(answer)
    }
}

/// How a transaction that sees one moment begins.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How it ends.
pub(crate) const END: &str = "COMMIT";
