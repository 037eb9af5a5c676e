//! The fast way: a filter prepared once, which then looks at text where it stands.
//!
//! It answers as the [reference](super::evaluate) does; a property proves it.

use std::cmp::Ordering;

use super::{
    condition::{Condition, Test},
    evaluate::{self, Document},
    filter::{Filter, Node},
    json::Json,
    path::{Path, Root},
    scan,
    sight::{self, Sight},
};
use crate::{entry::Entry, error::Result, time::Timestamp};

/// So many conditions on values are looked for in the text, one after the other. For more of them the text is read into a
/// tree first, so that the time for an entry does not grow with their number times its size.
const SCANS_MAX: usize = 16;

/// A filter, ready to be asked about many entries.
#[derive(Debug)]
pub struct Matcher {
    part: Part,
    /// Whether entries are read into trees.
    pub(super) reads: bool,
}

#[derive(Debug)]
enum Part {
    All(Vec<Part>),
    Any(Vec<Part>),
    Not(Box<Part>),
    Condition(Path, Test),
    /// A comparison of a time, as numbers.
    Time(Root, Test),
}

impl Matcher {
    /// Prepares `filter`.
    ///
    /// # Errors
    /// As [`Filter::check`].
    pub fn new(filter: &Filter) -> Result<Self> {
        let inside = |condition: &&Condition| matches!(condition.path().root(), Root::Value | Root::Metadata);
        let reads = filter.conditions().into_iter().filter(inside).count() > SCANS_MAX;
        Self::reading(filter, reads)
    }

    pub(super) fn reading(filter: &Filter, reads: bool) -> Result<Self> {
        filter.check()?;
        Ok(Self { part: Part::of(filter), reads })
    }

    /// Whether the filter lets `entry` through.
    pub fn matches(&self, entry: &Entry) -> bool {
        let document = self.reads.then(|| Document::of(entry));
        self.part.matches(entry, document.as_ref())
    }
}

impl Part {
    fn of(filter: &Filter) -> Self {
        match filter.node() {
            Node::All(filters) => Self::All(filters.iter().map(Self::of).collect()),
            Node::Any(filters) => Self::Any(filters.iter().map(Self::of).collect()),
            Node::Not(filter) => Self::Not(Box::new(Self::of(filter))),
            Node::Condition(condition) => Self::condition(condition),
            // It was checked that there is none; one would let nothing through.
            Node::Wrong(_) => Self::Any(Vec::new()),
        }
    }

    fn condition(condition: &Condition) -> Self {
        let (path, root) = (condition.path(), condition.path().root());
        if matches!(root, Root::Created | Root::Updated)
            && let Some(test) = in_millis(condition.test())
        {
            return Self::Time(root, test);
        }
        let mut test = condition.test().clone();
        if let Test::In(values) | Test::Nin(values) = &mut test {
            values.sort_unstable();
        }
        Self::Condition(path.clone(), test)
    }

    fn matches(&self, entry: &Entry, document: Option<&Document<'_>>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(entry, document)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(entry, document)),
            Self::Not(part) => !part.matches(entry, document),
            Self::Condition(path, test) => {
                let found = match (document, path.root()) {
                    (Some(document), root @ (Root::Value | Root::Metadata)) => document.tree(root).is_some_and(|tree| {
                        let exists = matches!(test, Test::Exists(_));
                        evaluate::any(tree, path.steps(), &mut |value| exists || holds_of_tree(test, value))
                    }),
                    _ => sight::each(entry, path, &mut |sight| holds(test, &sight)),
                };
                // Of what exists, it was asked whether there is anything.
                found != matches!(test, Test::Exists(false))
            }
            Self::Time(Root::Created, test) => holds(test, &Sight::Number(entry.created_at.as_millis().into())),
            Self::Time(_, test) => holds(test, &Sight::Number(entry.updated_at.as_millis().into())),
        }
    }
}

/// As the reference has it, but values that are in order are not all looked at.
fn holds_of_tree(test: &Test, value: &Json) -> bool {
    match test {
        Test::In(others) => others.binary_search(value).is_ok(),
        Test::Nin(others) => others.binary_search(value).is_err(),
        test => evaluate::holds(test, value),
    }
}

fn holds(test: &Test, value: &Sight<'_>) -> bool {
    match test {
        Test::Eq(other) => value.is(other),
        Test::Ne(other) => !value.is(other),
        Test::Gt(other) => value.order(other).is_some_and(Ordering::is_gt),
        Test::Gte(other) => value.order(other).is_some_and(Ordering::is_ge),
        Test::Lt(other) => value.order(other).is_some_and(Ordering::is_lt),
        Test::Lte(other) => value.order(other).is_some_and(Ordering::is_le),
        Test::In(others) => value.is_among(others),
        Test::Nin(others) => !value.is_among(others),
        Test::Contains(other) => match (value, other) {
            (Sight::Text(text), Json::Text(part)) => text.contains(part),
            (Sight::Array(raw), other) => {
                scan::elements(raw, &mut |item| Sight::of(item).is_some_and(|item| item.is(other)))
            }
            _ => false,
        },
        Test::StartsWith(start) => matches!(value, Sight::Text(text) if text.starts_with(start)),
        Test::EndsWith(end) => matches!(value, Sight::Text(text) if text.ends_with(end)),
        Test::Exists(_) => true,
    }
}

/// A comparison of times as one of numbers, which is the same and needs no text to be written for every entry.
fn in_millis(test: &Test) -> Option<Test> {
    let millis = |value: &Json| match value {
        Json::Text(text) => Timestamp::parse(text).ok().map(|time| Json::Number(time.as_millis().into())),
        _ => None,
    };
    let all = |values: &[Json]| {
        let mut values = values.iter().map(millis).collect::<Option<Vec<_>>>()?;
        values.sort_unstable();
        Some(values)
    };
    Some(match test {
        Test::Eq(value) => Test::Eq(millis(value)?),
        Test::Ne(value) => Test::Ne(millis(value)?),
        Test::Gt(value) => Test::Gt(millis(value)?),
        Test::Gte(value) => Test::Gte(millis(value)?),
        Test::Lt(value) => Test::Lt(millis(value)?),
        Test::Lte(value) => Test::Lte(millis(value)?),
        Test::In(values) => Test::In(all(values)?),
        Test::Nin(values) => Test::Nin(all(values)?),
        Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) | Test::Exists(_) => return None,
    })
}
