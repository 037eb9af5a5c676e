//! A group of commits, decided: each against what is stored and against those before it in the group.
//!
//! What a check or a write means is said by [`decide`], as for every engine. What is decided stands in the sheet of the group
//! before the next one is looked at.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use larder_core::{
    Action, Address, Check, Commit, Conflict, Entry, Error, Expected, Limits, MetadataChange, Namespace, Outcome, Part,
    Receipt, Result, Timestamp, Usage,
    decide::{self, Effect, Store},
    engine::Resolution,
    index::Keeping,
};

use crate::{
    head::{Head, read_usage},
    holders::Holders,
    keeper::Keeper,
    layout,
    line::Line,
    map::{Size, View},
    past, receipt,
    record::{Held, Record},
    setup::Setup,
    sheet::{Sheet, Writes, size},
    write::Writing,
};

/// Commits that are decided on one view.
pub(crate) struct Group<'a> {
    pub(crate) sheet: Sheet<'a>,
    pub(crate) head: Head,
    pub(crate) setup: Arc<Setup>,
    limits: Limits,
    most: Size,
    /// How many bodies the batch has so far.
    bodies: u32,
}

/// What is stored at an address, expired or not.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    /// The same as bytes.
    pub(crate) bytes: Bytes,
    /// With its metadata; with its value only where a decision looks at it.
    pub(crate) entry: Entry,
}

impl Stored {
    /// What it counts for.
    pub(crate) fn counts(&self) -> u64 {
        (self.entry.address.key.len() + self.record.value.len() + self.record.metadata.len()) as u64
    }
}

/// What becomes of a commit in its group.
pub(crate) enum Decided {
    Answer(Result<Outcome>),
    /// It does not fit into the batch with those before it.
    Later,
}

impl<'a> Group<'a> {
    /// Reads what `commits` look at.
    pub(crate) async fn gather(keeper: &Keeper, view: &'a dyn View, commits: &[&Commit]) -> Result<Self> {
        let mut sheet = Sheet::new(view);
        let (mut keys, mut parts) = (vec![layout::head()], Vec::new());
        for commit in commits {
            keys.push(layout::receipt(commit.id));
            for check in &commit.checks {
                match check {
                    Check::Key { address, .. } => keys.push(layout::entry_at(address)),
                    Check::Unchanged { range, since, read_at } => {
                        parts.extend(past::first_look(range, *since, (commit.now, *read_at)));
                    }
                    // What a commit does not write to does not grow by it.
                    Check::Quota { .. } => {}
                }
            }
            for write in &commit.writes {
                keys.push(layout::entry_at(&write.address));
                keys.push(layout::usage(write.address.namespace.as_str().as_bytes()));
            }
        }
        sheet.fetch(keys, parts).await?;
        let head = keeper.head(sheet.get(&layout::head()).await?.as_ref())?;
        let setup = keeper.setup(view, &head).await?;
        let (limits, most) = (keeper.map.capabilities().limits, keeper.map.most());
        let mut group = Self { sheet, head, setup, limits, most, bodies: 0 };
        group.fetch_bodies(commits).await?;
        Ok(group)
    }

    /// Reads what stands by itself and is looked at, as far as it is known before anything is decided.
    async fn fetch_bodies(&mut self, commits: &[&Commit]) -> Result<()> {
        let mut keys = Vec::new();
        for commit in commits {
            for (address, needs_value) in looked_at(commit) {
                let Some(bytes) = self.sheet.get(&layout::entry_at(address)).await? else { continue };
                let record = Record::read(&bytes)?;
                let value = record.value.body().filter(|_| needs_value || self.is_indexed(&address.namespace));
                keys.extend(record.metadata.body().into_iter().chain(value).map(layout::body));
            }
        }
        self.sheet.fetch(keys, Vec::new()).await
    }

    fn is_indexed(&self, namespace: &Namespace) -> bool {
        !self.setup.indexes_of(namespace).is_empty()
    }

    /// Decides `commit` and, if nothing speaks against it, writes it down in the sheet.
    ///
    /// Refusals and conflicts leave everything as it was.
    ///
    /// # Errors
    /// Those of reading the map, which are about the whole group.
    pub(crate) async fn commit(&mut self, commit: &Commit) -> Result<Decided> {
        let answer = match self.decide(commit).await? {
            Ok((receipt, writes, head)) => {
                let (all, own) = (self.sheet.size(), size(&writes));
                let fits = |size: Size| size.operations < self.most.operations && size.bytes <= self.most.bytes;
                if !fits(Size { operations: all.operations + own.operations, bytes: all.bytes + own.bytes }) {
                    if !self.sheet.is_clean() {
                        return Ok(Decided::Later);
                    }
                    let (size, most) = (own.bytes, self.most.bytes);
                    let what = "it changes more of the log and of indexes than is written in one step";
                    return Ok(Decided::Answer(Err(Error::limit(format!("{what}: {size} bytes of at most {most}")))));
                }
                self.sheet.extend(writes);
                self.head = head;
                Ok(Outcome::Committed(receipt))
            }
            Err(answer) => answer,
        };
        Ok(Decided::Answer(answer))
    }

    /// The receipt of `commit`, what it writes and the head after it; or else what it is answered.
    async fn decide(&mut self, commit: &Commit) -> Result<std::result::Result<(Receipt, Writes, Head), Result<Outcome>>> {
        macro_rules! answer {
            ($answer:expr) => {
                return Ok(Err($answer))
            };
        }
        if let Err(refusal) = self.limits.verify(commit) {
            answer!(Err(refusal));
        }
        match self.sheet.get(&layout::receipt(commit.id)).await?.map(|receipt| receipt::read(&receipt)).transpose()? {
            Some(Resolution::Committed(receipt)) => answer!(Ok(Outcome::Committed(receipt))),
            Some(_) => answer!(Err(Error::fenced(commit.id))),
            None if commit.id.made_at() < self.head.ids_since => answer!(Err(Error::forgotten(commit.id))),
            None => {}
        }
        for (place, check) in commit.checks.iter().enumerate() {
            if let Some(conflict) = self.refute(place, check, commit.now).await? {
                answer!(Ok(Outcome::Conflicted(conflict)));
            }
        }
        let revision = self.head.revision.next();
        let mut usages: BTreeMap<&Namespace, (Usage, Usage)> = BTreeMap::new();
        let mut effects = Vec::with_capacity(commit.writes.len());
        let mut stored = Vec::with_capacity(commit.writes.len());
        for (place, write) in commit.writes.iter().enumerate() {
            let Address { namespace, key } = &write.address;
            let needs_value = decide::write_needs_value(&write.action) || self.is_indexed(namespace);
            let before = self.stored(&write.address, needs_value).await?;
            let effect = match decide::write(commit, place, before.as_ref().map(|stored| &stored.entry), revision) {
                Ok(Ok(effect)) => effect,
                Ok(Err(conflict)) => answer!(Ok(Outcome::Conflicted(conflict))),
                Err(refusal) => answer!(Err(refusal)),
            };
            if !usages.contains_key(namespace) {
                let usage = self.usage(namespace).await?;
                usages.insert(namespace, (usage, usage));
            }
            if let Some((_, after)) = usages.get_mut(namespace) {
                effect.count(after, key.len(), before.as_ref().map(Stored::counts));
            }
            effects.push(effect);
            stored.push(before);
        }
        let setup = self.setup.clone();
        let keeping = match keeping(&setup, commit, &effects, &stored) {
            Ok(keeping) => keeping,
            Err(refusal) => answer!(Err(refusal)),
        };
        let mut holders = Holders::default();
        let conflict = loop {
            let conflict = keeping.conflict(|status, term| Ok(holders.of(status, term)))?;
            if !holders.learn(&mut self.sheet).await? {
                break conflict;
            }
        };
        if let Some(conflict) = conflict.or_else(|| exceeded(commit, &usages)) {
            answer!(Ok(Outcome::Conflicted(conflict)));
        }

        // Nothing below can be refused, but for being too large.
        let mut head = self.head.clone();
        let mut writing = Writing::new(commit.now, revision, (head.tick + 1, self.bodies));
        for work in keeping.works() {
            let key = |term| layout::row(work.index, term, &work.address.key);
            work.removed.iter().for_each(|term| writing.delete(key(term)));
            work.added.iter().for_each(|term| writing.put(key(term), Bytes::new()));
        }
        for (namespace, (before, after)) in usages {
            if before != after {
                head.count(before, after);
                writing.usage(namespace.as_str().as_bytes(), after);
            }
        }
        let mut written = Vec::with_capacity(effects.len());
        for ((write, effect), stored) in commit.writes.iter().zip(effects).zip(&stored) {
            written.push(effect.written);
            self.unlog_value(&write.action, &effect, stored.as_ref(), &mut writing).await?;
            writing.apply(write, effect, stored.as_ref());
        }
        self.bodies = writing.bodies();
        if writing.changes() > 0 {
            head.revision = revision;
            head.changes += u64::from(writing.changes());
        }
        let receipt = Receipt { revision: head.revision, writes: written };
        writing.put(layout::receipt(commit.id), receipt::write(&receipt));
        Ok(Ok((receipt, writing.into_writes(), head)))
    }

    /// What becomes of a value that stands by itself when it is put in other bytes: where the log has it too, it is the log's
    /// alone from here on; else it goes.
    async fn unlog_value(
        &mut self,
        action: &Action,
        effect: &Effect,
        stored: Option<&Stored>,
        writing: &mut Writing,
    ) -> Result<()> {
        let (Action::Recode { .. }, Store::Put(_), Some(Stored { record, .. })) = (action, &effect.store, stored) else {
            return Ok(());
        };
        let Held::There { body, logged, .. } = record.value else { return Ok(()) };
        let key = layout::log(record.place);
        let line = if logged { self.sheet.get(&key).await? } else { None };
        match line {
            Some(line) => writing.put(key, Line { leaves_value: false, ..Line::read(&line)? }.write()),
            None => writing.delete(layout::body(body)),
        }
        Ok(())
    }

    /// What is stored at `address`, with its metadata, and with its value where that is needed.
    async fn stored(&mut self, address: &Address, needs_value: bool) -> Result<Option<Stored>> {
        let Some(bytes) = self.sheet.get(&layout::entry_at(address)).await? else { return Ok(None) };
        let record = Record::read(&bytes)?;
        let value = record.value.body().filter(|_| needs_value);
        let mut bodies = HashMap::new();
        for body in record.metadata.body().into_iter().chain(value) {
            let bytes = self.sheet.get(&layout::body(body)).await?;
            bodies.insert(body, bytes.ok_or_else(|| crate::error::corrupt("a value is gone"))?);
        }
        let entry = record.entry(address.clone(), |body| bodies.get(&body).cloned())?;
        Ok(Some(Stored { record, bytes, entry }))
    }

    pub(crate) async fn usage(&mut self, namespace: &Namespace) -> Result<Usage> {
        let usage = self.sheet.get(&layout::usage(namespace.as_str().as_bytes())).await?;
        usage.map_or(Ok(Usage::default()), |usage| read_usage(&usage))
    }

    /// Why `check` does not hold, if it does not.
    async fn refute(&mut self, place: usize, check: &Check, now: Timestamp) -> Result<Option<Conflict>> {
        let part = Part::Check(place);
        Ok(match check {
            Check::Key { address, condition } => {
                let stored = self.stored(address, decide::check_needs_value(condition)).await?;
                let refuted = decide::check(condition, stored.as_ref().map(|stored| &stored.entry), now).err();
                refuted.map(|(expected, found)| Conflict { part, address: Some(address.clone()), expected, found })
            }
            Check::Unchanged { range, since, read_at } => {
                let found = past::changed(self, range, *since, (now, *read_at)).await?;
                found.map(|found| Conflict { part, address: None, expected: Expected::Unchanged(*since), found })
            }
            // Decided after the writes.
            Check::Quota { .. } => None,
        })
    }
}

/// The addresses whose metadata or value `commit` looks at, and whether it is the value.
fn looked_at(commit: &Commit) -> impl Iterator<Item = (&Address, bool)> {
    let checks = commit.checks.iter().filter_map(|check| match check {
        Check::Key { address, condition } => Some((address, decide::check_needs_value(condition))),
        _ => None,
    });
    checks.chain(commit.writes.iter().map(|write| (&write.address, decide::write_needs_value(&write.action))))
}

/// What `commit` does to indexes.
fn keeping<'a>(setup: &'a Setup, commit: &'a Commit, effects: &[Effect], stored: &[Option<Stored>]) -> Result<Keeping<'a>> {
    let mut keeping = Keeping::new(commit);
    for (place, ((write, effect), stored)) in commit.writes.iter().zip(effects).zip(stored).enumerate() {
        let indexes = setup.indexes_of(&write.address.namespace);
        let after = match &effect.store {
            Store::Put(entry) => Some(&**entry),
            Store::Remove => None,
            Store::Keep => continue,
        };
        if !indexes.is_empty() {
            keeping.write(place, indexes, stored.as_ref().map(|stored| &stored.entry), after)?;
        }
    }
    Ok(keeping)
}

/// Which quota `commit` would exceed, if there is one.
fn exceeded(commit: &Commit, usages: &BTreeMap<&Namespace, (Usage, Usage)>) -> Option<Conflict> {
    for (place, check) in commit.checks.iter().enumerate() {
        let Check::Quota { namespace, quota } = check else { continue };
        // What a commit does not write to does not grow by it.
        let Some((before, after)) = usages.get(namespace) else { continue };
        if let Err((expected, found)) = decide::quota(quota, *before, *after) {
            return Some(Conflict { part: Part::Check(place), address: None, expected, found });
        }
    }
    None
}

/// Whether `action` leaves the metadata of what is there as it is.
pub(crate) fn keeps_metadata(action: &Action) -> bool {
    match action {
        Action::Put { metadata, .. } | Action::Annotate { metadata, .. } => *metadata == MetadataChange::Keep,
        Action::Add { .. } | Action::Recode { .. } => true,
        Action::Delete | Action::Restore { .. } => false,
    }
}
