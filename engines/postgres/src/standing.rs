//! Which of the servers that a URL names is the one to ask: the one that takes writes and is not of the past.
//!
//! A server in recovery is a standby. One whose timeline is behind what was already seen was replaced, and has come back to
//! take commits that nobody else will ever hear of. Neither is asked. What was found out is kept for the next connection, so
//! that nobody waits for a dead server twice.

use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_core::{Error, ErrorKind, Result};

use crate::{
    config::PostgresConfig,
    error::{Failure, unavailable},
    runtime,
    session::Session,
};

/// What is known of the servers of a URL.
#[derive(Debug, Default)]
pub(crate) struct Standing(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Which of them was the right one.
    good: usize,
    /// The data that it had, and how often a standby had been promoted with it.
    system: String,
    timeline: u32,
}

impl Standing {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a server says of itself; one that was replaced is refused.
    fn note(&self, index: usize, place: &str, system: String, timeline: u32) -> Result<()> {
        let mut known = self.known();
        if system == known.system && timeline < known.timeline {
            let message = format!("the server at {place} was replaced by a standby and must not be running");
            return Err(unavailable(message));
        }
        *known = Known { good: index, system, timeline };
        Ok(())
    }
}

/// Connects to the server that takes writes, having tried first where it was the last time.
pub(crate) async fn connect(config: &PostgresConfig) -> Result<Session> {
    let count = config.servers.len();
    let first = config.standing.known().good;
    let mut refusals: Vec<Error> = Vec::new();
    for index in (0..count).map(|step| (first + step) % count) {
        let connected = runtime::within(config.connecting(), connect_to(config, index)).await;
        let silent = || Err(unavailable(format!("the server at {} does not answer", config.place_of(index))));
        match connected.unwrap_or_else(silent) {
            Ok(session) => return Ok(session),
            Err(error) => refusals.push(error),
        }
    }
    Err(of_all(refusals))
}

async fn connect_to(config: &PostgresConfig, index: usize) -> Result<Session> {
    let session = Session::connect(config, index).await?;
    let place = config.place_of(index);
    const WRITES: &str = "SELECT pg_is_in_recovery()::text || current_setting('transaction_read_only')";
    match session.ask(WRITES).await.map_err(Failure::into_error)?.as_deref() {
        Some([Some(said)]) if said == "falseoff" => {}
        Some([Some(said)]) if said == "falseon" => {
            return Err(unavailable(format!("the server at {place} was told to take no writes (transaction_read_only)")));
        }
        _ => return Err(unavailable(format!("the server at {place} is a standby, which takes no writes"))),
    }
    const TIMELINE: &str =
        "SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()";
    match session.ask(TIMELINE).await {
        Ok(found) => match found.as_deref() {
            Some([Some(system), Some(timeline)]) => {
                let timeline = u32::from_str_radix(timeline, 16).unwrap_or(0);
                config.standing.note(index, &place, system.clone(), timeline)?;
            }
            _ => return Err(unavailable(format!("the server at {place} does not say who it is"))),
        },
        // A version that does not know the question is refused for that by whoever opens the store.
        Err(Failure::Refused(_)) => {}
        Err(Failure::Lost(error)) => return Err(error),
    }
    Ok(session)
}

/// What is told when none of the servers is the right one: what can be mended by whoever reads it, or everything.
fn of_all(mut refusals: Vec<Error>) -> Error {
    let telling = refusals.iter().position(|error| error.kind() != ErrorKind::Unavailable);
    if let Some(index) = telling.or((refusals.len() == 1).then_some(0)) {
        return refusals.swap_remove(index);
    }
    let all: Vec<&str> = refusals.iter().map(Error::message).collect();
    unavailable(format!("none of the servers takes writes: {}", all.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_replaced_is_not_asked_again() {
        let standing = Standing::default();
        let note = |index, system: &str, timeline| standing.note(index, "h:1", system.to_owned(), timeline).is_ok();
        assert!(note(0, "a", 1) && note(1, "a", 2) && note(1, "a", 2));
        assert!(!note(0, "a", 1), "this is the server of before the promotion");
        assert_eq!(standing.known().good, 1);
        assert!(note(0, "b", 1), "whoever has made new data counts from the beginning");
    }
}
