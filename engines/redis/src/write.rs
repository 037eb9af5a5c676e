//! The second trip of a group: everything it makes of the store, in one step that happens whole or not at all.

use std::borrow::Cow;

use larder_core::{CommitId, Receipt, Timestamp, Usage, index::IndexId};
use redis::Cmd;

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

/// A change to be made: which entries go into the log as they stand, and commands.
pub(crate) struct Change<'a> {
    keys: &'a Keys,
    moved: Vec<(Vec<u8>, Place)>,
    /// Each takes many things at once, and gets them word by word.
    commands: Vec<(Name, Cmd)>,
    /// How many words they have, not counting a few.
    words: usize,
    /// The ids that are remembered.
    ids: Vec<CommitId>,
}

/// What a command does, and the key it is about, for those that are about one.
type Name = (&'static str, Option<Cow<'static, str>>);

impl<'a> Change<'a> {
    pub(crate) fn new(keys: &'a Keys) -> Self {
        Self { keys, moved: Vec::new(), commands: Vec::new(), words: 0, ids: Vec::new() }
    }

    /// The command of this name, to be given as many words.
    fn command(&mut self, command: &'static str, key: Option<Cow<'static, str>>, words: usize) -> &mut Cmd {
        self.words += words;
        let name = (command, key);
        let at = self.commands.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            let mut command = redis::cmd(name.0);
            if let Some(key) = &name.1 {
                command.arg(self.keys.named(key));
            }
            self.commands.push((name, command));
            self.commands.len() - 1
        });
        &mut self.commands[at].1
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.command("MSET", None, 2).arg(key).arg(value);
    }

    fn unlink(&mut self, key: &[u8]) {
        self.command("UNLINK", None, 1).arg(key);
    }

    /// Forgets what was before the change at `place`.
    pub(crate) fn forget(&mut self, place: Place) {
        self.unlink(&self.keys.before(place));
    }

    pub(crate) fn insert(&mut self, set: impl Into<Cow<'static, str>>, member: impl AsRef<[u8]>, score: i64) {
        self.command("ZADD", Some(set.into()), 2).arg(score).arg(member.as_ref());
    }

    pub(crate) fn remove(&mut self, set: impl Into<Cow<'static, str>>, member: impl AsRef<[u8]>) {
        self.command("ZREM", Some(set.into()), 1).arg(member.as_ref());
    }

    pub(crate) fn field(&mut self, hash: &'static str, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.command("HSET", Some(hash.into()), 2).arg(field.as_ref()).arg(value.as_ref());
    }

    pub(crate) fn no_field(&mut self, hash: &'static str, field: impl AsRef<[u8]>) {
        self.command("HDEL", Some(hash.into()), 1).arg(field.as_ref());
    }

    /// What a namespace takes from here on; of nothing, nothing is stored.
    pub(crate) fn usage(&mut self, namespace: &[u8], usage: Usage) {
        match usage == Usage::default() {
            true => self.no_field("usage", namespace),
            false => self.field("usage", namespace, write_usage(usage)),
        }
    }

    /// This row is in an index from here on, or no longer.
    pub(crate) fn index_row(&mut self, id: IndexId, row: &[u8], is_there: bool) {
        let set = format!("i:{}", id.0);
        if is_there { self.insert(set, row, 0) } else { self.remove(set, row) }
    }

    /// Removes as many rows of an index, if there are as many.
    pub(crate) fn pop_rows(&mut self, id: IndexId, rows: usize) {
        self.command("ZPOPMIN", Some(format!("i:{}", id.0).into()), 1).arg(rows);
    }

    /// How many words the whole of it has, not counting a few.
    pub(crate) fn words(&self) -> usize {
        2 * self.moved.len() + self.words
    }

    /// Remembers what became of a commit; without a receipt it is fenced.
    pub(crate) fn remember(&mut self, id: CommitId, receipt: Option<&Receipt>) {
        self.field("receipts", id.as_bytes(), receipt.map(receipt::write).unwrap_or_default());
        self.ids.push(id);
    }

    /// Forgets those of a group of ids that were made before this moment; how many they are.
    pub(crate) fn forget_ids(&mut self, group: &[u8], before: Timestamp) -> u64 {
        let (old, kept): (Vec<_>, Vec<_>) = group.as_chunks().0.iter().partition(|id| is_older(id, before));
        if old.is_empty() {
            return 0;
        }
        self.remove("ids", group);
        if !kept.is_empty() {
            self.insert("ids", kept.into_iter().flatten().copied().collect::<Vec<_>>(), 0);
        }
        old.iter().for_each(|id: &&[u8; 16]| self.no_field("receipts", id));
        old.len() as u64
    }

    /// One member for all of them, because a set of many members is what costs the server most.
    fn insert_ids(&mut self) {
        self.ids.sort_unstable();
        let Some(newest) = self.ids.last() else { return };
        let newest = newest.made_at().as_millis();
        self.command("ZADD", Some("latest".into()), 3).arg("GT").arg(newest).arg("id");
        let group: Vec<u8> = self.ids.iter().flat_map(|id| *id.as_bytes()).collect();
        self.insert("ids", group, 0);
    }

    /// The commands that make this change, with `head` as the next state.
    pub(crate) fn trip(mut self, session: &Session, head: &Head) -> Trip {
        self.insert_ids();
        let mut trip = session.change(head);
        for (member, place) in &self.moved {
            trip.command("RENAME").arg(self.keys.entry(member)).arg(self.keys.before(*place));
        }
        self.commands.into_iter().for_each(|(_, command)| trip.add(command));
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
            Before::Entry(entry) => change.put(&keeper.keys.before(line.place), &entry::write(entry)),
        }
    }
    for (address, slot) in group.slots.iter().filter(|(_, slot)| slot.changed) {
        let member = member(address);
        let expires_at = slot.stored.as_ref().and_then(|stored| stored.entry.expires_at).map(Timestamp::as_millis);
        match expires_at {
            Some(at) => change.insert("expiry", &member, at),
            None if slot.stood_expiring => change.remove("expiry", &member),
            None => {}
        }
        match &slot.stored {
            Some(stored) => {
                change.put(&keeper.keys.entry(&member), &entry::write(&stored.entry));
                if !slot.stood {
                    change.insert("order", member, 0);
                }
            }
            None => {
                change.unlink(&keeper.keys.entry(&member));
                if slot.stood {
                    change.remove("order", member);
                }
            }
        }
    }
    for ((id, row), is_there) in &group.rows {
        change.index_row(*id, row, *is_there);
    }
    for (id, receipt) in &group.receipts {
        change.remember(*id, Some(receipt));
    }
    for (namespace, (before, after)) in &group.usages {
        if after != before {
            change.usage(namespace.as_str().as_bytes(), *after);
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use redis::Arg;

    use super::*;

    fn made_at(millis: i64) -> CommitId {
        CommitId::new(Timestamp::from_millis_saturating(millis), 7)
    }

    fn bytes(ids: &[CommitId]) -> Vec<u8> {
        ids.iter().flat_map(|id| *id.as_bytes()).collect()
    }

    /// What is done to a set or hash of this name, word by word.
    fn done(change: &Change<'_>, command: &str, key: &str) -> Vec<Vec<u8>> {
        let done = change.commands.iter().filter(|((other, of), _)| *other == command && of.as_deref() == Some(key));
        let words = |word: Arg<&[u8]>| if let Arg::Simple(word) = word { word.to_vec() } else { Vec::new() };
        done.flat_map(|(_, command)| command.args_iter().skip(2).map(words)).collect()
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
