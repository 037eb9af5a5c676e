//! A group of commits, decided: each against what is stored and against those before it in the group.
//!
//! Pure: what is stored was gathered before, and what is to be written is written afterwards, if nothing has changed in the
//! meantime. What a check or a write means is said by [`decide`], as for every engine.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use larder_core::{
    Address, ChangeKind, Check, Commit, CommitId, Conflict, Entry, Error, Expected, Found, Namespace, Outcome, Part, Range,
    Receipt, Result, Revision, Timestamp, Usage,
    decide::{self, Effect, Store},
    engine::Resolution,
    index::{Holder, IndexId, IndexState, IndexStatus, Keeping, Term},
};

use crate::{
    head::Head,
    holders::{self, Holders},
    layout::Place,
    log::Floors,
    row,
};

/// The indexes that namespaces have.
pub(crate) type Kept = HashMap<Namespace, Vec<IndexStatus>>;

/// What is stored at an address, expired or not; its value only where a decision looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) bytes: u64,
    /// Whether it stands at the server, or a commit of this group put it there.
    pub(crate) stands: bool,
}

/// An address that commits of the group look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) stored: Option<Stored>,
    /// Whether something stood there when the group came.
    pub(crate) stood: bool,
    /// Whether what stood there is one that expires.
    pub(crate) stood_expiring: bool,
    /// Whether the group has made another thing of it.
    pub(crate) changed: bool,
}

/// What has happened in a range, as far as the server tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// The first commit that changed something in it.
    pub(crate) changed: Option<Revision>,
    /// Addresses in it that expire between the two moments.
    pub(crate) expiring: Vec<Address>,
}

/// A change for the log.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
    pub(crate) kind: ChangeKind,
    pub(crate) address: Address,
    /// What it counts for in the log.
    pub(crate) bytes: u64,
    pub(crate) before: Before,
}

/// What an entry was before a change.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// It was absent.
    Nothing,
    /// It is what still stands at the server.
    Standing,
    /// An earlier commit of the group had put it there.
    Entry(Box<Entry>),
}

/// What is known of the store, and what the group makes of it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) head: Head,
    pub(crate) floors: Floors,
    pub(crate) ids: HashMap<CommitId, Resolution>,
    pub(crate) slots: HashMap<Address, Slot>,
    /// What namespaces take: at the server, and after the group.
    pub(crate) usages: BTreeMap<Namespace, (Usage, Usage)>,
    /// By commit and check.
    pub(crate) pasts: HashMap<(usize, usize), Past>,
    /// Of the namespaces that are written to.
    pub(crate) indexes: Arc<Kept>,
    /// Who has at the server what commits claim.
    pub(crate) holders: Holders,
    /// Rows of indexes that are there after the group, and such as are not.
    pub(crate) rows: BTreeMap<(IndexId, Vec<u8>), bool>,
    /// What is to be appended to the log.
    pub(crate) changes: Vec<Change>,
    /// The receipts that are to be remembered.
    pub(crate) receipts: Vec<(CommitId, Receipt)>,
}

impl Group {
    /// Decides the commit with this index and, if nothing speaks against it, applies it to what is known.
    ///
    /// Refusals and conflicts leave everything as it was.
    pub(crate) fn commit(&mut self, index: usize, commit: &Commit) -> Result<Outcome> {
        match self.ids.get(&commit.id) {
            Some(Resolution::Committed(receipt)) => return Ok(Outcome::Committed(receipt.clone())),
            Some(_) => return Err(Error::fenced(commit.id).engine("redis")),
            None if commit.id.made_at() < self.head.ids_since => return Err(Error::forgotten(commit.id).engine("redis")),
            None => {}
        }
        for (place, check) in commit.checks.iter().enumerate() {
            if let Some(conflict) = self.refute(index, place, check, commit.now) {
                return Ok(Outcome::Conflicted(conflict));
            }
        }
        let revision = self.head.revision.next();
        let mut usages: BTreeMap<&Namespace, Usage> = BTreeMap::new();
        let mut effects = Vec::with_capacity(commit.writes.len());
        for (place, write) in commit.writes.iter().enumerate() {
            let stored = self.stored(&write.address);
            let effect = match decide::write(commit, place, stored.map(|stored| &stored.entry), revision)? {
                Ok(effect) => effect,
                Err(conflict) => return Ok(Outcome::Conflicted(conflict)),
            };
            let Address { namespace, key } = &write.address;
            let usage = usages.entry(namespace).or_insert_with(|| self.usage(namespace));
            effect.count(usage, key.len(), stored.map(|stored| stored.bytes));
            effects.push(effect);
        }
        let indexes = self.indexes.clone();
        let keeping = self.keeping(&indexes, commit, &effects)?;
        if let Some(conflict) = keeping.conflict(|status, term| self.holders(status, term))? {
            return Ok(Outcome::Conflicted(conflict));
        }
        if let Some(conflict) = self.exceeded(commit, &usages) {
            return Ok(Outcome::Conflicted(conflict));
        }

        // Nothing below can be refused.
        for work in keeping.works() {
            let row = |term| (work.index, row::row(term, &work.address.key));
            self.rows.extend(work.removed.iter().map(|term| (row(term), false)));
            self.rows.extend(work.added.iter().map(|term| (row(term), true)));
        }
        for (namespace, after) in usages {
            let before = self.usage(namespace);
            self.head.count(before, after);
            self.usages.entry(namespace.clone()).or_default().1 = after;
        }
        let mut ordinal = 0;
        let mut writes = Vec::with_capacity(effects.len());
        for (write, effect) in commit.writes.iter().zip(effects) {
            writes.push(effect.written);
            self.apply(&write.address, effect, (revision, &mut ordinal), commit.now);
        }
        if ordinal > 0 {
            self.head.revision = revision;
            self.head.changes += u64::from(ordinal);
        }
        let receipt = Receipt { revision: self.head.revision, writes };
        self.ids.insert(commit.id, Resolution::Committed(receipt.clone()));
        self.receipts.push((commit.id, receipt.clone()));
        Ok(Outcome::Committed(receipt))
    }

    /// Whether commits of the group can meet others in an index.
    pub(crate) fn can_claim(&self) -> bool {
        let unique = |status: &IndexStatus| status.index.is_unique() && status.state != IndexState::Dropped;
        self.indexes.values().flatten().any(unique)
    }

    /// What `commit` does to indexes.
    fn keeping<'a>(&self, kept: &'a Kept, commit: &'a Commit, effects: &[Effect]) -> Result<Keeping<'a>> {
        let mut keeping = Keeping::new(commit);
        for (place, (write, effect)) in commit.writes.iter().zip(effects).enumerate() {
            let Some(indexes) = kept.get(&write.address.namespace) else { continue };
            let after = match &effect.store {
                Store::Put(entry) => Some(&**entry),
                Store::Remove => None,
                Store::Keep => continue,
            };
            keeping.write(place, indexes, self.stored(&write.address).map(|stored| &stored.entry), after)?;
        }
        Ok(keeping)
    }

    /// Who has `term` in an index after the commits before this one.
    fn holders(&mut self, status: &IndexStatus, term: &Term) -> Result<Vec<Holder>> {
        let first = row::beginning(term.as_bytes());
        let rows = self.rows.range((status.id, first.clone())..);
        let rows = rows.take_while(|((id, row), _)| *id == status.id && row.starts_with(&first));
        let rows = rows.map(|((_, row), is_there)| (&row[first.len()..], *is_there));
        holders::now(self.holders.of(status, term), rows, |key| {
            let slot = self.slots.get(&Address::new(status.namespace.clone(), key.clone()));
            let changed = slot.filter(|slot| slot.changed);
            changed.map(|slot| slot.stored.as_ref().and_then(|stored| stored.entry.expires_at))
        })
    }

    fn stored(&self, address: &Address) -> Option<&Stored> {
        self.slots.get(address)?.stored.as_ref()
    }

    fn usage(&self, namespace: &Namespace) -> Usage {
        self.usages.get(namespace).map_or_else(Usage::default, |(_, now)| *now)
    }

    fn apply(&mut self, address: &Address, effect: Effect, (revision, ordinal): (Revision, &mut u16), at: Timestamp) {
        let slot = self.slots.entry(address.clone()).or_default();
        let absent = address.key.len() as u64;
        let (mut before, mut bytes) = match &slot.stored {
            None => (Before::Nothing, absent),
            Some(Stored { stands: true, bytes, .. }) => (Before::Standing, *bytes),
            Some(Stored { entry, bytes, .. }) => (Before::Entry(Box::new(entry.clone())), *bytes),
        };
        let mut log = |kind, bytes, before| {
            let place = Place { revision, ordinal: *ordinal };
            self.changes.push(Change { place, at, kind, address: address.clone(), bytes, before });
            *ordinal += 1;
        };
        if effect.expired {
            log(ChangeKind::Expired, bytes, std::mem::replace(&mut before, Before::Nothing));
            bytes = absent;
        }
        if let Some(kind) = effect.change {
            log(kind, bytes, before);
        }
        match effect.store {
            Store::Keep => {}
            Store::Put(entry) => {
                slot.changed = true;
                slot.stored = Some(Stored { bytes: entry.bytes(), entry: *entry, stands: false });
            }
            Store::Remove => {
                slot.changed = true;
                slot.stored = None;
            }
        }
    }

    /// Why `check` does not hold, if it does not.
    fn refute(&self, index: usize, place: usize, check: &Check, now: Timestamp) -> Option<Conflict> {
        let part = Part::Check(place);
        match check {
            Check::Key { address, condition } => {
                let stored = self.stored(address).map(|stored| &stored.entry);
                let (expected, found) = decide::check(condition, stored, now).err()?;
                Some(Conflict { part, address: Some(address.clone()), expected, found })
            }
            Check::Unchanged { range, since, read_at } => {
                let past = self.pasts.get(&(index, place));
                let found = self.changed(past?, range, *since, (now.min(*read_at), now.max(*read_at)))?;
                Some(Conflict { part, address: None, expected: Expected::Unchanged(*since), found })
            }
            // Decided after the writes.
            Check::Quota { .. } => None,
        }
    }

    fn changed(
        &self,
        past: &Past,
        range: &Range,
        since: Revision,
        (earlier, later): (Timestamp, Timestamp),
    ) -> Option<Found> {
        if since > self.head.revision {
            return Some(Found::Head(self.head.revision));
        }
        let oldest = self.floors.oldest_of(self.head.oldest, std::slice::from_ref(range));
        if since < oldest {
            return Some(Found::Trimmed(oldest));
        }
        // What the server tells comes before anything that the group has done.
        let own = || self.changes.iter().find(|line| line.place.revision > since && range.contains(&line.address));
        if let Some(revision) = past.changed.or_else(|| own().map(|line| line.place.revision)) {
            return Some(Found::Changed(revision));
        }
        let between = |at: Timestamp| earlier < at && at <= later;
        let stored = past.expiring.iter().any(|address| self.slots.get(address).is_none_or(|slot| !slot.changed));
        let put = |(address, slot): (&Address, &Slot)| {
            let expires_at = slot.stored.as_ref().filter(|_| slot.changed).and_then(|stored| stored.entry.expires_at);
            expires_at.is_some_and(between) && range.contains(address)
        };
        (stored || self.slots.iter().any(put)).then_some(Found::Expired)
    }

    /// Which quota `commit` would exceed, if there is one.
    fn exceeded(&self, commit: &Commit, usages: &BTreeMap<&Namespace, Usage>) -> Option<Conflict> {
        for (place, check) in commit.checks.iter().enumerate() {
            let Check::Quota { namespace, quota } = check else { continue };
            // What a commit does not write to does not grow by it.
            let Some(after) = usages.get(namespace) else { continue };
            if let Err((expected, found)) = decide::quota(quota, self.usage(namespace), *after) {
                return Some(Conflict { part: Part::Check(place), address: None, expected, found });
            }
        }
        None
    }
}
