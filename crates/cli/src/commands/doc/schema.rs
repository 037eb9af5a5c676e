//! `doc schema`: putting schemas in force, and showing those that are and were.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write as _},
};

use clap::{Args, Subcommand};
use larder::{
    Error, ErrorKind,
    documents::{Existing, Progress, Schema, SchemaVersion, Survey},
};
use serde_json::{Value, json, value::RawValue};

use super::open;
use crate::{
    commands::read::print_value,
    failure::{self, Failure},
    input,
    session::{Missing, Session},
    text::{counted, grouped},
};

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    Set(SetArguments),
    /// Print a schema, byte for byte as it was written; with --json also its version, revision and draft
    #[command(after_help = "Examples:\n  larder doc schema show people\n  larder doc schema show people --version 1")]
    Show {
        /// The collection
        collection: String,
        /// This version; the one in force, unless it is given
        #[arg(long, value_name = "N")]
        version: Option<u64>,
    },
    /// Print every version that was put in force, the oldest first
    List {
        /// The collection
        collection: String,
    },
}

/// Put a schema in force: from then on every document that is written keeps to it
#[derive(Args, Debug)]
#[command(after_help = "\
Every document that is there is judged first, while others read and write. Where one violates the schema nothing changes, and \
the exit status is 5. Drafts 4, 6, 7, 2019-09 and 2020-12 (the default) are known; references lead to places in the schema \
itself, and nothing is ever fetched. The schema true lets everything through.

Examples:
  larder doc schema set people @person.json
  larder doc schema set people @person.json --dry-run    which documents would violate it
  larder doc schema set people @person.json --report     in force for what is written from now on
  larder doc schema set people true")]
pub(crate) struct SetArguments {
    /// The collection; it need not exist yet
    collection: String,

    /// The schema as JSON, or @FILE, or - for the standard input
    schema: OsString,

    /// Put it in force whatever is there, and print which documents violate it
    #[arg(long)]
    report: bool,

    /// Change nothing, and print which documents violate it; exit status 5 if there are any
    #[arg(long, conflicts_with_all = ["report", "if_version"])]
    dry_run: bool,

    /// Only if this version of the schema is in force; 0 means that there is none
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

pub(crate) async fn run(session: &mut Session, command: SchemaCommand) -> Result<(), Failure> {
    match command {
        SchemaCommand::Set(arguments) => set(session, arguments).await,
        SchemaCommand::Show { collection, version } => show(session, &collection, version).await,
        SchemaCommand::List { collection } => list(session, &collection).await,
    }
}

async fn set(session: &mut Session, arguments: SetArguments) -> Result<(), Failure> {
    let SetArguments { collection: name, report, dry_run, if_version, .. } = arguments;
    let schema = Schema::parse(input::value(&arguments.schema, false)?)?;
    let missing = if dry_run { Missing::Tell } else { Missing::Create };
    let collection = open(session, &name, missing).await?;
    let progress = progress(session.output.json || session.output.quiet);
    if dry_run {
        let survey = collection.survey(schema, progress).await?;
        tell(session, &survey, json!({}), "nothing was changed")?;
        let status = ErrorKind::InvalidState.exit_status();
        return if survey.violating == 0 { Ok(()) } else { Err(Failure::Answered(status)) };
    }
    let existing = if report { Existing::Report } else { Existing::Refuse };
    let mut set = collection.set_schema(schema).existing(existing).progress(progress);
    if let Some(version) = if_version {
        set = set.if_version(version);
    }
    let changed = set.await.map_err(|error| {
        let hint =
            format!("`{} doc schema set ... --dry-run` prints them, --report puts it in force anyway", session.call());
        if error.cause::<Survey>().is_some() { Failure::hinted(error, hint) } else { error.into() }
    })?;
    let (version, unchanged) = (changed.version, changed.unchanged);
    let text = match unchanged {
        true => format!("version {version} of the schema of {name} is in force already"),
        false => format!("version {version} of the schema of {name} is in force"),
    };
    tell(session, &changed.survey, json!({ "version": version, "unchanged": unchanged }), &text)
}

/// Says on a terminal how far it has come.
fn progress(silent: bool) -> impl FnMut(Progress) + Send {
    let silent = silent || !io::stderr().is_terminal();
    move |Progress { looked_at, of, .. }| {
        if !silent {
            let end = if looked_at >= of { "\n" } else { "\r" };
            // Nobody waits for it, so it does not matter whether it arrives.
            let _ = write!(io::stderr(), "judged {} of {}{end}", grouped(looked_at), counted(of, "document", "documents"));
        }
    }
}

fn tell(session: &mut Session, survey: &Survey, mut body: Value, text: &str) -> Result<(), Failure> {
    let output = &mut session.output;
    if output.json {
        body["looked_at"] = survey.looked_at.into();
        body["violating"] = survey.violating.into();
        body["documents"] = failure::violators(survey);
        return Ok(output.json(&body)?);
    }
    for line in failure::violator_lines(survey) {
        output.line(line)?;
    }
    if output.quiet {
        return Ok(());
    }
    let (looked_at, violating) = (counted(survey.looked_at, "document", "documents"), grouped(survey.violating));
    Ok(output.line(format_args!("{text}: {looked_at} judged, {violating} in violation of it"))?)
}

async fn show(session: &mut Session, name: &str, version: Option<u64>) -> Result<(), Failure> {
    let collection = open(session, name, Missing::Tell).await?;
    let found = match version {
        None => collection.schema().await?,
        Some(version) => collection.schemas().await?.into_iter().find(|found| found.version == version),
    };
    let Some(found) = found else {
        let what = version.map_or_else(|| "schema".to_owned(), |version| format!("version {version} of the schema"));
        let error = Error::new(ErrorKind::NotFound, format!("the collection {name:?} has no {what}"));
        return Err(Failure::hinted(error, format!("`{} doc schema list {name}` shows what there is", session.call())));
    };
    let output = &mut session.output;
    if output.json {
        return Ok(output.json(&row(&found, true)?)?);
    }
    print_value(output, &larder::Value::json(found.schema.text().clone())?)
}

async fn list(session: &mut Session, name: &str) -> Result<(), Failure> {
    let found = open(session, name, Missing::Tell).await?.schemas().await?;
    let output = &mut session.output;
    if output.json {
        let rows = found.iter().map(|found| row(found, false)).collect::<Result<Vec<_>, _>>()?;
        return Ok(output.json(&rows)?);
    }
    for SchemaVersion { version, revision, schema } in &found {
        let (draft, bytes) = (schema.draft(), grouped(schema.text().len() as u64));
        output.line(format_args!("{version}  since revision {revision}  draft {draft}  {bytes} bytes"))?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct Row<'a> {
    version: u64,
    revision: u64,
    draft: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a RawValue>,
}

fn row(found: &SchemaVersion, whole: bool) -> io::Result<Row<'_>> {
    let schema = whole.then(|| serde_json::from_slice(found.schema.text())).transpose()?;
    Ok(Row { version: found.version, revision: found.revision.get(), draft: found.schema.draft(), schema })
}
