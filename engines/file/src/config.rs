//! How to open a store in a directory.

use std::path::PathBuf;

use larder_core::Durability;

/// Where the directory is and how it is used.
#[derive(Clone, Debug)]
pub struct FileConfig {
    /// The directory, taken literally.
    pub path: PathBuf,
    /// `Full` syncs the journal before a commit is acknowledged; `Relaxed` does so now and then.
    pub durability: Durability,
    /// Whether to create the directory where there is none.
    pub create: bool,
    /// How much is kept where, and when it moves.
    pub tuning: Tuning,
}

impl FileConfig {
    /// The store in `path` with full durability, created where there is none.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::Full, create: true, tuning: Tuning::default() }
    }
}

/// How much is kept where, and when it moves. Nothing of it changes an answer.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// The largest value of the map, in bytes, that stays in memory once it is safe elsewhere. The records of entries have to.
    pub small_bytes: usize,
    /// How large the journal gets, in bytes, before the state is written anew; or half of the state, when that is more.
    pub journal_bytes: u64,
    /// For how long changes gather, in milliseconds, before the files of entries are written. `None` leaves that, and the
    /// state, to whoever calls [`FileMap::tidy`](crate::FileMap::tidy), and to the end.
    pub gather_ms: Option<u64>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { small_bytes: 2048, journal_bytes: 16 << 20, gather_ms: Some(200) }
    }
}
