//! Aggregates: one answer about many entries, in bounded memory and independent of the order in which they come.

use std::collections::BTreeMap;

use super::{filter::Filter, json::Json, number::Number, path::Path, sight, sum::Sum};
use crate::{
    entry::Entry,
    error::{Error, Result},
};

/// A question about all entries that a filter lets through.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which entries.
    pub filter: Filter,
    /// What to tell of them.
    pub measure: Measure,
    /// At most so many values or groups, the first ones.
    pub limit: Option<usize>,
}

/// What to tell of entries. Where a path has `[]` in it, every value that it reaches counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// How many there are.
    Count,
    /// The different values.
    Distinct(Path),
    /// The value that comes first in the order of [`Json`].
    Min(Path),
    /// The value that comes last.
    Max(Path),
    /// The sum of those values that are numbers, without rounding on the way.
    Sum(Path),
    /// How many entries there are with each value; an entry counts once for a value, however often it has it.
    Group(Path),
}

/// The answer to an [`Aggregate`].
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregated {
    /// So many.
    Count(u64),
    /// In the order of [`Json`].
    Distinct(Vec<Json>),
    /// The first or the last; `None` when there is no value.
    Value(Option<Json>),
    /// The sum, and of how many numbers.
    Sum {
        /// 0 when there are none.
        sum: Number,
        /// How many numbers were added.
        numbers: u64,
    },
    /// The largest first, what is equally large in the order of its values, and what is missing behind that.
    Groups(Vec<Group>),
}

/// The entries with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The value; `None` for the entries in which it is missing.
    pub value: Option<Json>,
    /// How many entries have it.
    pub count: u64,
}

impl Aggregate {
    /// The measure of what `filter` lets through.
    pub fn new(filter: Filter, measure: Measure) -> Self {
        Self { filter, measure, limit: None }
    }

    /// At most so many values or groups.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// An aggregate on the way.
#[derive(Debug)]
pub struct Tally<'a> {
    measure: &'a Measure,
    limit: Option<usize>,
    count: u64,
    sum: Sum,
    best: Option<Json>,
    values: BTreeMap<Json, u64>,
    missing: u64,
    /// What `values` takes, in bytes.
    bytes: usize,
}

impl<'a> Tally<'a> {
    /// How many bytes of different values an aggregate may hold.
    pub const MAX_BYTES: usize = 64 * 1024 * 1024;

    /// Nothing counted yet.
    pub fn new(aggregate: &'a Aggregate) -> Self {
        Self {
            measure: &aggregate.measure,
            limit: aggregate.limit,
            count: 0,
            sum: Sum::new(),
            best: None,
            values: BTreeMap::new(),
            missing: 0,
            bytes: 0,
        }
    }

    /// Counts an entry that the filter let through.
    ///
    /// # Errors
    /// `Limit` when there are more different values than may be held.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        match self.measure {
            Measure::Count => self.count += 1,
            Measure::Sum(path) => {
                each(entry, path, |value| {
                    if let Json::Number(number) = value {
                        self.count += 1;
                        self.sum.add(number);
                    }
                });
            }
            Measure::Min(path) => each(entry, path, |value| match &self.best {
                Some(best) if *best <= value => {}
                _ => self.best = Some(value),
            }),
            Measure::Max(path) => each(entry, path, |value| match &self.best {
                Some(best) if *best >= value => {}
                _ => self.best = Some(value),
            }),
            Measure::Distinct(path) | Measure::Group(path) => {
                let mut values = Vec::new();
                each(entry, path, |value| values.push(value));
                values.sort_unstable();
                values.dedup();
                self.missing += u64::from(values.is_empty());
                for value in values {
                    self.group(value)?;
                }
            }
        }
        Ok(())
    }

    fn group(&mut self, value: Json) -> Result<()> {
        if let Some(count) = self.values.get_mut(&value) {
            *count += 1;
            return Ok(());
        }
        self.bytes += value.bytes() + 64;
        if self.bytes > Self::MAX_BYTES {
            let message = format!("more than {} bytes of different values are too many: filter first", Self::MAX_BYTES);
            return Err(Error::limit(message));
        }
        self.values.insert(value, 1);
        Ok(())
    }

    /// The answer.
    ///
    /// # Errors
    /// `Limit` when a sum is larger than any number of JSON.
    pub fn finish(self) -> Result<Aggregated> {
        let limit = self.limit.unwrap_or(usize::MAX);
        Ok(match self.measure {
            Measure::Count => Aggregated::Count(self.count),
            Measure::Min(_) | Measure::Max(_) => Aggregated::Value(self.best),
            Measure::Sum(path) => {
                let beyond = || Error::limit(format!("the sum of {path} is beyond what a number of JSON can be"));
                Aggregated::Sum { sum: self.sum.total().ok_or_else(beyond)?, numbers: self.count }
            }
            Measure::Distinct(_) => Aggregated::Distinct(self.values.into_keys().take(limit).collect()),
            Measure::Group(_) => {
                let missing = Some(Group { value: None, count: self.missing }).filter(|group| group.count > 0);
                let found = self.values.into_iter().map(|(value, count)| Group { value: Some(value), count });
                let mut groups: Vec<Group> = found.chain(missing).collect();
                // They come in the order of their values, and the sort keeps it where counts are equal.
                groups.sort_by_key(|group| std::cmp::Reverse(group.count));
                groups.truncate(limit);
                Aggregated::Groups(groups)
            }
        })
    }
}

fn each(entry: &Entry, path: &Path, mut visit: impl FnMut(Json)) {
    sight::each(entry, path, &mut |sight| {
        // Of equal values any may come first, and the answer must not tell which.
        sight.read().map(Json::canonical).into_iter().for_each(&mut visit);
        false
    });
}
