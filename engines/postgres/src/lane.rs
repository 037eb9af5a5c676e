//! Lanes: places for sessions, which are replaced when they are lost.

use std::sync::{Arc, Mutex, PoisonError};

use larder_core::Result;

use crate::{keeper::Keeper, runtime, session::Session};

/// A place for one session, which is replaced when it is lost.
#[derive(Debug)]
pub(crate) struct Lane {
    keeper: Arc<Keeper>,
    current: Mutex<Option<Arc<Session>>>,
    connecting: tokio::sync::Mutex<()>,
}

impl Lane {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper, current: Mutex::default(), connecting: tokio::sync::Mutex::new(()) }
    }

    fn current(&self) -> Option<Arc<Session>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|session| !session.is_gone())
    }

    /// The session, connected again if the last one is gone.
    pub(crate) async fn session(self: &Arc<Self>) -> Result<Arc<Session>> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        // Whoever asked may never look again, and must not hold up the others by that: it is done elsewhere.
        let lane = self.clone();
        runtime::elsewhere(async move { lane.connect().await }).await
    }

    /// One connects, the others wait for it.
    async fn connect(&self) -> Result<Arc<Session>> {
        let _connecting = self.connecting.lock().await;
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let session = Arc::new(self.keeper.session().await?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Ok(session)
    }

    /// Lets go of the session.
    pub(crate) fn end(&self) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
