//! `ns retention` and `ns usage`: how much of the log a namespace keeps, and what it takes.

use std::time::Duration;

use clap::Args;
use larder::{LogBounds, Namespace};
use serde::Serialize;

use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::{grouped, one_line, size, span},
};

/// Show or set how much of its log a namespace keeps, where that is less than what the store keeps
#[derive(Args, Debug)]
#[command(after_help = "\
Whoever trims the log next keeps to it, also a process that keeps the store open. What is not given stays as it is. The \
log of no other namespace gets shorter.

Examples:
  larder ns retention sessions                           how it is
  larder ns retention sessions --age 1h --bytes 10MiB    whichever is met first
  larder ns retention sessions --off                     as long as the store keeps it")]
pub(crate) struct RetentionArguments {
    /// The namespace, which need not exist yet
    name: String,

    /// Keep changes that are younger than this: 90s, 12h, 7d
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    age: Option<Duration>,

    /// Keep at most so many bytes of changes: 500000, 100kB, 10MiB, 1GiB
    #[arg(long, value_name = "SIZE", value_parser = input::size)]
    bytes: Option<u64>,

    /// Keep them as long as the store does
    #[arg(long, conflicts_with_all = ["age", "bytes"])]
    off: bool,
}

#[derive(Serialize)]
struct RetentionRow<'a> {
    name: &'a str,
    age_ms: Option<u64>,
    bytes: Option<u64>,
}

pub(crate) async fn retention(session: &mut Session, arguments: RetentionArguments) -> Result<(), Failure> {
    let namespace = Namespace::new(arguments.name.as_str())?;
    let store = session.open(Missing::Tell).await?;
    let found = store.log_bounds(&namespace).await?;
    let bounds = match arguments.off {
        true => LogBounds::default(),
        false => LogBounds { age: arguments.age.or(found.age), bytes: arguments.bytes.or(found.bytes) },
    };
    let shown = arguments.age.is_none() && arguments.bytes.is_none() && !arguments.off;
    if !shown {
        store.bound_log(&namespace, bounds).await?;
    }
    let output = &mut session.output;
    if output.json {
        let age_ms = bounds.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        return Ok(output.json(&RetentionRow { name: namespace.as_str(), age_ms, bytes: bounds.bytes })?);
    }
    if output.quiet && !shown {
        return Ok(());
    }
    let own = match (bounds.age, bounds.bytes) {
        (None, None) => "as long as the store keeps them".to_owned(),
        (Some(age), None) => format!("for {}", span(age)),
        (None, Some(bytes)) => format!("{} at most", size(bytes)),
        (Some(age), Some(bytes)) => format!("for {}, {} at most", span(age), size(bytes)),
    };
    Ok(output.line(format_args!("namespace {}: changes are kept {own}", one_line(namespace.as_str())))?)
}

/// Print what namespaces take: entries, bytes, and bytes of their changes in the log
#[derive(Args, Debug)]
#[command(after_help = "\
Expired entries count until they are swept up. Bytes are those of keys, values and metadata, as quotas and retention count \
them.

Examples:
  larder ns usage                every namespace
  larder ns usage sessions --json")]
pub(crate) struct UsageArguments {
    /// The namespace; all of them, unless it is given
    name: Option<String>,
}

#[derive(Serialize)]
struct UsageRow {
    name: String,
    entries: u64,
    bytes: u64,
    log_bytes: u64,
}

pub(crate) async fn usage(session: &mut Session, arguments: UsageArguments) -> Result<(), Failure> {
    let one = arguments.name.map(Namespace::new).transpose()?;
    let store = session.open(Missing::Tell).await?;
    let namespaces = match one {
        Some(namespace) => vec![namespace],
        None => store.list_namespaces().await?.into_iter().map(|info| info.namespace).collect(),
    };
    let mut rows = Vec::with_capacity(namespaces.len());
    for namespace in namespaces {
        let usage = store.scope(&namespace)?.usage().await?;
        let name = namespace.as_str().to_owned();
        rows.push(UsageRow { name, entries: usage.entries, bytes: usage.bytes, log_bytes: usage.log_bytes });
    }
    let output = &mut session.output;
    if output.json {
        return Ok(output.json(&rows)?);
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    for UsageRow { name, entries, bytes, log_bytes } in &rows {
        let (name, entries) = (one_line(name), grouped(*entries));
        let (bytes, log_bytes) = (size(*bytes), size(*log_bytes));
        output.line(format_args!("{name:width$}  {entries:>12} entries  {bytes:>12}  log {log_bytes}"))?;
    }
    Ok(())
}
