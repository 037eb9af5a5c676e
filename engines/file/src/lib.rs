//! The file engine of Larder: a store in a directory that people can look into.
//!
//! | in the directory | what |
//! | --- | --- |
//! | `entries/NAMESPACE/KEY` | the value of each entry, exactly, for people to read |
//! | `edited/` | what somebody else had written into those files |
//! | `journal-N` | every batch, safe before it is acknowledged |
//! | `state-N` | everything, as of the beginning of the journal |
//! | `lock` | held by the process that has the store; one at a time |
//! | `larder.txt` | whose directory this is |
//!
//! What is true stands in the state and the journal, every byte of them under a checksum: damage is `Corrupt`, never a wrong
//! answer. The files of entries follow within a moment, at the latest when the store is closed, and are only ever written: what
//! somebody else does to them is no write, has no version and no revision, and damages nothing. It is noticed when a store
//! that stays open looks through them, and before the store writes there itself: then it is put into `edited/`, and the file
//! becomes what it has to be. An entry that has expired keeps its file until it is swept up.
//!
//! Keys, and values of up to 2 KiB, are in memory while a store is open; longer values are read from the state.
//!
//! ```
//! use larder_file::FileConfig;
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("larder");
//! # let random = [7; 16];
//! # let open = async {
//! let engine = larder_file::open(FileConfig::new(path), larder_core::StoreId::from_bytes(random)).await?;
//! # Ok::<_, larder_core::Error>(engine) };
//! ```

#![forbid(unsafe_code)]

mod config;
mod core;
mod directory;
pub mod disk;
mod engine;
mod error;
mod frame;
mod held;
mod home;
mod journal;
mod keeper;
mod layout;
mod map;
mod name;
mod open;
mod pairs;
mod presence;
mod replay;
mod shown;
mod state;
mod stated;
mod writer;

pub use config::{FileConfig, Tuning};
pub use directory::Directory;
pub use engine::{open, open_map};
pub use layout::Layout;
pub use map::{Door, FileMap};
