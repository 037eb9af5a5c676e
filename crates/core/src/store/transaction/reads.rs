//! What a transaction has read, and how a commit makes sure that it is still so.

use std::collections::BTreeMap;

use crate::{
    address::{Address, Range},
    commit::{Check, Condition},
    entry::Entry,
    store::moment::Moment,
};

/// Everything that a transaction has looked at.
#[derive(Debug, Default)]
pub(super) struct Reads {
    keys: BTreeMap<Address, Option<Entry>>,
    ranges: Vec<Range>,
}

impl Reads {
    /// How many keys were read one by one.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Whether no range was read.
    pub(super) fn only_keys(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.keys.keys()
    }

    /// Those of `addresses` that were not read before, each once.
    pub(super) fn unknown(&self, addresses: &[Address]) -> Vec<Address> {
        let mut unknown: Vec<Address> =
            addresses.iter().filter(|address| !self.keys.contains_key(address)).cloned().collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// What was read at `address`.
    pub(super) fn get(&self, address: &Address) -> Option<&Entry> {
        self.keys.get(address)?.as_ref()
    }

    pub(super) fn add(&mut self, addresses: Vec<Address>, entries: Vec<Option<Entry>>) {
        self.keys.extend(addresses.into_iter().zip(entries));
    }

    pub(super) fn add_range(&mut self, range: Range) {
        if !range.is_empty() && !self.ranges.contains(&range) {
            self.ranges.push(range);
        }
    }

    /// Whether `entries`, in the order of addresses, are those that were read.
    pub(super) fn are(&self, entries: &[Option<Entry>]) -> bool {
        let revision = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.revision);
        self.keys.values().map(revision).eq(entries.iter().map(revision))
    }

    /// Everything that was read as at most so many ranges, which may cover more than was read.
    pub(super) fn ranges(&self, most: usize) -> Vec<Range> {
        fewer(self.ranges.iter().cloned().chain(self.keys.keys().map(Range::key)).collect(), most)
    }

    /// The checks that nothing of it has changed since `moment`, at most `most` of them.
    pub(super) fn checks(&self, moment: &Moment, most: usize) -> Vec<Check> {
        let unchanged = |range| Check::Unchanged { range, since: moment.revision.unwrap_or_default(), read_at: moment.now };
        if self.keys.len() + self.ranges.len() > most {
            return self.ranges(most).into_iter().map(unchanged).collect();
        }
        let keys = self.keys.iter().map(|(address, entry)| {
            let condition = entry.as_ref().map_or(Condition::Absent, |entry| Condition::Revision(entry.revision));
            Check::Key { address: address.clone(), condition }
        });
        keys.chain(self.ranges.iter().cloned().map(unchanged)).collect()
    }
}

/// The same ranges in at most `most`, neighbours covered together.
///
/// What lies between two namespaces is not covered, or a stranger's commits there would count: only when there are more
/// namespaces than ranges to be had.
fn fewer(mut ranges: Vec<Range>, most: usize) -> Vec<Range> {
    ranges.sort_unstable_by(|a, b| a.start().cmp(b.start()));
    let most = most.max(1);
    if ranges.len() <= most {
        return ranges;
    }
    let mut rooms: Vec<&[Range]> = ranges.chunk_by(|a, b| a.start().namespace == b.start().namespace).collect();
    if rooms.len() > most {
        rooms = vec![&ranges];
    }
    let covered_by = |together| rooms.iter().map(|room| room.len().div_ceil(together)).sum::<usize>();
    let together = (2..).find(|together| covered_by(*together) <= most).expect("all of a room fits into one range");
    let chunks = rooms.iter().flat_map(|room| room.chunks(together));
    chunks.map(|chunk| chunk.iter().skip(1).fold(chunk[0].clone(), Range::cover)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::Key, namespace::Namespace};

    #[test]
    fn many_reads_are_covered_by_few_ranges() {
        let address = |n: usize| Address::new(Namespace::default(), Key::new(format!("k/{n:03}")).expect("valid"));
        let mut reads = Reads::default();
        reads.add((0..200).map(address).collect(), (0..200).map(|_| None).collect());
        reads.add_range(Range::prefix(&Namespace::default(), "a"));
        let ranges = reads.ranges(64);
        assert!(ranges.len() <= 64, "{}", ranges.len());
        for n in 0..200 {
            assert!(ranges.iter().any(|range| range.contains(&address(n))), "{n}");
        }
        assert!(
            ranges.iter().any(|range| range.contains(&Address::new(Namespace::default(), Key::new("ab").expect("valid"))))
        );
        assert_eq!(reads.ranges(1).len(), 1);
    }

    #[test]
    fn what_lies_between_two_namespaces_is_not_covered() {
        let named = |name: &str| Namespace::new(name).expect("valid");
        let address = |name: &str, n: usize| Address::new(named(name), Key::new(format!("k/{n:03}")).expect("valid"));
        let mut reads = Reads::default();
        let all: Vec<Address> = (0..99).flat_map(|n| [address("a", n), address("c", n)]).collect();
        reads.add(all.clone(), all.iter().map(|_| None).collect());
        for most in [2, 3, 10, 64] {
            let ranges = reads.ranges(most);
            assert!(ranges.len() <= most && !ranges.iter().any(|range| range.meets(&named("b"))), "{most}");
            assert!(all.iter().all(|address| ranges.iter().any(|range| range.contains(address))), "{most}");
        }
    }
}
