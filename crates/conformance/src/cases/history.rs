//! A history by chance, told to the engine and to the memory engine, which must answer the same.
//!
//! The memory engine is the specification. What an engine may choose for itself are the gaps between revisions; so its
//! revisions are translated into the specification's before the two are compared.

use std::{collections::BTreeMap, sync::Arc};

use futures_lite::future::block_on;
use larder_core::{
    Action, Address, ChangesQuery, Check, Commit, Condition, Conflict, Entry, Expected, ExpiryChange, Found, MetadataChange,
    Outcome, Range, Receipt, Result, Revision, StoreId, Timestamp, Trim, Value, Version, World, Write, engine::Resolution,
    memory::MemoryEngine,
};

use crate::{
    case,
    ground::{Ground, Seam, at, key, metadata, namespace, prefix, seconds},
    random::Random,
};

/// How many steps a history has.
const STEPS: usize = 400;

pub(super) fn model_a_random_history_agrees_with_the_specification(ground: &Ground) {
    let seed = case::seed();
    let model = Seam { engine: Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16]))), world: ground.world.clone() };
    let mut twins = Twins {
        engine: ground.open(),
        model,
        random: Random::new(seed),
        translation: BTreeMap::from([(Revision::ZERO, Revision::ZERO)]),
        sent: Vec::new(),
        place: Place { seed, step: 0 },
    };
    for step in 0..STEPS {
        twins.place.step = step;
        match twins.random.below(20) {
            0..12 => twins.commit(),
            12..14 => twins.send_again(),
            14..16 => twins.resolve(),
            16 | 17 => twins.move_the_clock(),
            18 if twins.random.once_in(3) => twins.trim(),
            18 => {}
            _ => twins.engine = ground.reopen(twins.engine.clone()),
        }
        twins.look();
    }
}

/// Where in the history we are; told when something is wrong there.
struct Place {
    seed: u64,
    step: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in step {} of the history that comes again with LARDER_SEED={}", self.step, self.seed);
        }
    }
}

struct Twins {
    engine: Seam,
    model: Seam,
    random: Random,
    /// From the engine's revisions to the model's.
    translation: BTreeMap<Revision, Revision>,
    /// Every commit so far that was sent or asked for, in the model's revisions.
    sent: Vec<Commit>,
    place: Place,
}

impl Twins {
    fn commit(&mut self) {
        let count = 1 + self.random.below(3);
        let group = (0..count).map(|_| self.draw_commit()).collect();
        self.send(group);
    }

    fn send_again(&mut self) {
        if let Some(commit) = self.draw_sent() {
            self.send(vec![commit]);
        }
    }

    /// A commit that has been sent, or whose id somebody has asked for: mostly one of late.
    fn draw_sent(&mut self) -> Option<Commit> {
        let recent = if self.random.once_in(3) { self.sent.len() } else { self.sent.len().min(6) };
        let recent = &self.sent[self.sent.len() - recent..];
        (!recent.is_empty()).then(|| self.random.pick(recent))
    }

    fn send(&mut self, group: Vec<Commit>) {
        let expected = self.model.commit(group.clone());
        let found = self.engine.commit(group.iter().map(|commit| self.for_engine(commit)).collect());
        for (expected, found) in expected.into_iter().zip(found) {
            if let (Ok(Outcome::Committed(expected)), Ok(Outcome::Committed(found))) = (&expected, &found) {
                self.translation.entry(found.revision).or_insert(expected.revision);
            }
            assert_eq!(self.answer(found, |revision| self.translate(revision)), self.answer(expected, |same| same));
        }
        self.sent.extend(group);
    }

    fn resolve(&mut self) {
        // Half of the time it is one that has yet to arrive: it is sent again later like the others.
        let late = if self.random.once_in(2) { None } else { self.draw_sent() };
        let late = late.unwrap_or_else(|| self.draw_commit());
        let id = late.id;
        self.sent.push(late);
        let found = match self.engine.resolve(id) {
            Resolution::Committed(receipt) => {
                Resolution::Committed(Receipt { revision: self.translate(receipt.revision), ..receipt })
            }
            other => other,
        };
        assert_eq!(found, self.model.resolve(id));
    }

    fn move_the_clock(&mut self) {
        let by = seconds(self.random.below(4));
        if self.random.once_in(4) { self.engine.world.step_back(by) } else { self.engine.world.step(by) }
    }

    fn trim(&mut self) {
        let (engine, model) = self.draw_revision();
        let ids_before = self.engine.now().before(seconds(self.random.below(20)));
        let found = block_on(self.engine.engine.trim(Trim::new(engine, ids_before))).expect("trims");
        let expected = self.model.trim(model, ids_before);
        assert_eq!(
            (self.translate(found.oldest), found.changes, found.ids),
            (expected.oldest, expected.changes, expected.ids)
        );
    }

    /// Reads both from many sides.
    fn look(&mut self) {
        let (engine, model) = (&self.engine, &self.model);
        assert_eq!(self.translate(engine.head()), model.head());
        let (found, expected) = (engine.status(), model.status());
        assert_eq!((found.entries, found.bytes, found.changes), (expected.entries, expected.bytes, expected.changes));
        let all = self.entries(engine.entries(Range::all()));
        assert_eq!(all, model.entries(Range::all()));
        let read = engine.read(addresses()).value;
        assert_eq!(
            read.into_iter().map(|entry| entry.map(|entry| self.entry(entry))).collect::<Vec<_>>(),
            model.read(addresses()).value
        );

        let ranges = [Range::all(), prefix(""), prefix("a"), prefix("b").after(&at("b")), Range::namespace(&namespace("x"))];
        let range = self.random.pick(&ranges);
        let (found, expected) = (self.engine.counted(range.clone()), self.model.counted(range.clone()));
        assert_eq!((self.translate(found.revision), found.value), (expected.revision, expected.value));
        let (reverse, limit) = (self.random.once_in(2), self.random.below(4) as usize);
        let (page, whole) = (self.engine.page(range.clone(), reverse, limit), self.model.page(range.clone(), reverse, 100));
        assert_eq!(self.translate(page.revision), whole.revision);
        let found = self.entries(page.value.items);
        assert_eq!(found[..], whole.value.items[..found.len()], "a page is the beginning of the whole");
        assert!(page.value.more || found.len() == whole.value.items.len().min(limit), "a page ended too early");

        let (after, model_after) = self.draw_revision();
        let ranges = if self.random.once_in(2) { vec![] } else { vec![range, prefix("ab")] };
        let query = ChangesQuery { ranges, limit: 1 + self.random.below(5) as usize, ..self.engine.after(after) };
        let model_query =
            ChangesQuery { after: model_after, ..ChangesQuery { lineage: self.model.status().lineage, ..query.clone() } };
        match self.model.changes(model_query.clone()) {
            Err(error) => {
                let found =
                    self.engine.changes(query).map_err(|error| (error.kind(), error.oldest().map(|at| self.translate(at))));
                assert_eq!(found, Err((error.kind(), error.oldest())));
            }
            Ok(_) => {
                let mut found = self.engine.log(query);
                for change in &mut found {
                    change.revision = self.translate(change.revision);
                    for entry in [&mut change.before, &mut change.after].into_iter().flatten() {
                        entry.revision = self.translate(entry.revision);
                    }
                }
                assert_eq!(found, self.model.log(model_query));
            }
        }
    }

    fn translate(&self, revision: Revision) -> Revision {
        *self.translation.get(&revision).unwrap_or_else(|| panic!("no commit has taken revision {revision}"))
    }

    fn entry(&self, entry: Entry) -> Entry {
        Entry { revision: self.translate(entry.revision), ..entry }
    }

    fn entries(&self, entries: Vec<Entry>) -> Vec<Entry> {
        entries.into_iter().map(|entry| self.entry(entry)).collect()
    }

    /// An answer in one language: errors by their kind, which is all they promise.
    fn answer(&self, answer: Result<Outcome>, translate: impl Fn(Revision) -> Revision) -> String {
        match answer {
            Ok(Outcome::Committed(receipt)) => format!("{:?}", Receipt { revision: translate(receipt.revision), ..receipt }),
            Ok(Outcome::Conflicted(Conflict { part, address, expected, found })) => {
                let expected = match expected {
                    Expected::Revision(at) => Expected::Revision(translate(at)),
                    Expected::Unchanged(since) => Expected::Unchanged(translate(since)),
                    other => other,
                };
                let found = match found {
                    Found::Entry { version, revision } => Found::Entry { version, revision: translate(revision) },
                    Found::Changed(at) => Found::Changed(translate(at)),
                    Found::Trimmed(oldest) => Found::Trimmed(translate(oldest)),
                    Found::Head(head) => Found::Head(translate(head)),
                    other => other,
                };
                format!("{part:?} {address:?} {expected:?} {found:?}")
            }
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    /// `commit`, which is in the model's revisions, in the engine's.
    fn for_engine(&self, commit: &Commit) -> Commit {
        let back = |revision: &mut Revision| {
            let found = self.translation.iter().find(|(_, model)| *model == revision);
            *revision = *found.expect("commits are drawn from known revisions").0;
        };
        let mut commit = commit.clone();
        for check in &mut commit.checks {
            match check {
                Check::Key { condition: Condition::Revision(at), .. } => back(at),
                Check::Unchanged { since, .. } => back(since),
                Check::Key { .. } | Check::Quota { .. } => {}
            }
        }
        for write in &mut commit.writes {
            if let Action::Recode { revision, .. } = &mut write.action {
                back(revision);
            }
        }
        commit
    }

    /// A revision that both know: the engine's, and the model's.
    fn draw_revision(&mut self) -> (Revision, Revision) {
        let known: Vec<_> = self.translation.iter().map(|(engine, model)| (*engine, *model)).collect();
        // Mostly a late one: early ones are trimmed soon.
        let recent = &known[known.len().saturating_sub(6)..];
        if self.random.once_in(4) { self.random.pick(&known) } else { self.random.pick(recent) }
    }

    fn draw_commit(&mut self) -> Commit {
        let now = self.engine.now();
        let checks = self.random.below(3).saturating_sub(self.random.below(2));
        let checks = (0..checks).map(|_| self.draw_check(now)).collect();
        let mut addresses = addresses();
        let writes = (0..self.random.below(5))
            .map(|_| {
                let address = self.random.pick(&addresses);
                // Once in a while the same address comes twice, and the commit has to be refused.
                if !self.random.once_in(30) {
                    addresses.retain(|other| *other != address);
                }
                Write { action: self.draw_action(&address, now), address }
            })
            .collect();
        Commit { id: self.engine.world.commit_id(), now, checks, writes }
    }

    fn draw_check(&mut self, now: Timestamp) -> Check {
        let address = self.random.pick(&addresses());
        let entry = self.model.at(address.clone());
        let version = entry.as_ref().map_or(Version::ZERO, |entry| entry.version);
        let condition = match self.random.below(8) {
            0 => Condition::Absent,
            1 => Condition::Exists,
            // Mostly true, so that commits get through.
            2 | 3 => Condition::Version(version),
            4 => Condition::Version(Version::new(self.random.below(4))),
            5 => Condition::Revision(entry.map_or(Revision::ZERO, |entry| entry.revision)),
            6 => Condition::Value(entry.map_or_else(|| "7".into(), |entry| entry.value.bytes().clone())),
            _ => {
                let range = self.random.pick(&[prefix("a"), prefix(""), Range::all(), Range::namespace(&namespace("x"))]);
                let head = self.model.head();
                let since = if self.random.once_in(2) { head } else { self.draw_revision().1 };
                let apart = seconds(self.random.below(3));
                let read_at = if self.random.once_in(4) { now.after(apart) } else { now.before(apart) };
                return Check::Unchanged { range, since, read_at };
            }
        };
        Check::Key { address, condition }
    }

    fn draw_action(&mut self, address: &Address, now: Timestamp) -> Action {
        let texts = ["7", "-3", " 12\n", "1.0", "text", "{\"a\": [1e2]}", "", "null"];
        let value = Value::detect(self.random.pick(&texts));
        let expires_at = self.random.once_in(3).then(|| now.after(seconds(self.random.below(5))));
        let objects = [metadata("{}"), metadata(r#"{"a":1.0}"#), metadata(r#"{"b":null,"a":"x"}"#)];
        let object = self.random.pick(&objects);
        let metadata = self.random.pick(&[
            MetadataChange::Keep,
            MetadataChange::Keep,
            MetadataChange::Replace(object.clone()),
            MetadataChange::Merge(object.clone()),
        ]);
        match self.random.below(16) {
            0..6 => Action::Put { value, expires_at, metadata },
            6..9 => Action::Delete,
            9..11 => {
                let expiry = self.random.pick(&[ExpiryChange::Keep, ExpiryChange::Set(expires_at)]);
                Action::Annotate { metadata, expiry }
            }
            11..14 => Action::Add { delta: self.random.below(9) as i64 - 3, floor: 0, ceiling: 20 },
            14 => Action::Restore {
                value,
                version: Version::new(1 + self.random.below(9)),
                created_at: now.before(seconds(60)),
                updated_at: now.before(seconds(30)),
                expires_at,
                metadata: object,
            },
            _ => {
                let (_, known) = self.draw_revision();
                let entry = self.model.at(address.clone());
                let (value, revision) = entry.map_or((value, known), |entry| (entry.value, entry.revision));
                let encodings = "x".parse().expect("good encodings");
                Action::Recode { value: Value::from_stored(value.bytes().clone(), value.kind(), encodings), revision }
            }
        }
    }
}

/// The few addresses that all of the history is about.
fn addresses() -> Vec<Address> {
    let mut all: Vec<Address> = ["a", "ab", "b", "\u{e9}"].map(at).into();
    all.extend(["a", "b"].map(|name| Address::new(namespace("x"), key(name))));
    all
}
