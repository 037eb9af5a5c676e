//! Moments: pages of a range, all as of one of them, however long reading takes.
//!
//! A page is read as the store is now; what has changed since the moment is undone over it. Where nothing has changed
//! that costs nothing.

use super::Scope;
use crate::{
    address::{Address, Range},
    change::{Undo, Undone},
    engine::{Engine, Filtered, Page, Pushdown, Scan, Snapshot},
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::{Lineage, Revision},
    query::Filter,
    send::BoxFuture,
    time::Timestamp,
};

/// How many items are asked for at once.
pub(super) const PAGE_ITEMS: usize = 1000;

/// The moment that a reader stays in. Until it has read something, it is the present.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The revision, once it is settled.
    pub(super) revision: Option<Revision>,
    lineage: Option<Lineage>,
    /// What has expired by then is not there.
    pub(super) now: Timestamp,
    /// Whether it is so long ago that most of what is asked for has changed since.
    long_ago: bool,
}

/// A part of a range as it is at `head`, up to `last`; `None` is the end of the range.
struct Read<T> {
    head: Revision,
    items: Vec<T>,
    last: Option<Address>,
}

/// A part of a range as it was at a moment.
pub(super) struct Laid<T> {
    pub(super) items: Vec<T>,
    /// What of the range is still to come.
    pub(super) rest: Option<Range>,
    /// Whether it may be other than what was read.
    pub(super) undone: bool,
}

/// What a page is made of.
pub(super) trait Item: Sized {
    /// Reads it as it is now.
    fn fetch(engine: &dyn Engine, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Self>>>>;
    /// Where it stands.
    fn address(&self) -> &Address;
    /// What it is made of when it is not as it was.
    fn of(entry: Entry) -> Self;
}

impl Item for Entry {
    fn fetch(engine: &dyn Engine, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Self>>>> {
        engine.scan(scan)
    }
    fn address(&self) -> &Address {
        &self.address
    }
    fn of(entry: Entry) -> Self {
        entry
    }
}

impl Item for Address {
    fn fetch(engine: &dyn Engine, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Self>>>> {
        engine.list(scan)
    }
    fn address(&self) -> &Address {
        self
    }
    fn of(entry: Entry) -> Self {
        entry.address
    }
}

impl Moment {
    /// The present: the first read settles the revision.
    pub(super) fn present(now: Timestamp) -> Self {
        Self { revision: None, lineage: None, now, long_ago: false }
    }

    /// The state at `revision` of `lineage`, seen with the clock at `now`.
    pub(super) fn past(lineage: Lineage, revision: Revision, now: Timestamp) -> Self {
        Self { revision: Some(revision), lineage: Some(lineage), now, long_ago: false }
    }

    /// The same moment, of which most is to be found in the log.
    pub(super) fn long_ago(self) -> Self {
        Self { long_ago: true, ..self }
    }

    /// What is at `address`.
    pub(super) async fn get(&mut self, scope: &Scope, address: Address) -> Result<Option<Entry>> {
        Ok(self.get_many(scope, vec![address]).await?.pop().flatten())
    }

    /// What is at `addresses`, in the same order.
    pub(super) async fn get_many(&mut self, scope: &Scope, addresses: Vec<Address>) -> Result<Vec<Option<Entry>>> {
        if self.long_ago
            && let ([address], Some(revision)) = (&addresses[..], self.revision)
            && let Some(undone) = self.undo(scope, Range::key(address), false, revision).await?.items.pop()
        {
            return Ok(vec![undone.entry.filter(|entry| !entry.is_expired(self.now))]);
        }
        let Snapshot { revision: head, value: mut entries } = scope.engine().get(addresses.clone(), self.now).await?;
        let Some(revision) = self.since(head) else { return Ok(entries) };
        for (address, entry) in addresses.iter().zip(&mut entries) {
            // What was written last before the moment was not changed after it, and needs no look into the log.
            if entry.as_ref().is_some_and(|entry| entry.revision <= revision) {
                continue;
            }
            let undone = self.undo(scope, Range::key(address), false, head).await?;
            if let Some(undone) = undone.items.into_iter().next() {
                *entry = undone.entry.filter(|entry| !entry.is_expired(self.now));
            }
        }
        Ok(entries)
    }

    /// A page of `range`, and what of the range is still to come after it.
    pub(super) async fn page<T: Item>(
        &mut self,
        scope: &Scope,
        range: &Range,
        reverse: bool,
        limit: usize,
    ) -> Result<(Vec<T>, Option<Range>)> {
        let scan = Scan { range: range.clone(), reverse, limit: limit.min(PAGE_ITEMS), now: self.now };
        let Snapshot { revision: head, value: Page { items, more } } = T::fetch(scope.engine(), scan).await?;
        let last = items.last().filter(|_| more).map(|item| item.address().clone());
        let laid = self.lay(scope, range, reverse, Read { head, items, last }).await?;
        Ok((laid.items, laid.rest))
    }

    /// A page of what `filter` lets through, and how many entries were looked at for it.
    ///
    /// Where something was undone, there is also what the filter would not have let through, then or now.
    pub(super) async fn filtered(
        &mut self,
        (scope, pushdown, filter): (&Scope, &dyn Pushdown, &Filter),
        range: &Range,
        reverse: bool,
        limit: usize,
    ) -> Result<(Laid<Entry>, u64)> {
        let scan = Scan { range: range.clone(), reverse, limit: limit.min(PAGE_ITEMS), now: self.now };
        let Snapshot { revision: head, value: filtered } = pushdown.filter(scan, filter.clone()).await?;
        let Filtered { items, examined, through } = filtered;
        // What was looked at ends where the looking ended, not with the last item: behind that one something may have
        // changed that was let through at the moment.
        let laid = self.lay(scope, range, reverse, Read { head, items, last: through }).await?;
        Ok((laid, examined))
    }

    /// Undoes over what was `read` of `range` what has changed since the moment.
    async fn lay<T: Item>(&mut self, scope: &Scope, range: &Range, reverse: bool, read: Read<T>) -> Result<Laid<T>> {
        let Read { head, mut items, last } = read;
        let beyond = |last: &Address| if reverse { range.clone().before(last) } else { range.clone().after(last) };
        let upto = |last: &Address| if reverse { range.clone().from(last) } else { range.clone().through(last) };
        if self.since(head).is_none() {
            return Ok(Laid { items, rest: last.map(|last| beyond(&last)), undone: false });
        }

        // Undone is no more than has been read; where more has changed than is still there, the page ends earlier.
        let piece = last.as_ref().map_or_else(|| range.clone(), upto);
        let undone = self.undo(scope, piece, reverse, head).await?;
        let cut = undone.items.last().filter(|_| undone.more).map(|undone| undone.address.clone());
        if let Some(cut) = &cut {
            let inside = upto(cut);
            items.retain(|item| inside.contains(item.address()));
        }
        let items = merge(items, undone.items, reverse, self.now);
        Ok(Laid { items, rest: cut.or(last).map(|last| beyond(&last)), undone: true })
    }

    /// The revision to go back to from `head`, unless that is where the reader is.
    ///
    /// The first read settles where that is.
    pub(super) fn since(&mut self, head: Revision) -> Option<Revision> {
        let revision = *self.revision.get_or_insert(head);
        (revision != head).then_some(revision)
    }

    /// The revision that everything was read at.
    pub(super) async fn settled(&self, scope: &Scope) -> Result<Revision> {
        match self.revision {
            Some(revision) => Ok(revision),
            // Nothing was read; the present is as good a moment as any.
            None => Ok(scope.engine().get(Vec::new(), self.now).await?.revision),
        }
    }

    /// The lineage that the revision belongs to.
    pub(super) async fn lineage(&mut self, scope: &Scope) -> Result<Lineage> {
        Ok(match self.lineage {
            Some(lineage) => lineage,
            None => *self.lineage.insert(scope.engine().status(self.now).await?.lineage),
        })
    }

    /// What of `range` has to be undone, read at `head` or later.
    pub(super) async fn undo(&mut self, scope: &Scope, range: Range, reverse: bool, head: Revision) -> Result<Page<Undone>> {
        let lineage = self.lineage(scope).await?;
        let after = self.revision.unwrap_or(head);
        // A read of one key is a small one, and engines may know a short way.
        let limit = if range.is_one_key() { 1 } else { PAGE_ITEMS };
        let undone = scope.engine().undo(Undo { lineage, after, range, reverse, limit }).await?;
        if undone.revision < head {
            // A replica that lags would give half of one moment and half of another.
            let message = format!("the store answered from revision {} after it had answered from {head}", undone.revision);
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(undone.value)
    }
}

/// Lays what was over what is, both in the same order.
fn merge<T: Item>(items: Vec<T>, undone: Vec<Undone>, reverse: bool, now: Timestamp) -> Vec<T> {
    let mut merged = Vec::with_capacity(items.len());
    let mut items = items.into_iter().peekable();
    for Undone { address, entry } in undone {
        let earlier = |item: &T| if reverse { *item.address() > address } else { *item.address() < address };
        merged.extend(std::iter::from_fn(|| items.next_if(|item| earlier(item))));
        items.next_if(|item| *item.address() == address);
        merged.extend(entry.filter(|entry| !entry.is_expired(now)).map(T::of));
    }
    merged.extend(items);
    merged
}
