//! The SQLite engine of Larder: a store in one embedded file.
//!
//! The file is an ordinary SQLite database in WAL mode with the tables of [`schema.sql`](SCHEMA), plain enough to be
//! read with the `sqlite3` shell. Several processes may use it at the same time. One writes at a time; readers block
//! neither it nor each other.
//!
//! Indexes are rows beside the entries. The size of the file counts them; what a namespace or the store takes does not.
//!
//! ```
//! use larder_sqlite::{SqliteConfig, SqliteEngine};
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("larder.db");
//! # let random = [7; 16];
//! # let open = async {
//! let config = SqliteConfig::new(path);
//! let engine = SqliteEngine::open(config, larder_core::StoreId::from_bytes(random)).await?;
//! # Ok::<_, larder_core::Error>(engine) };
//! ```

#![forbid(unsafe_code)]

mod apply;
mod backup;
mod build;
mod checkpoint;
mod condition;
mod config;
mod engine;
mod error;
mod file;
mod head;
mod indexes;
mod kept;
mod lineage;
mod log;
mod new_file;
mod presence;
mod pushdown;
mod read;
mod readers;
mod row;
mod shelf;
mod sides;
mod trim;
mod undo;
mod walk;
mod writer;

pub use config::SqliteConfig;
pub use engine::SqliteEngine;

/// The schema of the file, as SQL, version by version.
pub const SCHEMA: &str =
    concat!(include_str!("schema.sql"), "\n", include_str!("schema-2.sql"), "\n", include_str!("schema-3.sql"));
