//! What a history consists of: commits, questions and times by chance, near enough to what is there to be interesting.
//!
//! Nothing is drawn from absolute numbers, so a history does the same in a fresh place and in one that was used before.

use std::{fmt::Write as _, time::Duration};

use larder_core::{
    Action, Address, ChangesQuery, Check, Commit, CommitId, Condition, ExpiryChange, Key, Lineage, LogOrder, Metadata,
    MetadataChange, Namespace, Quota, Range, Revision, Timestamp, Trim, Undo, Value, Version, Write, engine::Scan,
};

use super::{answers::beyond, oracle::Oracle};
use crate::random::Random;

/// The few addresses that every history is about.
pub(super) fn addresses() -> Vec<Address> {
    let names = [
        ("default", "a"),
        ("default", "ab"),
        ("default", "a%"),
        ("default", "b"),
        ("default", "\u{e9}"),
        ("x", "a"),
        ("x", "b"),
        ("x:y", "a"),
    ];
    names.into_iter().map(|(space, key)| Address::new(namespace(space), key_of(key))).collect()
}

fn namespace(name: &str) -> Namespace {
    Namespace::new(name).expect("a history writes good namespaces")
}

fn key_of(name: &str) -> Key {
    Key::new(name).expect("a history writes good keys")
}

/// The times that matter lie half a second apart, so that they often meet.
fn beats(count: u64) -> Duration {
    Duration::from_millis(500 * count)
}

/// Chance, and what there is.
pub(super) struct Draw<'a> {
    pub(super) random: &'a mut Random,
    pub(super) oracle: &'a Oracle,
    pub(super) now: Timestamp,
}

impl Draw<'_> {
    pub(super) fn commit(&mut self) -> Commit {
        let bits = u128::from(self.random.bits()) << 64 | u128::from(self.random.bits());
        let id = CommitId::new(self.now, bits);
        let now = self.near();
        let checks = self.random.below(3).saturating_sub(self.random.below(2));
        let checks = (0..checks).map(|_| self.check(now)).collect();
        let mut addresses = addresses();
        let writes = (0..self.random.below(5))
            .map(|_| {
                let address = self.random.pick(&addresses);
                // Once in a while the same address comes twice, and the commit has to be refused.
                if !self.random.once_in(30) {
                    addresses.retain(|other| *other != address);
                }
                Write { action: self.action(&address, now), address }
            })
            .collect();
        Commit { id, now, checks, writes }
    }

    /// A caller's clock, which may be a little off.
    pub(super) fn near(&mut self) -> Timestamp {
        let off = beats(self.random.below(4));
        match self.random.below(12) {
            0 => self.now.after(off),
            1 => self.now.before(off),
            _ => self.now,
        }
    }

    /// Where the clock goes next: mostly on, sometimes back.
    pub(super) fn clock(&mut self) -> Timestamp {
        let by = beats(self.random.below(8)) + Duration::from_millis(self.random.below(2));
        if self.random.once_in(4) { self.now.before(by) } else { self.now.after(by) }
    }

    fn check(&mut self, now: Timestamp) -> Check {
        let address = self.random.pick(&addresses());
        let entry = self.oracle.live(&address, now);
        // Mostly true, so that commits get through.
        let condition = match self.random.below(10) {
            9 => return self.quota(),
            0 => Condition::Absent,
            1 => Condition::Exists,
            2 | 3 => Condition::Version(entry.map_or(Version::ZERO, |entry| entry.version)),
            4 => Condition::Version(Version::new(self.random.below(4))),
            5 => Condition::Revision(entry.map_or(Revision::ZERO, |entry| entry.revision)),
            6 => Condition::Value(entry.map_or_else(|| "7".into(), |entry| entry.value.bytes().clone())),
            _ => {
                let since = if self.random.once_in(3) { self.revision() } else { self.oracle.head };
                let apart = beats(self.random.below(6));
                let read_at = if self.random.once_in(4) { now.after(apart) } else { now.before(apart) };
                return Check::Unchanged { range: self.range(), since, read_at };
            }
        };
        Check::Key { address, condition }
    }

    fn action(&mut self, address: &Address, now: Timestamp) -> Action {
        let texts = ["7", "-3", " 12\n", "1.0", "text", "{\"a\": [1e2]}", "", "null"];
        let value = Value::detect(self.random.pick(&texts));
        let expires_at = self.random.once_in(3).then(|| now.after(beats(self.random.below(8))));
        let object = self.metadata();
        let metadata = match self.random.below(4) {
            0 | 1 => MetadataChange::Keep,
            2 => MetadataChange::Replace(object.clone()),
            _ => MetadataChange::Merge(object.clone()),
        };
        match self.random.below(16) {
            0..6 => Action::Put { value, expires_at, metadata },
            6..9 => Action::Delete,
            9..11 => {
                let expiry = self.random.pick(&[ExpiryChange::Keep, ExpiryChange::Set(expires_at)]);
                Action::Annotate { metadata, expiry }
            }
            11..14 => Action::Add { delta: self.random.below(9).cast_signed() - 3, floor: 0, ceiling: 20 },
            14 => Action::Restore {
                value,
                // The least is none, and has to be refused.
                version: Version::new(self.random.below(12)),
                created_at: now.before(beats(120)),
                updated_at: now.before(beats(60)),
                expires_at,
                metadata: object,
            },
            _ => {
                let entry = self.oracle.live(address, now).filter(|_| !self.random.once_in(4));
                let (value, revision) =
                    entry.map_or((value, self.oracle.head), |entry| (entry.value.clone(), entry.revision));
                let encodings = "x".parse().expect("good encodings");
                Action::Recode { value: Value::from_stored(value.bytes().clone(), value.kind(), encodings), revision }
            }
        }
    }

    fn metadata(&mut self) -> Metadata {
        let text = self.random.pick(&["{}", r#"{"a":1.0}"#, r#"{"b":null,"a":"x"}"#]);
        Metadata::parse(text.as_bytes()).expect("a history writes good metadata")
    }

    /// A revision somebody may have kept: mostly a late one, now and then one that the log has forgotten.
    pub(super) fn revision(&mut self) -> Revision {
        let mut known: Vec<Revision> = self.oracle.log.iter().map(|change| change.revision).collect();
        known.push(self.oracle.oldest);
        known.sort_unstable();
        known.dedup();
        let late = &known[known.len().saturating_sub(5)..];
        match self.random.below(12) {
            0 => Revision::new(self.oracle.oldest.get().saturating_sub(1)),
            1 => beyond(self.oracle.head),
            2 | 3 => self.random.pick(&known),
            _ => self.random.pick(late),
        }
    }

    pub(super) fn range(&mut self) -> Range {
        let space = self.namespace();
        let cut = self.random.pick(&addresses());
        let range = match self.random.below(6) {
            0 => Range::all(),
            1 => Range::namespace(&space),
            2 => Range::key(&cut),
            3 => Range::after_namespace(&space),
            _ => Range::prefix(&space, self.random.pick(&["", "a", "a%", "b", "ab"])),
        };
        match self.random.below(5) {
            0 => range.after(&cut),
            1 => range.before(&cut),
            _ => range,
        }
    }

    pub(super) fn scan(&mut self) -> Scan {
        let (range, reverse) = (self.range(), self.random.once_in(2));
        let limit = if self.random.once_in(2) { self.random.below(4) as usize } else { 100 };
        Scan { range, reverse, limit, now: self.near() }
    }

    pub(super) fn changes(&mut self) -> ChangesQuery {
        let ranges = (0..self.random.below(4).saturating_sub(1)).map(|_| self.range()).collect();
        let limit = if self.random.once_in(2) { self.random.below(5) as usize } else { 100 };
        let order = match self.random.below(4) {
            0 => LogOrder::NewestFirst { before: None },
            1 => LogOrder::NewestFirst { before: Some(self.revision()) },
            _ => LogOrder::OldestFirst,
        };
        let other = Lineage::new(self.oracle.lineage.get().wrapping_add(7));
        let lineage = if self.random.once_in(15) { other } else { self.oracle.lineage };
        ChangesQuery { lineage, after: self.revision(), ranges, limit, order, gaps: self.random.once_in(2) }
    }

    pub(super) fn trim(&mut self) -> Trim {
        let ids_before =
            if self.random.once_in(2) { Timestamp::EPOCH } else { self.now.before(beats(self.random.below(12))) };
        if self.random.once_in(3) {
            return Trim::namespace(self.namespace(), self.revision());
        }
        Trim::new(self.revision(), ids_before)
    }

    pub(super) fn namespace(&mut self) -> Namespace {
        namespace(self.random.pick(&["default", "x", "x:y"]))
    }

    pub(super) fn undo(&mut self) -> Undo {
        let limit = if self.random.once_in(2) { self.random.below(4) as usize } else { 100 };
        let (lineage, reverse) = (self.oracle.lineage, self.random.once_in(2));
        Undo { lineage, after: self.revision(), range: self.range(), reverse, limit }
    }

    /// A bound near to what is there.
    fn quota(&mut self) -> Check {
        let namespace = self.namespace();
        let usage = self.oracle.usage(&namespace);
        let mut near = |used: u64| self.random.once_in(2).then(|| (used + self.random.below(12)).saturating_sub(4));
        let quota = Quota { entries: near(usage.entries), bytes: near(usage.bytes), log_bytes: near(usage.log_bytes) };
        Check::Quota { namespace, quota }
    }
}

/// A commit in few words.
pub(super) fn brief_commit(commit: &Commit) -> String {
    let id = commit.id.to_string();
    let mut text = format!("{} at {}", &id[..id.len().min(18)], clock(commit.now));
    for check in &commit.checks {
        // A String takes whatever is written to it.
        let _ = match check {
            Check::Key { address, condition } => write!(text, "\n      if {address:?} {condition:?}"),
            Check::Unchanged { range, since, read_at } => {
                write!(text, "\n      if {} unchanged since {since}, read at {}", brief_range(range), clock(*read_at))
            }
            Check::Quota { namespace, quota } => write!(text, "\n      if {namespace:?} keeps to {quota:?}"),
        };
    }
    for write in &commit.writes {
        let _ = write!(text, "\n      {:?} {:?}", write.address, write.action);
    }
    text
}

/// The part of a time in which those of a history differ.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_string().split_once('T').map_or_else(String::new, |(_, clock)| clock.to_owned())
}

pub(super) fn brief_range(range: &Range) -> String {
    let start = range.start();
    let end = range.end().map_or("the end".to_owned(), |end| format!("{:?}/{:?}", end.namespace, end.key));
    format!("{:?}/{:?}..{end}", start.namespace, start.key)
}
