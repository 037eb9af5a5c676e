//! Walks along an index: pages of entries in the order of what they have.

use std::collections::VecDeque;

use bytes::Bytes;
use larder_core::{
    Address, Key, Result, Snapshot,
    engine::{IndexWalk, Place, Walked},
    index::{IndexId, IndexState, IndexStatus, Span, Term},
};

use crate::{
    error::corrupt,
    keeper::Keeper,
    layout,
    map::{Part, View},
    read::{PAGE_BYTES_MAX, ask, whole},
    record::Record,
    setup::{PAGE_ROWS, Setup},
};

/// How many rows a call looks at: some for each item that is wanted, between these bounds.
const ROWS_PER_ITEM: usize = 8;
const ROWS_MIN: usize = 512;
const ROWS_MAX: usize = 8192;

/// How many rows are asked for at once.
const CHUNK_MIN: usize = 32;

pub(crate) async fn walk(keeper: &Keeper, walk: &IndexWalk) -> Result<Option<Snapshot<Walked>>> {
    let view = keeper.view().await?;
    let (head, _) = ask(keeper, &*view, Vec::new()).await?;
    let setup = keeper.setup(&*view, &head).await?;
    let Some(status) = ready(&setup, walk.index) else { return Ok(None) };
    let also: Vec<_> = walk.also.iter().filter(|(id, _)| ready(&setup, *id).is_some()).collect();
    let limit = walk.limit.max(1);
    let mut rows = Rows::new(&*view, walk);
    let mut left = limit.saturating_mul(ROWS_PER_ITEM).clamp(ROWS_MIN, ROWS_MAX);
    let (mut found, mut terms, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut through = None;
    'pages: while let Some(page) = rows.next(limit).await? {
        let addresses: Vec<_> = page.iter().map(|place| Address::new(status.namespace.clone(), place.key.clone())).collect();
        let inside: Vec<bool> = addresses.iter().map(|address| walk.range.contains(address)).collect();
        let mut keys = Vec::new();
        for (address, _) in addresses.iter().zip(&inside).filter(|(_, inside)| **inside) {
            keys.push(layout::entry_at(address));
            keys.extend(also.iter().map(|(id, term)| layout::row(*id, term, &address.key)));
        }
        let mut values = if keys.is_empty() { Vec::new() } else { view.get(keys).await? }.into_iter();
        let count = page.len();
        for (at, ((place, address), inside)) in page.into_iter().zip(addresses).zip(inside).enumerate() {
            left = left.saturating_sub(1);
            if inside {
                let record = values.next().flatten().ok_or_else(|| corrupt("an index names an entry that is not there"))?;
                let record = Record::read(&record)?;
                // All of them are taken, so that the next entry comes behind them.
                let has_all = also.iter().fold(true, |all, _| values.next().flatten().is_some() && all);
                if has_all && !record.is_expired(walk.now) {
                    bytes += record.value.len() + record.metadata.len();
                    found.push((address, record));
                    terms.push(place.term.clone());
                }
            }
            if found.len() >= limit || left == 0 || bytes >= PAGE_BYTES_MAX {
                let more = at + 1 < count || rows.more().await?;
                through = more.then_some(place);
                break 'pages;
            }
        }
    }
    let items = terms.into_iter().zip(whole(&*view, found).await?).collect();
    Ok(Some(Snapshot { revision: head.revision, value: Walked { items, through } }))
}

fn ready(setup: &Setup, id: IndexId) -> Option<&IndexStatus> {
    setup.indexes().find(|status| status.id == id && status.state == IndexState::Ready)
}

/// The rows of a walk, page by page.
struct Rows<'a> {
    view: &'a dyn View,
    id: IndexId,
    reverse: bool,
    /// What is left, in the order in which it is walked.
    parts: VecDeque<Stretch>,
    /// What was read already.
    next: Option<Vec<Place>>,
}

/// A piece of a walk.
#[derive(Debug)]
struct Stretch {
    from: Bytes,
    to: Bytes,
    /// All of it is of one term, whose keys are always in order.
    is_one_term: bool,
}

impl<'a> Rows<'a> {
    fn new(view: &'a dyn View, walk: &IndexWalk) -> Self {
        let stretch = |span: &Span| {
            let (from, to) = layout::rows_between(walk.index, &span.from, &span.to);
            Stretch { from, to, is_one_term: false }
        };
        let mut parts: VecDeque<Stretch> = walk.spans.iter().map(stretch).collect();
        if let Some(Place { term, key }) = &walk.after
            && let Some(mut first) = parts.pop_front()
        {
            let here = layout::next(&layout::row(walk.index, term, key));
            let (beginning, behind) = layout::rows_of(walk.index, term.as_bytes());
            if walk.reverse {
                first.to = beginning.max(first.from.clone()).min(first.to);
                parts.push_front(first);
                parts.push_front(Stretch { from: here, to: behind, is_one_term: true });
            } else {
                first.from = here.max(first.from);
                parts.push_front(first);
            }
        }
        Self { view, id: walk.index, reverse: walk.reverse, parts, next: None }
    }

    /// Whether there is another row.
    async fn more(&mut self) -> Result<bool> {
        if self.next.is_none() {
            self.next = self.read(1).await?;
        }
        Ok(self.next.is_some())
    }

    /// The next rows, where there are more; `limit` says how many are wanted in all.
    async fn next(&mut self, limit: usize) -> Result<Option<Vec<Place>>> {
        match self.next.take() {
            Some(page) => Ok(Some(page)),
            None => self.read(limit.saturating_add(1).clamp(CHUNK_MIN, PAGE_ROWS)).await,
        }
    }

    async fn read(&mut self, limit: usize) -> Result<Option<Vec<Place>>> {
        while let Some(stretch) = self.parts.pop_front() {
            if stretch.from >= stretch.to {
                continue;
            }
            let falling = self.reverse && !stretch.is_one_term;
            let part = Part { reverse: falling, ..layout::part((stretch.from.clone(), stretch.to.clone()), limit) };
            let pairs = self.view.scan(vec![part]).await?.pop().unwrap_or_default();
            let Some((last, _)) = pairs.last() else { continue };
            let is_all = pairs.len() < limit;
            let place = |key: &Bytes| layout::read_row(key).map(|(term, key): (Term, Key)| Place { term, key });
            let mut places = pairs.iter().map(|(key, _)| place(key)).collect::<Result<Vec<_>>>()?;
            if !falling {
                if !is_all {
                    self.parts.push_front(Stretch { from: layout::next(last), ..stretch });
                }
                return Ok(Some(places));
            }
            let term = places[places.len() - 1].term.clone();
            if !is_all {
                // The keys of the last term may not be all there: it is walked by itself, in the order of its keys.
                let (beginning, behind) = layout::rows_of(self.id, term.as_bytes());
                places.retain(|place| place.term != term);
                let rest = Stretch { to: beginning.clone().max(stretch.from.clone()), ..stretch };
                self.parts.push_front(rest);
                self.parts.push_front(Stretch { from: beginning, to: behind, is_one_term: true });
            }
            places.chunk_by_mut(|one, other| one.term == other.term).for_each(<[Place]>::reverse);
            if !places.is_empty() {
                return Ok(Some(places));
            }
        }
        Ok(None)
    }
}

pub(crate) async fn estimate(keeper: &Keeper, id: IndexId, spans: &[Span], most: usize) -> Result<usize> {
    let view = keeper.view().await?;
    ask(keeper, &*view, Vec::new()).await?;
    let mut count = 0;
    for span in spans {
        let mut part = layout::part(layout::rows_between(id, &span.from, &span.to), 0);
        while count < most {
            part.limit = (most - count).min(PAGE_ROWS);
            let pairs = view.scan(vec![part.clone()]).await?.pop().unwrap_or_default();
            count += pairs.len();
            match pairs.last().filter(|_| pairs.len() >= part.limit) {
                Some((last, _)) => part.from = layout::next(last),
                None => break,
            }
        }
    }
    Ok(count)
}
