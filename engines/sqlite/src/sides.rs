//! The second sides of changes: what each of them made of its entry.
//!
//! The log keeps what was before a change. What it became is what was before the next change of the same key, which is
//! mostly at hand: in the same page, or not far behind its end. What is not has to be looked up.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use larder_core::{Address, Change, ChangeKind, Changes, Entry, Key, Namespace, Result};
use rusqlite::{CachedStatement, Connection};

use crate::{
    error::explain,
    log::BEFORE,
    read::PAGE_BYTES_MAX,
    row::{self, ENTRY},
    shelf::Shelf,
};

/// The changes of a page whose second sides are not known yet.
#[derive(Debug)]
pub(crate) struct Sides {
    oldest_first: bool,
    /// Where in the page each address was met last.
    met: BTreeMap<Namespace, HashMap<Key, usize, RandomState>>,
    /// For each change of the page its place in the log, if its second side is yet to be looked up.
    open: Vec<Option<i64>>,
    bytes: u64,
    ahead: Ahead,
}

fn weight(change: &Change) -> u64 {
    change.before.as_ref().map_or(0, Entry::bytes)
}

/// What looking beyond the end of a page has cost and brought. To read on costs a fraction of looking something up, and
/// pays while some of what is met has been waited for.
#[derive(Debug, Default)]
struct Ahead {
    /// How many changes it may take before the next one that is waited for; counted when it begins.
    patience: Option<usize>,
    /// How many second sides are still missing.
    missing: usize,
    /// What the entries that were found weigh.
    bytes: u64,
}

/// How many changes are read ahead for each second side that is found, and
const AHEAD_FOR_EACH: usize = 4;
/// one for so many that are missing before any is.
const AHEAD_FOR_MISSING: usize = 4;

impl Sides {
    pub(crate) fn new(oldest_first: bool) -> Self {
        Self { oldest_first, met: BTreeMap::new(), open: Vec::new(), bytes: 0, ahead: Ahead::default() }
    }

    /// Where in the page the address with these names was met last, if it was; from now on that is `index`.
    pub(crate) fn meet(&mut self, (namespace, key): (&str, &str), index: usize) -> Option<usize> {
        let last = self.met.get_mut(namespace)?.get_mut(key)?;
        Some(std::mem::replace(last, index))
    }

    /// Takes note that this address, which was not met before, is met at `index`.
    pub(crate) fn meet_first(&mut self, address: &Address, index: usize) {
        let Address { namespace, key } = address;
        let keys = match self.met.get_mut(namespace) {
            Some(keys) => keys,
            None => self.met.entry(namespace.clone()).or_default(),
        };
        keys.insert(key.clone(), index);
    }

    /// Adds `change`, which stands at `place`, to the page, and joins it with the one of the same address before it, its
    /// `neighbour`.
    ///
    /// That works because a page that tells of an address at all tells of every change of it: ranges are of addresses.
    pub(crate) fn join(&mut self, page: &mut Vec<Change>, mut change: Change, neighbour: Option<usize>, place: i64) {
        let mut open = matches!(change.kind, ChangeKind::Created | ChangeKind::Updated).then_some(place);
        match neighbour {
            Some(earlier) if self.oldest_first => {
                page[earlier].after.clone_from(&change.before);
                if self.open[earlier].take().is_some() {
                    self.bytes -= weight(&page[earlier]);
                }
            }
            Some(later) => {
                change.after.clone_from(&page[later].before);
                open = None;
            }
            None => {}
        }
        self.bytes += weight(&change) * if open.is_some() { 2 } else { 1 };
        page.push(change);
        self.open.push(open);
    }

    /// What the page weighs. Of what is not known yet it is taken for granted that it is as large as what was before; what
    /// stands on both sides is one.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether to read on behind the page, which is full, for the second sides of what is in it.
    pub(crate) fn look_ahead(&mut self) -> bool {
        if !self.oldest_first {
            return false;
        }
        let Ahead { patience, missing, bytes } = &mut self.ahead;
        let left = patience.get_or_insert_with(|| {
            *missing = self.open.iter().flatten().count();
            *missing / AHEAD_FOR_MISSING
        });
        let on = *left > 0 && *missing > 0 && *bytes < PAGE_BYTES_MAX / 2;
        *left = left.saturating_sub(1);
        on
    }

    /// Takes note of the next change behind the page: one of the address with these names. `before` tells what that was.
    pub(crate) fn meet_ahead(
        &mut self,
        page: &mut [Change],
        names: (&str, &str),
        before: impl FnOnce(Address) -> Result<Option<Entry>>,
    ) -> Result<()> {
        // Only the first one behind the page says what became of what is in it.
        let (namespace, key) = names;
        if let Some(last) = self.met.get(namespace).and_then(|keys| keys.get(key)).copied()
            && self.open[last].take().is_some()
        {
            page[last].after = before(page[last].address.clone())?;
            self.ahead.bytes += page[last].after.as_ref().map_or(0, Entry::bytes);
            self.ahead.missing -= 1;
            self.ahead.patience = self.ahead.patience.map(|left| left + AHEAD_FOR_EACH);
        }
        Ok(())
    }

    /// Looks up the second sides that are still missing. When that becomes too much for a page, it ends earlier, between
    /// two commits. `ended` says whether the page holds all there is in its direction.
    pub(crate) fn complete(self, connection: &Connection, page: &mut Changes, ended: bool) -> Result<()> {
        if self.open.iter().all(Option::is_none) {
            return Ok(());
        }
        // Near the head the present has most of them, further back the log.
        let mut after = After::prepare(connection, ended == self.oldest_first)?;
        let mut bytes = self.ahead.bytes;
        for index in 0..page.changes.len() {
            let change = &page.changes[index];
            if let Some(last) = index.checked_sub(1).map(|last| page.changes[last].revision)
                && bytes >= PAGE_BYTES_MAX
                && change.revision != last
            {
                page.changes.truncate(index);
                page.through = last;
                return Ok(());
            }
            bytes += weight(change);
            if let Some(place) = self.open[index] {
                let entry = after.find(change, place)?;
                bytes += entry.as_ref().map_or(0, Entry::bytes);
                page.changes[index].after = entry;
            }
        }
        Ok(())
    }
}

/// The questions that find a second side.
struct After<'a> {
    current: CachedStatement<'a>,
    next: CachedStatement<'a>,
    present_first: bool,
    shelf: Shelf,
}

impl<'a> After<'a> {
    fn prepare(connection: &'a Connection, present_first: bool) -> Result<Self> {
        let current = format!("SELECT {ENTRY} FROM entries WHERE namespace = ?1 AND key = ?2");
        let next =
            format!("SELECT {BEFORE} FROM log WHERE namespace = ?1 AND key = ?2 AND place > ?3 ORDER BY place LIMIT 1");
        Ok(Self {
            current: connection.prepare_cached(&current).map_err(explain)?,
            next: connection.prepare_cached(&next).map_err(explain)?,
            present_first,
            shelf: Shelf::default(),
        })
    }

    fn find(&mut self, change: &Change, place: i64) -> Result<Option<Entry>> {
        // An entry that was written last by this very change is what this change made of it.
        if self.present_first
            && let Some(entry) = self.current(change, true)?
        {
            return Ok(Some(entry));
        }
        match self.next(&change.address, place)? {
            Some(before) => Ok(before),
            None => self.current(change, false),
        }
    }

    fn current(&mut self, change: &Change, own: bool) -> Result<Option<Entry>> {
        let address = &change.address;
        let mut rows = self.current.query((address.namespace.as_str(), address.key.as_str())).map_err(explain)?;
        let Some(row) = rows.next().map_err(explain)? else { return Ok(None) };
        if own && row::number(row, 1)?.cast_unsigned() != change.revision.get() {
            return Ok(None);
        }
        row::entry_on(&mut self.shelf, row, 0, || Ok(address.clone()))
    }

    /// What was there before the next change after `place`; `None` when there is no such change.
    fn next(&mut self, address: &Address, place: i64) -> Result<Option<Option<Entry>>> {
        let mut rows = self.next.query((address.namespace.as_str(), address.key.as_str(), place)).map_err(explain)?;
        let Some(row) = rows.next().map_err(explain)? else { return Ok(None) };
        row::entry_on(&mut self.shelf, row, 0, || Ok(address.clone())).map(Some)
    }
}
