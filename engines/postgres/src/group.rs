//! A group of commits, decided: each against what is stored and against those before it in the group.
//!
//! Pure: what is stored was gathered before, under the lock, and what is to be written is written afterwards. What a check
//! or a write means is said by [`decide`], as for every engine.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use larder_core::{
    Address, ChangeKind, Check, Commit, CommitId, Conflict, Entry, Error, Expected, Found, Namespace, Outcome, Part, Range,
    Receipt, Result, Revision, Timestamp, Usage,
    decide::{self, Effect, Store},
    engine::Resolution,
    index::Keeping,
};

use crate::{head::Head, kept::Kept, log::Floors, terms::Terms};

/// What is stored at an address, expired or not; its value only where a decision looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) bytes: u64,
    /// Whether it is in the table, or a commit of this group put it there.
    pub(crate) in_table: bool,
}

/// An address that commits of the group look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) stored: Option<Stored>,
    /// Whether there is a row for it in the table, as it was when the group came.
    pub(crate) had_row: bool,
    /// Whether the group has made another thing of it.
    pub(crate) changed: bool,
}

/// What has happened in a range, as far as the tables tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// The first commit that changed something in it.
    pub(crate) changed: Option<Revision>,
    /// Addresses in it that expire between the two moments: as many as the group writes to, and one more.
    pub(crate) expiring: Vec<Address>,
}

/// A line for the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) revision: Revision,
    pub(crate) ordinal: i64,
    pub(crate) at: Timestamp,
    pub(crate) kind: ChangeKind,
    pub(crate) address: Address,
    pub(crate) before: Before,
}

/// What an entry was before a change.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// It was absent.
    Nothing,
    /// It is what still stands in the table.
    Row,
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
    /// By commit and check.
    pub(crate) pasts: HashMap<(usize, usize), Past>,
    /// What is to be appended to the log.
    pub(crate) lines: Vec<Line>,
    /// The receipts that are to be remembered.
    pub(crate) receipts: Vec<(CommitId, Receipt)>,
    /// The indexes that are kept, and what becomes of their rows.
    pub(crate) kept: Arc<Kept>,
    pub(crate) terms: Terms,
}

impl Group {
    /// Decides the commit with this index and, if nothing speaks against it, applies it to what is known.
    ///
    /// Refusals and conflicts leave everything as it was; so does `None`, when something has to be known of the indexes first.
    pub(crate) fn commit(&mut self, index: usize, commit: &Commit) -> Result<Option<Outcome>> {
        match self.ids.get(&commit.id) {
            Some(Resolution::Committed(receipt)) => return Ok(Some(Outcome::Committed(receipt.clone()))),
            Some(_) => return Err(Error::fenced(commit.id).engine("postgres")),
            None if commit.id.made_at().as_millis() < self.head.ids_since => {
                return Err(Error::forgotten(commit.id).engine("postgres"));
            }
            None => {}
        }
        for (place, check) in commit.checks.iter().enumerate() {
            if let Some(conflict) = self.refute(index, place, check, commit.now) {
                return Ok(Some(Outcome::Conflicted(conflict)));
            }
        }
        let revision = self.head.revision.next();
        let mut usages: BTreeMap<&Namespace, Usage> = BTreeMap::new();
        let mut effects = Vec::with_capacity(commit.writes.len());
        for (place, write) in commit.writes.iter().enumerate() {
            let stored = self.stored(&write.address);
            let effect = match decide::write(commit, place, stored.map(|stored| &stored.entry), revision)? {
                Ok(effect) => effect,
                Err(conflict) => return Ok(Some(Outcome::Conflicted(conflict))),
            };
            let Address { namespace, key } = &write.address;
            let usage = usages.entry(namespace).or_insert_with(|| self.head.usage(namespace));
            effect.count(usage, key.len(), stored.map(|stored| stored.bytes));
            effects.push(effect);
        }
        let kept = self.kept.clone();
        let keeping = self.keeping(&kept, commit, &effects)?;
        let (slots, terms) = (&self.slots, &mut self.terms);
        let conflict = keeping.conflict(|status, term| Ok(terms.holders(slots, status, term)))?;
        if terms.is_to_be_asked() {
            return Ok(None);
        }
        if let Some(conflict) = conflict {
            return Ok(Some(Outcome::Conflicted(conflict)));
        }
        if let Some(conflict) = self.exceeded(commit, &usages) {
            return Ok(Some(Outcome::Conflicted(conflict)));
        }

        // Nothing below can be refused.
        for (namespace, usage) in usages {
            self.head.count(namespace, usage);
        }
        self.terms.apply(keeping.works());
        let mut ordinal = 0;
        let mut writes = Vec::with_capacity(effects.len());
        for (write, effect) in commit.writes.iter().zip(effects) {
            writes.push(effect.written);
            self.apply(&write.address, effect, (revision, &mut ordinal), commit.now);
        }
        if ordinal > 0 {
            self.head.revision = revision;
            self.head.changes += ordinal;
        }
        let receipt = Receipt { revision: self.head.revision, writes };
        self.ids.insert(commit.id, Resolution::Committed(receipt.clone()));
        self.receipts.push((commit.id, receipt.clone()));
        Ok(Some(Outcome::Committed(receipt)))
    }

    fn stored(&self, address: &Address) -> Option<&Stored> {
        self.slots.get(address)?.stored.as_ref()
    }

    /// What `commit` does to indexes.
    fn keeping<'a>(&self, kept: &'a Kept, commit: &'a Commit, effects: &[Effect]) -> Result<Keeping<'a>> {
        let mut keeping = Keeping::new(commit);
        for (place, (write, effect)) in commit.writes.iter().zip(effects).enumerate() {
            let after = match &effect.store {
                Store::Put(entry) => Some(&**entry),
                Store::Remove => None,
                Store::Keep => continue,
            };
            let indexes = kept.of(&write.address.namespace);
            if !indexes.is_empty() {
                keeping.write(place, indexes, self.stored(&write.address).map(|stored| &stored.entry), after)?;
            }
        }
        Ok(keeping)
    }

    fn apply(&mut self, address: &Address, effect: Effect, (revision, ordinal): (Revision, &mut i64), at: Timestamp) {
        let slot = self.slots.entry(address.clone()).or_default();
        let mut before = match &slot.stored {
            None => Before::Nothing,
            Some(Stored { in_table: true, .. }) => Before::Row,
            Some(Stored { entry, .. }) => Before::Entry(Box::new(entry.clone())),
        };
        let mut log = |kind, before| {
            self.lines.push(Line { revision, ordinal: *ordinal, at, kind, address: address.clone(), before });
            *ordinal += 1;
        };
        if effect.expired {
            log(ChangeKind::Expired, std::mem::replace(&mut before, Before::Nothing));
        }
        if let Some(kind) = effect.change {
            log(kind, before);
        }
        match effect.store {
            Store::Keep => {}
            Store::Put(entry) => {
                slot.changed = true;
                slot.stored = Some(Stored { bytes: entry.bytes(), entry: *entry, in_table: false });
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
        let oldest = Revision::new(oldest.cast_unsigned());
        if since < oldest {
            return Some(Found::Trimmed(oldest));
        }
        // What the tables tell comes before anything that the group has done.
        let own = || self.lines.iter().find(|line| line.revision > since && range.contains(&line.address));
        if let Some(revision) = past.changed.or_else(|| own().map(|line| line.revision)) {
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
            if let Err((expected, found)) = decide::quota(quota, self.head.usage(namespace), *after) {
                return Some(Conflict { part: Part::Check(place), address: None, expected, found });
            }
        }
        None
    }
}
