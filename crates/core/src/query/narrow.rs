//! Narrowing: which keys can be among the answers, seen from the filter alone.

use super::{
    condition::{Condition, Test},
    filter::{Filter, Node},
    json::Json,
    path::Path,
};
use crate::{address::Range, namespace::Namespace};

/// A range of `namespace` that holds everything `filter` can let through; `None` where it says nothing of the key.
pub(crate) fn range(filter: &Filter, namespace: &Namespace) -> Option<Range> {
    match filter.node() {
        Node::All(filters) => {
            let ranges = filters.iter().filter_map(|filter| range(filter, namespace));
            ranges.reduce(|found, range| found.intersect(&range))
        }
        Node::Any(filters) => {
            let ranges: Option<Vec<Range>> = filters.iter().map(|filter| range(filter, namespace)).collect();
            let ranges = ranges?.into_iter().filter(|range| !range.is_empty());
            Some(ranges.reduce(|found, range| found.cover(&range)).unwrap_or_else(|| none(namespace)))
        }
        Node::Condition(condition) if *condition.path() == Path::key() => of(condition, namespace),
        Node::Condition(_) | Node::Not(_) | Node::Wrong(_) => None,
    }
}

fn none(namespace: &Namespace) -> Range {
    Range::keys(namespace, "", Some(""))
}

/// The keys that a condition on the key lets through, at least.
fn of(condition: &Condition, namespace: &Namespace) -> Option<Range> {
    let one = |value: &Json| match value {
        Json::Text(text) => Range::keys(namespace, text, Some(&after(text))),
        _ => none(namespace),
    };
    Some(match condition.test() {
        Test::Eq(value) => one(value),
        Test::In(values) => {
            let ranges = values.iter().map(one).filter(|range| !range.is_empty());
            ranges.reduce(|found, range| found.cover(&range)).unwrap_or_else(|| none(namespace))
        }
        Test::Gt(Json::Text(text)) => Range::keys(namespace, &after(text), None),
        Test::Gte(Json::Text(text)) => Range::keys(namespace, text, None),
        Test::Lt(Json::Text(text)) => Range::keys(namespace, "", Some(text)),
        Test::Lte(Json::Text(text)) => Range::keys(namespace, "", Some(&after(text))),
        Test::StartsWith(start) => Range::prefix(namespace, start),
        // Only texts have an order here, and every key is one.
        Test::Gt(_) | Test::Gte(_) | Test::Lt(_) | Test::Lte(_) | Test::Exists(false) => none(namespace),
        Test::Ne(_) | Test::Nin(_) | Test::Contains(_) | Test::EndsWith(_) | Test::Exists(true) => return None,
    })
}

/// The first text after `text`.
fn after(text: &str) -> String {
    format!("{text}\0")
}
