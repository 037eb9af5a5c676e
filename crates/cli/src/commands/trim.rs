//! `trim`: sweeps up what has expired, and forgets the old part of the log and old commit ids.

use std::time::Duration;

use clap::Args;
use larder::Retention;
use serde_json::json;

use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::grouped,
};

/// Sweep up expired entries, and forget changes and commit ids that are too old; their space goes back to the disk
#[derive(Args, Debug)]
#[command(after_help = "\
A process that keeps a store open does this by itself every ten seconds, with the same bounds as are the default here. \
Watches, histories and --as-of reach back as far as the log does. What `larder hold` holds is kept; `larder ns retention` \
bounds the log of one namespace.

Examples:
  larder trim                         a week of changes, at most 1 GiB of them, and a day of commit ids
  larder trim --age 1h --bytes 100MB
  larder trim --bytes 0               forget every change")]
pub(crate) struct TrimArguments {
    /// Keep changes that are younger than this: 90s, 12h, 7d
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    age: Option<Duration>,

    /// Keep at most so many bytes of changes, which are their keys, and the values and metadata from before: 500000, 100kB,
    /// 10MiB
    #[arg(long, value_name = "SIZE", value_parser = input::size)]
    bytes: Option<u64>,

    /// Keep commit ids that are younger than this
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    ids: Option<Duration>,
}

pub(crate) async fn run(session: &mut Session, arguments: TrimArguments) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let mut retention = Retention::default();
    retention.age = arguments.age.unwrap_or(retention.age);
    retention.bytes = arguments.bytes.unwrap_or(retention.bytes);
    retention.ids = arguments.ids.unwrap_or(retention.ids);
    let kept = store.keep(retention).await?;
    let oldest = store.status().await?.oldest;
    let text = format!(
        "swept up {} expired entries, forgot {} changes and {} commit ids; the log holds what came after revision {oldest}",
        grouped(kept.expired),
        grouped(kept.changes),
        grouped(kept.ids)
    );
    let json = json!({ "expired": kept.expired, "changes": kept.changes, "ids": kept.ids, "oldest": oldest.get() });
    Ok(session.output.done(&json, text)?)
}
