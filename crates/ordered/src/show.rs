//! For maps that show entries by themselves: which pairs are entries, and where their values are.

use std::{ops::Range, str};

use bytes::Bytes;

use crate::{
    layout,
    record::{Held, Record},
};

/// Where the value of an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In the record of the entry, these of its bytes.
    Here(Range<usize>),
    /// All of what is at this key of the map, which is never written again.
    There(Bytes),
}

/// The namespace and the key of the entry whose record is at `key`; `None` for what is no entry.
pub fn entry_address(key: &[u8]) -> Option<(&str, &str)> {
    let (tag, member) = key.split_first()?;
    if *tag != layout::ENTRY {
        return None;
    }
    str::from_utf8(member).ok()?.split_once('\0')
}

/// Where the value is of the entry that has this record; `None` for what is no record.
pub fn entry_value(record: &[u8]) -> Option<Shown> {
    let read = Record::read(&Bytes::copy_from_slice(record)).ok()?;
    // The value comes last.
    Some(match &read.value {
        Held::Here(value) => Shown::Here(record.len() - value.len()..record.len()),
        Held::There { body, .. } => Shown::There(layout::body(*body)),
    })
}

#[cfg(test)]
mod tests {
    use larder_core::{Address, Key, Namespace};

    use super::*;

    #[test]
    fn entries_are_told_from_other_pairs() {
        let address = Address::new(Namespace::new("wasm:a").expect("valid"), Key::new("b/c").expect("valid"));
        let member = layout::member(&address);
        assert_eq!(entry_address(&layout::entry(&member)), Some(("wasm:a", "b/c")));
        for other in [layout::head(), layout::usage(b"wasm:a"), member, Bytes::new()] {
            assert_eq!(entry_address(&other), None, "{other:?}");
        }
    }
}
