//! `touch`: when an entry expires, and nothing else of it.

use std::time::Duration;

use clap::Args;
use larder::{Key, Timestamp};

use super::set::Stamped;
use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
};

/// Change when an entry expires, and leave all else as it is
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  larder touch session --ttl 30m\n  larder touch session --never")]
pub(crate) struct TouchArguments {
    /// The key; it has to be there
    key: String,

    #[command(flatten)]
    expiry: Expiry,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Expiry {
    /// After this time: 500ms, 10m, 1h30m, 2d
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    ttl: Option<Duration>,

    /// At this moment: 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = input::moment)]
    expires_at: Option<Timestamp>,

    /// Not at all
    #[arg(long)]
    never: bool,
}

pub(crate) async fn touch(session: &mut Session, arguments: TouchArguments) -> Result<(), Failure> {
    let key = Key::new(arguments.key)?;
    let store = session.open(Missing::Tell).await?;
    let stamp = match arguments.expiry.expires_at {
        Some(at) => store.touch_at(&key, at).await?,
        // With neither, the parser of arguments has seen --never.
        None => store.touch(&key, arguments.expiry.ttl).await?,
    };
    let (version, revision) = (stamp.version.get(), stamp.revision.get());
    Stamped { key: &key, version, revision, created: None }.tell(session, "touched")
}
