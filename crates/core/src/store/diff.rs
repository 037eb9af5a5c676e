//! Differences: what is not the same at two moments.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scope, View, moment::Moment};
use crate::{
    address::{Address, Range},
    change::Undo,
    entry::Entry,
    error::{Error, Result},
};

/// How many addresses are compared at once.
const PAGE_ITEMS: usize = 256;

/// A key that is not the same at two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which key.
    pub address: Address,
    /// What it was at the earlier moment; `None` when it was absent.
    pub before: Option<Entry>,
    /// What it was at the later moment; `None` when it was absent.
    pub after: Option<Entry>,
}

/// The differences between two moments, page by page, in bytewise order of keys.
#[derive(Debug)]
pub struct Diff {
    earlier: View,
    later: View,
    /// What is still to be compared.
    range: Option<Range>,
    /// What is stored and had expired at one of the two moments: that leaves no change behind. Found with the first page.
    expired: Option<BTreeSet<Address>>,
}

impl Scope {
    /// What of the keys that begin with `prefix` is not the same in two views of this store. Read without an order of its
    /// own: what was changed and changed back is another entry, with another revision.
    ///
    /// The cost is that of what has changed since the earlier one, and of what has expired and was not swept up, not of what
    /// there is.
    ///
    /// # Errors
    /// `Invalid` when the views are of another store or of different pasts, or the first one is the later one.
    pub fn diff(&self, prefix: &str, earlier: &View, later: &View) -> Result<Diff> {
        let ours = |view: &View| self.is_of_the_store_of(view.scope());
        let one_past = ours(earlier) && ours(later) && earlier.position().lineage == later.position().lineage;
        if !one_past || earlier.revision() > later.revision() {
            return Err(Error::invalid("a difference is taken from an earlier view of a store to a later one"));
        }
        let range = Some(self.prefix(prefix)).filter(|range| !range.is_empty());
        Ok(Diff { earlier: earlier.clone(), later: later.clone(), range, expired: None })
    }
}

impl Diff {
    /// The next differences, at least one; `None` when there are none left.
    ///
    /// # Errors
    /// `Trimmed` when the log no longer reaches back to the earlier moment; else what the engine meets. Asking again
    /// compares the same again.
    pub async fn next(&mut self) -> Result<Option<Vec<Difference>>> {
        if self.expired.is_none() && self.range.is_some() {
            self.expired = Some(self.find_expired().await?);
        }
        while let Some(range) = &self.range {
            let (found, rest) = self.page(range).await?;
            self.range = rest;
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What was there at one of the two moments and is absent at the other without having been touched.
    async fn find_expired(&self) -> Result<BTreeSet<Address>> {
        let (earlier, later) = (self.earlier.time(), self.later.time());
        if earlier == later {
            return Ok(BTreeSet::new());
        }
        let found = self.earlier.scope().engine().expired(earlier.max(later), usize::MAX).await?;
        let inside = |address: &Address| self.range.as_ref().is_some_and(|range| range.contains(address));
        Ok(found.into_iter().filter(inside).collect())
    }

    async fn page(&self, range: &Range) -> Result<(Vec<Difference>, Option<Range>)> {
        let (scope, after) = (self.earlier.scope(), self.earlier.revision());
        let lineage = self.earlier.position().lineage;
        let undo = Undo { lineage, after, range: range.clone(), reverse: false, limit: PAGE_ITEMS };
        let changed = scope.engine().undo(undo).await?.value;
        let last = changed.items.last().filter(|_| changed.more).map(|last| last.address.clone());
        let piece = last.as_ref().map_or_else(|| range.clone(), |last| range.clone().through(last));

        let live = |entry: &Entry| !entry.is_expired(self.earlier.time());
        let changed = changed.items.into_iter().map(|undone| (undone.address, undone.entry.filter(live)));
        let mut before: BTreeMap<Address, Option<Entry>> = changed.collect();
        let expired = self.expired.iter().flatten().filter(|address| piece.contains(address));
        let untouched: Vec<Address> = expired.filter(|address| !before.contains_key(address)).cloned().collect();
        let mut earlier: Moment = self.earlier.moment();
        let entries = earlier.get_many(scope, untouched.clone()).await?;
        before.extend(untouched.into_iter().zip(entries));

        let mut later: Moment = self.later.moment();
        let after = later.get_many(scope, before.keys().cloned().collect()).await?;
        let both = before.into_iter().zip(after);
        let both = both.map(|((address, before), after)| Difference { address, before, after });
        let found = both.filter(|difference| difference.before != difference.after).collect();
        Ok((found, last.map(|last| range.clone().after(&last))))
    }
}
