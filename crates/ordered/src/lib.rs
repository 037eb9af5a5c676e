//! Makes an engine of any byte-ordered transactional map.
//!
//! A map brings three things, which is what [`Map`] says: it can be looked at as of one moment, it is ordered by bytes, and a
//! batch of writes happens whole or not at all and not after somebody else's. All else is here, once, for all of them.

#![forbid(unsafe_code)]

mod map;

pub use map::{Applied, Batch, Map, Pair, Part, Size, View};
