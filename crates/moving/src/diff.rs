//! What is not the same in two stores.

use std::{cmp::Ordering, iter::Peekable, vec::IntoIter};

use larder_core::{Difference, Entry, Range, Result, Stored, Timestamp, View};

use crate::progress::is_taken;

/// How many differences are told at once, about.
const PAGE_ITEMS: usize = 256;

/// The differences between two stores, page by page, in bytewise order of addresses.
#[derive(Debug)]
pub struct StoreDiff {
    one: Side,
    other: Side,
    /// How many entries were compared.
    compared: u64,
}

/// What in `range` is not the same in two stores, each as of the moment of a view: what the first one holds stands as before,
/// what the second one holds as after.
///
/// Everything of an entry is compared but its revision, which is a number of one store. What has expired at the later of the two
/// moments is in neither.
pub fn diff(one: (&larder_core::Store, &View), other: (&larder_core::Store, &View), range: &Range) -> StoreDiff {
    let now = one.1.time().max(other.1.time());
    let side = |(store, view): (&larder_core::Store, &View)| Side {
        stored: store.stored(view.position(), range.clone()),
        now,
        page: Vec::new().into_iter().peekable(),
    };
    StoreDiff { one: side(one), other: side(other), compared: 0 }
}

/// Whether two entries are the same but for their revisions.
pub(crate) fn is_same(one: &Entry, other: &Entry) -> bool {
    let Entry { address, value, version, revision: _, created_at, updated_at, expires_at, metadata } = one;
    (address, value, version, created_at, updated_at, expires_at, metadata)
        == (
            &other.address,
            &other.value,
            &other.version,
            &other.created_at,
            &other.updated_at,
            &other.expires_at,
            &other.metadata,
        )
}

impl StoreDiff {
    /// The next differences, at least one; `None` when there are none left.
    ///
    /// # Errors
    /// `Trimmed` when a log no longer reaches back to its moment; else what the engines meet.
    pub async fn next(&mut self) -> Result<Option<Vec<Difference>>> {
        let mut found = Vec::new();
        while found.len() < PAGE_ITEMS {
            let order = match (self.one.peek().await?, self.other.peek().await?) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.address.cmp(&other.address),
            };
            let before = if order.is_le() { self.one.page.next() } else { None };
            let after = if order.is_ge() { self.other.page.next() } else { None };
            self.compared += 1;
            let same = before.as_ref().zip(after.as_ref()).is_some_and(|(one, other)| is_same(one, other));
            if let Some(entry) = before.as_ref().or(after.as_ref()).filter(|_| !same) {
                found.push(Difference { address: entry.address.clone(), before, after });
            }
        }
        Ok(Some(found).filter(|found| !found.is_empty()))
    }

    /// How many keys were compared so far.
    pub fn compared(&self) -> u64 {
        self.compared
    }
}

#[derive(Debug)]
struct Side {
    stored: Stored,
    now: Timestamp,
    page: Peekable<IntoIter<Entry>>,
}

impl Side {
    async fn peek(&mut self) -> Result<Option<&Entry>> {
        while self.page.peek().is_none() {
            let Some(mut page) = self.stored.next().await? else { return Ok(None) };
            page.retain(|entry| is_taken(&entry.address) && !entry.is_expired(self.now));
            self.page = page.into_iter().peekable();
        }
        Ok(self.page.peek())
    }
}
