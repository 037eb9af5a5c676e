//! The reference: what a filter means, written as plainly as can be.
//!
//! Whatever answers faster, here or in an engine, has to answer the same.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    condition::Test,
    filter::{Filter, Node},
    json::Json,
    path::{Path, Root, Step},
};
use crate::{
    entry::Entry,
    value::{ContentKind, Value},
};

/// Whether `filter` lets `entry` through. A filter with something wrong in it lets nothing through.
pub fn matches(filter: &Filter, entry: &Entry) -> bool {
    filter.check().is_ok() && Document::of(entry).matches(filter)
}

/// An entry with its JSON as trees.
#[derive(Debug)]
pub(super) struct Document<'a> {
    entry: &'a Entry,
    value: Option<Json>,
    metadata: Option<Json>,
}

/// The JSON of a value that filters can see: what is opaque, or was encoded by a layer, is not there for them.
pub(super) fn visible(value: &Value) -> Option<&[u8]> {
    (value.kind() == ContentKind::Json && value.encodings().is_empty()).then(|| &value.bytes()[..])
}

impl<'a> Document<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        let value = visible(&entry.value).and_then(Json::read);
        Self { entry, value, metadata: Json::read(entry.metadata.as_str().as_bytes()) }
    }

    /// The tree that `root` stands for, if it stands for one that is there.
    pub(super) fn tree(&self, root: Root) -> Option<&Json> {
        match root {
            Root::Value => self.value.as_ref(),
            Root::Metadata => self.metadata.as_ref(),
            Root::Key | Root::Version | Root::Created | Root::Updated => None,
        }
    }

    fn matches(&self, filter: &Filter) -> bool {
        match filter.node() {
            Node::All(filters) => filters.iter().all(|filter| self.matches(filter)),
            Node::Any(filters) => filters.iter().any(|filter| self.matches(filter)),
            Node::Not(filter) => !self.matches(filter),
            Node::Condition(condition) => {
                let found = self.reach(condition.path());
                match condition.test() {
                    Test::Exists(wanted) => *wanted != found.is_empty(),
                    test => found.iter().any(|value| holds(test, value)),
                }
            }
            Node::Wrong(_) => false,
        }
    }

    /// Everything that `path` reaches, in order; nothing when it is missing.
    pub(super) fn reach(&self, path: &Path) -> Vec<Cow<'_, Json>> {
        let tree = match path.root() {
            Root::Key => return vec![Cow::Owned(Json::Text(self.entry.address.key.as_str().to_owned()))],
            Root::Version => return vec![Cow::Owned(Json::Number(self.entry.version.get().into()))],
            Root::Created => return vec![Cow::Owned(Json::Text(self.entry.created_at.to_string()))],
            Root::Updated => return vec![Cow::Owned(Json::Text(self.entry.updated_at.to_string()))],
            Root::Metadata => &self.metadata,
            Root::Value => &self.value,
        };
        let mut found: Vec<&Json> = tree.iter().collect();
        for step in path.steps() {
            found = found.into_iter().flat_map(|value| inside(value, step)).collect();
        }
        found.into_iter().map(Cow::Borrowed).collect()
    }
}

/// Whether `test` holds for something that `steps` reach from `value`; as [`Document::reach`], but it looks at no more than
/// it has to.
pub(super) fn any(value: &Json, steps: &[Step], test: &mut dyn FnMut(&Json) -> bool) -> bool {
    match (steps.split_first(), value) {
        (None, value) => test(value),
        (Some((Step::Each, rest)), Json::Array(items)) => items.iter().any(|item| any(item, rest, test)),
        (Some((step, rest)), value) => inside(value, step).into_iter().any(|value| any(value, rest, test)),
    }
}

/// Where `step` leads from `value`.
fn inside<'a>(value: &'a Json, step: &Step) -> Vec<&'a Json> {
    match (value, step) {
        (Json::Array(items), Step::Each) => items.iter().collect(),
        (Json::Array(items), Step::Name(_)) => step.index().and_then(|index| items.get(index)).into_iter().collect(),
        (Json::Object(fields), Step::Name(name)) => fields.get(name).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether `test` holds for one value that is there.
pub(super) fn holds(test: &Test, value: &Json) -> bool {
    match test {
        Test::Eq(other) => value == other,
        Test::Ne(other) => value != other,
        Test::Gt(other) => order(value, other).is_some_and(Ordering::is_gt),
        Test::Gte(other) => order(value, other).is_some_and(Ordering::is_ge),
        Test::Lt(other) => order(value, other).is_some_and(Ordering::is_lt),
        Test::Lte(other) => order(value, other).is_some_and(Ordering::is_le),
        Test::In(others) => others.contains(value),
        Test::Nin(others) => !others.contains(value),
        Test::Contains(other) => match (value, other) {
            (Json::Text(text), Json::Text(part)) => text.contains(part),
            (Json::Array(items), other) => items.contains(other),
            _ => false,
        },
        Test::StartsWith(start) => matches!(value, Json::Text(text) if text.starts_with(start)),
        Test::EndsWith(end) => matches!(value, Json::Text(text) if text.ends_with(end)),
        Test::Exists(wanted) => *wanted,
    }
}

/// How two values compare that can be larger or smaller than each other: two numbers, or two texts.
fn order(value: &Json, other: &Json) -> Option<Ordering> {
    match (value, other) {
        (Json::Number(value), Json::Number(other)) => Some(value.cmp(other)),
        (Json::Text(value), Json::Text(other)) => Some(value.cmp(other)),
        _ => None,
    }
}
