//! What every session of a store is set up with, and made sure of.
//!
//! Connections come and go while a store is open. Behind a name there may one day be another server: a session is one to
//! the store that was opened, or there is none.

use larder_core::{Durability, Error, ErrorKind, Result, StoreId};

use crate::{
    config::PostgresConfig,
    error::{Failure, unavailable},
    place::VERSION,
    runtime,
    session::Session,
    standing,
};

/// What sessions are made from.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) config: PostgresConfig,
    pub(crate) store: StoreId,
}

impl Keeper {
    pub(crate) fn new(config: PostgresConfig, store: StoreId) -> Self {
        Self { config, store }
    }

    /// A session to the store.
    pub(crate) async fn session(&self) -> Result<Session> {
        let session = standing::connect(&self.config).await?;
        self.adopt(&session).await?;
        Ok(session)
    }

    /// Sets up a session, and makes sure that it is one to the store.
    pub(crate) async fn adopt(&self, session: &Session) -> Result<()> {
        let sql = format!("{}; SELECT store_id, version FROM store, larder_format", settings(&self.config));
        let found = runtime::within(self.config.connecting(), session.ask(&sql)).await;
        let silent = || Failure::Lost(unavailable(format!("the server at {} does not answer", self.config.place())));
        let found = found.unwrap_or_else(|| Err(silent())).map_err(Failure::into_error)?;
        let (store, version) = (self.store.to_string(), VERSION.to_string());
        match found.as_deref() {
            Some([Some(own), Some(format)]) if *own == store && *format == version => Ok(()),
            Some([Some(own), _]) if *own == store => Err(Error::new(
                ErrorKind::Unsupported,
                "the store was brought to another version while it was open; open it again with a Larder that knows it",
            )
            .engine("postgres")),
            _ => {
                let message =
                    format!("what is at {} now is another store than the one that was opened", self.config.place());
                Err(Error::new(ErrorKind::NotFound, message).engine("postgres"))
            }
        }
    }
}

/// What a session is set to.
///
/// A process that stands still in the middle of a commit, with the lock that everybody waits for, is given up by the server
/// after a while; so is one whose machine is gone. There is no timeout for statements: it would end the wait for a standby,
/// which PostgreSQL takes for success. Every statement is written for one index, so what the statistics of a young table say
/// must not lead to another plan.
pub(crate) fn settings(config: &PostgresConfig) -> String {
    let patience = config.patience.as_millis().clamp(1, i32::MAX as u128);
    let relaxed = match config.durability {
        Durability::Full => "",
        Durability::Relaxed | Durability::Volatile => "SET synchronous_commit = off; ",
    };
    format!(
        "SET search_path TO {schema}, pg_temp; SET lock_timeout = {patience}; \
         SET idle_in_transaction_session_timeout = {patience}; SET statement_timeout = 0; SET tcp_user_timeout = {patience}; \
         SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; {relaxed}\
         SET plan_cache_mode = force_generic_plan; SET jit = off; SET max_parallel_workers_per_gather = 0; \
         SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET enable_hashagg = off",
        schema = config.quoted_schema()
    )
}

/// The durability that the server gives to a session of ours.
pub(crate) async fn durability(session: &Session, config: &PostgresConfig) -> Result<Durability> {
    if config.durability == Durability::Volatile {
        let message = "a server that keeps its data cannot be volatile: use memory:";
        return Err(Error::new(ErrorKind::Unsupported, message).engine("postgres"));
    }
    if config.durability == Durability::Relaxed {
        return Ok(Durability::Relaxed);
    }
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let found = session.ask(&format!("SHOW {setting}")).await.map_err(Failure::into_error)?;
        let value = found.and_then(|row| row.into_iter().next().flatten()).unwrap_or_default();
        if value == "off" {
            let message = format!(
                "the server at {} runs with {setting} = off, and a power cut could take what it has acknowledged; \
                 set it to on, or ask for relaxed durability",
                config.place()
            );
            return Err(Error::new(ErrorKind::Unsupported, message).engine("postgres"));
        }
    }
    Ok(Durability::Full)
}
