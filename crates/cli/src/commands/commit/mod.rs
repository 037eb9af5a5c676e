//! `commit`: several checks and writes, all or nothing, from a JSON document.

mod document;

use std::io::Read as _;

use clap::Args;
use larder::{Error, Part};
use serde_json::json;

use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::{grouped, one_line},
};
use document::Document;

/// Check and write several keys at once, all or nothing, as a JSON document says
#[derive(Args, Debug)]
#[command(after_help = "\
The document has checks, which see the state before, and writes, which apply in order. Everything is optional, unknown \
fields are refused, and every check and write may name its own \"namespace\".

  {
    \"checks\": [
      {\"key\": \"a\", \"version\": 3},
      {\"key\": \"b\", \"absent\": true},
      {\"key\": \"c\", \"exists\": true},
      {\"key\": \"d\", \"revision\": 9},
      {\"key\": \"e\", \"value_is\": {\"x\": 1}}
    ],
    \"writes\": [
      {\"set\": \"a\", \"value\": {\"x\": 2}, \"ttl\": \"10m\", \"metadata\": {\"owner\": \"web\"}},
      {\"set\": \"b\", \"text\": \"plain\"},
      {\"set\": \"c\", \"base64\": \"/w==\", \"expires_at\": \"2030-01-31T12:00:00Z\"},
      {\"delete\": \"d\"},
      {\"add\": \"n\", \"by\": 1, \"floor\": 0, \"ceiling\": 10},
      {\"merge\": \"e\", \"metadata\": {\"seen\": true}},
      {\"touch\": \"e\", \"ttl\": \"1h\", \"namespace\": \"other\"},
      {\"touch\": \"f\", \"never\": true}
    ]
  }

\"value_is\" compares byte for byte, white space inside of it included; \"text_is\" and \"base64_is\" are the other forms. An \
\"id\" of 32 hex digits beside them lets the same commit be sent twice and happen once.

Examples:
  larder commit change.json
  echo '{\"checks\":[{\"key\":\"a\",\"version\":1}],\"writes\":[{\"delete\":\"a\"}]}' | larder commit -")]
pub(crate) struct CommitArguments {
    /// The document, or - for the standard input
    file: String,
}

pub(crate) async fn run(session: &mut Session, arguments: CommitArguments) -> Result<(), Failure> {
    let (mut reader, name) = input::file(&arguments.file)?;
    let mut text = Vec::new();
    reader.read_to_end(&mut text).map_err(|error| input::unreadable(&name, error))?;
    let document = Document::parse(&text)
        .map_err(|error| Error::invalid(format!("{name} is no commit: {error}; see `larder commit --help`")))?;

    let store = session.open(Missing::Create).await?;
    let (commit, places) = document.build(&store)?;
    let receipt = commit.await.map_err(located)?;
    let writes: Vec<_> = places
        .iter()
        .zip(&receipt.writes)
        .map(|(address, written)| {
            let mut row = json!({
                "namespace": address.namespace.as_str(),
                "key": address.key.as_str(),
                "version": written.version.get(),
                "existed": written.existed,
            });
            if let Some(number) = written.number {
                row["number"] = number.into();
            }
            row
        })
        .collect();

    let revision = receipt.revision.get();
    let output = &mut session.output;
    if output.json {
        return Ok(output.json(&json!({ "revision": revision, "writes": writes }))?);
    }
    if output.quiet {
        return Ok(());
    }
    output.line(format_args!("committed {} writes: revision {revision}", grouped(writes.len() as u64)))?;
    for (address, written) in places.iter().zip(&receipt.writes) {
        let number = written.number.map_or_else(String::new, |number| format!(", number {number}"));
        output.line(format_args!("  {}: version {}{number}", one_line(&address.key), written.version))?;
    }
    Ok(())
}

/// Says which part of the document it was.
fn located(error: Error) -> Error {
    let Some(part) = error.as_conflict().map(|conflict| conflict.part) else { return error };
    let (kind, message) = (error.kind(), error.message().to_owned());
    let place = match part {
        Part::Check(index) => format!("check {}", index + 1),
        Part::Write(index) => format!("write {}", index + 1),
    };
    error.as_kind(kind, format!("{place}: {message}; nothing was written"))
}
