//! Finding: an answer put together from the entries that a source comes upon.

use std::collections::BinaryHeap;

use super::{
    Matched,
    access::{Access, Source},
};
use crate::{
    entry::Entry,
    error::{Error, Result},
    query::{Aggregate, Aggregated, Cursor, Query, Rank, Row, Sort, Tally},
    store::{
        Scope,
        moment::{Moment, PAGE_ITEMS},
    },
};

/// How many bytes of entries an answer, or a sort on the way to it, may hold.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What an answer is made of, to be counted.
pub(in crate::store) trait Held {
    fn held(&self) -> usize;
}

impl Held for Entry {
    fn held(&self) -> usize {
        size_of::<Self>() + usize::try_from(self.bytes()).unwrap_or(usize::MAX)
    }
}

/// For who only counts.
impl Held for () {
    fn held(&self) -> usize {
        0
    }
}

impl Held for Row {
    fn held(&self) -> usize {
        self.bytes()
    }
}

pub(super) async fn tally(scope: &Scope, moment: Moment, aggregate: &Aggregate) -> Result<Aggregated> {
    let mut access = Access::to(scope, &aggregate.filter, &Sort::default(), None).await?;
    loop {
        let mut source = Source::new(scope, moment, &aggregate.filter, &access)?;
        let mut tally = Tally::new(aggregate);
        while let Some(entries) = source.page(PAGE_ITEMS).await? {
            entries.iter().try_for_each(|entry| tally.add(entry))?;
        }
        match source.instead() {
            Some(instead) => access = instead,
            None => return tally.finish(),
        }
    }
}

pub(super) async fn find<T: Held>(
    scope: &Scope,
    moment: Moment,
    query: Query,
    make: impl Fn(Entry) -> T,
) -> Result<Matched<T>> {
    Ok(find_and_say(scope, moment, query, make).await?.0)
}

/// As [`find`], with the way that led there.
pub(super) async fn find_and_say<T: Held>(
    scope: &Scope,
    moment: Moment,
    query: Query,
    make: impl Fn(Entry) -> T,
) -> Result<(Matched<T>, Access)> {
    let start = query.start()?;
    query.filter.check()?;
    let wanted = query.limit.map(|limit| query.offset.saturating_add(limit));
    let mut access = Access::to(scope, &query.filter, &query.sort, wanted).await?;
    loop {
        let mut source = Source::new(scope, moment, &query.filter, &access)?;
        let found = if access.is_in_order(&query.sort) {
            walk(&mut source, &query, start.as_ref(), &make).await?
        } else {
            sort(&mut source, &query, start.as_ref(), &make).await?
        };
        match source.instead() {
            Some(instead) => access = instead,
            None => return Ok((found, access)),
        }
    }
}

/// In the order asked for: ended has to be sorted, and the walk ends with the page.
async fn walk<T: Held>(
    source: &mut Source<'_>,
    query: &Query,
    start: Option<&Rank>,
    make: &impl Fn(Entry) -> T,
) -> Result<Matched<T>> {
    source.go_in_order(&query.sort, start);
    let limit = query.limit.unwrap_or(usize::MAX);
    let (mut items, mut bytes, mut last, mut more) = (Vec::new(), 0, None, false);
    let mut offset = query.offset;
    while limit > 0 && !more {
        // One more than is wanted tells whether there is a next page.
        let wanted = offset.saturating_add(limit - items.len()).saturating_add(1);
        let Some(mut entries) = source.page(wanted).await? else { break };
        let skipped = offset.min(entries.len());
        entries.drain(..skipped);
        offset -= skipped;
        let room = limit - items.len();
        more = entries.len() > room;
        entries.truncate(room);
        if entries.len() == room {
            last = entries.last().map(|entry| query.sort.rank(entry)).or(last);
        }
        // A page of what is wanted is the answer as it stands.
        let made: Vec<T> = entries.into_iter().map(make).collect();
        made.iter().try_for_each(|item| hold(&mut bytes, item.held()))?;
        if items.is_empty() {
            items = made;
        } else {
            items.extend(made);
        }
    }
    let next = last.filter(|_| more).map(|last| Cursor::new(&query.sort, &last));
    Ok(Matched { items, next, revision: source.settled().await?, examined: source.examined() })
}

/// In another order: the best so far are kept, as many as the page needs.
async fn sort<T: Held>(
    source: &mut Source<'_>,
    query: &Query,
    start: Option<&Rank>,
    make: &impl Fn(Entry) -> T,
) -> Result<Matched<T>> {
    let limit = query.limit.unwrap_or(usize::MAX);
    let wanted = query.offset.saturating_add(limit);
    let (mut best, mut bytes, mut more) = (BinaryHeap::new(), 0_usize, false);
    while limit > 0
        && let Some(entries) = source.page(PAGE_ITEMS).await?
    {
        for entry in entries {
            let rank = query.sort.rank(&entry);
            if start.is_some_and(|start| rank <= *start) {
                continue;
            }
            let full = best.len() == wanted;
            more |= full;
            if full && best.peek().is_some_and(|worst: &Placed<T>| worst.rank <= rank) {
                continue;
            }
            // The worst goes first, so that no more is held than the page needs.
            if full && let Some(worst) = best.pop() {
                bytes -= worst.item.held() + worst.rank.bytes();
            }
            let item = make(entry);
            hold(&mut bytes, item.held() + rank.bytes())?;
            best.push(Placed { rank, item });
        }
    }
    let mut sorted = best.into_sorted_vec();
    let next = sorted.last().filter(|_| more).map(|last| Cursor::new(&query.sort, &last.rank));
    let items = sorted.drain(query.offset.min(sorted.len())..).map(|placed| placed.item).collect();
    Ok(Matched { items, next, revision: source.settled().await?, examined: source.examined() })
}

/// Counts `more` bytes that an answer holds.
pub(in crate::store) fn hold(bytes: &mut usize, more: usize) -> Result<()> {
    *bytes = bytes.saturating_add(more);
    if *bytes > ANSWER_BYTES_MAX {
        let message = format!("the answer would hold more than {ANSWER_BYTES_MAX} bytes at once: give it a limit");
        return Err(Error::limit(message));
    }
    Ok(())
}

/// An item that knows its place; only the place is compared.
struct Placed<T> {
    rank: Rank,
    item: T,
}

impl<T> Ord for Placed<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<T> PartialOrd for Placed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<T> Eq for Placed<T> {}
