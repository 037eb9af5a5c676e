//! `status`: how the store is, for people and for monitors.

use clap::Args;
use larder::{Gate, engine::Reach, without_password};
use serde::Serialize;

use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::{grouped, size},
};

/// Print how the store is: engine, durability, revision, sizes
#[derive(Args, Debug)]
#[command(after_help = "A store that is not healthy answers with an error and its exit status.")]
pub(crate) struct StatusArguments {}

#[derive(Serialize)]
struct StatusRow<'a> {
    healthy: bool,
    engine: &'a str,
    durability: &'a str,
    reach: &'a str,
    store: String,
    lineage: u64,
    revision: u64,
    entries: u64,
    bytes: u64,
    size: Option<u64>,
    namespaces: u64,
    oldest: u64,
    changes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
}

pub(crate) async fn run(session: &mut Session) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let status = store.status().await?;
    let moved_to = match store.gate().await? {
        Gate::Moved { to } => Some(to),
        Gate::Open | Gate::Paused { .. } => None,
    };
    let row = StatusRow {
        healthy: true,
        engine: status.engine,
        durability: status.durability.as_str(),
        reach: match status.reach {
            Reach::Process => "process",
            Reach::Host => "host",
            Reach::Cluster => "cluster",
        },
        store: status.store.to_string(),
        lineage: status.lineage.get(),
        revision: status.revision.get(),
        entries: status.entries,
        bytes: status.bytes,
        size: status.size,
        namespaces: status.namespaces,
        oldest: status.oldest.get(),
        changes: status.changes,
        moved_to,
    };
    let url = without_password(&session.settings.store).into_owned();
    let output = &mut session.output;
    if output.json {
        return Ok(output.json(&row)?);
    }
    let medium = row.size.map_or_else(String::new, |bytes| format!(", {} on its medium", size(bytes)));
    let reach = match status.reach {
        Reach::Process => "one process",
        Reach::Host => "the processes of one host",
        Reach::Cluster => "a cluster",
    };
    for (name, text) in [
        ("store", url),
        ("healthy", "yes".to_owned()),
        ("engine", format!("{}, shared by {reach}", row.engine)),
        ("durability", row.durability.to_owned()),
        ("revision", row.revision.to_string()),
        ("entries", grouped(row.entries)),
        ("bytes", format!("{}{medium}", size(row.bytes))),
        ("namespaces", grouped(row.namespaces)),
        ("log", format!("{} changes, after revision {}", grouped(row.changes), row.oldest)),
        ("id", format!("{}, lineage {}", row.store, row.lineage)),
    ] {
        output.line(format_args!("{name:<11}{text}"))?;
    }
    if let Some(to) = &row.moved_to {
        output.line(format_args!("moved to   {to}; no writes here any more"))?;
    }
    Ok(())
}
