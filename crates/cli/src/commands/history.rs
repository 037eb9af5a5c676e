//! `history`: what a key was, newest first, as far as the log still tells.

use clap::Args;
use larder::{Key, Revision};

use super::change;
use crate::{
    failure::Failure,
    session::{Missing, Session},
};

/// How many changes are asked for at once.
const PAGE_CHANGES: usize = 100;

/// Print what a key was, newest first: revision, kind, key, tab, value; with --json a line a change
#[derive(Args, Debug)]
#[command(after_help = "\
The log is bounded: see `larder trim --help`. The lines are those of `larder watch`.

Examples:
  larder history config
  larder history config --limit 1 --json          the last change, with the value before
  larder history config --before 1234             what came before revision 1234")]
pub(crate) struct HistoryArguments {
    /// The key
    key: String,

    /// At most this many changes; a commit is never cut
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Only changes of earlier revisions than this
    #[arg(long, value_name = "REVISION")]
    before: Option<u64>,
}

pub(crate) async fn run(session: &mut Session, arguments: HistoryArguments) -> Result<(), Failure> {
    let key = Key::new(arguments.key)?;
    let store = session.open(Missing::Tell).await?;
    let output = &mut session.output;
    let mut before = arguments.before.map(Revision::new);
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let page = store.history(&key, left.min(PAGE_CHANGES), before).await?;
        for change in &page.changes {
            output.line(if output.json { change::as_json(change) } else { change::as_line(change, false) })?;
        }
        left = left.saturating_sub(page.changes.len());
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(())
}
