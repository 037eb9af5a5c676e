//! Indexes come and go: created, built step by step beside commits that keep them already, dropped, and removed.
//!
//! Every step is read, decided and written like a group of commits, and the record of the index says how far the last one
//! came. So it does not matter who makes the next step, or how many try to.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use bytes::Bytes;
use larder_core::{
    Entry, Index, Key, Namespace, Range, Result, Timestamp,
    index::{self, Holder, IndexId, IndexState, IndexStatus, Term},
};

use crate::{
    entry,
    error::Attempt,
    head::Head,
    holders::{self, Holders},
    kept::{self, number},
    layout::{address_like, bounds, member},
    read::PAGE_BYTES_MAX,
    row,
    write::Change,
    writer::{Seat, Tried, Work},
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

    async fn attempt(&self, seat: &Seat) -> Attempt<Tried<Self::Answer>> {
        let call = seat.session.function("indexes").arg(self.namespace.as_str());
        let mut answers = seat.session.ask_watched(call).await?;
        let head = seat.keeper.head(answers.bytes()?.as_deref())?;
        let indexes = kept::read_all(answers.list()?)?;
        match index::existing(&indexes, &self.index) {
            Ok(Some(there)) => return Ok(Tried::Done(Ok(there.clone()))),
            Ok(None) => {}
            Err(refusal) => return Ok(Tried::Done(Err(refusal.engine("redis")))),
        }
        let state_of_index = IndexState::Building { through: None, entries: 0 };
        // No two states have the same tick, and no two indexes are created in the same step.
        let (id, namespace) = (IndexId(head.tick + 1), self.namespace.clone());
        let status = IndexStatus { id, namespace, index: self.index.clone(), state: state_of_index };
        let mut change = Change::new(&seat.keeper.keys);
        record(&mut change, &status);
        beside(&mut change, &self.namespace, indexes.iter().map(|status| status.id).chain([id]));
        seat.apply(change, head, Ok(status)).await
    }
}

/// Writes down how an index is.
fn record(change: &mut Change<'_>, status: &IndexStatus) {
    change.field("indexes", number(status.id), kept::write(status));
}

/// Writes down which indexes a namespace has.
fn beside(change: &mut Change<'_>, namespace: &Namespace, ids: impl Iterator<Item = IndexId>) {
    let ids: Vec<String> = ids.map(number).collect();
    let name = namespace.as_str();
    match ids.is_empty() {
        true => change.no_field("indexed", name),
        false => change.field("indexed", name, ids.join(" ")),
    }
}

/// An index, as of one state.
struct Found {
    status: IndexStatus,
    rows: u64,
    /// The numbers of the indexes of its namespace, with its own.
    beside: Vec<IndexId>,
    state: Bytes,
    head: Head,
}

async fn find(seat: &Seat, id: IndexId) -> Attempt<Option<Found>> {
    let mut answers = seat.session.ask_watched(seat.session.function("index").arg(number(id))).await?;
    let state = answers.some_bytes()?;
    let head = seat.keeper.head(Some(&state))?;
    let (record, rows, beside) = (answers.bytes()?, answers.number()?, answers.bytes()?);
    let Some(record) = record else { return Ok(None) };
    let beside = kept::numbers(beside.as_deref().unwrap_or_default());
    Ok(Some(Found { status: kept::read(id, &record)?, rows, beside, state, head }))
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

impl Work for Dropping {
    type Answer = bool;

    async fn attempt(&self, seat: &Seat) -> Attempt<Tried<bool>> {
        let found = find(seat, self.id).await?.filter(|found| found.status.state != IndexState::Dropped);
        let Some(found) = found else { return Ok(Tried::Done(self.was_there.load(Ordering::Relaxed))) };
        self.was_there.store(true, Ordering::Relaxed);
        let mut change = Change::new(&seat.keeper.keys);
        record(&mut change, &IndexStatus { state: IndexState::Dropped, ..found.status });
        seat.apply(change, found.head, true).await
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

    async fn attempt(&self, seat: &Seat) -> Attempt<Tried<Self::Answer>> {
        // Where others commit all the time, a smaller step may come between them.
        let limit = (self.limit >> self.attempts.fetch_add(1, Ordering::Relaxed).min(20)).max(1);
        let Some(found) = find(seat, self.id).await? else { return Ok(Tried::Done(Ok(None))) };
        match &found.status.state {
            IndexState::Ready => Ok(Tried::Done(Ok(Some(found.status)))),
            IndexState::Dropped => remove(seat, found, limit).await,
            IndexState::Building { through, entries } => {
                let (through, entries) = (through.clone(), *entries);
                build(seat, found, (through, entries), limit, self.now).await
            }
        }
    }
}

/// Removes some rows of an index that was dropped, and with the last of them the index.
async fn remove(seat: &Seat, found: Found, limit: usize) -> Attempt<Tried<Result<Option<IndexStatus>>>> {
    let Found { status, rows, beside: all, head, .. } = found;
    let limit = limit.min(STEP_ROWS);
    let is_last = rows <= limit as u64;
    let mut change = Change::new(&seat.keeper.keys);
    change.pop_rows(status.id, limit);
    if is_last {
        change.no_field("indexes", number(status.id));
        beside(&mut change, &status.namespace, all.into_iter().filter(|id| *id != status.id));
    }
    seat.apply(change, head, Ok((!is_last).then_some(status))).await
}

/// Takes the next entries into the index; when they cannot be, it is dropped.
async fn build(
    seat: &Seat,
    found: Found,
    (through, entries): (Option<Key>, u64),
    limit: usize,
    now: Timestamp,
) -> Attempt<Tried<Result<Option<IndexStatus>>>> {
    let Found { status, state, head, .. } = found;
    let Some((next, ended)) = entries_behind(seat, &state, &status.namespace, through, limit).await? else {
        return Ok(Tried::Moved);
    };
    let mut holders = Holders::default();
    let taken = loop {
        let taken = take(&status, &next, now, &mut holders);
        let missing = holders.missing();
        if missing.is_empty() || taken.is_err() {
            break taken;
        }
        if !holders.learn(&seat.session, &state, missing).await? {
            return Ok(Tried::Moved);
        }
    };
    let mut change = Change::new(&seat.keeper.keys);
    let answer = match taken {
        Ok((count, rows)) => {
            rows.iter().for_each(|row| change.index_row(status.id, row, true));
            let last = next[..count].last().filter(|_| !ended || count < next.len());
            let state = last.map_or(IndexState::Ready, |last| IndexState::Building {
                through: Some(last.address.key.clone()),
                entries: entries + count as u64,
            });
            let status = IndexStatus { state, ..status };
            record(&mut change, &status);
            Ok(Some(status))
        }
        Err(refusal) => {
            record(&mut change, &IndexStatus { state: IndexState::Dropped, ..status });
            Err(refusal.engine("redis"))
        }
    };
    seat.apply(change, head, answer).await
}

/// The entries of a namespace behind a key, expired or not, and whether they are all; `None` when the state is no longer
/// `state`.
async fn entries_behind(
    seat: &Seat,
    state: &[u8],
    namespace: &Namespace,
    through: Option<Key>,
    limit: usize,
) -> Attempt<Option<(Vec<Entry>, bool)>> {
    let (mut from, to) = bounds(&Range::namespace(namespace));
    if let Some(key) = through {
        from = [b"(", &*member(&larder_core::Address::new(namespace.clone(), key))].concat();
    }
    let call = seat.session.function("scan").arg(from).arg(to).flag(false).number(limit);
    // As of a moment at which nothing had expired yet.
    let call = call.arg("-inf").flag(true).number(PAGE_BYTES_MAX);
    let mut answers = seat.session.ask(&call).await?;
    if answers.some_bytes()? != state {
        return Ok(None);
    }
    let ended = answers.number()? == 0;
    let (mut found, mut last, mut entries) = (answers.list()?, None, Vec::new());
    while found.len() > 0 {
        let address = address_like(&found.some_bytes()?, &mut last)?;
        entries.push(entry::read(address, found.some_bytes()?)?);
    }
    Ok(Some((entries, ended)))
}

/// How many of `entries` go into the index in this step, and their rows there.
fn take(
    status: &IndexStatus,
    entries: &[Entry],
    now: Timestamp,
    stored: &mut Holders,
) -> Result<(usize, BTreeSet<Vec<u8>>)> {
    let mut rows = BTreeSet::new();
    for (count, entry) in entries.iter().enumerate() {
        // One after the other, so that each meets those before it.
        let terms = index::build(&status.index, entry, now, |term: &Term| -> Result<Vec<Holder>> {
            let first = row::beginning(term.as_bytes());
            let own = rows.range(first.clone()..).take_while(|row: &&Vec<u8>| row.starts_with(&first));
            let own = own.map(|row| (&row[first.len()..], true));
            let expires_at = |key: &Key| {
                let entry = entries.binary_search_by(|entry| entry.address.key.cmp(key)).ok();
                entry.map(|at| entries[at].expires_at)
            };
            holders::now(stored.of(status, term), own, expires_at)
        })?;
        rows.extend(terms.iter().map(|term| row::row(term, &entry.address.key)));
        if rows.len() >= STEP_ROWS {
            return Ok((count + 1, rows));
        }
    }
    Ok((entries.len(), rows))
}
