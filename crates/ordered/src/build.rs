//! Indexes come and go: created, built step by step beside commits that keep them already, dropped, and removed.
//!
//! Every step is read, decided and written like a group of commits, and the record of the index says how far the last one
//! came. So it does not matter who makes the next step, or how many try to.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use larder_core::{
    Address, BoxFuture, Entry, Index, Key, Namespace, Range, Result, Timestamp,
    index::{self, IndexId, IndexState, IndexStatus},
};

use crate::{
    head::Head,
    holders::Holders,
    keeper::Keeper,
    kept,
    lane::{Tried, Work, apply},
    layout::{self, ENTRY, bounds},
    map::{Size, View},
    read::{PAGE_BYTES_MAX, whole},
    record::Record,
    setup::PAGE_ROWS,
    sheet::Sheet,
};

/// With so many rows a step ends early: an entry can have many terms.
const STEP_ROWS: usize = 8192;

/// An index to be created.
#[derive(Debug)]
pub(crate) struct Creating {
    pub(crate) namespace: Namespace,
    pub(crate) index: Index,
}

impl Work for Creating {
    type Answer = Result<IndexStatus>;

    fn attempt<'a>(&'a self, keeper: &'a Keeper, view: &'a dyn View) -> BoxFuture<'a, Result<Tried<Self::Answer>>> {
        Box::pin(async move {
            let mut sheet = Sheet::new(view);
            let head = keeper.head(sheet.get(&layout::head()).await?.as_ref())?;
            let setup = keeper.setup(view, &head).await?;
            match index::existing(setup.indexes_of(&self.namespace), &self.index) {
                Ok(Some(there)) => return Ok(Tried::Done(Ok(there.clone()))),
                Ok(None) => {}
                Err(refusal) => return Ok(Tried::Done(Err(refusal))),
            }
            let state = IndexState::Building { through: None, entries: 0 };
            let (id, namespace) = (IndexId(head.indexes + 1), self.namespace.clone());
            let status = IndexStatus { id, namespace, index: self.index.clone(), state };
            let head = Head { indexes: id.0, setup: head.tick + 1, ..head };
            sheet.put(layout::index(id), kept::write(&status).into());
            apply(keeper, view, sheet, head, Ok(status)).await
        })
    }
}

/// An index to be dropped.
#[derive(Debug)]
pub(crate) struct Dropping {
    id: IndexId,
    /// Whether an attempt has met it. The answer of that one may have been lost.
    was_there: AtomicBool,
}

impl Dropping {
    pub(crate) fn of(id: IndexId) -> Self {
        Self { id, was_there: AtomicBool::new(false) }
    }
}

/// An index, and the head it was found with.
async fn find(keeper: &Keeper, sheet: &mut Sheet<'_>, id: IndexId) -> Result<(Head, Option<IndexStatus>)> {
    sheet.fetch(vec![layout::head(), layout::index(id)], Vec::new()).await?;
    let head = keeper.head(sheet.get(&layout::head()).await?.as_ref())?;
    let record = sheet.get(&layout::index(id)).await?;
    Ok((head, record.map(|record| kept::read(id, &record)).transpose()?))
}

impl Work for Dropping {
    type Answer = bool;

    fn attempt<'a>(&'a self, keeper: &'a Keeper, view: &'a dyn View) -> BoxFuture<'a, Result<Tried<bool>>> {
        Box::pin(async move {
            let mut sheet = Sheet::new(view);
            let (head, found) = find(keeper, &mut sheet, self.id).await?;
            let Some(status) = found.filter(|status| status.state != IndexState::Dropped) else {
                return Ok(Tried::Done(self.was_there.load(Ordering::Relaxed)));
            };
            self.was_there.store(true, Ordering::Relaxed);
            let status = IndexStatus { state: IndexState::Dropped, ..status };
            sheet.put(layout::index(self.id), kept::write(&status).into());
            apply(keeper, view, sheet, Head { setup: head.tick + 1, ..head }, true).await
        })
    }
}

/// An index to be moved on by one step.
#[derive(Debug)]
pub(crate) struct Advancing {
    id: IndexId,
    limit: usize,
    now: Timestamp,
    attempts: AtomicU32,
}

impl Advancing {
    pub(crate) fn of(id: IndexId, limit: usize, now: Timestamp) -> Self {
        Self { id, limit: limit.max(1), now, attempts: AtomicU32::new(0) }
    }
}

impl Work for Advancing {
    type Answer = Result<Option<IndexStatus>>;

    fn attempt<'a>(&'a self, keeper: &'a Keeper, view: &'a dyn View) -> BoxFuture<'a, Result<Tried<Self::Answer>>> {
        Box::pin(async move {
            // Where others commit all the time, a smaller step may come between them.
            let limit = (self.limit >> self.attempts.fetch_add(1, Ordering::Relaxed).min(20)).max(1);
            let mut sheet = Sheet::new(view);
            let (head, found) = find(keeper, &mut sheet, self.id).await?;
            let Some(status) = found else { return Ok(Tried::Done(Ok(None))) };
            let (head, answer) = match status.state.clone() {
                IndexState::Ready => return Ok(Tried::Done(Ok(Some(status)))),
                IndexState::Dropped => {
                    let left = remove(&mut sheet, status, limit, keeper.map.most()).await?;
                    // Only with the last row something changes for those who keep it.
                    let setup = if left.is_some() { head.setup } else { head.tick + 1 };
                    (Head { setup, ..head }, Ok(left))
                }
                IndexState::Building { through, entries } => {
                    let built = build(&mut sheet, keeper, status, (through, entries), limit, self.now).await?;
                    (Head { setup: head.tick + 1, ..head }, built.map(Some))
                }
            };
            apply(keeper, view, sheet, head, answer).await
        })
    }
}

/// Removes some rows of an index that was dropped, and with the last of them the index.
async fn remove(sheet: &mut Sheet<'_>, status: IndexStatus, limit: usize, most: Size) -> Result<Option<IndexStatus>> {
    let limit = limit.min(STEP_ROWS).min(most.operations / 2);
    let rows = sheet.scan(&layout::part(layout::rows(status.id), limit)).await?;
    let mut count = 0;
    for (row, _) in &rows {
        if sheet.size().bytes > most.bytes / 2 {
            break;
        }
        sheet.delete(row.clone());
        count += 1;
    }
    if count < limit && count == rows.len() {
        sheet.delete(layout::index(status.id));
        return Ok(None);
    }
    Ok(Some(status))
}

/// Takes the next entries into the index; when they cannot be, it is dropped.
async fn build(
    sheet: &mut Sheet<'_>,
    keeper: &Keeper,
    status: IndexStatus,
    (through, entries): (Option<Key>, u64),
    limit: usize,
    now: Timestamp,
) -> Result<Result<IndexStatus>> {
    let (next, ended) = entries_behind(sheet, &status.namespace, through, limit).await?;
    let most = keeper.map.most();
    let mut count = 0;
    for entry in &next {
        // One after the other, so that each meets those before it.
        let mut holders = Holders::default();
        let taken = loop {
            let taken = index::build(&status.index, entry, now, |term| Ok(holders.of(&status, term)));
            if !holders.learn(sheet).await? {
                break taken;
            }
        };
        let terms = match taken {
            Ok(terms) => terms,
            Err(refusal) => {
                sheet.put(
                    layout::index(status.id),
                    kept::write(&IndexStatus { state: IndexState::Dropped, ..status }).into(),
                );
                return Ok(Err(refusal));
            }
        };
        let rows: Vec<Bytes> = terms.iter().map(|term| layout::row(status.id, term, &entry.address.key)).collect();
        let (size, more) = (sheet.size(), rows.iter().map(Bytes::len).sum::<usize>());
        let too_large = size.bytes + more > most.bytes / 2 || size.operations + rows.len() > most.operations / 2;
        if count > 0 && (too_large || size.operations >= STEP_ROWS) {
            break;
        }
        rows.into_iter().for_each(|row| sheet.put(row, Bytes::new()));
        count += 1;
    }
    let last = next[..count].last().filter(|_| !ended || count < next.len());
    let state = last.map_or(IndexState::Ready, |last| IndexState::Building {
        through: Some(last.address.key.clone()),
        entries: entries + count as u64,
    });
    let status = IndexStatus { state, ..status };
    sheet.put(layout::index(status.id), kept::write(&status).into());
    Ok(Ok(status))
}

/// The entries of a namespace behind a key, expired or not, and whether they are all.
async fn entries_behind(
    sheet: &mut Sheet<'_>,
    namespace: &Namespace,
    through: Option<Key>,
    limit: usize,
) -> Result<(Vec<Entry>, bool)> {
    let (mut from, to) = bounds(ENTRY, &Range::namespace(namespace));
    if let Some(key) = through {
        from = layout::next(&layout::entry_at(&Address::new(namespace.clone(), key)));
    }
    let limit = limit.min(PAGE_ROWS);
    let pairs = sheet.scan(&layout::part((from, to), limit)).await?;
    let ended = pairs.len() < limit;
    let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
    for (key, record) in &pairs {
        if bytes > PAGE_BYTES_MAX {
            break;
        }
        let record = Record::read(record)?;
        bytes += record.value.len() + record.metadata.len();
        found.push((layout::address(&layout::behind_tag(key), &mut last)?, record));
    }
    let ended = ended && found.len() == pairs.len();
    Ok((whole(sheet.view(), found).await?, ended))
}
