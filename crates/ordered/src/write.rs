//! What a commit writes: entries, lines of the log, and what finds them.

use bytes::Bytes;
use larder_core::{
    Action, ChangeKind, Entry, Revision, Timestamp, Usage, Write,
    decide::{Effect, Store},
};

use crate::{
    group::{Stored, keeps_metadata},
    head::write_usage,
    layout::{self, Body, Place, member},
    line::Line,
    record::{self, Held, Record, SHORT},
    sheet::Writes,
};

/// The write of what a namespace takes; of nothing, nothing is stored.
pub(crate) fn put_usage(namespace: &[u8], usage: Usage) -> (Bytes, Option<Bytes>) {
    (layout::usage(namespace), (usage != Usage::default()).then(|| write_usage(usage)))
}

/// The writes of one commit.
pub(crate) struct Writing {
    at: Timestamp,
    next: Place,
    body: Body,
    writes: Writes,
}

impl Writing {
    /// Those of a commit made `at` some time that takes `revision`, in the batch of a tick that has so many bodies already.
    pub(crate) fn new(at: Timestamp, revision: Revision, (tick, bodies): (u64, u32)) -> Self {
        Self { at, next: Place::first(revision), body: Body { tick, number: bodies }, writes: Vec::new() }
    }

    pub(crate) fn put(&mut self, key: Bytes, value: Bytes) {
        self.writes.push((key, Some(value)));
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.writes.push((key, None));
    }

    /// What a namespace takes from here on.
    pub(crate) fn usage(&mut self, namespace: &[u8], usage: Usage) {
        self.writes.push(put_usage(namespace, usage));
    }

    /// How many changes there are so far.
    pub(crate) fn changes(&self) -> u16 {
        self.next.ordinal
    }

    /// How many bodies the batch has now.
    pub(crate) fn bodies(&self) -> u32 {
        self.body.number
    }

    pub(crate) fn into_writes(self) -> Writes {
        self.writes
    }

    /// Does what was decided about `write`, which met what is `stored`.
    pub(crate) fn apply(&mut self, write: &Write, effect: Effect, stored: Option<&Stored>) {
        let member = member(&write.address);
        let absent = write.address.key.len() as u64;
        let mut before = stored.map(|stored| stored.bytes.clone());
        let mut bytes = stored.map_or(absent, Stored::counts);
        // What stays as it was, standing by itself, is had by the entries before and after.
        let live = stored.filter(|_| !effect.expired);
        let value = live.filter(|_| matches!(write.action, Action::Annotate { .. })).map(|stored| &stored.record.value);
        let metadata = live.filter(|_| keeps_metadata(&write.action)).map(|stored| &stored.record.metadata);
        if effect.expired {
            self.log(ChangeKind::Expired, bytes, &member, before.take(), [false; 2]);
            bytes = absent;
        }
        if let Some(kind) = effect.change {
            let leaves = [value, metadata].map(|held| held.is_some_and(|held| held.body().is_some()));
            self.log(kind, bytes, &member, before, leaves);
        }
        if matches!(effect.store, Store::Keep) {
            return;
        }
        if let Some(Record { expires_at: Some(at), place, .. }) = stored.map(|stored| &stored.record) {
            self.delete(layout::expiry(*at, *place));
        }
        let key = layout::entry(&member);
        let Store::Put(entry) = effect.store else { return self.delete(key) };
        let place = match effect.change {
            Some(_) => Place { ordinal: self.next.ordinal - 1, ..self.next },
            None => live.map_or(self.next, |stored| stored.record.place),
        };
        // Where nothing is logged, as the log has it is as it was.
        let left = |held: &Held| if effect.change.is_some() { held.left() } else { held.clone() };
        let metadata = match metadata {
            Some(held) => left(held),
            None => self.held(record::stored(&entry.metadata)),
        };
        let value = match value {
            Some(held) => left(held),
            None => self.held(entry.value.bytes().clone()),
        };
        let Entry { version, created_at, updated_at, expires_at, .. } = *entry;
        let (kind, encodings) = (entry.value.kind(), entry.value.encodings().clone());
        let record = Record { kind, version, created_at, updated_at, expires_at, place, encodings, metadata, value };
        self.put(key, record.write());
        if let Some(at) = expires_at {
            self.put(layout::expiry(at, place), member);
        }
    }

    /// Bytes in their entry where they are few, else by themselves.
    fn held(&mut self, bytes: Bytes) -> Held {
        if bytes.len() <= SHORT {
            return Held::Here(bytes);
        }
        let body = self.body;
        self.body.number += 1;
        let held = Held::There { body, bytes: u32::try_from(bytes.len()).expect("values have a limit"), logged: false };
        self.put(layout::body(body), bytes);
        held
    }

    fn log(&mut self, kind: ChangeKind, bytes: u64, member: &Bytes, before: Option<Bytes>, leaves: [bool; 2]) {
        let [leaves_value, leaves_metadata] = leaves;
        let line = Line { kind, at: self.at, bytes, member: member.clone(), before, leaves_value, leaves_metadata };
        self.put(layout::log(self.next), line.write());
        self.put(layout::history(member, self.next), Bytes::new());
        self.next.ordinal += 1;
    }
}
