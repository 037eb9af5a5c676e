//! The layout: which keys of the server a store takes, and how addresses and places are written so that bytes sort them.
//!
//! | key | what |
//! | --- | --- |
//! | `{prefix}:state` | what the store is, in one string: see `head.rs` |
//! | `{prefix}:e:NAMESPACE 00 KEY` | an entry: see `entry.rs` |
//! | `{prefix}:order` | a sorted set of every NAMESPACE 00 KEY, in bytewise order |
//! | `{prefix}:expiry` | the same of those that expire, by when |
//! | `{prefix}:log` | a sorted set of changes, in order: see `line.rs` |
//! | `{prefix}:history` | the same by address: NAMESPACE 00 KEY 00 PLACE |
//! | `{prefix}:b:PLACE` | the entry before the change at that place, where there was one |
//! | `{prefix}:receipts` | what became of commits, by id: see `receipt.rs` |
//! | `{prefix}:ids` | a sorted set of their ids, group by group, each from its oldest: a group is one member, its ids in order |
//! | `{prefix}:latest` | when the newest of these ids was made, as a score |
//! | `{prefix}:usage` | what each namespace takes |
//! | `{prefix}:indexes` | what the indexes are, by number: see `kept.rs` |
//! | `{prefix}:indexed` | the numbers of the indexes of each namespace that has some |
//! | `{prefix}:i:NUMBER` | a sorted set of the rows of an index: see `row.rs` |
//! | `{prefix}:floors` | how far the log reaches back for namespaces that were trimmed by themselves |
//!
//! The braces put all of it into one slot of a cluster. No name and no key of a store holds a NUL, so one between them
//! keeps every two pairs apart, and sorts them by namespace, then key.

use larder_core::{Address, Edge, Key, Namespace, Range, Result, Revision};

use crate::error::corrupt;

/// The keys of a store.
#[derive(Debug)]
pub(crate) struct Keys {
    base: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { base: format!("{{{prefix}}}:") }
    }

    pub(crate) fn state(&self) -> String {
        self.named("state")
    }

    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    pub(crate) fn entry(&self, member: &[u8]) -> Vec<u8> {
        [self.base.as_bytes(), b"e:", member].concat()
    }

    /// The key of the entry at `address`.
    pub(crate) fn entry_at(&self, address: &Address) -> Vec<u8> {
        let (namespace, key) = (address.namespace.as_str().as_bytes(), address.key.as_str().as_bytes());
        [self.base.as_bytes(), b"e:", namespace, b"\0", key].concat()
    }

    pub(crate) fn before(&self, place: Place) -> Vec<u8> {
        [self.base.as_bytes(), b"b:", &place.bytes()].concat()
    }

    /// Those that exist whatever the addresses in the store are.
    pub(crate) fn fixed(&self) -> Vec<String> {
        const NAMES: [&str; 11] =
            ["order", "expiry", "log", "history", "receipts", "ids", "latest", "usage", "indexes", "indexed", "floors"];
        NAMES.iter().map(|name| self.named(name)).collect()
    }
}

/// An address in sorted sets and in keys.
pub(crate) fn member(address: &Address) -> Vec<u8> {
    [address.namespace.as_str().as_bytes(), b"\0", address.key.as_str().as_bytes()].concat()
}

/// The address that `member` is, sharing the namespace with the one before where it is the same.
pub(crate) fn address_like(member: &[u8], last: &mut Option<Namespace>) -> Result<Address> {
    let text = std::str::from_utf8(member).ok();
    let (name, key) = text.and_then(|text| text.split_once('\0')).ok_or_else(|| corrupt("an address cannot be read"))?;
    let damaged = |error| corrupt("it holds a name that nobody can have stored").caused_by(error);
    let namespace = match last {
        Some(namespace) if namespace.as_str() == name => namespace.clone(),
        _ => last.insert(Namespace::new(name).map_err(damaged)?).clone(),
    };
    Ok(Address::new(namespace, Key::new(key).map_err(damaged)?))
}

/// The bounds of a range in a set sorted by members, as the server takes them: the first, and the first no longer in it.
pub(crate) fn bounds(range: &Range) -> (Vec<u8>, Vec<u8>) {
    let bound = |edge: &Edge| match edge.namespace.strip_suffix('\0') {
        // Behind all of a namespace: its members go on with a NUL, and no name goes on with less than a space.
        Some(name) => [name.as_bytes(), b"\x01"].concat(),
        // Behind a key and all its rows in the log, and before the next key.
        None => match edge.key.split_once('\0') {
            Some((key, _)) => [edge.namespace.as_bytes(), b"\0", key.as_bytes(), b"\x01"].concat(),
            None => [edge.namespace.as_bytes(), b"\0", edge.key.as_bytes()].concat(),
        },
    };
    let from = [b"[", &*bound(range.start())].concat();
    let to = range.end().map_or_else(|| b"+".to_vec(), |end| [b"(", &*bound(end)].concat());
    (from, to)
}

/// Where a change stands in the log: its commit, and which of its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) revision: Revision,
    pub(crate) ordinal: u16,
}

impl Place {
    pub(crate) const BYTES: usize = 10;

    pub(crate) fn bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.revision.get().to_be_bytes());
        bytes[8..].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (revision, ordinal) = bytes.split_first_chunk::<8>()?;
        let ordinal = u16::from_be_bytes(ordinal.try_into().ok()?);
        Some(Self { revision: Revision::new(u64::from_be_bytes(*revision)), ordinal })
    }
}

/// The first bound of what comes after `revision` in the log.
pub(crate) fn after(revision: Revision) -> Vec<u8> {
    [b"[", &revision.get().saturating_add(1).to_be_bytes()[..]].concat()
}

/// The last bound of what comes through `revision` in the log.
pub(crate) fn through(revision: Revision) -> Vec<u8> {
    match revision.get().checked_add(1) {
        Some(next) => [b"(", &next.to_be_bytes()[..]].concat(),
        None => b"+".to_vec(),
    }
}

/// An address with a place, as a row of the log by key.
pub(crate) fn row(member: &[u8], place: Place) -> Vec<u8> {
    [member, b"\0", &place.bytes()].concat()
}

/// The parts of a row of the log by key.
pub(crate) fn read_row(row: &[u8]) -> Result<(&[u8], Place)> {
    let cut = row.len().checked_sub(Place::BYTES + 1);
    let parts = cut.and_then(|cut| Some((&row[..cut], Place::read(&row[cut + 1..])?)));
    parts.ok_or_else(|| corrupt("a row of the log cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(namespace: &str, key: &str) -> Address {
        Address::new(Namespace::new(namespace).expect("valid"), Key::new(key).expect("valid"))
    }

    /// What the server does with bounds in a set sorted by members.
    fn inside((from, to): &(Vec<u8>, Vec<u8>), member: &[u8]) -> bool {
        assert_eq!(from[0], b'[');
        member >= &from[1..] && (to == b"+" || (to[0] == b'(' && member < &to[1..]))
    }

    #[test]
    fn members_sort_as_addresses_and_bounds_hold_what_their_range_holds() {
        let names = ["a", "a b", "aa", "b", "larder:x", "larder", "z"];
        let keys = [" ", "a", "a ", "ab", "a/b", "\u{d7ff}", "\u{e000}", "\u{10ffff}"];
        let mut all: Vec<Address> = names.iter().flat_map(|name| keys.iter().map(move |key| at(name, key))).collect();
        all.sort();
        assert!(all.iter().map(member).is_sorted());
        let a = Namespace::new("a").expect("valid");
        let mut ranges = vec![Range::all(), Range::reserved(), Range::after_namespace(&a), Range::keys(&a, "a\0\0\0", None)];
        for address in &all {
            let name = &address.namespace;
            ranges.extend([Range::key(address), Range::namespace(name), Range::prefix(name, &address.key)]);
            ranges.extend([Range::all().after(address), Range::all().through(address), Range::all().before(address)]);
        }
        for range in &ranges {
            let bounds = bounds(range);
            for address in &all {
                assert_eq!(inside(&bounds, &member(address)), range.contains(address), "{address:?} in {range:?}");
                assert_eq!(address_like(&member(address), &mut None).ok().as_ref(), Some(address));
                // The rows of the log by key are bounded by the same.
                let place = Place { revision: Revision::new(u64::MAX), ordinal: 7 };
                let row = row(&member(address), place);
                assert_eq!(inside(&bounds, &row), range.contains(address), "{address:?} in {range:?}");
                assert_eq!(read_row(&row).ok(), Some((&member(address)[..], place)));
            }
        }
    }

    #[test]
    fn places_sort_as_the_log() {
        let place = |revision, ordinal| Place { revision: Revision::new(revision), ordinal };
        let places = [place(0, 0), place(1, 0), place(1, 255), place(1, 256), place(256, 0), place(1 << 60, 3)];
        assert!(places.iter().map(|place| place.bytes()).is_sorted());
        assert!(places.iter().all(|place| Place::read(&place.bytes()) == Some(*place)));
        assert_eq!(Place::read(b"short"), None);
    }
}
