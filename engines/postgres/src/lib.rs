//! The PostgreSQL engine of Larder: a store in one schema of a database.
//!
//! The tables are those of [`schema.sql`](SCHEMA), plain enough to be read with `psql`. Any number of processes on any number
//! of machines may use them at the same time. One commits at a time, a group of commits at once; readers wait for nobody.
//!
//! ```no_run
//! use larder_postgres::{PostgresConfig, PostgresEngine};
//! # let random = [7; 16];
//! # let open = async {
//! let config = PostgresConfig::parse("postgres://ann@localhost/app?schema=larder")?;
//! let engine = PostgresEngine::open(config, larder_core::StoreId::from_bytes(random)).await?;
//! # Ok::<_, larder_core::Error>(engine) };
//! ```

#![forbid(unsafe_code)]

mod build;
mod bulk;
mod condition;
mod config;
mod engine;
mod error;
mod gather;
mod group;
mod head;
mod indexes;
mod keeper;
mod kept;
mod lane;
mod lineage;
mod log;
mod place;
mod pushdown;
mod range;
mod read;
mod readers;
mod receipt;
mod row;
mod runtime;
mod session;
mod signals;
mod standing;
mod terms;
mod tls;
mod trim;
mod undo;
mod walk;
mod write;
mod writer;

pub use config::PostgresConfig;
pub use engine::PostgresEngine;

/// The tables of a store, as SQL.
pub const SCHEMA: &str = include_str!("schema.sql");
