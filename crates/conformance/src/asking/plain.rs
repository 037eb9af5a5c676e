//! What the answer is: the evaluator, and a sort as plain as can be.
//!
//! Asks nothing of ranks, cursors, spans and terms, which are what is being proved.

use std::cmp::Ordering;

use larder_core::{
    Aggregate, Aggregated, Entry, Filter, Key, Query, Result, Sort,
    query::{By, Json, Path, Row, Tally, matches},
};

/// Where an entry stands in an order: what it has by each part of the sort, and its key.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    values: Vec<Option<Json>>,
    key: Key,
}

/// What `path`, which reaches one place, reaches.
pub(super) fn value(entry: &Entry, path: &Path) -> Option<Json> {
    Row::of(entry, std::slice::from_ref(path)).fields.remove(&path.to_string())
}

impl Spot {
    pub(super) fn of(entry: &Entry, sort: &Sort) -> Self {
        let values = sort.parts().iter().map(|by| value(entry, &by.path)).collect();
        Self { values, key: entry.address.key.clone() }
    }
}

/// Which of two comes first: by the parts of the sort up to the key, and what is missing last, up and down.
pub(super) fn compare(sort: &Sort, a: &Spot, b: &Spot) -> Ordering {
    for (By { path, descending }, (one, other)) in sort.parts().iter().zip(a.values.iter().zip(&b.values)) {
        let order = match (one, other) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) if *descending => other.cmp(one),
            (Some(one), Some(other)) => one.cmp(other),
        };
        if order.is_ne() || *path == Path::key() {
            return order;
        }
    }
    a.key.cmp(&b.key)
}

/// What `filter` lets through, in order, behind `start`.
pub(super) fn found(entries: &[Entry], filter: &Filter, sort: &Sort, start: Option<&Spot>) -> Vec<Entry> {
    let mut found: Vec<(Spot, &Entry)> =
        entries.iter().filter(|entry| matches(filter, entry)).map(|entry| (Spot::of(entry, sort), entry)).collect();
    found.retain(|(spot, _)| start.is_none_or(|start| compare(sort, spot, start).is_gt()));
    found.sort_by(|(a, _), (b, _)| compare(sort, a, b));
    found.into_iter().map(|(_, entry)| entry.clone()).collect()
}

/// The page that `query` asks for, and whether there is more behind it.
pub(super) fn page(entries: &[Entry], query: &Query, start: Option<&Spot>) -> (Vec<Entry>, bool) {
    let all = found(entries, &query.filter, &query.sort, start);
    let limit = query.limit.unwrap_or(usize::MAX);
    let more = limit > 0 && all.len() > query.offset.saturating_add(limit);
    (all.into_iter().skip(query.offset).take(limit).collect(), more)
}

pub(super) fn aggregate(entries: &[Entry], aggregate: &Aggregate) -> Result<Aggregated> {
    let mut tally = Tally::new(aggregate);
    entries.iter().filter(|entry| matches(&aggregate.filter, entry)).try_for_each(|entry| tally.add(entry))?;
    tally.finish()
}
