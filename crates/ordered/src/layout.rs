//! The layout: which keys of the map a store takes, and how addresses and places are written so that bytes sort them.
//!
//! | key | value |
//! | --- | --- |
//! | `h` | what the store is, and the guard of every batch: see `head.rs` |
//! | `e` NAMESPACE 00 KEY | an entry: see `record.rs` |
//! | `b` BODY | a value or metadata too long to stand in its entry; never written twice |
//! | `l` PLACE | a change, in the order of the log: see `line.rs` |
//! | `k` NAMESPACE 00 KEY 00 PLACE | nothing; the same changes by address |
//! | `x` MOMENT PLACE | NAMESPACE 00 KEY of an entry that expires then, and was written last there |
//! | `r` ID | what became of a commit: see `receipt.rs` |
//! | `u` NAMESPACE | what it takes: see `head.rs` |
//! | `f` NAMESPACE | how far its log reaches back, where it was trimmed by itself: a revision |
//! | `i` NUMBER | an index: see `kept.rs` |
//! | `t` NUMBER ROW | nothing; a row of an index: see `row.rs` |
//!
//! Numbers begin with their highest byte. No name and no key of a store holds a NUL, so one between them keeps every two
//! pairs apart, and sorts them by namespace, then key.

use bytes::Bytes;
use larder_core::{
    Address, CommitId, Edge, Key, Namespace, Range, Result, Revision, Timestamp,
    index::{IndexId, Term},
};

use crate::{error::corrupt, map::Part, row};

pub(crate) const ENTRY: u8 = b'e';
const BODY: u8 = b'b';
const LOG: u8 = b'l';
pub(crate) const HISTORY: u8 = b'k';
const EXPIRY: u8 = b'x';
const RECEIPT: u8 = b'r';
const USAGE: u8 = b'u';
pub(crate) const FLOOR: u8 = b'f';
pub(crate) const INDEX: u8 = b'i';
const TERM: u8 = b't';

/// The head of the store.
pub(crate) fn head() -> Bytes {
    Bytes::from_static(b"h")
}

fn key(tag: u8, parts: &[&[u8]]) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.push(tag);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.into()
}

/// An address as it stands in keys.
pub(crate) fn member(address: &Address) -> Bytes {
    [address.namespace.as_str().as_bytes(), b"\0", address.key.as_str().as_bytes()].concat().into()
}

/// The address that `member` is, sharing the namespace with the one before where it is the same.
pub(crate) fn address(member: &[u8], last: &mut Option<Namespace>) -> Result<Address> {
    let text = std::str::from_utf8(member).ok();
    let (name, key) = text.and_then(|text| text.split_once('\0')).ok_or_else(|| corrupt("an address cannot be read"))?;
    let damaged = |error| corrupt("it holds a name that nobody can have stored").caused_by(error);
    let namespace = match last {
        Some(namespace) if namespace.as_str() == name => namespace.clone(),
        _ => last.insert(Namespace::new(name).map_err(damaged)?).clone(),
    };
    Ok(Address::new(namespace, Key::new(key).map_err(damaged)?))
}

/// The entry of a member.
pub(crate) fn entry(member: &[u8]) -> Bytes {
    key(ENTRY, &[member])
}

/// The entry at an address.
pub(crate) fn entry_at(address: &Address) -> Bytes {
    key(ENTRY, &[address.namespace.as_str().as_bytes(), b"\0", address.key.as_str().as_bytes()])
}

/// What a record behind a tag belongs to.
pub(crate) fn behind_tag(key: &Bytes) -> Bytes {
    key.slice(1..)
}

/// Everything with a tag.
pub(crate) fn all(tag: u8) -> (Bytes, Bytes) {
    (vec![tag].into(), vec![tag + 1].into())
}

/// The keys with `tag` of what lies in `range`: the first, and the first no longer among them.
pub(crate) fn bounds(tag: u8, range: &Range) -> (Bytes, Bytes) {
    let bound = |edge: &Edge| match edge.namespace.strip_suffix('\0') {
        // Behind all of a namespace: its members go on with a NUL, and no name goes on with less than a space.
        Some(name) => key(tag, &[name.as_bytes(), b"\x01"]),
        // Behind a key and all its rows in the log, and before the next key.
        None => match edge.key.split_once('\0') {
            Some((name, _)) => key(tag, &[edge.namespace.as_bytes(), b"\0", name.as_bytes(), b"\x01"]),
            None if edge.namespace.is_empty() => key(tag, &[]),
            None => key(tag, &[edge.namespace.as_bytes(), b"\0", edge.key.as_bytes()]),
        },
    };
    let from = bound(range.start());
    let to = range.end().map_or_else(|| all(tag).1, bound);
    let to = to.max(from.clone());
    (from, to)
}

/// Where a change stands in the log: its commit, and which of its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) revision: Revision,
    pub(crate) ordinal: u16,
}

impl Place {
    const BYTES: usize = 10;

    /// Where the changes of the commit with this revision begin.
    pub(crate) fn first(revision: Revision) -> Self {
        Self { revision, ordinal: 0 }
    }

    fn bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.revision.get().to_be_bytes());
        bytes[8..].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (revision, ordinal) = bytes.split_first_chunk::<8>()?;
        let ordinal = u16::from_be_bytes(ordinal.try_into().ok()?);
        Some(Self { revision: Revision::new(u64::from_be_bytes(*revision)), ordinal })
    }
}

pub(crate) fn log(place: Place) -> Bytes {
    key(LOG, &[&place.bytes()])
}

/// The place of a change that stands at this key of the log.
pub(crate) fn read_log(key: &[u8]) -> Result<Place> {
    key.get(1..).and_then(Place::read).ok_or_else(|| corrupt("a place in the log cannot be read"))
}

/// The changes of the commits from `first` on and before `end`.
pub(crate) fn log_between(first: Revision, end: Revision) -> (Bytes, Bytes) {
    (log(Place::first(first)), log(Place::first(end.max(first))))
}

/// The changes of the commits from `first` on.
pub(crate) fn log_from(first: Revision) -> (Bytes, Bytes) {
    (log(Place::first(first)), all(LOG).1)
}

pub(crate) fn history(member: &[u8], place: Place) -> Bytes {
    key(HISTORY, &[member, b"\0", &place.bytes()])
}

/// The changes of `member` from `place` on.
pub(crate) fn history_from(member: &[u8], place: Place) -> (Bytes, Bytes) {
    (history(member, place), key(HISTORY, &[member, b"\x01"]))
}

/// The parts of a key of the log by address.
pub(crate) fn read_history(key: &Bytes) -> Result<(Bytes, Place)> {
    let cut = key.len().checked_sub(Place::BYTES + 1).filter(|cut| *cut > 0);
    let parts = cut.and_then(|cut| Some((key.slice(1..cut), Place::read(&key[cut + 1..])?)));
    parts.ok_or_else(|| corrupt("a row of the log cannot be read"))
}

/// A value or metadata that stands by itself: in which batch it was written, and which of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Body {
    pub(crate) tick: u64,
    pub(crate) number: u32,
}

impl Body {
    pub(crate) const BYTES: usize = 12;

    pub(crate) fn bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.tick.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (tick, number) = bytes.split_first_chunk::<8>()?;
        Some(Self { tick: u64::from_be_bytes(*tick), number: u32::from_be_bytes(number.try_into().ok()?) })
    }
}

pub(crate) fn body(body: Body) -> Bytes {
    key(BODY, &[&body.bytes()])
}

fn millis(at: Timestamp) -> [u8; 8] {
    at.as_millis().cast_unsigned().to_be_bytes()
}

pub(crate) fn expiry(at: Timestamp, place: Place) -> Bytes {
    key(EXPIRY, &[&millis(at), &place.bytes()])
}

/// Those that expire after the one moment and not after the other; without the one, from the beginning on.
pub(crate) fn expiring(after: Option<Timestamp>, through: Timestamp) -> (Bytes, Bytes) {
    let next = |at: Timestamp| key(EXPIRY, &[&(at.as_millis().cast_unsigned() + 1).to_be_bytes()]);
    let from = after.map_or_else(|| all(EXPIRY).0, next);
    (from.clone(), next(through).max(from))
}

pub(crate) fn receipt(id: CommitId) -> Bytes {
    key(RECEIPT, &[id.as_bytes()])
}

pub(crate) fn receipts() -> (Bytes, Bytes) {
    all(RECEIPT)
}

/// The ids made before `moment`.
pub(crate) fn receipts_before(moment: Timestamp) -> (Bytes, Bytes) {
    (all(RECEIPT).0, receipt(CommitId::new(moment, 0)))
}

/// The id at this key.
pub(crate) fn read_receipt(key: &[u8]) -> Result<CommitId> {
    let id = key.get(1..).and_then(|id| id.try_into().ok());
    id.map(CommitId::from_bytes).ok_or_else(|| corrupt("an id cannot be read"))
}

pub(crate) fn usage(namespace: &[u8]) -> Bytes {
    key(USAGE, &[namespace])
}

pub(crate) fn floor(namespace: &Namespace) -> Bytes {
    key(FLOOR, &[namespace.as_str().as_bytes()])
}

pub(crate) fn index(id: IndexId) -> Bytes {
    key(INDEX, &[&id.0.to_be_bytes()])
}

/// The index at this key.
pub(crate) fn read_index(key: &[u8]) -> Result<IndexId> {
    let id = key.get(1..).and_then(|id| id.try_into().ok());
    id.map(|id| IndexId(u64::from_be_bytes(id))).ok_or_else(|| corrupt("the number of an index cannot be read"))
}

pub(crate) fn row(id: IndexId, term: &Term, name: &Key) -> Bytes {
    key(TERM, &[&id.0.to_be_bytes(), &row::beginning(term.as_bytes()), name.as_str().as_bytes()])
}

/// The rows of an index from those of the term `from` on and before those of the term `to`.
pub(crate) fn rows_between(id: IndexId, from: &[u8], to: &[u8]) -> (Bytes, Bytes) {
    let bound = |term| key(TERM, &[&id.0.to_be_bytes(), &row::beginning(term)]);
    let from = bound(from);
    (from.clone(), bound(to).max(from))
}

/// The rows of one term in an index.
pub(crate) fn rows_of(id: IndexId, term: &[u8]) -> (Bytes, Bytes) {
    let number = id.0.to_be_bytes();
    (key(TERM, &[&number, &row::beginning(term)]), key(TERM, &[&number, &row::behind(term)]))
}

/// Every row of an index.
pub(crate) fn rows(id: IndexId) -> (Bytes, Bytes) {
    let to = id.0.checked_add(1).map_or_else(|| all(TERM).1, |next| key(TERM, &[&next.to_be_bytes()]));
    (key(TERM, &[&id.0.to_be_bytes()]), to)
}

/// What is behind the number of the index in the key of a row.
pub(crate) fn read_row(key: &[u8]) -> Result<(Term, Key)> {
    row::read(key.get(9..).unwrap_or_default())
}

/// The key behind `key` that comes first.
pub(crate) fn next(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}

/// The pairs between two bounds, from the first on.
pub(crate) fn part((from, to): (Bytes, Bytes), limit: usize) -> Part {
    Part { from, to, reverse: false, limit }
}

/// A part that is one key.
pub(crate) fn only(key: &Bytes) -> Part {
    part((key.clone(), next(key)), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(namespace: &str, key: &str) -> Address {
        Address::new(Namespace::new(namespace).expect("valid"), Key::new(key).expect("valid"))
    }

    fn inside((from, to): &(Bytes, Bytes), key: &Bytes) -> bool {
        (from..to).contains(&key)
    }

    #[test]
    fn keys_sort_as_addresses_and_bounds_hold_what_their_range_holds() {
        let names = ["a", "a b", "aa", "b", "larder:x", "larder", "z"];
        let keys = [" ", "a", "a ", "ab", "a/b", "\u{d7ff}", "\u{e000}", "\u{10ffff}"];
        let mut all: Vec<Address> = names.iter().flat_map(|name| keys.iter().map(move |key| at(name, key))).collect();
        all.sort();
        assert!(all.iter().map(entry_at).is_sorted());
        let a = Namespace::new("a").expect("valid");
        let mut ranges = vec![Range::all(), Range::reserved(), Range::after_namespace(&a), Range::keys(&a, "a\0\0\0", None)];
        for address in &all {
            let name = &address.namespace;
            ranges.extend([Range::key(address), Range::namespace(name), Range::prefix(name, &address.key)]);
            ranges.extend([Range::all().after(address), Range::all().through(address), Range::all().before(address)]);
        }
        for range in &ranges {
            let (entries, rows, plain) = (bounds(ENTRY, range), bounds(HISTORY, range), bounds(0, range));
            for address in &all {
                let (member, is_inside) = (member(address), range.contains(address));
                assert_eq!(inside(&entries, &entry(&member)), is_inside, "{address:?} in {range:?}");
                assert_eq!(crate::past::is_inside(&member, &plain.0, &plain.1), is_inside, "{address:?} in {range:?}");
                let place = Place { revision: Revision::new(u64::MAX), ordinal: 7 };
                let row = history(&member, place);
                assert_eq!(inside(&rows, &row), is_inside, "{address:?} in {range:?}");
                assert_eq!(read_history(&row).ok(), Some((member.clone(), place)));
                assert_eq!(super::address(&member, &mut None).ok().as_ref(), Some(address));
            }
        }
    }

    #[test]
    fn places_and_moments_sort_as_they_come() {
        let place = |revision, ordinal| Place { revision: Revision::new(revision), ordinal };
        let places = [place(0, 0), place(1, 0), place(1, 255), place(1, 256), place(256, 0), place(1 << 60, 3)];
        assert!(places.iter().map(|place| log(*place)).is_sorted());
        assert!(places.iter().all(|place| read_log(&log(*place)).ok() == Some(*place)));
        let between = log_between(Revision::new(1), Revision::new(256));
        let inside_of = places.map(|place| inside(&between, &log(place)));
        assert_eq!(inside_of, [false, true, true, true, false, false]);
        let moment = Timestamp::from_millis_saturating;
        for (after, through, at, expires) in [
            (None, 5, 5, true),
            (None, 5, 6, false),
            (Some(5), 7, 5, false),
            (Some(5), 7, 6, true),
            (Some(5), 7, 7, true),
            (Some(7), 5, 6, false),
        ] {
            let bounds = expiring(after.map(moment), moment(through));
            assert_eq!(inside(&bounds, &expiry(moment(at), place(9, 9))), expires, "{at} after {after:?} through {through}");
        }
    }

    /// The keys of the store: whoever changes them changes what stands in the maps of others.
    #[test]
    fn the_keys_stay() {
        let (place, at_a) = (Place { revision: Revision::new(258), ordinal: 3 }, member(&at("a", "k")));
        let id = CommitId::from_bytes([0xee; 16]);
        let term = Term::from_bytes(b"t\0");
        let keys = [
            head(),
            entry(&at_a),
            body(Body { tick: 258, number: 3 }),
            log(place),
            history(&at_a, place),
            expiry(Timestamp::from_millis_saturating(5), place),
            receipt(id),
            usage(b"a"),
            floor(&Namespace::new("a").expect("valid")),
            index(IndexId(7)),
            row(IndexId(7), &term, &Key::new("k").expect("valid")),
        ];
        let hex = keys.map(|key| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(
            hex,
            [
                "68",
                "6561006b",
                "62000000000000010200000003",
                "6c00000000000001020003",
                "6b61006b0000000000000001020003",
                "78000000000000000500000000000001020003",
                "72eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
                "7561",
                "6661",
                "690000000000000007",
                "7400000000000000077400ff00016b",
            ]
        );
    }
}
