//! The oracle: what a store must answer, from plain maps and a list of changes.
//!
//! Written from the words of the contract. It asks neither [`decide`](larder_core::decide) nor the memory engine, so that
//! a mistake there is a difference here. The one thing it takes from an engine are the numbers of revisions, which may
//! have gaps.

use std::collections::BTreeMap;

use larder_core::{
    Action, Address, Change, ChangeKind, Check, Commit, CommitId, Condition, Conflict, Entry, ErrorKind, Expected,
    ExpiryChange, Found, Limits, Lineage, Metadata, MetadataChange, Namespace, Part, Range, Receipt, Revision, Timestamp,
    Usage, Value, Version, Write, Written, engine::Resolution,
};

use super::reach::{broken, logged, size};

/// Everything a store is, as far as anybody can see.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    /// Which past this is.
    pub(super) lineage: Lineage,
    /// The latest revision.
    pub(super) head: Revision,
    /// The log holds what came after this revision.
    pub(super) oldest: Revision,
    /// What is stored, expired or not.
    pub(super) entries: BTreeMap<Address, Entry>,
    /// The log, with both sides of every change.
    pub(super) log: Vec<Change>,
    /// Namespaces that were trimmed by themselves, with how far.
    pub(super) floors: BTreeMap<Namespace, Revision>,
    pub(super) ids: BTreeMap<CommitId, Fate>,
    pub(super) ids_since: Timestamp,
}

/// What became of an id.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Happened(Receipt),
    Fenced,
}

/// What a commit must be answered.
#[derive(Debug)]
pub(super) enum Prediction {
    /// It happens, at a revision that the engine chooses.
    Happens(Plan),
    /// It has happened before, and this is what it answered.
    Happened(Receipt),
    /// It conflicts.
    Conflicts(Conflict),
    /// It is refused, with an error of this kind.
    Refused(ErrorKind),
}

/// What a commit does.
#[derive(Debug)]
pub(super) struct Plan {
    effects: Vec<Effect>,
}

/// What a write does.
#[derive(Debug)]
struct Effect {
    /// An expired entry goes, and the log says so.
    expires: bool,
    /// What else the log says.
    kind: Option<ChangeKind>,
    /// What is stored from then on; its revision is yet to be known, unless it is one that was recoded.
    after: Option<Entry>,
    written: Written,
}

/// Why a write does not happen.
enum Hindrance {
    Conflict(Expected, Found),
    Refused(ErrorKind),
}

impl Oracle {
    pub(super) fn new(lineage: Lineage) -> Self {
        Self {
            lineage,
            head: Revision::ZERO,
            oldest: Revision::ZERO,
            entries: BTreeMap::new(),
            log: Vec::new(),
            floors: BTreeMap::new(),
            ids: BTreeMap::new(),
            ids_since: Timestamp::EPOCH,
        }
    }

    /// What is there at `now`.
    pub(super) fn live(&self, address: &Address, now: Timestamp) -> Option<&Entry> {
        self.entries.get(address).filter(|entry| is_live(entry, now))
    }

    /// What is there of `range` at `now`, in order.
    pub(super) fn within(&self, range: &Range, now: Timestamp) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values().filter(move |entry| range.contains(&entry.address) && is_live(entry, now))
    }

    /// What `commit` must be answered in this state.
    pub(super) fn predict(&self, commit: &Commit) -> Prediction {
        if let Some(kind) = malformed(commit) {
            return Prediction::Refused(kind);
        }
        match self.ids.get(&commit.id) {
            Some(Fate::Happened(receipt)) => return Prediction::Happened(receipt.clone()),
            Some(Fate::Fenced) => return Prediction::Refused(ErrorKind::InvalidState),
            None if commit.id.made_at() < self.ids_since => return Prediction::Refused(ErrorKind::OutcomeUnknown),
            None => {}
        }
        for (index, check) in commit.checks.iter().enumerate() {
            if let Some((address, expected, found)) = self.fails(check, commit.now) {
                return Prediction::Conflicts(Conflict { part: Part::Check(index), address, expected, found });
            }
        }
        let mut effects = Vec::new();
        for (index, write) in commit.writes.iter().enumerate() {
            match self.effect(write, commit.now) {
                Ok(effect) => effects.push(effect),
                Err(Hindrance::Refused(kind)) => return Prediction::Refused(kind),
                Err(Hindrance::Conflict(expected, found)) => {
                    let address = Some(write.address.clone());
                    return Prediction::Conflicts(Conflict { part: Part::Write(index), address, expected, found });
                }
            }
        }
        for (index, check) in commit.checks.iter().enumerate() {
            let Check::Quota { namespace, quota } = check else { continue };
            let before = self.usage(namespace);
            if let Some((expected, found)) = broken(quota, before, self.usage_after(commit, &effects, namespace)) {
                return Prediction::Conflicts(Conflict { part: Part::Check(index), address: None, expected, found });
            }
        }
        Prediction::Happens(Plan { effects })
    }

    /// Lets `commit` happen at `revision`, and answers its receipt.
    pub(super) fn happen(&mut self, commit: &Commit, plan: Plan, revision: Revision) -> Receipt {
        let mut writes = Vec::new();
        for (write, effect) in commit.writes.iter().zip(plan.effects) {
            writes.push(effect.written);
            let address = &write.address;
            let Effect { expires, kind, mut after, .. } = effect;
            if let (Some(entry), Some(_)) = (&mut after, kind) {
                entry.revision = revision;
            }
            let mut before = match &after {
                Some(entry) => self.entries.insert(address.clone(), entry.clone()),
                None => self.entries.remove(address),
            };
            let mut log = |kind, before, after| {
                self.log.push(Change { revision, at: commit.now, kind, address: address.clone(), before, after });
            };
            if expires {
                log(ChangeKind::Expired, before.take(), None);
            }
            match kind {
                Some(kind) => log(kind, before, after),
                // What was recoded is told in its new form, as it is read.
                None => {
                    let told = self.log.iter_mut().rev().find(|change| change.address == *address);
                    if let (Some(told), Some(after)) = (told, after) {
                        told.after = Some(after);
                    }
                }
            }
        }
        if self.log.last().is_some_and(|change| change.revision == revision) {
            self.head = revision;
        }
        let receipt = Receipt { revision: self.head, writes };
        self.ids.insert(commit.id, Fate::Happened(receipt.clone()));
        receipt
    }

    /// What must be answered about `id`, which from then on never happens if it has not.
    pub(super) fn resolve(&mut self, id: CommitId) -> Resolution {
        match self.ids.get(&id) {
            Some(Fate::Happened(receipt)) => Resolution::Committed(receipt.clone()),
            Some(Fate::Fenced) => Resolution::Never,
            None if id.made_at() < self.ids_since => Resolution::Forgotten,
            None => {
                self.ids.insert(id, Fate::Fenced);
                Resolution::Never
            }
        }
    }

    /// Whether a commit with this plan takes a revision.
    pub(super) fn takes_a_revision(plan: &Plan) -> bool {
        plan.effects.iter().any(|effect| effect.expires || effect.kind.is_some())
    }

    /// What a namespace would take after these effects.
    fn usage_after(&self, commit: &Commit, effects: &[Effect], space: &Namespace) -> Usage {
        let mut usage = self.usage(space);
        for (write, effect) in commit.writes.iter().zip(effects).filter(|(write, _)| write.address.namespace == *space) {
            let before = self.entries.get(&write.address);
            usage.entries = usage.entries + u64::from(effect.after.is_some()) - u64::from(before.is_some());
            usage.bytes = usage.bytes + effect.after.as_ref().map_or(0, size) - before.map_or(0, size);
            if effect.expires {
                usage.log_bytes += logged(&write.address, before);
            }
            if effect.kind.is_some() {
                usage.log_bytes += logged(&write.address, before.filter(|_| !effect.expires));
            }
        }
        usage
    }

    /// What the check met, if it does not hold.
    fn fails(&self, check: &Check, now: Timestamp) -> Option<(Option<Address>, Expected, Found)> {
        match check {
            Check::Key { address, condition } => {
                let there = self.live(address, now);
                let (holds, expected) = match condition {
                    Condition::Absent => (there.is_none(), Expected::Absent),
                    Condition::Exists => (there.is_some(), Expected::Exists),
                    Condition::Version(version) => {
                        (there.map_or(0, |entry| entry.version.get()) == version.get(), Expected::Version(*version))
                    }
                    Condition::Revision(at) => (there.map(|entry| entry.revision) == Some(*at), Expected::Revision(*at)),
                    Condition::Value(bytes) => (there.map(|entry| entry.value.bytes()) == Some(bytes), Expected::SameValue),
                };
                (!holds).then(|| (Some(address.clone()), expected, met(there)))
            }
            // Looks at the state after, and so comes last.
            Check::Quota { .. } => None,
            Check::Unchanged { range, since, read_at } => {
                let changed = |change: &&Change| change.revision > *since && range.contains(&change.address);
                let between =
                    |entry: &Entry| range.contains(&entry.address) && is_live(entry, now) != is_live(entry, *read_at);
                let found = if *since > self.head {
                    Found::Head(self.head)
                } else if *since < self.reaches(std::slice::from_ref(range)) {
                    Found::Trimmed(self.reaches(std::slice::from_ref(range)))
                } else if let Some(change) = self.log.iter().find(changed) {
                    Found::Changed(change.revision)
                } else if self.entries.values().any(between) {
                    Found::Expired
                } else {
                    return None;
                };
                Some((None, Expected::Unchanged(*since), found))
            }
        }
    }

    fn effect(&self, write: &Write, now: Timestamp) -> Result<Effect, Hindrance> {
        let stored = self.entries.get(&write.address);
        let there = stored.filter(|entry| is_live(entry, now));
        let metadata = |change: &MetadataChange| match (change, there) {
            (MetadataChange::Keep, None) => Ok(Metadata::default()),
            (MetadataChange::Keep, Some(entry)) => Ok(entry.metadata.clone()),
            (MetadataChange::Replace(new), _) | (MetadataChange::Merge(new), None) => Ok(new.clone()),
            (MetadataChange::Merge(new), Some(entry)) => {
                entry.metadata.merge(new).map_err(|error| Hindrance::Refused(error.kind()))
            }
        };
        let entry = |value: &Value, expires_at: Option<Timestamp>, metadata: Metadata| Entry {
            address: write.address.clone(),
            value: value.clone(),
            version: Version::new(there.map_or(0, |entry| entry.version.get()) + 1),
            revision: Revision::ZERO,
            created_at: there.map_or(now, |entry| entry.created_at),
            updated_at: now,
            expires_at,
            metadata,
        };
        let expires = stored.is_some() && there.is_none();
        let becomes = |after: Entry, number| Effect {
            expires,
            kind: Some(if there.is_some() { ChangeKind::Updated } else { ChangeKind::Created }),
            written: Written { version: after.version, existed: there.is_some(), number },
            after: Some(after),
        };
        Ok(match &write.action {
            Action::Put { value, expires_at, metadata: change } => {
                becomes(entry(value, *expires_at, metadata(change)?), None)
            }
            Action::Delete => Effect {
                expires,
                kind: there.map(|_| ChangeKind::Deleted),
                after: None,
                written: Written { version: Version::ZERO, existed: there.is_some(), number: None },
            },
            Action::Annotate { metadata: change, expiry } => {
                let there = there.ok_or(Hindrance::Refused(ErrorKind::NotFound))?;
                let expires_at = match expiry {
                    ExpiryChange::Keep => there.expires_at,
                    ExpiryChange::Set(at) => *at,
                };
                becomes(entry(&there.value, expires_at, metadata(change)?), None)
            }
            Action::Add { delta, floor, ceiling } => {
                let number = there.map_or(Some(0), |entry| entry.value.as_integer());
                let number = number.ok_or(Hindrance::Refused(ErrorKind::InvalidState))?;
                let sum = i128::from(number) + i128::from(*delta);
                if sum < i128::from(*floor) || sum > i128::from(*ceiling) {
                    let expected = Expected::Within { floor: *floor, ceiling: *ceiling };
                    return Err(Hindrance::Conflict(expected, Found::Number(number)));
                }
                let sum = i64::try_from(sum).expect("the bounds are whole numbers of 64 bits");
                let expires_at = there.and_then(|entry| entry.expires_at);
                becomes(entry(&Value::integer(sum), expires_at, metadata(&MetadataChange::Keep)?), Some(sum))
            }
            Action::Restore { value, version, created_at, updated_at, expires_at, metadata } => {
                if there.is_some() {
                    return Err(Hindrance::Conflict(Expected::Absent, met(there)));
                }
                let restored = entry(value, *expires_at, metadata.clone());
                let (version, created_at, updated_at) = (*version, *created_at, *updated_at);
                becomes(Entry { version, created_at, updated_at, ..restored }, None)
            }
            Action::Recode { value, revision } => {
                let Some(current) = there.filter(|entry| entry.revision == *revision) else {
                    return Err(Hindrance::Conflict(Expected::Revision(*revision), met(there)));
                };
                Effect {
                    expires: false,
                    kind: None,
                    written: Written { version: current.version, existed: true, number: None },
                    after: Some(Entry { value: value.clone(), ..current.clone() }),
                }
            }
        })
    }
}

/// An entry is gone from the millisecond on at which it expires.
pub(super) fn is_live(entry: &Entry, now: Timestamp) -> bool {
    entry.expires_at.is_none_or(|at| now < at)
}

fn met(there: Option<&Entry>) -> Found {
    there.map_or(Found::Absent, |entry| Found::Entry { version: entry.version, revision: entry.revision })
}

/// What no state could make a good commit.
fn malformed(commit: &Commit) -> Option<ErrorKind> {
    let restores = |write: &Write| match write.action {
        Action::Restore { version, .. } => !(1..=Limits::RESTORED_VERSION_MAX).contains(&version.get()),
        _ => false,
    };
    let twice =
        |(index, write): (usize, &Write)| commit.writes[..index].iter().any(|earlier| earlier.address == write.address);
    let bad = commit.writes.iter().any(restores) || commit.writes.iter().enumerate().any(twice);
    bad.then_some(ErrorKind::Invalid)
}
