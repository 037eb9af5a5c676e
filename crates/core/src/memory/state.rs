//! State, log and ids of the memory engine.
//!
//! Knows nothing of locks and futures: every method is one step that nobody can see the middle of.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
};

use crate::{
    address::{Address, Range},
    change::{Change, ChangeKind, Changes, ChangesQuery, LogOrder, Trim, Trimmed},
    commit::{Check, Commit, Conflict, Expected, Found, Outcome, Part, Receipt},
    decide::{self, Store},
    engine::{EngineStatus, Page, Resolution, Scan},
    entry::Entry,
    error::{Error, Result},
    id::{CommitId, Lineage, Revision, StoreId},
    key::Key,
    namespace::Namespace,
    time::Timestamp,
};

/// Everything a store is.
#[derive(Debug)]
pub(super) struct State {
    store: StoreId,
    pub(super) closed: bool,
    pub(super) head: Revision,
    /// What was ever at an address, as far as the log still tells.
    namespaces: BTreeMap<Namespace, BTreeMap<Key, Slot>>,
    /// One record a commit that changed something, in the order of revisions.
    log: VecDeque<Record>,
    /// The bytes of its changes.
    log_bytes: u64,
    /// The log holds what came after this revision.
    oldest: Revision,
    /// When stored entries expire; those that never do are not here.
    expiries: BTreeSet<(Timestamp, Address)>,
    /// What became of every id that is still remembered.
    ids: BTreeMap<CommitId, Fate>,
    /// Ids made before this moment are forgotten.
    ids_since: Timestamp,
}

#[derive(Debug, Default)]
struct Slot {
    /// The entry; `None` when only the log remembers the address.
    entry: Option<Entry>,
    /// The places of its changes in the log, oldest first.
    past: VecDeque<(Revision, usize)>,
}

#[derive(Debug)]
struct Record {
    revision: Revision,
    at: Timestamp,
    changes: Vec<Before>,
}

/// A change as the log keeps it: what it became stands in the next change of the address, or in the state.
#[derive(Debug)]
struct Before {
    kind: ChangeKind,
    address: Address,
    entry: Option<Entry>,
}

impl Before {
    fn bytes(&self) -> u64 {
        self.entry.as_ref().map_or(self.address.key.len() as u64, Entry::bytes)
    }
}

#[derive(Debug)]
enum Fate {
    Committed(Receipt),
    Fenced,
}

impl State {
    pub(super) fn new(store: StoreId) -> Self {
        Self {
            store,
            closed: false,
            head: Revision::ZERO,
            namespaces: BTreeMap::new(),
            log: VecDeque::new(),
            log_bytes: 0,
            expiries: BTreeSet::new(),
            oldest: Revision::ZERO,
            ids: BTreeMap::new(),
            ids_since: Timestamp::EPOCH,
        }
    }

    pub(super) fn live(&self, address: &Address, now: Timestamp) -> Option<&Entry> {
        self.stored(address).filter(|entry| !entry.is_expired(now))
    }

    fn stored(&self, address: &Address) -> Option<&Entry> {
        self.slot(address)?.entry.as_ref()
    }

    fn slot(&self, address: &Address) -> Option<&Slot> {
        self.namespaces.get(&address.namespace)?.get(&address.key)
    }

    /// Every stored entry of `range`, expired or not.
    pub(super) fn range<'a>(&'a self, range: &'a Range) -> impl DoubleEndedIterator<Item = &'a Entry> {
        let (start, end) = (range.start(), range.end());
        let namespaces = (!range.is_empty()).then(|| {
            let last = end.map_or(Bound::Unbounded, |end| Bound::Included(&*end.namespace));
            self.namespaces.range::<str, _>((Bound::Included(&*start.namespace), last))
        });
        let entries = namespaces.into_iter().flatten().flat_map(move |(namespace, slots)| {
            let first = if namespace.as_str() == start.namespace { &*start.key } else { "" };
            let last = end.filter(|end| namespace.as_str() == end.namespace);
            let last = last.map_or(Bound::Unbounded, |end| Bound::Excluded(&*end.key));
            slots.range::<str, _>((Bound::Included(first), last))
        });
        entries.filter_map(|(_, slot)| slot.entry.as_ref())
    }

    pub(super) fn page<T>(&self, scan: &Scan, item: impl Fn(&Entry) -> T) -> Page<T> {
        let take = |entries: &mut dyn Iterator<Item = &Entry>| {
            let mut live = entries.filter(|entry| !entry.is_expired(scan.now));
            let items: Vec<T> = live.by_ref().take(scan.limit).map(item).collect();
            let more = !items.is_empty() && live.next().is_some();
            Page { items, more }
        };
        if scan.reverse { take(&mut self.range(&scan.range).rev()) } else { take(&mut self.range(&scan.range)) }
    }

    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Outcome> {
        match self.ids.get(&commit.id) {
            Some(Fate::Committed(receipt)) => return Ok(Outcome::Committed(receipt.clone())),
            Some(Fate::Fenced) => return Err(Error::fenced(commit.id)),
            None if commit.id.made_at() < self.ids_since => return Err(Error::forgotten(commit.id)),
            None => {}
        }

        // Decide: from here to the end of the block the state is only read.
        let revision = self.head.next();
        for (index, check) in commit.checks.iter().enumerate() {
            if let Some(conflict) = self.refute(index, check, commit.now) {
                return Ok(Outcome::Conflicted(conflict));
            }
        }
        let mut effects = Vec::with_capacity(commit.writes.len());
        for (index, write) in commit.writes.iter().enumerate() {
            match decide::write(commit, index, self.stored(&write.address), revision)? {
                Ok(effect) => effects.push(effect),
                Err(conflict) => return Ok(Outcome::Conflicted(conflict)),
            }
        }

        // Apply: nothing below can be refused.
        let mut record = Record { revision, at: commit.now, changes: Vec::with_capacity(effects.len()) };
        let mut writes = Vec::with_capacity(effects.len());
        for (write, effect) in commit.writes.iter().zip(effects) {
            writes.push(effect.written);
            if effect.change.is_none() && matches!(effect.store, Store::Keep) {
                continue;
            }
            let Address { namespace, key } = &write.address;
            let slot = self.namespaces.entry(namespace.clone()).or_default().entry(key.clone()).or_default();
            let mut log = |kind, entry| {
                slot.past.push_back((revision, record.changes.len()));
                let before = Before { kind, address: write.address.clone(), entry };
                self.log_bytes += before.bytes();
                record.changes.push(before);
            };
            let expiry = |entry: &Option<Entry>| Some((entry.as_ref()?.expires_at?, write.address.clone()));
            if let Some(expiry) = expiry(&slot.entry) {
                self.expiries.remove(&expiry);
            }
            let mut before = match effect.store {
                Store::Keep => None,
                Store::Put(entry) => slot.entry.replace(*entry),
                Store::Remove => slot.entry.take(),
            };
            self.expiries.extend(expiry(&slot.entry));
            if effect.expired {
                log(ChangeKind::Expired, before.take());
            }
            if let Some(kind) = effect.change {
                log(kind, before);
            }
        }
        if !record.changes.is_empty() {
            self.head = revision;
            self.log.push_back(record);
        }
        let receipt = Receipt { revision: self.head, writes };
        self.ids.insert(commit.id, Fate::Committed(receipt.clone()));
        Ok(Outcome::Committed(receipt))
    }

    /// Why `check` does not hold, if it does not.
    fn refute(&self, index: usize, check: &Check, now: Timestamp) -> Option<Conflict> {
        let part = Part::Check(index);
        match check {
            Check::Key { address, condition } => {
                let (expected, found) = decide::check(condition, self.stored(address), now).err()?;
                Some(Conflict { part, address: Some(address.clone()), expected, found })
            }
            Check::Unchanged { range, since, read_at } => {
                let found = self.changed(range, *since, *read_at, now)?;
                Some(Conflict { part, address: None, expected: Expected::Unchanged(*since), found })
            }
        }
    }

    fn changed(&self, range: &Range, since: Revision, read_at: Timestamp, now: Timestamp) -> Option<Found> {
        if since > self.head {
            return Some(Found::Head(self.head));
        }
        if since < self.oldest {
            return Some(Found::Trimmed(self.oldest));
        }
        let later = self.log.range(self.log.partition_point(|record| record.revision <= since)..);
        for record in later {
            if record.changes.iter().any(|change| range.contains(&change.address)) {
                return Some(Found::Changed(record.revision));
            }
        }
        let expires_between = |entry: &Entry| entry.is_expired(now) != entry.is_expired(read_at);
        self.range(range).any(expires_between).then_some(Found::Expired)
    }

    pub(super) fn resolve(&mut self, id: CommitId) -> Resolution {
        match self.ids.get(&id) {
            Some(Fate::Committed(receipt)) => Resolution::Committed(receipt.clone()),
            Some(Fate::Fenced) => Resolution::Never,
            None if id.made_at() < self.ids_since => Resolution::Forgotten,
            None => {
                self.ids.insert(id, Fate::Fenced);
                Resolution::Never
            }
        }
    }

    pub(super) fn changes(&self, query: &ChangesQuery) -> Result<Changes> {
        query.verify().map_err(|error| error.engine("memory"))?;
        if query.after < self.oldest || query.after > self.head || query.lineage != Lineage::ZERO {
            return Err(Error::trimmed(self.oldest).engine("memory"));
        }
        let wanted = |address: &Address| query.ranges.is_empty() || query.ranges.iter().any(|range| range.contains(address));
        let place = |revision: Revision| self.log.partition_point(|record| record.revision <= revision);
        let first = place(query.after);
        let (newest_first, end) = match query.order {
            LogOrder::OldestFirst => (false, self.log.len()),
            LogOrder::NewestFirst { before: None } => (true, self.log.len()),
            LogOrder::NewestFirst { before: Some(before) } => {
                (true, self.log.partition_point(|record| record.revision < before).max(first))
            }
        };
        let mut changes = Vec::new();
        let mut through = if newest_first { query.after } else { self.head };
        for index in first..end {
            let record = &self.log[if newest_first { first + end - 1 - index } else { index }];
            let told = changes.len();
            for (ordinal, before) in record.changes.iter().enumerate().filter(|(_, before)| wanted(&before.address)) {
                changes.push(self.both_sides(record, ordinal, before));
            }
            if newest_first {
                changes[told..].reverse();
            }
            if changes.len() >= query.limit.max(1) {
                through = record.revision;
                break;
            }
        }
        Ok(Changes { changes, through, head: self.head })
    }

    fn both_sides(&self, record: &Record, ordinal: usize, before: &Before) -> Change {
        let slot = self.slot(&before.address).expect("an address in the log has a slot");
        let next = slot.past.partition_point(|place| *place <= (record.revision, ordinal));
        let after = match slot.past.get(next) {
            Some((revision, ordinal)) => {
                let at = self.log.partition_point(|record| record.revision < *revision);
                self.log[at].changes[*ordinal].entry.clone()
            }
            None => slot.entry.clone(),
        };
        Change {
            revision: record.revision,
            at: record.at,
            kind: before.kind,
            address: before.address.clone(),
            before: before.entry.clone(),
            after,
        }
    }

    pub(super) fn trim(&mut self, trim: Trim) -> Trimmed {
        let mut changes = 0;
        while let Some(record) = self.log.pop_front_if(|record| record.revision <= trim.through) {
            for change in record.changes {
                changes += 1;
                self.log_bytes -= change.bytes();
                let Address { namespace, key } = &change.address;
                let slots = self.namespaces.get_mut(namespace).expect("an address in the log has a slot");
                let slot = slots.get_mut(key).expect("an address in the log has a slot");
                slot.past.pop_front();
                if slot.entry.is_none() && slot.past.is_empty() {
                    slots.remove(key);
                }
            }
        }
        self.namespaces.retain(|_, slots| !slots.is_empty());
        self.oldest = self.oldest.max(trim.through.min(self.head));
        Trimmed { oldest: self.oldest, changes, ids: self.forget(trim.ids_before) }
    }

    /// Forgets the ids made before `moment`, but none that is yet to be made, and answers how many they were.
    fn forget(&mut self, moment: Timestamp) -> u64 {
        let Some((newest, _)) = self.ids.last_key_value() else { return 0 };
        let since = moment.min(newest.made_at());
        let kept = self.ids.split_off(&CommitId::new(since, 0));
        self.ids_since = self.ids_since.max(since);
        std::mem::replace(&mut self.ids, kept).len() as u64
    }

    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<Address> {
        let expired = self.expiries.iter().take_while(|(at, _)| *at <= now);
        expired.take(limit).map(|(_, address)| address.clone()).collect()
    }

    pub(super) fn status(&self, now: Timestamp) -> EngineStatus {
        let all = Range::all();
        let live = self.range(&all).filter(|entry| !entry.is_expired(now));
        let (entries, bytes) = live.fold((0, 0), |(entries, bytes), entry| (entries + 1, bytes + entry.bytes()));
        EngineStatus {
            store: self.store,
            lineage: Lineage::ZERO,
            revision: self.head,
            entries,
            bytes,
            size: None,
            oldest: self.oldest,
            changes: self.log.iter().map(|record| record.changes.len() as u64).sum(),
            log_bytes: self.log_bytes,
        }
    }
}
