//! The pairs, in memory, in order, as of every moment that somebody looks at.
//!
//! Every batch is a moment. A pair keeps what it was at moments that a view is of, and nothing else.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use bytes::Bytes;
use larder_ordered::Shown as Place;

use crate::{
    held::{Held, hash},
    layout::Layout,
};

/// The entries whose files are not yet what they have to be.
pub(crate) type Dirty = BTreeMap<Bytes, Stale>;

/// What is known of a file that has to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stale {
    /// The moment at which its entry changed last.
    pub(crate) changed: u64,
    /// What the file may hash to unless somebody else has written there; `None` is no file.
    pub(crate) known: Vec<Option<u64>>,
}

/// All pairs.
#[derive(Debug)]
pub(crate) struct Pairs {
    layout: Layout,
    pairs: BTreeMap<Bytes, Versions>,
    /// The latest moment.
    now: u64,
    /// How many views are of each moment.
    views: BTreeMap<u64, usize>,
    /// Which keys kept something older when which moment came.
    superseded: VecDeque<(u64, Bytes)>,
    pub(crate) dirty: Dirty,
}

#[derive(Debug)]
struct Versions {
    newest: Version,
    /// Those that views need, the oldest first.
    older: Vec<Version>,
}

/// What a pair was from a moment on; `None` where there was none.
#[derive(Debug)]
struct Version {
    since: u64,
    held: Option<Held>,
}

impl Versions {
    fn at(&self, moment: u64) -> Option<&Held> {
        let version = if self.newest.since <= moment {
            Some(&self.newest)
        } else {
            self.older.iter().rev().find(|version| version.since <= moment)
        };
        version.and_then(|version| version.held.as_ref())
    }

    /// Forgets what no view is of.
    fn prune(&mut self, views: &BTreeMap<u64, usize>) {
        let mut until = self.newest.since;
        let mut kept = Vec::new();
        while let Some(version) = self.older.pop() {
            let seen = version.since < until && views.range(version.since..until).next().is_some();
            until = version.since;
            if seen {
                kept.push(version);
            }
        }
        kept.reverse();
        self.older = kept;
    }
}

impl Pairs {
    pub(crate) fn new(layout: Layout) -> Self {
        Self {
            layout,
            pairs: BTreeMap::new(),
            now: 0,
            views: BTreeMap::new(),
            superseded: VecDeque::new(),
            dirty: Dirty::new(),
        }
    }

    /// The latest moment.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Takes what a state says, of which every file is as it has to be.
    pub(crate) fn fill(&mut self, moment: u64, pairs: Vec<(Bytes, Option<Held>)>) {
        self.now = moment;
        pairs.into_iter().for_each(|(key, held)| self.write(moment, key, held));
    }

    /// Makes `writes` happen at the next moment.
    pub(crate) fn apply(&mut self, writes: Vec<(Bytes, Option<Held>)>) {
        for (key, _) in &writes {
            self.soil(key);
        }
        self.now += 1;
        let now = self.now;
        writes.into_iter().for_each(|(key, held)| self.write(now, key, held));
    }

    /// Notes that the file of an entry is about to be no longer what it has to be.
    fn soil(&mut self, key: &Bytes) {
        if (self.layout.address)(key).is_none() {
            return;
        }
        let known = self.shown(key, self.now).map(|shown| shown.hash);
        let changed = self.now + 1;
        let stale = self.dirty.entry(key.clone()).or_default();
        stale.changed = changed;
        if !stale.known.contains(&known) {
            stale.known.push(known);
        }
    }

    /// What has to stand in the file of the entry at `key`, as of `moment`; `None` when there is to be none.
    pub(crate) fn shown(&self, key: &[u8], moment: u64) -> Option<Shown> {
        // A record is short. One that is not would be shown as nothing, and read all the same.
        let record = self.get(key, moment)?.at_hand()?;
        match (self.layout.value)(&record)? {
            Place::Here(range) => {
                let value = record.slice(range);
                Some(Shown { hash: hash(&value), held: Held::Short(value) })
            }
            Place::There(key) => {
                let held = self.get(&key, moment)?.clone();
                Some(Shown { hash: held.hash(), held })
            }
        }
    }

    /// Whether nobody has written to `key` after `moment`.
    pub(crate) fn is_unchanged(&self, key: &[u8], moment: u64) -> bool {
        self.pairs.get(key).is_none_or(|versions| versions.newest.since <= moment)
    }

    fn write(&mut self, moment: u64, key: Bytes, held: Option<Held>) {
        let Some(versions) = self.pairs.get_mut(&key) else {
            if held.is_some() {
                self.pairs.insert(key, Versions { newest: Version { since: moment, held }, older: Vec::new() });
            }
            return;
        };
        let before = std::mem::replace(&mut versions.newest, Version { since: moment, held });
        versions.older.push(before);
        versions.prune(&self.views);
        if !versions.older.is_empty() {
            self.superseded.push_back((moment, key));
        } else if versions.newest.held.is_none() {
            self.pairs.remove(&key);
        }
    }

    /// Begins to look at the present.
    pub(crate) fn look(&mut self) -> u64 {
        *self.views.entry(self.now).or_default() += 1;
        self.now
    }

    /// Ends looking at `moment`.
    pub(crate) fn leave(&mut self, moment: u64) {
        let Some(count) = self.views.get_mut(&moment) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.views.remove(&moment);
        let oldest = self.views.keys().next().copied().unwrap_or(u64::MAX);
        while self.superseded.front().is_some_and(|(since, _)| *since <= oldest) {
            let Some((_, key)) = self.superseded.pop_front() else { break };
            let Some(versions) = self.pairs.get_mut(&key) else { continue };
            versions.prune(&self.views);
            if versions.older.is_empty() && versions.newest.held.is_none() {
                self.pairs.remove(&key);
            }
        }
    }

    /// What was at `key` at `moment`.
    pub(crate) fn get(&self, key: &[u8], moment: u64) -> Option<&Held> {
        self.pairs.get(key)?.at(moment)
    }

    /// The first pairs of a part, as of `moment`.
    pub(crate) fn scan(&self, from: &Bytes, to: &Bytes, reverse: bool, limit: usize, moment: u64) -> Vec<(Bytes, Held)> {
        if from >= to {
            return Vec::new();
        }
        let seen = |(key, versions): (&Bytes, &Versions)| Some((key.clone(), versions.at(moment)?.clone()));
        let range = self.pairs.range::<Bytes, _>((Bound::Included(from), Bound::Excluded(to)));
        if reverse {
            range.rev().filter_map(seen).take(limit).collect()
        } else {
            range.filter_map(seen).take(limit).collect()
        }
    }

    /// The next pairs behind `after`, as of `moment`.
    pub(crate) fn following(&self, after: Option<&Bytes>, limit: usize, moment: u64) -> Vec<(Bytes, Held)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let seen = |(key, versions): (&Bytes, &Versions)| Some((key.clone(), versions.at(moment)?.clone()));
        self.pairs.range::<Bytes, _>((start, Bound::Unbounded)).filter_map(seen).take(limit).collect()
    }
}

/// What stands in a file.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) hash: u64,
    pub(crate) held: Held,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout { address: |_| None, value: |_| None };

    fn write(pairs: &mut Pairs, key: &'static str, value: Option<&'static str>) {
        let held = value.map(|value| Held::Short(Bytes::from(value)));
        pairs.apply(vec![(Bytes::from(key), held)]);
    }

    fn read(pairs: &Pairs, key: &str, moment: u64) -> Option<Bytes> {
        pairs.get(key.as_bytes(), moment).map(|held| match held {
            Held::Short(bytes) => bytes.clone(),
            Held::Long(_) => panic!("nothing is kept elsewhere here"),
        })
    }

    /// A view sees what was, through writes and removals, and a scan sees the same as reads do.
    #[test]
    fn a_view_never_changes() {
        let mut pairs = Pairs::new(PLAIN);
        write(&mut pairs, "a", Some("1"));
        write(&mut pairs, "b", Some("2"));
        let first = pairs.look();
        write(&mut pairs, "a", Some("3"));
        write(&mut pairs, "b", None);
        let second = pairs.look();
        write(&mut pairs, "b", Some("4"));
        write(&mut pairs, "a", Some("5"));
        let texts = |moment: u64| {
            let keys = |reverse| -> Vec<Bytes> {
                let all = pairs.scan(&Bytes::from("a"), &Bytes::from("c"), reverse, 9, moment);
                all.into_iter().map(|(key, _)| key).collect()
            };
            let mut reversed = keys(true);
            reversed.reverse();
            assert_eq!(keys(false), reversed);
            let values: Vec<Bytes> = keys(false)
                .iter()
                .map(|key| read(&pairs, std::str::from_utf8(key).expect("text"), moment).expect("it is there"))
                .collect();
            (keys(false), values)
        };
        assert_eq!(texts(first), (vec!["a".into(), "b".into()], vec!["1".into(), "2".into()]));
        assert_eq!(texts(second), (vec!["a".into()], vec!["3".into()]));
        assert_eq!(texts(pairs.now()), (vec!["a".into(), "b".into()], vec!["5".into(), "4".into()]));
    }

    /// What nobody looks at any more takes no memory.
    #[test]
    fn what_no_view_is_of_is_forgotten() {
        let mut pairs = Pairs::new(PLAIN);
        write(&mut pairs, "a", Some("1"));
        let view = pairs.look();
        for _ in 0..10 {
            write(&mut pairs, "a", Some("22"));
        }
        assert_eq!(pairs.pairs["a".as_bytes()].older.len(), 1);
        write(&mut pairs, "a", None);
        assert_eq!(pairs.pairs["a".as_bytes()].older.len(), 1);
        pairs.leave(view);
        assert!(pairs.pairs.is_empty() && pairs.superseded.is_empty() && pairs.views.is_empty());
    }
}
