//! Differences: what is not the same at two moments.

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
}

impl Scope {
    /// What of the keys that begin with `prefix` is not the same in two views of this store. Read without an order of its
    /// own: what was changed and changed back is another entry, with another revision.
    ///
    /// The cost is that of what has changed since the earlier one, not of what there is.
    ///
    /// # Errors
    /// `Invalid` when the views are of different pasts, or the first one is the later one.
    pub fn diff(&self, prefix: &str, earlier: &View, later: &View) -> Result<Diff> {
        if earlier.position().lineage != later.position().lineage || earlier.revision() > later.revision() {
            return Err(Error::invalid("a difference is taken from an earlier view of a store to a later one"));
        }
        let range = Some(self.prefix(prefix)).filter(|range| !range.is_empty());
        Ok(Diff { earlier: earlier.clone(), later: later.clone(), range })
    }
}

impl Diff {
    /// The next differences, at least one; `None` when there are none left.
    ///
    /// # Errors
    /// `Trimmed` when the log no longer reaches back to the earlier moment; else what the engine meets. Asking again
    /// compares the same again.
    pub async fn next(&mut self) -> Result<Option<Vec<Difference>>> {
        while let Some(range) = &self.range {
            let (found, rest) = self.page(range).await?;
            self.range = rest;
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn page(&self, range: &Range) -> Result<(Vec<Difference>, Option<Range>)> {
        let (scope, after) = (self.earlier.scope(), self.earlier.revision());
        let lineage = self.earlier.position().lineage;
        let undo = Undo { lineage, after, range: range.clone(), reverse: false, limit: PAGE_ITEMS };
        let changed = scope.engine().undo(undo).await?.value;
        let rest = changed.items.last().filter(|_| changed.more).map(|last| range.clone().after(&last.address));
        let addresses: Vec<Address> = changed.items.iter().map(|undone| undone.address.clone()).collect();
        let mut later: Moment = self.later.moment();
        let later = later.get_many(scope, addresses).await?;
        let live = |entry: &Entry| !entry.is_expired(self.earlier.time());
        let both = changed.items.into_iter().zip(later);
        let both =
            both.map(|(undone, after)| Difference { address: undone.address, before: undone.entry.filter(live), after });
        Ok((both.filter(|difference| difference.before != difference.after).collect(), rest))
    }
}
