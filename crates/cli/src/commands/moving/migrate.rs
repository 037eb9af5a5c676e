//! `migrate`: a store to another place, while others write to it.

use clap::Args;
use larder::{ErrorKind, moving};
use serde_json::json;

use super::{no_namespace, shown, telling::Telling};
use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::{counted, seconds, size},
};

/// Move a store to another engine or place while others write to it, which they cannot for less than a second
#[derive(Args, Debug)]
#[command(after_help = "\
FROM is copied, then its log is followed until TO has caught up, and both are compared by a digest of each namespace. Then \
writers are paused, what they have written last is brought over, and FROM is closed for good: whoever writes to it is told that \
it has moved to TO. Readers and watchers of FROM are not disturbed; who has watched it to its end goes on in TO.

Killed at any time, it goes on where it was when the same command is given again. Until it has ended well FROM is the store; \
a pause whose migration died ends by itself after 5 seconds.

With --follow-back what is written to TO from then on is written to FROM, too, until this is interrupted; `larder migrate TO FROM \
--live` then returns.

Examples:
  larder migrate sqlite:./app.db 'postgres://app@db/app' --live
  larder migrate sqlite:./app.db 'postgres://app@db/app' --live --follow-back")]
pub(crate) struct MigrateArguments {
    /// The store that moves: a URL as for --store
    from: String,

    /// Where to: a store that is empty or not there yet, or one that a migration or a copy of FROM has begun to fill
    to: String,

    /// While others write; there is no other way
    #[arg(long, required = true)]
    live: bool,

    /// Go on writing to FROM what is written to TO, so that one can return
    #[arg(long)]
    follow_back: bool,
}

pub(crate) async fn run(session: &mut Session, arguments: MigrateArguments) -> Result<(), Failure> {
    let MigrateArguments { from, to, live: _, follow_back } = arguments;
    no_namespace(session)?;
    let source = session.open_at(&from, Missing::Tell).await?;
    let target = session.open_at(&to, Missing::Create).await?;
    let mut telling = Telling::begin(session);
    // Whoever is told where the store is now is not told the password.
    let moved = moving::migrate(&source, &target, shown(&to)).progress(|told| telling.told(told)).await;
    telling.end();
    match moved {
        Err(error) if follow_back && error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => {
            let mended = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Conflict);
            let call = format!("larder migrate {} {} --live", shown(&from), shown(&to));
            let hint = format!("{} is the store still; `{call}` goes on where it stopped", shown(&from));
            return Err(if mended { Failure::hinted(error, hint) } else { error.into() });
        }
        Ok(moved) => {
            let progress = &moved.progress;
            let paused = moved.paused.map(|paused| u64::try_from(paused.as_millis()).unwrap_or(u64::MAX));
            let row = json!({
                "entries": progress.entries,
                "bytes": progress.bytes,
                "commits": progress.commits,
                "namespaces": moved.verified.len(),
                "paused_ms": paused,
                "source": progress.source().to_string(),
                "source_revision": moved.source.revision.get(),
                "revision": moved.target.revision.get(),
                "milliseconds": u64::try_from(telling.took().as_millis()).unwrap_or(u64::MAX),
            });
            let entries = counted(progress.entries, "entry", "entries");
            let mut text = format!("moved {entries}, {}, in {}", size(progress.bytes), seconds(telling.took()));
            text.push_str(&format!(
                "\n  {}",
                counted(progress.commits, "commit was made meanwhile", "commits were made meanwhile")
            ));
            text.push_str(&format!(
                "\n  {} compared, and the same",
                counted(moved.verified.len() as u64, "namespace", "namespaces")
            ));
            text.push_str(&match paused {
                Some(paused) => format!("\n  writers were paused for {paused} ms"),
                None => "\n  writers were paused by the run before this one".to_owned(),
            });
            text.push_str(&format!("\n  {} takes no writes any more; the store is {}", shown(&from), shown(&to)));
            session.output.done(&row, text)?;
        }
    }
    if !follow_back {
        return Ok(());
    }
    session.output.done(
        &json!({ "following_back": true }),
        format_args!("\nwriting to {} what is written to {}, until this is interrupted", shown(&from), shown(&to)),
    )?;
    session.output.flush()?;
    let mut telling = Telling::begin(session);
    let following = moving::follow_back(&target, &source, |told| telling.told(told));
    let ended = tokio::select! {
        ended = following => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    telling.end();
    Ok(ended?)
}
