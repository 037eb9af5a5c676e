//! `copy`: a store, as of one moment, into an empty one on any engine.

use clap::Args;
use larder::{ErrorKind, moving};
use serde_json::json;

use super::{no_namespace, shown, telling::Telling};
use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::{counted, seconds, size},
};

/// Copy a store, as of one moment, into an empty one on any engine
#[derive(Args, Debug)]
#[command(after_help = "\
Others may go on writing to FROM: what is copied is what there was when the copy began. Values with their kinds and encodings, \
versions, times, expiry and metadata are kept, and so are namespaces, bounds of logs, and indexes, which are built in TO. \
Revisions are numbers of one store: TO takes its own, and remembers of which revision of FROM it is the copy.

A copy that was killed goes on where it was when the same command is given again, for six hours: so long FROM keeps its log \
for it (`larder hold list` shows it).

Examples:
  larder copy sqlite:./app.db 'postgres://app@db/app?schema=larder'
  larder copy --history sqlite:./app.db sqlite:./other.db      with all that `history` and --as-of tell
  larder copy --again sqlite:./app.db sqlite:./other.db        bring a finished copy up to date")]
pub(crate) struct CopyArguments {
    /// The store to copy: a URL as for --store
    from: String,

    /// Where to: a store that is empty or not there yet, or a copy of FROM that did not end
    to: String,

    /// Keep the log, too: every commit since the oldest one that FROM still tells of
    #[arg(long)]
    history: bool,

    /// Bring a copy that has ended up to where FROM is now
    #[arg(long, conflicts_with = "history")]
    again: bool,
}

pub(crate) async fn run(session: &mut Session, arguments: CopyArguments) -> Result<(), Failure> {
    let CopyArguments { from, to, history, again } = arguments;
    no_namespace(session)?;
    let source = session.open_at(&from, Missing::Tell).await?;
    let target = session.open_at(&to, Missing::Create).await?;
    let mut telling = Telling::begin(session);
    let copying = moving::copy(&source, &target).history(history).again(again);
    let copied = copying.progress(|told| telling.told(told)).await;
    telling.end();
    let copied = copied.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::hinted(error, "--again brings it up to where the source is now"),
        ErrorKind::NotEmpty => Failure::hinted(error, "name another store, or another schema or prefix of the same server"),
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => {
            let call = format!("larder copy {} {}", shown(&from), shown(&to));
            Failure::hinted(error, format!("when that is mended, `{call}` goes on where it stopped"))
        }
        _ => error.into(),
    })?;

    let progress = &copied.progress;
    let (entries, commits) = (progress.entries, progress.commits);
    let row = json!({
        "entries": entries,
        "bytes": progress.bytes,
        "commits": commits,
        "indexes": copied.indexes,
        "source": progress.source().to_string(),
        "source_revision": copied.source.revision.get(),
        "revision": copied.revision.get(),
        "milliseconds": u64::try_from(telling.took().as_millis()).unwrap_or(u64::MAX),
    });
    let (bytes, took) = (size(progress.bytes), seconds(telling.took()));
    let mut text = format!("copied {}, {bytes}, in {took}", counted(entries, "entry", "entries"));
    if commits > 0 {
        text.push_str(&format!("\n  {}", counted(commits, "commit was repeated", "commits were repeated")));
    }
    if copied.indexes > 0 {
        text.push_str(&format!("\n  {}", counted(copied.indexes, "index was built", "indexes were built")));
    }
    text.push_str(&format!(
        "\n  revision {} of {} is revision {} of the copy",
        copied.source.revision,
        shown(&from),
        copied.revision
    ));
    text.push_str(&format!("\n\nTry next:\n  larder verify {} {}", shown(&from), shown(&to)));
    Ok(session.output.done(&row, text)?)
}
