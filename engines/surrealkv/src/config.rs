//! How to open a SurrealKV store.

use std::path::PathBuf;

use larder_core::Durability;

/// Where the directory is and how it is used.
#[derive(Clone, Debug)]
pub struct SurrealKvConfig {
    /// The directory, taken literally.
    pub path: PathBuf,
    /// `Full` syncs before a commit is acknowledged, which is not what SurrealKV does by itself; `Relaxed` leaves that to the
    /// system.
    pub durability: Durability,
    /// Whether to create the store where there is none.
    pub create: bool,
}

impl SurrealKvConfig {
    /// The store in `path` with full durability; created where there is none.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::Full, create: true }
    }
}
