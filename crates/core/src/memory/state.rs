//! State, log and ids of the memory engine.
//!
//! Knows nothing of locks and futures: every method is one step that nobody can see the middle of.

mod indexes;
mod log;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
};

use crate::{
    address::{Address, Range},
    change::ChangeKind,
    commit::{Check, Commit, Conflict, Expected, Outcome, Part, Receipt},
    decide::{self, Store},
    engine::{EngineStatus, Page, Resolution, Scan, Usage},
    entry::Entry,
    error::{Error, Result},
    id::{CommitId, Lineage, Revision, StoreId},
    index::Keeping,
    key::Key,
    namespace::Namespace,
    time::Timestamp,
};
use indexes::Indexes;

/// Everything a store is.
#[derive(Debug)]
pub(super) struct State {
    store: StoreId,
    pub(super) closed: bool,
    pub(super) head: Revision,
    namespaces: BTreeMap<Namespace, Room>,
    /// One record a commit that changed something, in the order of revisions.
    log: VecDeque<Record>,
    /// The log holds what came after this revision, but for namespaces that say otherwise.
    oldest: Revision,
    /// When stored entries expire; those that never do are not here.
    expiries: BTreeMap<Timestamp, BTreeSet<Address>>,
    /// How many changes the log holds.
    changes: u64,
    /// What became of every id that is still remembered.
    ids: BTreeMap<CommitId, Fate>,
    /// Ids made before this moment are forgotten.
    ids_since: Timestamp,
    indexes: Indexes,
}

/// A namespace.
#[derive(Debug, Default)]
struct Room {
    /// What was ever at a key, as far as the log still tells.
    slots: BTreeMap<Key, Slot>,
    usage: Usage,
    /// The log holds those changes of this namespace that came after this revision, where it is beyond that of the store.
    oldest: Revision,
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
    /// In the order of the commit; `None` where the change was trimmed with its namespace.
    changes: Vec<Option<Before>>,
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

impl Room {
    /// The log no longer tells the oldest change of `key`, which took so many bytes of it.
    fn forget(&mut self, key: &Key, bytes: u64) {
        self.usage.log_bytes -= bytes;
        let slot = self.slots.get_mut(key).expect("an address in the log has a slot");
        slot.past.pop_front();
        if slot.entry.is_none() && slot.past.is_empty() {
            self.slots.remove(key);
        }
    }
}

impl State {
    pub(super) fn new(store: StoreId) -> Self {
        Self {
            store,
            closed: false,
            head: Revision::ZERO,
            namespaces: BTreeMap::new(),
            log: VecDeque::new(),
            expiries: BTreeMap::new(),
            changes: 0,
            oldest: Revision::ZERO,
            ids: BTreeMap::new(),
            ids_since: Timestamp::EPOCH,
            indexes: Indexes::default(),
        }
    }

    pub(super) fn live(&self, address: &Address, now: Timestamp) -> Option<&Entry> {
        self.stored(address).filter(|entry| !entry.is_expired(now))
    }

    fn stored(&self, address: &Address) -> Option<&Entry> {
        self.slot(address)?.entry.as_ref()
    }

    fn slot(&self, address: &Address) -> Option<&Slot> {
        self.namespaces.get(&address.namespace)?.slots.get(&address.key)
    }

    pub(super) fn usage(&self, namespace: &Namespace) -> Usage {
        self.namespaces.get(namespace).map_or_else(Usage::default, |room| room.usage)
    }

    /// Every stored entry of `range`, expired or not.
    pub(super) fn range<'a>(&'a self, range: &'a Range) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.slots(range).filter_map(|(_, _, slot)| slot.entry.as_ref())
    }

    /// Every slot of `range`, in order.
    fn slots<'a>(&'a self, range: &'a Range) -> impl DoubleEndedIterator<Item = (&'a Namespace, &'a Key, &'a Slot)> {
        let (start, end) = (range.start(), range.end());
        let namespaces = (!range.is_empty()).then(|| {
            let last = end.map_or(Bound::Unbounded, |end| Bound::Included(&*end.namespace));
            self.namespaces.range::<str, _>((Bound::Included(&*start.namespace), last))
        });
        namespaces.into_iter().flatten().flat_map(move |(namespace, room)| {
            let first = if namespace.as_str() == start.namespace { &*start.key } else { "" };
            let last = end.filter(|end| namespace.as_str() == end.namespace);
            let last = last.map_or(Bound::Unbounded, |end| Bound::Excluded(&*end.key));
            room.slots.range::<str, _>((Bound::Included(first), last)).map(move |(key, slot)| (namespace, key, slot))
        })
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

        let indexes: BTreeMap<&Namespace, Vec<_>> = commit
            .writes
            .iter()
            .map(|write| (&write.address.namespace, self.indexes.of(&write.address.namespace).to_vec()))
            .filter(|(_, indexes)| !indexes.is_empty())
            .collect();
        let mut keeping = Keeping::new(commit);
        for (index, (write, effect)) in commit.writes.iter().zip(&effects).enumerate() {
            let (before, after) = match &effect.store {
                Store::Keep => continue,
                Store::Put(entry) => (self.stored(&write.address), Some(&**entry)),
                Store::Remove => (self.stored(&write.address), None),
            };
            if let Some(indexes) = indexes.get(&write.address.namespace) {
                keeping.write(index, indexes, before, after)?;
            }
        }
        if let Some(conflict) = keeping.conflict(|status, term| Ok(self.holders(status, term)))? {
            return Ok(Outcome::Conflicted(conflict));
        }

        let mut usages = BTreeMap::new();
        for (write, effect) in commit.writes.iter().zip(&effects) {
            let Address { namespace, key } = &write.address;
            let usage = usages.entry(namespace).or_insert_with(|| self.usage(namespace));
            effect.count(usage, key.len(), self.stored(&write.address).map(Entry::bytes));
        }
        for (index, check) in commit.checks.iter().enumerate() {
            let Check::Quota { namespace, quota } = check else { continue };
            let before = self.usage(namespace);
            if let Err((expected, found)) = decide::quota(quota, before, *usages.get(namespace).unwrap_or(&before)) {
                let part = Part::Check(index);
                return Ok(Outcome::Conflicted(Conflict { part, address: None, expected, found }));
            }
        }

        // Apply: nothing below can be refused.
        keeping.works().iter().for_each(|work| self.indexes.apply(work));
        for (namespace, usage) in usages {
            self.namespaces.entry(namespace.clone()).or_default().usage = usage;
        }
        let mut record = Record { revision, at: commit.now, changes: Vec::with_capacity(effects.len()) };
        let mut writes = Vec::with_capacity(effects.len());
        for (write, effect) in commit.writes.iter().zip(effects) {
            writes.push(effect.written);
            if effect.change.is_none() && matches!(effect.store, Store::Keep) {
                continue;
            }
            let Address { namespace, key } = &write.address;
            let room = self.namespaces.get_mut(namespace).expect("its usage was counted just above");
            let slot = room.slots.entry(key.clone()).or_default();
            let mut log = |kind, entry| {
                slot.past.push_back((revision, record.changes.len()));
                record.changes.push(Some(Before { kind, address: write.address.clone(), entry }));
            };
            let expiry = |entry: &Option<Entry>| Some((entry.as_ref()?.expires_at?, write.address.clone()));
            if let Some(expiry) = expiry(&slot.entry) {
                forget_expiry(&mut self.expiries, &expiry);
            }
            let mut before = match effect.store {
                Store::Keep => None,
                Store::Put(entry) => slot.entry.replace(*entry),
                Store::Remove => slot.entry.take(),
            };
            if let Some((at, address)) = expiry(&slot.entry) {
                self.expiries.entry(at).or_default().insert(address);
            }
            if effect.expired {
                log(ChangeKind::Expired, before.take());
            }
            if let Some(kind) = effect.change {
                log(kind, before);
            }
        }
        self.changes += record.changes.len() as u64;
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
            // Decided after the writes.
            Check::Quota { .. } => None,
        }
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

    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<Address> {
        self.expiries.range(..=now).flat_map(|(_, addresses)| addresses).take(limit).cloned().collect()
    }

    pub(super) fn status(&self, now: Timestamp) -> EngineStatus {
        // What has expired is counted off, so that asking costs no more than that.
        let expired = self.expiries.range(..=now).flat_map(|(_, addresses)| addresses);
        let expired: Vec<u64> = expired.filter_map(|address| self.stored(address)).map(Entry::bytes).collect();
        let stored = self.namespaces.values().map(|room| room.usage);
        let entries = stored.clone().map(|usage| usage.entries).sum::<u64>() - expired.len() as u64;
        let bytes = stored.map(|usage| usage.bytes).sum::<u64>() - expired.iter().sum::<u64>();
        EngineStatus {
            store: self.store,
            lineage: Lineage::ZERO,
            revision: self.head,
            entries,
            bytes,
            size: None,
            oldest: self.oldest,
            changes: self.changes,
            log_bytes: self.namespaces.values().map(|room| room.usage.log_bytes).sum(),
        }
    }
}

fn forget_expiry(expiries: &mut BTreeMap<Timestamp, BTreeSet<Address>>, (at, address): &(Timestamp, Address)) {
    if let Some(addresses) = expiries.get_mut(at) {
        addresses.remove(address);
        if addresses.is_empty() {
            expiries.remove(at);
        }
    }
}
