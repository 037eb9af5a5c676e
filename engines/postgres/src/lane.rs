//! Lanes: places for sessions, which are replaced when they are lost.

use std::sync::{Arc, Mutex, PoisonError};

use larder_core::Result;

use crate::{error::Failure, keeper::Keeper, runtime, session::Session};

/// A place for one session, which is replaced when it is lost.
#[derive(Debug)]
pub(crate) struct Lane {
    keeper: Arc<Keeper>,
    /// What each session is told first.
    greeting: Option<String>,
    current: Mutex<Option<Arc<Session>>>,
    connecting: tokio::sync::Mutex<()>,
}

impl Lane {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper, greeting: None, current: Mutex::default(), connecting: tokio::sync::Mutex::new(()) }
    }

    /// A place for one session that is told this first.
    pub(crate) fn greeting(keeper: Arc<Keeper>, sql: String) -> Self {
        Self { greeting: Some(sql), ..Self::new(keeper) }
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
        if let Some(sql) = &self.greeting {
            session.run(sql).await.map_err(Failure::into_error)?;
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Ok(session)
    }

    /// Lets go of this session, if it is still the one: what it was asked stays without an answer.
    pub(crate) fn give_up(&self, session: &Arc<Session>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            current.take();
        }
    }

    /// Lets go of the session.
    pub(crate) fn end(&self) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
