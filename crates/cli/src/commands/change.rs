//! Changes as lines, the same for everybody who prints some.

use std::fmt::Write as _;

use larder::Change;
use serde_json::json;

use super::read::value_line;
use crate::text::one_line;

/// How much of a value people are shown.
pub(crate) const VALUE_CHARACTERS_MAX: usize = 80;

/// A change on one line of JSON.
pub(crate) fn as_json(change: &Change) -> String {
    let Change { revision, at, kind, address, before, after } = change;
    let (kind, namespace, key) = (kind.as_str(), json!(address.namespace.as_str()), json!(address.key.as_str()));
    let mut line =
        format!("{{\"revision\":{revision},\"kind\":\"{kind}\",\"at\":\"{at}\",\"namespace\":{namespace},\"key\":{key}");
    for (name, entry) in [("entry", after), ("previous", before)] {
        if let Some(entry) = entry {
            // Never parsed and printed again: a value stays as it was written.
            write!(line, ",\"{name}\":{}", entry.to_json_line()).expect("writing to a String does not fail");
        }
    }
    line.push('}');
    line
}

/// A change on one line for people; with its namespace where there may be several.
pub(crate) fn as_line(change: &Change, with_namespace: bool) -> String {
    let Change { revision, kind, address, after, .. } = change;
    let mut line = format!("{revision} {} ", kind.as_str());
    if with_namespace {
        line.push_str(&one_line(address.namespace.as_str()));
        // Both names may hold spaces, and neither a tab.
        line.push('\t');
    }
    line.push_str(&one_line(&address.key));
    if let Some(entry) = after {
        line.push('\t');
        line.push_str(&value_line(&entry.value, VALUE_CHARACTERS_MAX));
    }
    line
}
