//! The SurrealKV engine of Larder: a store in one embedded directory.
//!
//! One process at a time has it open, with any number of handles. SurrealKV by itself acknowledges what it has not synced;
//! here that has to be asked for.
//!
//! ```
//! use larder_surrealkv::{SurrealKvConfig, SurrealKvEngine};
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("larder");
//! # let random = [7; 16];
//! # let open = async {
//! let config = SurrealKvConfig::new(path);
//! let engine = SurrealKvEngine::open(config, larder_core::StoreId::from_bytes(random)).await?;
//! # Ok::<_, larder_core::Error>(engine) };
//! ```

#![forbid(unsafe_code)]

mod config;
mod engine;
mod error;
mod map;
mod place;
mod runtime;

pub use config::SurrealKvConfig;
pub use engine::SurrealKvEngine;
