//! Which pairs of the map are entries, and what stands in their files.
//!
//! Whoever makes an engine of the map knows; the map has to be told, because an entry is shown as a file.

use std::ops::Range;

use bytes::Bytes;

/// Tells entries from other pairs.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The namespace and the key of the entry that is at a key of the map; `None` for what is no entry.
    pub address: fn(&[u8]) -> Option<(&str, &str)>,
    /// The value of the entry, from what is at such a key; `None` for what has none.
    pub content: fn(&[u8]) -> Option<Content>,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// In the record itself, these of its bytes.
    Here(Range<usize>),
    /// All of what is at this key of the map, and it is never written again.
    There(Bytes),
}
