//! The Redis engine of Larder: a store under one prefix of a server.
//!
//! Any number of processes on any number of machines may use it at the same time. A group of commits is read in one trip,
//! decided here, and written in another, of which all happens or, where anything has changed meanwhile, nothing. Valkey, which
//! speaks the same protocol, will do.
//!
//! ```no_run
//! use larder_redis::{RedisConfig, RedisEngine};
//! # let random = [7; 16];
//! # let open = async {
//! let config = RedisConfig::parse("redis://ann@localhost/0?prefix=larder")?;
//! let engine = RedisEngine::open(config, larder_core::StoreId::from_bytes(random)).await?;
//! # Ok::<_, larder_core::Error>(engine) };
//! ```

#![forbid(unsafe_code)]

mod build;
mod config;
mod engine;
mod entry;
mod error;
mod gather;
mod gets;
mod group;
mod head;
mod holders;
mod indexes;
mod keeper;
mod kept;
mod layout;
mod library;
mod line;
mod lineage;
mod log;
mod past;
mod place;
mod read;
mod readers;
mod receipt;
mod row;
mod runtime;
mod sentinel;
mod server;
mod session;
mod stale;
mod tls;
mod trim;
mod undo;
mod walk;
mod write;
mod writer;

pub use config::RedisConfig;
pub use engine::RedisEngine;
