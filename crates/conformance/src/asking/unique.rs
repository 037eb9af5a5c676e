//! What unique indexes allow, told from the values themselves.

use larder_core::{
    Entry, Index,
    query::{Json, Path, Row},
};

/// Texts from this length on are ones that a term has no room for; the histories have none that are nearly as long.
const LONG: usize = 1000;

/// Every combination of what `entry` has at the paths of `index`, but for those in which something is missing.
fn combinations(index: &Index, entry: &Entry) -> Vec<Vec<Json>> {
    let mut all = vec![Vec::new()];
    for path in index.paths() {
        let values = values(entry, path);
        let with = |before: &Vec<Json>| {
            values.iter().map(|value| [&before[..], std::slice::from_ref(value)].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

fn values(entry: &Entry, path: &Path) -> Vec<Json> {
    let found = Row::of(entry, std::slice::from_ref(path)).fields.remove(&path.to_string());
    match found {
        Some(Json::Array(values)) if path.is_many() => values,
        Some(value) => vec![value],
        None => Vec::new(),
    }
}

/// Whether two of `entries` have the same in `index`.
pub(super) fn is_broken(index: &Index, entries: &[Entry]) -> bool {
    let all: Vec<_> = entries.iter().map(|entry| combinations(index, entry)).collect();
    all.iter().enumerate().any(|(at, one)| {
        let same = |other: &Vec<Vec<Json>>| one.iter().any(|combination| other.contains(combination));
        all[at + 1..].iter().any(same)
    })
}

/// Whether `entry` has something that a unique index cannot tell from others.
pub(super) fn is_too_long(index: &Index, entry: &Entry) -> bool {
    index.paths().iter().any(|path| values(entry, path).iter().any(is_long))
}

fn is_long(value: &Json) -> bool {
    match value {
        Json::Text(text) => text.len() >= LONG,
        Json::Array(items) => items.iter().any(is_long),
        Json::Object(fields) => fields.values().any(is_long),
        _ => false,
    }
}
