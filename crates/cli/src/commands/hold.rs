//! `hold`: what keeps the log from being trimmed, set, listed and released by name.

use std::time::Duration;

use clap::{Args, Subcommand};
use larder::{Error, ErrorKind, Hold, Key, Position, Timestamp};
use serde_json::{Value, json};

use super::moment::{MOMENT, Past};
use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::{one_line, span},
};

#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    Set(SetArguments),
    /// Print every hold: name, revision, age, and what is left of its time
    List,
    /// Let go of what is held under a name
    Release {
        /// The name
        name: String,
    },
}

/// Keep every change after a moment in the log, for a time; the same name again renews or moves it
#[derive(Args, Debug)]
#[command(after_help = "\
While it lasts, `larder trim` and processes that keep the store open forget nothing after that moment, in no namespace, \
unless the log outgrows 4 GiB. What is held can be watched, diffed and read with --as-of.

Examples:
  larder hold set nightly                       from now on, for an hour
  larder hold set migration --from 1234 --ttl 2d
  larder hold set incident --from '30m ago'")]
pub(crate) struct SetArguments {
    /// The name
    name: String,

    /// Changes after this moment stay: a revision (1234), a time (2030-01-31T12:00:00Z), or how long ago (10m); now,
    /// unless it is given
    #[arg(long, value_name = MOMENT)]
    from: Option<Past>,

    /// It ends by itself after this time: 10m, 1h30m, 2d
    #[arg(long, value_name = "DURATION", value_parser = input::duration, default_value = "1h")]
    ttl: Duration,
}

pub(crate) async fn run(session: &mut Session, command: HoldCommand) -> Result<(), Failure> {
    match command {
        HoldCommand::Set(arguments) => set(session, arguments).await,
        HoldCommand::List => list(session).await,
        HoldCommand::Release { name } => release(session, name).await,
    }
}

async fn set(session: &mut Session, arguments: SetArguments) -> Result<(), Failure> {
    let name = Key::new(arguments.name)?;
    let store = session.open(Missing::Tell).await?;
    let present = store.view().await?.position();
    let position = match arguments.from {
        None => present,
        Some(Past::Revision(revision)) if revision > present.revision => {
            let message = format!("the store has not come to revision {revision}: it is at {}", present.revision);
            return Err(Failure::hinted(Error::new(ErrorKind::Trimmed, message), "without --from it holds from now on"));
        }
        // Not through a view: what one namespace has forgotten by itself is no reason to refuse the others.
        Some(Past::Revision(revision)) => Position { revision, ..present },
        Some(past) => past.view(&store).await?.position(),
    };
    let hold = store.hold(&name, position, arguments.ttl).await.map_err(|error| match error.oldest() {
        Some(oldest) => Failure::hinted(error, format!("`--from {oldest}` holds all that is there")),
        None => error.into(),
    })?;
    let json = as_json(&hold, store.world().now());
    let text = format!(
        "hold {}: the log after revision {}, until {}",
        one_line(&hold.name),
        hold.position.revision,
        hold.expires_at
    );
    Ok(session.output.done(&json, text)?)
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let holds = store.holds().await?;
    let now = store.world().now();
    let output = &mut session.output;
    if output.json {
        return Ok(output.json(&holds.iter().map(|hold| as_json(hold, now)).collect::<Vec<_>>())?);
    }
    let width = holds.iter().map(|hold| hold.name.chars().count()).max().unwrap_or_default();
    for hold in &holds {
        let name = one_line(&hold.name);
        let (age, left) = (span(between(hold.renewed_at, now)), span(between(now, hold.expires_at)));
        output.line(format_args!("{name:width$}  after revision {}  set {age} ago  {left} left", hold.position.revision))?;
    }
    Ok(())
}

async fn release(session: &mut Session, name: String) -> Result<(), Failure> {
    let name = Key::new(name)?;
    let store = session.open(Missing::Tell).await?;
    store.release_hold(&name).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::hinted(error, format!("`{} hold list` shows what is held", session.call())),
        _ => error.into(),
    })?;
    Ok(session.output.done(&json!({ "released": name.as_str() }), format_args!("released {}", one_line(&name)))?)
}

fn as_json(hold: &Hold, now: Timestamp) -> Value {
    json!({
        "name": hold.name.as_str(),
        "revision": hold.position.revision.get(),
        "lineage": hold.position.lineage.get(),
        "renewed_at": hold.renewed_at.to_string(),
        "expires_at": hold.expires_at.to_string(),
        "left_ms": between(now, hold.expires_at).as_millis() as u64,
    })
}

/// How long after `earlier` it is at `later`; clocks that disagree make no time negative.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(later.as_millis() - earlier.as_millis()).unwrap_or(0))
}
