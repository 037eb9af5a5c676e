//! Readers: where questions are asked.
//!
//! Every question is one command, which the server answers as of one moment. Many callers ask over the same few sessions,
//! one behind the other without waiting; what may take long has sessions of its own.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use larder_core::Result;

use crate::{
    error::{Failure, closed},
    gets::Gets,
    keeper::Keeper,
    runtime,
    session::{Answers, Call, Session},
};

/// How many sessions small questions share.
const SMALL: usize = 2;
/// How many sessions large questions share, which would hold up the small ones.
const LARGE: usize = 1;

/// The sessions for reading.
#[derive(Debug)]
pub(crate) struct Readers {
    pub(crate) keeper: Arc<Keeper>,
    small: [Arc<Lane>; SMALL],
    large: [Arc<Lane>; LARGE],
    turn: AtomicUsize,
    /// Who waits to be asked for together with others.
    pub(crate) gets: Gets,
    /// The key of the state.
    state: String,
    closed: AtomicBool,
}

/// A place for one session, which is replaced when it is lost.
#[derive(Debug, Default)]
struct Lane {
    current: Mutex<Option<Arc<Session>>>,
    connecting: tokio::sync::Mutex<()>,
}

impl Lane {
    fn current(&self) -> Option<Arc<Session>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|session| !session.is_gone())
    }

    fn replace(&self, session: Option<Arc<Session>>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    /// The session, connected again if the last one is gone.
    async fn session(self: &Arc<Self>, keeper: &Arc<Keeper>) -> Result<Arc<Session>> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        // Whoever asked may never look again, and must not hold up the others by that: it is done elsewhere.
        let (lane, keeper) = (self.clone(), keeper.clone());
        runtime::elsewhere(async move { lane.connect(&keeper).await }).await
    }

    /// One connects, the others wait for it.
    async fn connect(&self, keeper: &Keeper) -> Result<Arc<Session>> {
        let _connecting = self.connecting.lock().await;
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let (session, _) = keeper.session().await?;
        let session = Arc::new(session);
        self.replace(Some(session.clone()));
        Ok(session)
    }
}

impl Readers {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        let (small, large) = (Default::default(), Default::default());
        let (state, gets) = (keeper.keys.state(), Gets::default());
        Self { keeper, small, large, turn: AtomicUsize::new(0), gets, state, closed: AtomicBool::new(false) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets go of every session; whoever has asked is still answered.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.small.iter().chain(&self.large).for_each(|lane| lane.replace(None));
    }

    /// The key of the state.
    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    /// A function that reads.
    pub(crate) fn function(&self, name: &str) -> Call {
        Call::reading(name, &self.state)
    }

    /// Asks among others; once more when the session turns out to be gone: it may have been for long.
    pub(crate) async fn ask(&self, small: bool, call: impl Into<Call>) -> Result<Answers> {
        let call = call.into();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let lanes: &[Arc<Lane>] = if small { &self.small } else { &self.large };
        let lane = &lanes[turn % lanes.len()];
        let mut lost = None;
        for _ in 0..2 {
            if self.is_closed() {
                return Err(closed());
            }
            let session = lane.session(&self.keeper).await?;
            if self.is_closed() {
                // Connected too late for whoever has let go of all sessions.
                lane.replace(None);
                return Err(closed());
            }
            match session.ask(&call).await {
                Ok(answers) => return Ok(answers),
                Err(Failure::Refused(error) | Failure::Torn(error)) => return Err(error),
                Err(Failure::Lost(error)) => lost = Some(error),
            }
        }
        Err(lost.unwrap_or_else(closed))
    }
}
