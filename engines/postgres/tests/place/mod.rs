//! Places for stores at a server: a schema each, gone with its case.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use larder_conformance::Site;
use larder_core::{BoxFuture, Engine, Error, ErrorKind, Result, StoreId};
use larder_postgres::{PostgresConfig, PostgresEngine};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// The server for tests: its URL, without parameters.
pub(crate) fn server() -> String {
    std::env::var("LARDER_TEST_POSTGRES").expect(
        "these tests need a server: `cargo xtask engine postgres` starts one, and LARDER_TEST_POSTGRES=postgres://... names one",
    )
}

/// Runs `sql` at the server, as its owner; the answer is the first cell of every row.
pub(crate) fn administer(sql: &str) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
    administer_at(&server(), sql)
}

/// As [`administer`], at another server.
pub(crate) fn administer_at(url: &str, sql: &str) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    // On a thread of its own, whatever runs on this one.
    let done = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let connection = tokio::spawn(connection);
            let rows = client.simple_query(&sql).await;
            drop(client);
            let _ = connection.await;
            Ok(rows?
                .into_iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
                    _ => None,
                })
                .collect())
        })
    });
    done.join().expect("the server can be administered")
}

/// A name that no other test has, in this or another process.
pub(crate) fn fresh_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("t{}_{}_{since:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A schema of its own.
pub(crate) struct Place {
    name: String,
    crashes: Mutex<usize>,
}

impl Place {
    pub(crate) fn fresh() -> Self {
        // Asked here, where somebody can still be told that there is none.
        server();
        Self { name: fresh_name(), crashes: Mutex::default() }
    }

    pub(crate) fn schema(&self) -> String {
        format!("{}_{}", self.name, self.crashes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?schema={}", server(), self.schema())
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig::parse(&self.url()).expect("the URL of a test is good")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever still holds a lock there is ended: a test that failed may have left somebody.
        let schema = self.schema();
        let _ = administer(&format!("{}; DROP SCHEMA IF EXISTS \"{schema}\" CASCADE", end_sessions(&self.name)));
    }
}

/// Ends every session to a place, whatever it is doing, as the death of its process would, and waits until they are gone.
///
/// The server's own wait looks ten times a second, once for each of them.
fn end_sessions(name: &str) -> String {
    let theirs = format!("FROM pg_stat_activity WHERE application_name LIKE 'larder {name}%'");
    format!(
        "SELECT pg_terminate_backend(pid) {theirs}; \
         DO $$ BEGIN FOR looks IN 1..10000 LOOP \
             IF NOT EXISTS (SELECT {theirs}) THEN RETURN; END IF; \
             PERFORM pg_sleep(0.001); PERFORM pg_stat_clear_snapshot(); \
         END LOOP; RAISE EXCEPTION 'a session does not end'; END $$"
    )
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async {
            let engine = PostgresEngine::open(self.config(), StoreId::from_bytes([7; 16])).await?;
            Ok(Arc::new(engine) as Arc<dyn Engine>)
        })
    }

    /// Whoever is connected is cut off in the middle of whatever it does, and whoever would connect again, as only a process
    /// that lives could, finds nothing where the store was.
    fn crash(&self) -> Option<BoxFuture<'_, Result<()>>> {
        let before = self.schema();
        *self.crashes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let after = self.schema();
        let ended = administer(&format!("ALTER SCHEMA {before} RENAME TO {after}"))
            .and_then(|_| administer(&end_sessions(&self.name)).map(|_| ()));
        let failed =
            |error: tokio_postgres::Error| Error::new(ErrorKind::Internal, "the sessions cannot be ended").caused_by(error);
        Some(Box::pin(std::future::ready(ended.map_err(failed))))
    }
}
