//! Backups: a store, or what has changed in one, in one file that can be restored into any engine.
//!
//! A file is a row of blocks, compressed, each with a checksum over itself and the checksum before it: so the last one is over
//! the whole file, and a block that is missing, damaged, or in another place is noticed. The last block says that it is the
//! last one; a file without it was cut off.

mod form;
mod reader;
mod restore;
mod take;

pub use form::Header;
pub use restore::{Restore, Restored, inspect, restore};
pub use take::{BackedUp, Backup, backup};
