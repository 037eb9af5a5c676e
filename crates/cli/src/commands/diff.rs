//! `diff`: what is not the same at two moments of a store, or in two stores.

use std::str::FromStr;

use clap::Args;
use larder::{Difference, Entry, Error};
use serde_json::json;

use super::{change::VALUE_CHARACTERS_MAX, moment::Past, moving::compare, read::value_line};
use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::one_line,
};

/// What is compared: a moment of the store, or another store.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    Moment(Past),
    Store(String),
}

impl FromStr for Side {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // An engine's name begins with a letter, and no moment with a colon in it does.
        match text.split_once(':') {
            Some((scheme, _)) if scheme.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                Ok(Self::Store(text.to_owned()))
            }
            _ => text.parse().map(Self::Moment),
        }
    }
}

/// How help calls one.
const SIDE: &str = "REVISION|TIME|URL";

/// Print what is not the same at two moments, or in two stores: + or - or ~, key, tab, versions, tab, value; with --json a line a key
#[derive(Args, Debug)]
#[command(after_help = "\
A moment is a revision (1234), a time (2030-01-31T12:00:00Z), or how long ago (10m, '2h ago'), as far back as the log \
reaches. A line begins with + for a key that was not there at the first moment, with - for one that was gone at the \
second, and with ~ for one that was written in between, whatever was written.

Two stores are compared as they are now, in all namespaces unless one is named with -n, in everything but revisions, which are \
numbers of one store; then the exit status is 4 when there are differences. `larder verify` compares digests alone.

With --json a line has key, namespace, kind (added, removed, changed), before and after: whole entries, or null.

Examples:
  larder diff 1234                      what has changed since revision 1234
  larder diff '2h ago' '1h ago'
  larder diff 10m --prefix workloads/ --json
  larder diff sqlite:./app.db 'postgres://app@db/app?schema=larder'")]
pub(crate) struct DiffArguments {
    /// The first moment, or the first store
    #[arg(value_name = SIDE)]
    from: Side,

    /// The second moment, which is now unless it is given; or the second store
    #[arg(value_name = SIDE)]
    to: Option<Side>,

    /// Only keys that begin with this text, taken literally
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    prefix: String,
}

pub(crate) async fn run(session: &mut Session, arguments: DiffArguments) -> Result<(), Failure> {
    let (from, to) = match (arguments.from, arguments.to) {
        (Side::Store(one), Some(Side::Store(other))) => {
            return compare::run(session, &one, &other, &arguments.prefix).await;
        }
        (Side::Moment(from), None) => (from, None),
        (Side::Moment(from), Some(Side::Moment(to))) => (from, Some(to)),
        _ => {
            let message = "a difference is one of two moments, or of two stores: name two URLs, or none";
            return Err(Failure::Usage(message.to_owned()));
        }
    };
    let store = session.open(Missing::Tell).await?;
    let earlier = from.view(&store).await?;
    let later = match to {
        Some(to) => to.view(&store).await?,
        None => store.view().await?,
    };
    let output = &mut session.output;
    let mut diff = store.diff(&arguments.prefix, &earlier, &later)?;
    while let Some(page) = diff.next().await? {
        for difference in &page {
            output.line(if output.json { as_json(difference) } else { as_line(difference) })?;
        }
    }
    Ok(())
}

pub(crate) fn as_json(Difference { address, before, after }: &Difference) -> String {
    let kind = match (before, after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    // Never parsed and printed again: a value stays as it was written.
    let side = |entry: &Option<Entry>| entry.as_ref().map_or_else(|| "null".to_owned(), Entry::to_json_line);
    let (key, namespace) = (json!(address.key.as_str()), json!(address.namespace.as_str()));
    let (before, after) = (side(before), side(after));
    format!("{{\"key\":{key},\"namespace\":{namespace},\"kind\":\"{kind}\",\"before\":{before},\"after\":{after}}}")
}

pub(crate) fn as_line(Difference { address, before, after }: &Difference) -> String {
    let key = one_line(&address.key);
    let value = |entry: &Entry| value_line(&entry.value, VALUE_CHARACTERS_MAX);
    match (before, after) {
        (None, Some(after)) => format!("+ {key}\tv{}\t{}", after.version, value(after)),
        (Some(before), None) => format!("- {key}\tv{}\t{}", before.version, value(before)),
        (Some(before), Some(after)) => format!("~ {key}\tv{} -> v{}\t{}", before.version, after.version, value(after)),
        (None, None) => key,
    }
}
