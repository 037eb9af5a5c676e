//! Lies about queries: what a filter means, and how far was looked.

use std::sync::Arc;

use larder_core::{
    Entry, Filter, Result, Revision, Snapshot, Timestamp, Value,
    engine::{Filtered, Scan},
    query::{Condition, Json, Node, Test, matches},
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(Takes("upper case for lower", |filter, entry| written(filter, entry, str::to_lowercase))),
        || Arc::new(Takes("a text for a number", |filter, entry| written(filter, entry, |text| text.replace("\"1\"", "1")))),
        || Arc::new(Takes("integers for floats", |filter, entry| written(filter, entry, rounded))),
        || Arc::new(Takes("a name up to a NUL for a name", |filter, entry| written(filter, entry, cut))),
        || Arc::new(Takes("bytes for JSON", seen)),
        || {
            Arc::new(Takes("missing for null", |filter, entry| {
                matches!(asked(filter).map(Condition::test), Some(Test::Eq(Json::Null))) && missing(filter, entry)
            }))
        },
        || {
            Arc::new(Takes("missing for another value", |filter, entry| {
                matches!(asked(filter).map(Condition::test), Some(Test::Ne(_) | Test::Nin(_))) && missing(filter, entry)
            }))
        },
        || Arc::new(Takes("a text for a pattern", pattern)),
        || Arc::new(KnowsAThirdTruth),
        || Arc::new(LimitsBeforeItFilters),
        || Arc::new(TakesAPartForAll),
        || Arc::new(GoesOnTooFar),
        || Arc::new(FiltersWhatHasExpired),
        || Arc::new(FiltersForwards),
        || Arc::new(FiltersAtAnotherMoment(-1)),
        || Arc::new(FiltersAtAnotherMoment(1)),
    ]
}

/// Lets through what a filter lets through, and what it takes for that.
#[derive(Debug)]
struct Takes(&'static str, fn(&Filter, &Entry) -> bool);
impl Lie for Takes {
    fn name(&self) -> String {
        format!("Takes: {}", self.0)
    }

    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        honest.filter(scan, &|entry| matches(&filter, entry) || self.1(&filter, entry))
    }
}

/// The condition that `filter` is, if it is one.
fn asked(filter: &Filter) -> Option<&Condition> {
    match filter.node() {
        Node::Condition(condition) => Some(condition),
        _ => None,
    }
}

fn missing(filter: &Filter, entry: &Entry) -> bool {
    asked(filter)
        .and_then(|condition| Condition::new(condition.path().clone(), Test::Exists(false)).ok())
        .is_some_and(|missing| matches(&Filter::condition(missing), entry))
}

/// Whether the filter would let it through if its value were written otherwise.
fn written(filter: &Filter, entry: &Entry, write: fn(&str) -> String) -> bool {
    let text = std::str::from_utf8(entry.value.bytes()).ok().map(write);
    let value = text.filter(|_| asked(filter).is_some()).and_then(|text| Value::json(text).ok());
    value.is_some_and(|value| entry.value.kind() == value.kind() && matches(filter, &Entry { value, ..entry.clone() }))
}

fn rounded(text: &str) -> String {
    text.replace("9007199254740993", "9007199254740992")
}

fn cut(text: &str) -> String {
    text.replace("\"a\":1", "\"c\":1").replace("a\\u0000b", "a")
}

fn seen(filter: &Filter, entry: &Entry) -> bool {
    matches(filter, &Entry { value: Value::detect(entry.value.bytes().clone()), ..entry.clone() })
}

/// `%` is anything.
fn pattern(filter: &Filter, entry: &Entry) -> bool {
    let Some(condition) = asked(filter) else { return false };
    let before = match condition.test() {
        Test::Contains(Json::Text(text)) | Test::StartsWith(text) => text.split_once('%').map(|(before, _)| before),
        _ => None,
    };
    let test = before.map(|before| Test::StartsWith(before.to_owned()));
    let condition = test.and_then(|test| Condition::new(condition.path().clone(), test).ok());
    condition.is_some_and(|condition| matches(&Filter::condition(condition), entry))
}

/// Of what is missing neither a condition holds nor its opposite.
#[derive(Debug)]
struct KnowsAThirdTruth;
impl Lie for KnowsAThirdTruth {
    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        let unknown = |entry: &Entry| match filter.node() {
            Node::Not(inside) => missing(inside, entry),
            _ => false,
        };
        honest.filter(scan, &|entry| matches(&filter, entry) && !unknown(entry))
    }
}

/// Looks at as many entries as are wanted, and takes them for all.
#[derive(Debug)]
struct LimitsBeforeItFilters;
impl Lie for LimitsBeforeItFilters {
    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        let Snapshot { revision, value: mut page } = honest.scan(scan)?;
        let examined = page.items.len() as u64;
        page.items.retain(|entry| matches(&filter, entry));
        Ok(Snapshot { revision, value: Filtered { items: page.items, examined, through: None } })
    }
}

/// Says that it has seen everything where it has got tired.
#[derive(Debug)]
struct TakesAPartForAll;
impl Lie for TakesAPartForAll {
    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        let mut answer = honest.filter(scan, &|entry| matches(&filter, entry))?;
        answer.value.through = answer.value.through.filter(|_| !answer.value.items.is_empty());
        Ok(answer)
    }
}

/// Says that it has looked at the next one, too.
#[derive(Debug)]
struct GoesOnTooFar;
impl Lie for GoesOnTooFar {
    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        let mut answer = honest.filter(scan.clone(), &|entry| matches(&filter, entry))?;
        if let Some(through) = &answer.value.through {
            let range = if scan.reverse { scan.range.before(through) } else { scan.range.after(through) };
            let next = honest.scan(Scan { range, limit: 1, ..scan })?.value.items.pop();
            answer.value.through = next.map(|next| next.address);
        }
        Ok(answer)
    }
}

/// Does not look at the clock.
#[derive(Debug)]
struct FiltersWhatHasExpired;
impl Lie for FiltersWhatHasExpired {
    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        honest.filter(Scan { now: Timestamp::EPOCH, ..scan }, &|entry| matches(&filter, entry))
    }
}

/// Knows one direction.
#[derive(Debug)]
struct FiltersForwards;
impl Lie for FiltersForwards {
    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        honest.filter(Scan { reverse: false, ..scan }, &|entry| matches(&filter, entry))
    }
}

/// Answers from one moment and names another one.
#[derive(Debug)]
struct FiltersAtAnotherMoment(i64);
impl Lie for FiltersAtAnotherMoment {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn filter(&self, honest: &Honest, scan: Scan, filter: Filter) -> Result<Snapshot<Filtered>> {
        let mut answer = honest.filter(scan, &|entry| matches(&filter, entry))?;
        answer.revision = Revision::new(answer.revision.get().saturating_add_signed(self.0));
        Ok(answer)
    }
}
