//! The keeper: makes sessions, and knows which store they are for.

use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::{Durability, Error, Result, Revision, StoreId};

use crate::{
    config::RedisConfig,
    error::corrupt,
    head::Head,
    layout::Keys,
    lineage::{Life, notice_lost_past, read_state},
    server,
    session::Session,
};

/// Who makes the sessions of a store.
#[derive(Debug)]
pub(crate) struct Keeper {
    config: RedisConfig,
    store: StoreId,
    pub(crate) keys: Keys,
    /// Whether the server synced before it acknowledged when it was last asked.
    is_full: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(config: RedisConfig, store: StoreId, durability: Durability) -> Self {
        let keys = Keys::new(&config.prefix);
        Self { config, store, keys, is_full: AtomicBool::new(durability == Durability::Full) }
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.config
    }

    pub(crate) fn durability(&self) -> Durability {
        if self.is_full.load(Ordering::Relaxed) { Durability::Full } else { Durability::Relaxed }
    }

    /// A session with a server that is still what it has to be, and that has lost nothing unnoticed.
    pub(crate) async fn session(&self) -> Result<(Session, Life)> {
        let session = Session::connect(&self.config, self.keys.state().into()).await?;
        let server = server::judge(&session, &self.config).await?;
        self.is_full.store(server.durability == Durability::Full, Ordering::Relaxed);
        let state = read_state(&session).await.map_err(Error::from)?;
        self.head(state.as_deref())?;
        notice_lost_past(&session, &server.life).await?;
        Ok((session, server.life))
    }

    /// The state of our store, read from what stands there.
    pub(crate) fn head(&self, state: Option<&[u8]>) -> Result<Head> {
        let head = Head::read(state.ok_or_else(|| corrupt("its state is gone"))?)?;
        if head.store != self.store {
            return Err(corrupt("another store stands in its place"));
        }
        Ok(head)
    }

    /// The revision of our store.
    pub(crate) fn revision(&self, state: Option<&[u8]>) -> Result<Revision> {
        match state.and_then(|state| Head::revision_of(state, self.store)) {
            Some(revision) => Ok(revision),
            // It is not ours; this says why.
            None => self.head(state).map(|head| head.revision),
        }
    }
}
