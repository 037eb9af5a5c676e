//! `diff`: what is not the same at two moments.

use clap::Args;
use larder::{Difference, Entry};
use serde_json::json;

use super::{
    change::VALUE_CHARACTERS_MAX,
    moment::{MOMENT, Past},
    read::value_line,
};
use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::one_line,
};

/// Print what is not the same at two moments: + or - or ~, key, tab, versions, tab, value; with --json a line a key
#[derive(Args, Debug)]
#[command(after_help = "\
A moment is a revision (1234), a time (2030-01-31T12:00:00Z), or how long ago (10m, '2h ago'), as far back as the log \
reaches. A line begins with + for a key that was not there at the first moment, with - for one that was gone at the \
second, and with ~ for one that was written in between, whatever was written.

With --json a line has key, namespace, kind (added, removed, changed), before and after: whole entries, or null.

Examples:
  larder diff 1234                      what has changed since revision 1234
  larder diff '2h ago' '1h ago'
  larder diff 10m --prefix workloads/ --json")]
pub(crate) struct DiffArguments {
    /// The first moment
    #[arg(value_name = MOMENT)]
    from: Past,

    /// The second moment; now, unless it is given
    #[arg(value_name = MOMENT)]
    to: Option<Past>,

    /// Only keys that begin with this text, taken literally
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    prefix: String,
}

pub(crate) async fn run(session: &mut Session, arguments: DiffArguments) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let earlier = arguments.from.view(&store).await?;
    let later = match arguments.to {
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

fn as_json(Difference { address, before, after }: &Difference) -> String {
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

fn as_line(Difference { address, before, after }: &Difference) -> String {
    let key = one_line(&address.key);
    let value = |entry: &Entry| value_line(&entry.value, VALUE_CHARACTERS_MAX);
    match (before, after) {
        (None, Some(after)) => format!("+ {key}\tv{}\t{}", after.version, value(after)),
        (Some(before), None) => format!("- {key}\tv{}\t{}", before.version, value(before)),
        (Some(before), Some(after)) => format!("~ {key}\tv{} -> v{}\t{}", before.version, after.version, value(after)),
        (None, None) => key,
    }
}
