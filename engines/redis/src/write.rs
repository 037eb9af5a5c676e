//! The second trip of a group: everything it makes of the store, in one step that happens whole or not at all.

use std::borrow::Cow;

use larder_core::{CommitId, Receipt, Timestamp, Usage, index::IndexId};

use crate::{
    entry,
    group::{Before, Group},
    head::{Head, write_usage},
    keeper::Keeper,
    layout::{Keys, Place, member, row},
    line::Line,
    receipt,
    session::{Session, Trip},
};

/// How many words a command has at most: the server takes a million.
const WORDS_MAX: usize = 1000;

/// A change to be made: which entries go into the log as they stand, and commands.
pub(crate) struct Change<'a> {
    keys: &'a Keys,
    moved: Vec<(Vec<u8>, Place)>,
    /// Commands that take many things, by the words before them.
    many: Vec<(Many, Vec<Vec<u8>>)>,
    /// The ids that are remembered.
    ids: Vec<CommitId>,
}

/// A command that takes many things at once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Many {
    command: &'static str,
    /// The key it is about, for those that are about one.
    key: Option<Cow<'static, str>>,
    /// How many words a thing has.
    words: usize,
}

impl<'a> Change<'a> {
    pub(crate) fn new(keys: &'a Keys) -> Self {
        Self { keys, moved: Vec::new(), many: Vec::new(), ids: Vec::new() }
    }

    fn many(&mut self, command: &'static str, key: Option<Cow<'static, str>>, words: Vec<Vec<u8>>) {
        let many = Many { command, key, words: words.len() };
        match self.many.iter_mut().find(|(other, _)| *other == many) {
            Some((_, all)) => all.extend(words),
            None => self.many.push((many, words)),
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.many("MSET", None, vec![key, value]);
    }

    fn unlink(&mut self, key: Vec<u8>) {
        self.many("UNLINK", None, vec![key]);
    }

    /// Forgets what was before the change at `place`.
    pub(crate) fn forget(&mut self, place: Place) {
        self.unlink(self.keys.before(place));
    }

    pub(crate) fn insert(&mut self, set: impl Into<Cow<'static, str>>, member: Vec<u8>, score: i64) {
        self.many("ZADD", Some(set.into()), vec![score.to_string().into(), member]);
    }

    pub(crate) fn remove(&mut self, set: impl Into<Cow<'static, str>>, member: Vec<u8>) {
        self.many("ZREM", Some(set.into()), vec![member]);
    }

    pub(crate) fn field(&mut self, hash: &'static str, field: Vec<u8>, value: Vec<u8>) {
        self.many("HSET", Some(hash.into()), vec![field, value]);
    }

    pub(crate) fn no_field(&mut self, hash: &'static str, field: Vec<u8>) {
        self.many("HDEL", Some(hash.into()), vec![field]);
    }

    /// What a namespace takes from here on; of nothing, nothing is stored.
    pub(crate) fn usage(&mut self, namespace: Vec<u8>, usage: Usage) {
        match usage == Usage::default() {
            true => self.no_field("usage", namespace),
            false => self.field("usage", namespace, write_usage(usage)),
        }
    }

    /// This row is in an index from here on, or no longer.
    pub(crate) fn index_row(&mut self, id: IndexId, row: Vec<u8>, is_there: bool) {
        let set = format!("i:{}", id.0);
        if is_there { self.insert(set, row, 0) } else { self.remove(set, row) }
    }

    /// Removes as many rows of an index, if there are as many.
    pub(crate) fn pop_rows(&mut self, id: IndexId, rows: usize) {
        self.many("ZPOPMIN", Some(format!("i:{}", id.0).into()), vec![rows.to_string().into()]);
    }

    /// How many words the whole of it has, not counting a few.
    pub(crate) fn words(&self) -> usize {
        2 * self.moved.len() + self.many.iter().map(|(_, things)| things.len()).sum::<usize>()
    }

    /// Remembers what became of a commit; without a receipt it is fenced.
    pub(crate) fn remember(&mut self, id: CommitId, receipt: Option<&Receipt>) {
        self.field("receipts", id.as_bytes().to_vec(), receipt.map(receipt::write).unwrap_or_default());
        self.ids.push(id);
    }

    /// Forgets those of a group of ids that were made before this moment; how many they are.
    pub(crate) fn forget_ids(&mut self, group: &[u8], before: Timestamp) -> u64 {
        let (old, kept): (Vec<_>, Vec<_>) = group.as_chunks().0.iter().partition(|id| is_older(id, before));
        if old.is_empty() {
            return 0;
        }
        self.remove("ids", group.to_vec());
        if !kept.is_empty() {
            self.insert("ids", kept.into_iter().flatten().copied().collect(), 0);
        }
        old.iter().for_each(|id: &&[u8; 16]| self.no_field("receipts", id.to_vec()));
        old.len() as u64
    }

    /// One member for all of them, because a set of many members is what costs the server most.
    fn insert_ids(&mut self) {
        self.ids.sort_unstable();
        let Some(newest) = self.ids.last() else { return };
        let newest = newest.made_at().as_millis().to_string();
        self.many("ZADD", Some("latest".into()), vec!["GT".into(), newest.into(), "id".into()]);
        let group = self.ids.iter().flat_map(|id| *id.as_bytes()).collect();
        self.insert("ids", group, 0);
    }

    /// The commands that make this change, with `head` as the next state.
    pub(crate) fn trip(mut self, session: &Session, head: &Head) -> Trip {
        self.insert_ids();
        let mut trip = session.change(head);
        for (member, place) in &self.moved {
            trip.command("RENAME").arg(self.keys.entry(member)).arg(self.keys.before(*place));
        }
        for (Many { command, key, words }, things) in &self.many {
            let key = key.as_ref().map(|key| self.keys.named(key));
            for part in things.chunks(WORDS_MAX / words * words) {
                let command = trip.command(command);
                if let Some(key) = &key {
                    command.arg(key);
                }
                command.arg(part);
            }
        }
        trip
    }
}

fn is_older(id: &[u8; 16], before: Timestamp) -> bool {
    CommitId::from_bytes(*id).made_at() < before
}

/// What `group` has come to.
pub(crate) fn change<'a>(keeper: &'a Keeper, group: &Group) -> Change<'a> {
    let mut change = Change::new(&keeper.keys);
    for line in &group.changes {
        let member = member(&line.address);
        let has_before = !matches!(line.before, Before::Nothing);
        let written =
            Line { place: line.place, at: line.at, kind: line.kind, bytes: line.bytes, has_before, member: &member };
        change.insert("log", written.write(), 0);
        change.insert("history", row(&member, line.place), 0);
        match &line.before {
            Before::Nothing => {}
            Before::Standing => change.moved.push((member, line.place)),
            Before::Entry(entry) => change.put(keeper.keys.before(line.place), entry::write(entry)),
        }
    }
    for (address, slot) in group.slots.iter().filter(|(_, slot)| slot.changed) {
        let member = member(address);
        let expires_at = slot.stored.as_ref().and_then(|stored| stored.entry.expires_at).map(Timestamp::as_millis);
        match expires_at {
            Some(at) => change.insert("expiry", member.clone(), at),
            None if slot.stood_expiring => change.remove("expiry", member.clone()),
            None => {}
        }
        match &slot.stored {
            Some(stored) => {
                change.put(keeper.keys.entry(&member), entry::write(&stored.entry));
                if !slot.stood {
                    change.insert("order", member, 0);
                }
            }
            None => {
                change.unlink(keeper.keys.entry(&member));
                if slot.stood {
                    change.remove("order", member);
                }
            }
        }
    }
    for ((id, row), is_there) in &group.rows {
        change.index_row(*id, row.clone(), *is_there);
    }
    for (id, receipt) in &group.receipts {
        change.remember(*id, Some(receipt));
    }
    for (namespace, (before, after)) in &group.usages {
        let name = namespace.as_str().as_bytes().to_vec();
        if after == before {
            continue;
        }
        change.usage(name, *after);
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_at(millis: i64) -> CommitId {
        CommitId::new(Timestamp::from_millis_saturating(millis), 7)
    }

    fn bytes(ids: &[CommitId]) -> Vec<u8> {
        ids.iter().flat_map(|id| *id.as_bytes()).collect()
    }

    /// What is done to a set or hash of this name, word by word.
    fn done(change: &Change<'_>, command: &str, key: &str) -> Vec<Vec<u8>> {
        let done = change.many.iter().filter(|(many, _)| many.command == command && many.key.as_deref() == Some(key));
        done.flat_map(|(_, words)| words.clone()).collect()
    }

    /// Ids of one group may have been made far apart: clocks differ.
    #[test]
    fn of_a_group_of_ids_only_the_old_are_forgotten() {
        let keys = Keys::new("a");
        let group = [made_at(1), made_at(5), made_at(9)];
        for (before, old) in [(0, 0), (1, 0), (2, 1), (5, 1), (9, 2), (10, 3)] {
            let mut change = Change::new(&keys);
            let forgotten = change.forget_ids(&bytes(&group), Timestamp::from_millis_saturating(before));
            assert_eq!(forgotten, old as u64, "before {before}");
            assert_eq!(done(&change, "HDEL", "receipts").concat(), bytes(&group[..old]), "before {before}");
            let gone = if old == 0 { vec![] } else { vec![bytes(&group)] };
            assert_eq!(done(&change, "ZREM", "ids"), gone, "before {before}");
            let left = if old == 0 || old == 3 { vec![] } else { vec![b"0".to_vec(), bytes(&group[old..])] };
            assert_eq!(done(&change, "ZADD", "ids"), left, "before {before}");
        }
    }

    #[test]
    fn ids_that_are_remembered_stand_together_from_the_oldest() {
        let keys = Keys::new("a");
        let mut change = Change::new(&keys);
        [made_at(5), made_at(9), made_at(1)].into_iter().for_each(|id| change.remember(id, None));
        change.insert_ids();
        let group = bytes(&[made_at(1), made_at(5), made_at(9)]);
        assert_eq!(done(&change, "ZADD", "ids"), [b"0".to_vec(), group]);
        assert_eq!(done(&change, "ZADD", "latest"), [b"GT".to_vec(), b"9".to_vec(), b"id".to_vec()]);
    }
}
