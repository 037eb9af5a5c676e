//! `restore`: backups into an empty store on any engine.

use std::path::PathBuf;

use clap::Args;
use larder::{Error, ErrorKind, Revision, moving, without_password};
use serde_json::json;

use super::{no_namespace, telling::Telling};
use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::{counted, seconds, shell},
};

/// Restore backups into an empty store on any engine, to any revision that is in them
#[derive(Args, Debug)]
#[command(after_help = "\
All of every FILE is read and checked first: of one that is damaged or was cut off nothing is written. A restore that was killed \
goes on where it was when the same command is given again.

Examples:
  larder restore monday.larder --store sqlite:./new.db
  larder restore monday.larder tuesday.larder --store 'postgres://app@db/app'
  larder restore monday.larder --to 4711 --store sqlite:./before.db
  larder restore --check monday.larder                     only whether it is whole, and what is in it")]
pub(crate) struct RestoreArguments {
    /// A backup, and then those that go on top of it, in order
    #[arg(required = true)]
    file: Vec<PathBuf>,

    /// Up to this revision of the store that was backed up
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,

    /// Look whether the files are whole, and restore nothing
    #[arg(long, conflicts_with = "to")]
    check: bool,
}

pub(crate) async fn run(session: &mut Session, arguments: RestoreArguments) -> Result<(), Failure> {
    no_namespace(session)?;
    let RestoreArguments { file, to, check } = arguments;
    if check {
        for file in file {
            let header = moving::inspect(&file).await.map_err(|error| told(error, &file))?;
            let (base, through) = (header.base().revision.get(), header.through().get());
            let row = json!({ "file": file.to_string_lossy(), "full": header.full, "store": header.store(), "oldest": base, "revision": through });
            let kind = if header.full {
                format!("a full backup, to be restored to any revision from {base} to {through}")
            } else {
                format!("what came after revision {base}, up to {through}")
            };
            let text = format!("{} is whole: {kind} of store {}", file.display(), header.store());
            session.output.done(&row, text)?;
        }
        return Ok(());
    }
    // Before a store is created for it.
    for file in &file {
        moving::inspect(file).await.map_err(|error| told(error, file))?;
    }
    let url = session.settings.store.clone();
    let target = session.open_at(&url, Missing::Create).await?;
    let mut telling = Telling::begin(session);
    let restoring = moving::restore(&file, &target).to(to.map(Revision::new));
    let restored = restoring.progress(|told| telling.told(told)).await;
    telling.end();
    let restored = restored.map_err(|error| match error.kind() {
        ErrorKind::NotEmpty => Failure::hinted(error, "name a store that is not there yet with --store"),
        _ => error.into(),
    })?;
    let progress = &restored.progress;
    let row = json!({
        "entries": progress.entries,
        "commits": progress.commits,
        "indexes": restored.indexes,
        "source": progress.source().to_string(),
        "source_revision": progress.position().revision.get(),
        "revision": restored.revision.get(),
    });
    let (entries, commits) = (counted(progress.entries, "entry", "entries"), counted(progress.commits, "commit", "commits"));
    let text = format!(
        "restored {entries} and {commits} in {}: revision {} of what was backed up is revision {} of {}",
        seconds(telling.took()),
        progress.position().revision,
        restored.revision,
        shell(&without_password(&url))
    );
    Ok(session.output.done(&row, text)?)
}

/// A copy of a file that is a store is none that has to be restored.
fn told(error: Error, file: &std::path::Path) -> Failure {
    let is_store = std::fs::File::open(file).is_ok_and(|mut opened| {
        let mut first = [0; 15];
        std::io::Read::read_exact(&mut opened, &mut first).is_ok() && first == *b"SQLite format 3"
    });
    if error.kind() == ErrorKind::Unsupported && is_store {
        let url = shell(&format!("sqlite:{}", file.display()));
        return Failure::hinted(
            error,
            format!("it is a store: use it with --store {url}, or copy it with `larder copy {url} TO`"),
        );
    }
    match error.kind() {
        ErrorKind::Corrupt => Failure::hinted(error, "nothing was written; restore an earlier backup"),
        _ => error.into(),
    }
}
