//! `watch`: what changes, a line an event, for as long as anybody reads.
//!
//! Nothing is kept for a slow reader: the next commit is asked for when the last one has been written out, and until
//! then it waits in the store's log.

use std::io::{self, IsTerminal, Write as _};

use clap::Args;
use larder::{Error, ErrorKind, Filter, Glob, Key, Namespace, Revision, Store, WatchBuilder};

use super::change;
use crate::{
    failure::Failure,
    session::{Missing, Session},
};

/// Print changes as they are committed, by whichever process: revision, kind, key, tab, value; with --json a line an event
#[derive(Args, Debug)]
#[command(after_help = "\
Every change comes once and in order, those of one commit one after the other with the same revision. It ends when it is \
interrupted, or when nobody reads its output any more. However slowly it is read, nothing is lost as long as the log \
reaches back that far.

With --json an event has revision, kind (created, updated, deleted, expired), at, namespace and key; entry, unless it is \
gone; and previous, unless there was none. To go on after an interruption, give --from the revision before that of the \
last event read: the commit it belongs to may have had more.

Examples:
  larder watch                                    everything in the namespace, from now on
  larder watch workloads/ --json                  the keys that begin with workloads/
  larder watch --key config --count 1             wait until config changes
  larder watch --glob '*/web' --from 0            all that the log still holds, then what comes
  larder watch --where 'state = \"failed\"'         what comes to fail, and what ceases to
  larder watch --all-namespaces --json --from 1234 | my-program")]
pub(crate) struct WatchArguments {
    #[command(flatten)]
    target: Target,

    /// Only entries that this filter lets through, before the change or after it; `larder query --help` tells how to write it
    #[arg(long = "where", value_name = "FILTER")]
    filter: Option<String>,

    /// Everything after this revision, and then what comes; without it, from now on
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,

    /// End after this many events; a commit is never cut, so the last one may bring more
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

#[derive(Args, Debug)]
#[group(multiple = false)]
struct Target {
    /// Only keys that begin with this text, taken literally
    #[arg(value_name = "PREFIX")]
    prefix: Option<String>,

    /// The same as PREFIX
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefix_option: Option<String>,

    /// Only this key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Only keys that match this pattern, in which * stands for any text
    #[arg(long, value_name = "PATTERN")]
    glob: Option<String>,

    /// The keys of all namespaces; each line names the namespace then
    #[arg(long, conflicts_with = "namespace")]
    all_namespaces: bool,
}

/// What is watched, checked.
#[derive(Debug)]
enum Watched {
    Prefix(String),
    Key(Key),
    Glob(Glob),
    AllNamespaces,
}

pub(crate) async fn run(session: &mut Session, arguments: WatchArguments) -> Result<(), Failure> {
    let watched = arguments.target.checked()?;
    let filter = arguments.filter.as_deref().map(Filter::parse).transpose()?;
    let store = session.open(Missing::Tell).await?;
    let mut builder = watched.on(&store);
    if let Some(filter) = filter {
        builder = builder.filter(filter);
    }
    if let Some(from) = arguments.from {
        builder = builder.after(Revision::new(from));
    }
    let from = arguments.from.map(Revision::new);
    let mut watch = builder.start().await.map_err(|error| not_started(error, from))?;
    let output = &mut session.output;
    if !output.quiet && io::stderr().is_terminal() {
        let what = watched.name(store.namespace());
        // Nobody waits for it, so it does not matter whether it arrives.
        let _ = writeln!(io::stderr(), "watching {what} after revision {}", watch.position().revision);
    }
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        let batch = match watch.next().await {
            Ok(batch) => batch,
            Err(error) => return Err(interrupted(error, watch.position().revision)),
        };
        for change in &batch.changes {
            output.line(match (output.json, &watched) {
                (true, _) => change::as_json(change),
                (false, Watched::AllNamespaces) => change::as_line(change, true),
                (false, _) => change::as_line(change, false),
            })?;
        }
        // Whoever reads acts on it at once, and has whole commits only.
        output.flush()?;
        left = left.saturating_sub(batch.changes.len() as u64);
    }
    Ok(())
}

impl Target {
    fn checked(self) -> Result<Watched, Error> {
        Ok(match self {
            Self { all_namespaces: true, .. } => Watched::AllNamespaces,
            Self { key: Some(key), .. } => Watched::Key(Key::new(key)?),
            Self { glob: Some(pattern), .. } => Watched::Glob(Glob::new(pattern)?),
            Self { prefix, prefix_option, .. } => Watched::Prefix(prefix.or(prefix_option).unwrap_or_default()),
        })
    }
}

impl Watched {
    fn on<'a>(&self, store: &'a Store) -> WatchBuilder<'a> {
        match self {
            Self::Prefix(prefix) => store.watch(prefix),
            Self::Key(key) => store.watch_key(key),
            Self::Glob(glob) => store.watch_glob(glob.clone()),
            Self::AllNamespaces => store.watch_all(),
        }
    }

    fn name(&self, namespace: &Namespace) -> String {
        match self {
            Self::Prefix(prefix) if prefix.is_empty() => format!("namespace {namespace:?}"),
            Self::Prefix(prefix) => format!("the keys of namespace {namespace:?} that begin with {prefix:?}"),
            Self::Key(key) => format!("the key {key:?} of namespace {namespace:?}"),
            Self::Glob(glob) => format!("the keys of namespace {namespace:?} that match {:?}", glob.as_str()),
            Self::AllNamespaces => "all namespaces".to_owned(),
        }
    }
}

/// Why a watch after the revision `from` did not start.
fn not_started(error: Error, from: Option<Revision>) -> Failure {
    match (error.oldest(), from) {
        (Some(oldest), Some(from)) if from >= oldest => {
            let error = error.as_kind(ErrorKind::Trimmed, format!("revision {from} has not come yet in this store"));
            let hint = format!("start without --from for what comes from now on, or with --from {oldest} for all there is");
            Failure::hinted(error, hint)
        }
        _ => trimmed(error),
    }
}

/// Why a watch that has printed everything up to the revision `through` goes no further.
fn interrupted(error: Error, through: Revision) -> Failure {
    if error.is_retryable() {
        return Failure::hinted(error, format!("--from {through} goes on where this ended"));
    }
    trimmed(error)
}

fn trimmed(error: Error) -> Failure {
    match error.oldest() {
        Some(oldest) => Failure::hinted(
            error,
            format!("start with --from {oldest} for what the log still holds, or without --from for what comes from now on"),
        ),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_too_late_or_too_early_is_told_where_to_start() {
        let revision = Revision::new;
        let unavailable = Error::new(ErrorKind::Unavailable, "busy");
        for (failure, status, part, hint_part) in [
            (
                not_started(Error::trimmed(revision(5)), Some(revision(4))),
                5,
                "what came after revision 5",
                "--from 5 for what",
            ),
            (
                not_started(Error::trimmed(revision(5)), Some(revision(9))),
                5,
                "revision 9 has not come yet",
                "--from 5 for all",
            ),
            (not_started(Error::trimmed(revision(5)), None), 5, "what came after revision 5", "without --from"),
            (interrupted(Error::trimmed(revision(5)), revision(4)), 5, "what came after revision 5", "--from 5 for what"),
            (interrupted(unavailable, revision(4)), 7, "busy", "--from 4 goes on"),
        ] {
            assert_eq!(failure.exit_status(), status);
            let Failure::Store { error, hint: Some(hint) } = &failure else { panic!("{failure:?} has no next step") };
            assert!(error.to_string().contains(part), "{failure:?}");
            assert!(hint.contains(hint_part), "{failure:?}");
        }
    }
}
