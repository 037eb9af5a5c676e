//! How to open a SQLite store.

use std::{path::PathBuf, time::Duration};

use larder_core::Durability;

/// Where the file is and how it is used.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The file, taken literally: no URI, no query, no percent-decoding.
    pub path: PathBuf,
    /// `Full` syncs the log of the file before a commit is acknowledged; `Relaxed` leaves that to the system.
    pub durability: Durability,
    /// Whether to create the file where there is none.
    pub create: bool,
    /// How long a commit waits for another process that is writing before it is refused with `Unavailable`.
    pub busy_timeout: Duration,
}

impl SqliteConfig {
    /// The store in `path` with full durability; created where there is none; waiting up to ten seconds for others.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::Full, create: true, busy_timeout: Duration::from_secs(10) }
    }
}
