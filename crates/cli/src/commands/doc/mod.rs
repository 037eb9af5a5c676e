//! `doc`: documents in collections, each under a JSON Schema if it has one.
//!
//! What goes for every subcommand stands here: which collection, and how what went wrong is told.

mod lines;
mod read;
mod schema;
mod write;

use clap::Subcommand;
use larder::{
    Error, ErrorKind, Found, Key,
    documents::{Collection, Documents, Violations},
};
use serde_json::json;

use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::{counted, one_line, shell},
};

#[derive(Debug, Subcommand)]
pub(crate) enum DocCommand {
    Insert(write::InsertArguments),
    Get(read::GetArguments),
    Replace(write::ReplaceArguments),
    Patch(write::PatchArguments),
    Delete(write::DeleteArguments),
    Find(read::FindArguments),
    /// Put schemas in force, show them, and see which documents violate them
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Print every collection: its name, the version of its schema, and how many documents it holds
    Collections,
    /// Delete a collection with its documents and its schemas; that is many commits, and calling it again goes on
    Drop {
        /// The collection
        collection: String,
    },
}

pub(crate) async fn run(session: &mut Session, command: DocCommand) -> Result<(), Failure> {
    if session.settings.namespace.is_some() {
        let message = "a collection has a namespace of its own, documents:NAME: leave --namespace away";
        return Err(Failure::Usage(message.to_owned()));
    }
    match command {
        DocCommand::Insert(arguments) => write::insert(session, arguments).await,
        DocCommand::Get(arguments) => read::get(session, arguments).await,
        DocCommand::Replace(arguments) => write::replace(session, arguments).await,
        DocCommand::Patch(arguments) => write::patch(session, arguments).await,
        DocCommand::Delete(arguments) => write::delete(session, arguments).await,
        DocCommand::Find(arguments) => read::find(session, arguments).await,
        DocCommand::Schema(command) => schema::run(session, command).await,
        DocCommand::Collections => collections(session).await,
        DocCommand::Drop { collection } => drop_collection(session, &collection).await,
    }
}

async fn collections(session: &mut Session) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let found = Documents::new(&store).collections().await?;
    let output = &mut session.output;
    if output.json {
        let row = |info: &larder::documents::CollectionInfo| json!({ "name": info.name, "schema_version": info.schema_version, "documents": info.documents });
        return Ok(output.json(&found.iter().map(row).collect::<Vec<_>>())?);
    }
    let width = found.iter().map(|info| info.name.chars().count()).max().unwrap_or_default();
    for info in &found {
        let schema = match info.schema_version {
            0 => "no schema".to_owned(),
            version => format!("schema {version}"),
        };
        let documents = counted(info.documents, "document", "documents");
        output.line(format_args!("{:width$}  {schema:10}  {documents}", one_line(&info.name)))?;
    }
    Ok(())
}

async fn drop_collection(session: &mut Session, name: &str) -> Result<(), Failure> {
    larder::documents::namespace_of(name)?;
    let store = session.open(Missing::Tell).await?;
    let gone = Documents::new(&store).drop_collection(name).await.map_err(|error| none(session, error))?;
    let text = format!("dropped collection {name} with {}", counted(gone, "document", "documents"));
    Ok(session.output.done(&json!({ "dropped": name, "documents": gone }), text)?)
}

/// The collection `name`, in the store that was asked for.
async fn open(session: &mut Session, name: &str, missing: Missing) -> Result<Collection, Failure> {
    // A bad name leaves no store behind.
    larder::documents::namespace_of(name)?;
    let store = session.open(missing).await?;
    Ok(Documents::new(&store).collection(name)?)
}

/// What is told when there is no such collection.
fn none(session: &Session, error: Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::hinted(error, format!("`{} doc collections` shows what is there", session.call())),
        _ => error.into(),
    }
}

/// What is told when something went wrong with a document: the one with this id, unless its id was to be generated.
fn told(session: &Session, collection: &str, id: Option<&Key>, error: Error) -> Failure {
    let (call, name) = (session.call(), shell(collection));
    let hint = match (error.kind(), id) {
        (ErrorKind::NotFound, _) => format!("`{call} doc find {name}` shows what is there"),
        // What a unique index does not allow is in another document.
        (ErrorKind::Conflict, _) if error.as_conflict().is_some_and(|conflict| conflict.found == Found::Taken) => {
            return error.into();
        }
        (ErrorKind::Conflict | ErrorKind::AlreadyExists, Some(id)) => {
            let dashes = if id.starts_with('-') { "-- " } else { "" };
            format!("`{call} doc get --json {name} {dashes}{}` shows what is there now", shell(id))
        }
        (ErrorKind::Invalid, _) if error.cause::<Violations>().is_some() => {
            format!("`{call} doc schema show {name}` shows the rules")
        }
        _ => return error.into(),
    };
    Failure::hinted(error, hint)
}
