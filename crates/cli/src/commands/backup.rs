//! `backup`: the whole store, as of one moment, in a new file, while others work on it.
//!
//! There are two forms. Larder's own is compressed, checksummed, can be incremental, and is restored into any engine. An engine
//! that lives in a file can also copy that file, and the copy is a store at once: it is told by the name that such files have.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use larder::{Error, ErrorKind, Revision, Store, moving};
use serde_json::json;

use super::moving::telling::Telling;
use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::{counted, seconds, shell, size},
};

/// Write the store, as of one moment, to a new file, while others go on working
#[derive(Args, Debug)]
#[command(after_help = "\
A FILE that ends in .db, .sqlite or .sqlite3 becomes a store that is used at once, with sqlite:FILE; that is for stores on SQLite. \
Any other becomes a backup in a form of our own: compressed, each block with a checksum, restored into any engine with `larder \
restore`, and, as the log is in it, to any revision that is still kept. --form says it where the name does not.

FILE is there when it is whole, and not before. It is never written over.

Examples:
  larder backup monday.larder
  larder backup tuesday.larder --since 4711     what has changed since, to go on top of monday.larder
  larder restore monday.larder tuesday.larder --store 'postgres://app@db/app'
  larder backup /var/backups/larder-monday.db
  larder --store sqlite:/var/backups/larder-monday.db status")]
pub(crate) struct BackupArguments {
    /// The file to create; it must not exist
    file: PathBuf,

    /// What it becomes: a store that can be used at once (store), or a backup to restore (archive)
    #[arg(long, value_name = "FORM", hide_possible_values = true)]
    form: Option<Form>,

    /// Only what has changed after this revision, to go on top of a backup that reaches up to it
    #[arg(long, value_name = "REVISION")]
    since: Option<u64>,

    /// Leave the log out: smaller, and restored to one revision alone
    #[arg(long, conflicts_with = "since")]
    no_history: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Store,
    Archive,
}

impl BackupArguments {
    fn form(&self) -> Form {
        let extension = self.file.extension().and_then(|extension| extension.to_str());
        let is_store = || matches!(extension, Some("db" | "sqlite" | "sqlite3"));
        self.form.unwrap_or(if is_store() { Form::Store } else { Form::Archive })
    }
}

pub(crate) async fn run(session: &mut Session, arguments: BackupArguments) -> Result<(), Failure> {
    let form = arguments.form();
    if form == Form::Store && (arguments.since.is_some() || arguments.no_history) {
        let message = "a copy that is a store holds everything: --since and --no-history are for --form archive";
        return Err(Failure::Usage(message.to_owned()));
    }
    let store = session.open(Missing::Tell).await?;
    match form {
        Form::Store => copy(session, &store, arguments.file).await,
        Form::Archive => archive(session, &store, arguments).await,
    }
}

async fn copy(session: &mut Session, store: &Store, file: PathBuf) -> Result<(), Failure> {
    let engine = store.engine();
    let Some(backup) = engine.backup() else {
        let name = engine.capabilities().engine;
        let error = Error::new(ErrorKind::Unsupported, format!("a store on {name} is no file that could be copied"));
        let call = session.call();
        let hint = format!(
            "`{call} backup --form archive {}` writes a backup to restore, and `{call} export --all-namespaces` text",
            shell(&file.to_string_lossy())
        );
        return Err(Failure::hinted(error, hint));
    };
    let revision = backup.backup(&file).await?.get();
    let text = format!("backed up revision {revision} to {}", file.display());
    Ok(session.output.done(&json!({ "file": file.to_string_lossy(), "revision": revision }), text)?)
}

async fn archive(session: &mut Session, store: &Store, arguments: BackupArguments) -> Result<(), Failure> {
    let BackupArguments { file, since, no_history, .. } = arguments;
    let mut telling = Telling::begin(session);
    let taking = moving::backup(store, &file).since(since.map(Revision::new)).history(!no_history);
    let taken = taking.progress(|told| telling.told(told)).await;
    telling.end();
    let taken = taken?;
    let (base, through) = (taken.header.base().revision.get(), taken.header.through().get());
    let row = json!({
        "file": file.to_string_lossy(),
        "since": since,
        "oldest": base,
        "revision": through,
        "entries": taken.entries,
        "commits": taken.commits,
        "bytes": taken.bytes,
    });
    let (entries, commits) = (counted(taken.entries, "entry", "entries"), counted(taken.commits, "commit", "commits"));
    let (bytes, took) = (size(taken.bytes), seconds(telling.took()));
    let what = match since {
        Some(_) => format!("{commits} after revision {base} up to {through}"),
        None if taken.commits == 0 => format!("{entries} of revision {through}"),
        None => format!("{entries} of revision {base} and {commits} up to revision {through}"),
    };
    let call = session.call();
    let next = format!("Next time, only what is new:\n  {call} backup FILE --since {through}");
    let text = format!("backed up {what} to {}, {bytes}, in {took}\n\n{next}", file.display());
    Ok(session.output.done(&row, text)?)
}
