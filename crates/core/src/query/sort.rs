//! Sorting: a total order over entries, with the key as the last word.

use std::{cmp::Reverse, fmt};

use super::{
    json::Json,
    path::{IntoPath, Path},
    sight,
};
use crate::{
    entry::Entry,
    error::{Error, Result},
    key::Key,
};

/// By what to sort, the first of it first. What is equal in all of it is in the order of its keys.
///
/// Values are ordered as [`Json`] is; where one is missing the entry comes last, upwards and downwards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sort(Vec<By>);

/// A part of a sort.
#[derive(Clone, Debug, PartialEq)]
pub struct By {
    /// What is compared; it reaches one place.
    pub path: Path,
    /// From the last to the first.
    pub descending: bool,
}

impl Sort {
    /// The most paths to sort by.
    pub const MAX: usize = 8;

    /// In the order of keys.
    pub fn by_key() -> Self {
        Self::default()
    }

    /// Then by `path`, upwards.
    ///
    /// # Errors
    /// `Invalid` for a bad path, and for one with `[]` in it; `Limit` beyond eight.
    pub fn ascending(self, path: impl IntoPath) -> Result<Self> {
        self.then(By { path: path.into_path()?, descending: false })
    }

    /// Then by `path`, downwards.
    ///
    /// # Errors
    /// As [`Sort::ascending`].
    pub fn descending(self, path: impl IntoPath) -> Result<Self> {
        self.then(By { path: path.into_path()?, descending: true })
    }

    /// Then by `by`.
    ///
    /// # Errors
    /// As [`Sort::ascending`].
    pub fn then(mut self, by: By) -> Result<Self> {
        if by.path.is_many() {
            return Err(Error::invalid(format!("{} reaches many values, and a sort goes by one", by.path)));
        }
        if self.0.len() == Self::MAX {
            return Err(Error::limit(format!("a sort goes by at most {} paths", Self::MAX)));
        }
        self.0.push(by);
        Ok(self)
    }

    /// What it goes by.
    pub fn parts(&self) -> &[By] {
        &self.0
    }

    /// Whether it is the order of the keys, and if it is, whether from the last to the first.
    pub fn is_by_key(&self) -> Option<bool> {
        match self.0.first() {
            None => Some(false),
            // Keys differ: what comes after has nothing to say.
            Some(by) => (by.path == Path::key()).then_some(by.descending),
        }
    }

    /// The place of `entry` in this order.
    pub(crate) fn rank(&self, entry: &Entry) -> Rank {
        let value = |by: &By| {
            let mut found = None;
            sight::each(entry, &by.path, &mut |sight| {
                found = sight.read();
                true
            });
            found
        };
        self.place(self.0.iter().map(value), entry.address.key.clone())
    }

    /// The place with these `values`, one by each part of it.
    pub(super) fn place(&self, values: impl Iterator<Item = Option<Json>>, key: Key) -> Rank {
        // Keys differ: what comes after them has nothing to say, not even of an entry that was another one then.
        let told = self.0.iter().position(|by| by.path == Path::key()).map_or(self.0.len(), |at| at + 1);
        let told = |(at, (value, by)): (usize, (Option<Json>, &By))| Slot::of(value.filter(|_| at < told), by.descending);
        Rank { slots: values.zip(&self.0).enumerate().map(told).collect(), key }
    }
}

/// As in the text form: `-age name`.
impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, by) in self.0.iter().enumerate() {
            write!(f, "{}{}{}", if index == 0 { "" } else { ", " }, if by.descending { "-" } else { "" }, by.path)?;
        }
        Ok(())
    }
}

/// The place of an entry in an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(super) slots: Vec<Slot>,
    pub(super) key: Key,
}

/// One value of a place. In one position of an order stand either `Up` or `Down` and never both, so that what is missing
/// comes last either way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Up(Json),
    Down(Reverse<Json>),
    Missing,
}

impl Slot {
    pub(super) fn of(value: Option<Json>, descending: bool) -> Self {
        match value {
            None => Self::Missing,
            Some(value) if descending => Self::Down(Reverse(value)),
            Some(value) => Self::Up(value),
        }
    }

    pub(super) fn value(&self) -> Option<&Json> {
        match self {
            Self::Up(value) | Self::Down(Reverse(value)) => Some(value),
            Self::Missing => None,
        }
    }
}

impl Rank {
    /// The last word.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// What the entry has, by each part of the sort.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<&Json>> {
        self.slots.iter().map(Slot::value)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.slots.iter().filter_map(Slot::value).map(Json::bytes).sum::<usize>()
    }
}
