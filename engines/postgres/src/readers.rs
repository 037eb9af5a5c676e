//! Readers: where questions are asked.
//!
//! What takes one statement is a moment of its own, and many callers ask over the same few sessions, one behind the other
//! without waiting. What takes more has a session to itself, in a transaction that sees one moment.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use larder_core::Result;
use tokio::sync::Semaphore;
use tokio_postgres::Row;

use crate::{
    error::{Attempt, Failure, closed},
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
            match lane.session().await?.query(sql, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Lost(error)) => lost = Some(error),
            }
        }
        Err(lost.expect("nobody gets here without having lost a session"))
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
            match readers.moment(&read).await {
                Err(Failure::Lost(_)) => readers.moment(&read).await.map_err(Failure::into_error),
                other => other.map_err(Failure::into_error),
            }
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
