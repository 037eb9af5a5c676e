//! `ns`: the isolated parts of a store.

use clap::Subcommand;
use larder::{Error, ErrorKind, Metadata, Namespace};
use serde_json::{json, value::RawValue};

use super::retention::{self, RetentionArguments, UsageArguments};
use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::{grouped, one_line},
};

#[derive(Debug, Subcommand)]
pub(crate) enum NsCommand {
    /// Print every namespace that was created or holds an entry
    List,
    /// Create a namespace by name; writing to one needs no such thing
    #[command(after_help = "Examples:\n  larder ns create users --meta owner=web\n  larder ns create wasm:data-processor")]
    Create {
        /// users, wasm:data-processor, principal://KEY or principal://KEY/namespace/NAME
        name: String,
        /// Metadata, name=value, once or more; a value that is JSON is taken as such
        #[arg(long, value_name = "NAME=VALUE")]
        meta: Vec<String>,
    },
    /// Delete a namespace
    #[command(after_help = "Examples:\n  larder ns delete users\n  larder ns delete scratch --recursive")]
    Delete {
        /// Its name
        name: String,
        /// With all it holds; that is many commits, and calling it again goes on
        #[arg(long)]
        recursive: bool,
    },
    Usage(UsageArguments),
    Retention(RetentionArguments),
}

pub(crate) async fn run(session: &mut Session, command: NsCommand) -> Result<(), Failure> {
    match command {
        NsCommand::List => list(session).await,
        NsCommand::Create { name, meta } => create(session, &name, &meta).await,
        NsCommand::Delete { name, recursive } => delete(session, &name, recursive).await,
        NsCommand::Usage(arguments) => retention::usage(session, arguments).await,
        NsCommand::Retention(arguments) => retention::retention(session, arguments).await,
    }
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let found = store.list_namespaces().await?;
    let output = &mut session.output;
    if output.json {
        let mut rows = Vec::with_capacity(found.len());
        for info in &found {
            let metadata: &RawValue = serde_json::from_str(info.metadata.as_str()).map_err(std::io::Error::from)?;
            rows.push(NamespaceRow { name: info.namespace.as_str(), registered: info.registered, metadata });
        }
        return Ok(output.json(&rows)?);
    }
    let width = found.iter().map(|info| info.namespace.as_str().chars().count()).max().unwrap_or_default();
    for info in &found {
        let how = if info.registered { "registered" } else { "by use" };
        let name = one_line(info.namespace.as_str());
        output.line(format_args!("{name:width$}  {how:10}  {}", info.metadata.as_str()))?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct NamespaceRow<'a> {
    name: &'a str,
    registered: bool,
    metadata: &'a RawValue,
}

async fn create(session: &mut Session, name: &str, meta: &[String]) -> Result<(), Failure> {
    let namespace = Namespace::new(name)?;
    let metadata = if meta.is_empty() { Metadata::default() } else { input::metadata(meta)? };
    let store = session.open(Missing::Create).await?;
    store.create_namespace(&namespace, metadata).await?;
    Ok(session.output.done(&json!({ "created": name }), format_args!("created namespace {name}"))?)
}

async fn delete(session: &mut Session, name: &str, recursive: bool) -> Result<(), Failure> {
    let namespace = Namespace::new(name)?;
    let store = session.open(Missing::Tell).await?;
    let entries = store.delete_namespace(&namespace, recursive).await.map_err(|error| not_deleted(session, error, name))?;
    let text = format!("deleted namespace {name} with {} entries", grouped(entries));
    Ok(session.output.done(&json!({ "deleted": name, "entries": entries }), text)?)
}

fn not_deleted(session: &Session, error: Error, name: &str) -> Failure {
    let call = session.call();
    match error.kind() {
        ErrorKind::NotEmpty => Failure::hinted(
            error,
            format!("`{call} ns delete {} --recursive` deletes all it holds", crate::text::shell(name)),
        ),
        ErrorKind::NotFound => Failure::hinted(error, format!("`{call} ns list` shows what is there")),
        _ => error.into(),
    }
}
