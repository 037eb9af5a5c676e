//! A session: one connection, set up, with its prepared statements.

use std::{
    collections::HashMap,
    error::Error as _,
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, future::try_join_all};
use larder_core::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Row, SimpleQueryMessage, Statement, types::ToSql};

use crate::{
    config::PostgresConfig,
    error::{Attempt, Failure, explain, io_error, unavailable},
    runtime,
};

/// The parameters of a statement.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection to the server.
///
/// Requests are sent as they are made, without waiting for the answers of those before, and answered in order.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    /// How many notifications have come; ends with the connection.
    notified: watch::Receiver<u64>,
    /// Later sessions have later numbers.
    number: u64,
}

impl Session {
    /// Connects to the server with this index, without having looked at what is there.
    pub(crate) async fn connect(config: &PostgresConfig, index: usize) -> Result<Self> {
        let (config, place) = (config.clone(), config.place_of(index));
        runtime::elsewhere(async move {
            let server = &config.servers[index];
            let (count, notified) = watch::channel(0);
            let made = async {
                Ok(match config.tls.clone() {
                    None => {
                        let (client, connection) = server.connect(NoTls).await?;
                        (client, runtime::begin(drive(connection, count)))
                    }
                    Some(tls) => {
                        let (client, connection) = server.connect(tls).await?;
                        (client, runtime::begin(drive(connection, count)))
                    }
                })
            };
            // The driver's own timeout ends when the line is up; a server may fall silent after that.
            let connected = tokio::time::timeout(config.connecting(), made).await;
            let silent = |_| unavailable(format!("the server at {place} does not answer"));
            let (client, driven) = connected.map_err(silent)?.map_err(|error| not_connected(&config, &place, &error))?;
            // What becomes of the connection is told to whoever asks over it.
            drop(driven?);
            let number = SESSIONS.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Self { client, statements: Mutex::default(), notified, number })
        })
        .await
    }

    /// Its number among the sessions of this process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How many notifications have come over it.
    pub(crate) fn notified(&self) -> watch::Receiver<u64> {
        self.notified.clone()
    }

    /// Sends `sql` and looks after its answer no more.
    pub(crate) async fn send(&self, sql: &str) {
        let mut sent = pin!(self.client.batch_execute(sql));
        poll_fn(|context| {
            // It is on its way when it was looked at once.
            let _ = sent.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }

    /// Whether the connection is known to be gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements without parameters; the answer is the cells of their last row.
    pub(crate) async fn ask(&self, sql: &str) -> Attempt<Option<Vec<Option<String>>>> {
        let messages = self.client.simple_query(sql).await?;
        Ok(messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()),
            _ => None,
        }))
    }

    /// Runs statements without parameters and without answers.
    pub(crate) async fn run(&self, sql: &str) -> Attempt<()> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Prepares what is not prepared yet, so that what follows can be sent in one go.
    pub(crate) async fn prepare(&self, statements: &[&str]) -> Attempt<()> {
        let mut missing: Vec<&str> = {
            let mut known = self.statements();
            if known.len() + statements.len() > STATEMENTS_MAX {
                known.clear();
            }
            statements.iter().copied().filter(|sql| !known.contains_key(*sql)).collect()
        };
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let prepared = try_join_all(missing.iter().map(|sql| self.client.prepare(sql))).await?;
            self.statements().extend(missing.into_iter().map(str::to_owned).zip(prepared));
        }
        Ok(())
    }

    fn statements(&self) -> MutexGuard<'_, HashMap<String, Statement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn statement(&self, sql: &str) -> Attempt<Statement> {
        let known = self.statements().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut known = self.statements();
        if known.len() >= STATEMENTS_MAX {
            known.clear();
        }
        known.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// The rows that `sql` answers.
    pub(crate) async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Attempt<Vec<Row>> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, parameters).await?)
    }

    /// The one row that `sql` always answers.
    pub(crate) async fn row(&self, sql: &str, parameters: Parameters<'_>) -> Attempt<Row> {
        let mut rows = self.query(sql, parameters).await?;
        rows.pop().ok_or_else(|| Failure::Refused(crate::error::corrupt("the table store is empty")))
    }

    /// How many rows `sql` touched.
    pub(crate) async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Attempt<u64> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute(&statement, parameters).await?)
    }

    /// Gives `chunks` to the COPY that `sql` is; how many rows they were.
    pub(crate) async fn copy(&self, sql: &str, chunks: impl Iterator<Item = Bytes>) -> Attempt<u64> {
        let statement = self.statement(sql).await?;
        let mut sink = pin!(self.client.copy_in(&statement).await?);
        for chunk in chunks {
            sink.feed(chunk).await?;
        }
        Ok(sink.finish().await?)
    }
}

static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// Carries what is said and answered until the connection ends, and counts the notifications among it.
async fn drive<S, T>(mut connection: Connection<S, T>, count: watch::Sender<u64>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if matches!(message, AsyncMessage::Notification(_)) {
            count.send_modify(|count| *count += 1);
        }
    }
}

/// Ranges come in a few shapes, and lists of ranges in many: beyond this, preparing begins anew.
const STATEMENTS_MAX: usize = 256;

/// Why there is no connection.
fn not_connected(config: &PostgresConfig, place: &str, error: &tokio_postgres::Error) -> Error {
    let (user, database) = (config.user(), config.database());
    match error.code().map(|code| code.code()) {
        Some("28P01" | "28000") => Error::new(
            ErrorKind::Denied,
            format!("the server at {place} does not let the user {user:?} into the database {database:?}: wrong password or no right to it"),
        )
        .engine("postgres"),
        Some("3D000") => {
            let message = format!("the server at {place} has no database {database:?}; create it first");
            Error::invalid(message).engine("postgres")
        }
        Some(_) => {
            let why = explain(error);
            unavailable(format!("the server at {place} takes no connection now")).caused_by(why.to_string())
        }
        None if error.to_string().starts_with("error performing TLS handshake") => {
            let why = error.source().map_or_else(String::new, ToString::to_string);
            let message = format!("the server at {place} and we do not come to an encrypted connection: {why}");
            Error::new(ErrorKind::Denied, message).engine("postgres")
        }
        // Whoever hung up has asked for nothing.
        None if config.server.get_password().is_none() && io_error(error).is_none() && !error.is_closed() => {
            let message = format!("the server at {place} asks the user {user:?} for a password, and the URL has none");
            Error::new(ErrorKind::Denied, message).engine("postgres")
        }
        None => {
            let why = io_error(error).map_or_else(|| error.to_string(), ToString::to_string);
            unavailable(format!("the server at {place} cannot be reached")).caused_by(why)
        }
    }
}
