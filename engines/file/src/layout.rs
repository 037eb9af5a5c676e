//! Which pairs of the map are entries, and what stands in their files.
//!
//! Whoever makes an engine of the map knows; the map has to be told, because an entry is shown as a file.

use larder_ordered::{Shown, entry_address, entry_value};

/// Tells entries from other pairs.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The namespace and the key of the entry that is at a key of the map; `None` for what is no entry.
    pub address: fn(&[u8]) -> Option<(&str, &str)>,
    /// Where the entry's value is, from what is at such a key; `None` for what has none.
    pub value: fn(&[u8]) -> Option<Shown>,
}

impl Layout {
    /// That of every store.
    pub const STORE: Self = Self { address: entry_address, value: entry_value };
}
