//! `doc insert`, `replace`, `patch` and `delete`.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use larder::{
    Error, ErrorKind, Key, Value,
    documents::{Patch, Saved},
};
use serde_json::json;

use super::{lines, open, told};
use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::one_line,
};

/// Insert a document, under a generated id or a given one
#[derive(Args, Debug)]
#[command(after_help = "\
A document that violates the collection's schema is refused with exit status 5, and every violated rule is named: where in \
the document, and which rule of the schema.

Examples:
  larder doc insert people '{\"name\": \"Ann\", \"age\": 31}'
  larder doc insert people @ann.json --id ann       a file
  curl -s $URL | larder doc insert people -         the standard input
  larder doc insert people @people.jsonl --lines    a document a line
  larder doc insert people - --lines --id-field email
  larder doc insert sessions '{\"user\": 1}' --ttl 30m --meta owner=web")]
pub(crate) struct InsertArguments {
    /// The collection; it need not exist yet
    collection: String,

    /// The document as JSON, or @FILE, or - for the standard input
    #[arg(allow_negative_numbers = true)]
    document: OsString,

    /// Its id; generated, unless it is given
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// Every line is a document; the first that is refused ends it, and says which line it was
    #[arg(long, conflicts_with_all = ["id", "ttl", "meta"])]
    lines: bool,

    /// The field of each line that holds its id
    #[arg(long, value_name = "NAME", requires = "lines")]
    id_field: Option<String>,

    /// The document expires after this time: 500ms, 10m, 1h30m, 2d
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    ttl: Option<Duration>,

    /// Metadata, name=value, once or more; a value that is JSON is taken as such
    #[arg(long, value_name = "NAME=VALUE")]
    meta: Vec<String>,
}

/// Replace a document
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  larder doc replace people ann '{\"name\": \"Anna\"}'
  larder doc replace people ann @ann.json --if-version 3     only if nobody was faster; else exit status 4
  larder doc replace people ann @ann.json --or-insert        also if it is not there")]
pub(crate) struct ReplaceArguments {
    /// The collection
    collection: String,

    /// The document's id; one that begins with - goes after --
    id: String,

    /// The document as JSON, or @FILE, or - for the standard input
    #[arg(allow_negative_numbers = true)]
    document: OsString,

    /// Only if the document has this version
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,

    /// Insert the document if it is not there
    #[arg(long, conflicts_with = "if_version")]
    or_insert: bool,

    /// The document expires after this time: 500ms, 10m, 1h30m, 2d
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    ttl: Option<Duration>,

    /// Metadata instead of what is there, name=value, once or more; a value that is JSON is taken as such
    #[arg(long, value_name = "NAME=VALUE")]
    meta: Vec<String>,
}

/// Change a document by saying only what changes
#[derive(Args, Debug)]
#[command(after_help = "\
An object is laid over the document, field by field; null takes a field away (RFC 7386). An array is a list of operations: \
add, remove, replace, move, copy and test (RFC 6902), all of them or nothing; a test that fails ends with exit status 4. What \
a patch does not touch stays as it is spelled.

Examples:
  larder doc patch people ann '{\"age\": 32, \"nickname\": null}'
  larder doc patch people ann '[{\"op\": \"test\", \"path\": \"/age\", \"value\": 31},
                                {\"op\": \"replace\", \"path\": \"/age\", \"value\": 32}]'
  larder doc patch people ann @change.json --if-version 3")]
pub(crate) struct PatchArguments {
    /// The collection
    collection: String,

    /// The document's id; one that begins with - goes after --
    id: String,

    /// The patch as JSON, or @FILE, or - for the standard input
    #[arg(allow_negative_numbers = true)]
    patch: OsString,

    /// Only if the document has this version
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

/// Delete documents; exit status 3 if one of them was not there
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  larder doc delete people ann\n  larder doc delete people ann bob")]
pub(crate) struct DeleteArguments {
    /// The collection
    collection: String,

    /// The documents' ids; each is deleted by itself
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

pub(crate) async fn insert(session: &mut Session, arguments: InsertArguments) -> Result<(), Failure> {
    if arguments.lines {
        return lines::insert(session, &arguments.collection, &arguments.document, arguments.id_field).await;
    }
    let id = arguments.id.map(Key::new).transpose()?;
    let value = Value::json(input::value(&arguments.document, false)?)?;
    let metadata = (!arguments.meta.is_empty()).then(|| input::metadata(&arguments.meta)).transpose()?;

    let collection = open(session, &arguments.collection, Missing::Create).await?;
    let mut insert = collection.insert_value(Ok(value));
    if let Some(id) = &id {
        insert = insert.id(id);
    }
    if let Some(ttl) = arguments.ttl {
        insert = insert.ttl(ttl);
    }
    if let Some(metadata) = metadata {
        insert = insert.metadata(metadata);
    }
    let saved = insert.await.map_err(|error| told(session, &arguments.collection, id.as_ref(), error))?;
    tell(session, &saved, "inserted")
}

pub(crate) async fn replace(session: &mut Session, arguments: ReplaceArguments) -> Result<(), Failure> {
    let id = Key::new(arguments.id)?;
    let value = Value::json(input::value(&arguments.document, false)?)?;
    let metadata = (!arguments.meta.is_empty()).then(|| input::metadata(&arguments.meta)).transpose()?;

    let missing = if arguments.or_insert { Missing::Create } else { Missing::Tell };
    let collection = open(session, &arguments.collection, missing).await?;
    let mut replace = collection.replace_value(&id, Ok(value));
    if let Some(version) = arguments.if_version {
        replace = replace.if_version(version);
    }
    if arguments.or_insert {
        replace = replace.or_insert();
    }
    if let Some(ttl) = arguments.ttl {
        replace = replace.ttl(ttl);
    }
    if let Some(metadata) = metadata {
        replace = replace.metadata(metadata);
    }
    let saved = replace.await.map_err(|error| told(session, &arguments.collection, Some(&id), error))?;
    tell(session, &saved, if saved.existed { "replaced" } else { "inserted" })
}

pub(crate) async fn patch(session: &mut Session, arguments: PatchArguments) -> Result<(), Failure> {
    let id = Key::new(arguments.id)?;
    let text = input::value(&arguments.patch, false)?;
    let operations = text.trim_ascii_start().starts_with(b"[");
    let patch = if operations { Patch::operations_text(text) } else { Patch::merge_text(text) };
    let patch = patch?;

    let collection = open(session, &arguments.collection, Missing::Tell).await?;
    let mut patching = collection.patch(&id, patch);
    if let Some(version) = arguments.if_version {
        patching = patching.if_version(version);
    }
    let saved = patching.await.map_err(|error| told(session, &arguments.collection, Some(&id), error))?;
    tell(session, &saved, "patched")
}

pub(crate) async fn delete(session: &mut Session, arguments: DeleteArguments) -> Result<(), Failure> {
    let ids: Vec<Key> = arguments.ids.into_iter().map(Key::new).collect::<Result<_, _>>()?;
    let collection = open(session, &arguments.collection, Missing::Tell).await?;
    let (mut deleted, mut absent, mut failed) = (Vec::new(), Vec::new(), None);
    for id in &ids {
        match collection.delete(id).await {
            Ok(true) => deleted.push(id.as_str()),
            Ok(false) => absent.push(id.as_str()),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let output = &mut session.output;
    if output.json {
        output.json(&json!({ "deleted": deleted, "absent": absent }))?;
    } else if !output.quiet {
        for id in &deleted {
            output.line(format_args!("deleted {}", one_line(id)))?;
        }
    }
    let name = collection.name();
    match (failed, absent.as_slice()) {
        (Some(error), _) => Err(error.into()),
        (None, []) => Ok(()),
        (None, absent) => {
            let message = format!("there were no documents {absent:?} in the collection {name:?}");
            Err(Error::new(ErrorKind::NotFound, message).into())
        }
    }
}

/// Tells what was written: `verb` is what was done.
fn tell(session: &mut Session, saved: &Saved, verb: &str) -> Result<(), Failure> {
    let (id, version, revision) = (saved.id.as_str(), saved.version.get(), saved.revision.get());
    let body = json!({ "id": id, "version": version, "revision": revision, "created": !saved.existed });
    let text = format!("{verb} {}: version {version}, revision {revision}", one_line(id));
    Ok(session.output.done(&body, text)?)
}
