//! The contract of Larder.
//!
//! A store is its current state plus a log of how it got there. Every commit, on every engine, atomically changes the
//! state, appends to the log and takes the next number of one counter, the *revision*.
//!
//! ```
//! # use std::sync::Arc;
//! use larder_core::{Result, Store, StoreId, World, memory::MemoryEngine};
//!
//! # async fn example(world: Arc<dyn World>) -> Result<()> {
//! let engine = MemoryEngine::new(StoreId::from_bytes([7; 16]));
//! let store = Store::new(Arc::new(engine), world);
//!
//! let first = store.set("workloads/web", "v1").await?;
//! store.set("workloads/web", "v2").if_version(first.version).await?;
//! let late = store.set("workloads/web", "v3").if_version(first.version).await;
//! assert!(late.is_err_and(|error| error.to_string().contains("expected version 1, found version 2")));
//! # Ok(()) }
//! ```
//!
//! # The map
//!
//! | for whom | what |
//! | --- | --- |
//! | who uses a store | [`Scope`] with all verbs, [`Select`], [`Transaction`], [`View`], [`Watch`], [`Value`], [`Entry`], [`Error`] |
//! | who owns a store | [`Store`], which is a scope and more; [`Retention`], [`Hold`] |
//! | who has guests | [`Store::scope`], [`Quota`] |
//! | who writes an engine | [`engine`], [`decide`], [`Limits`], [`memory`] as the specification |
//! | who runs it somewhere | [`World`] |
//!
//! This crate knows no engine but memory, no driver and no runtime, and nothing that a browser could not do.

#![forbid(unsafe_code)]

mod address;
mod change;
mod commit;
pub mod decide;
pub mod engine;
mod entry;
mod error;
mod glob;
mod id;
pub mod index;
pub mod json;
mod key;
mod limits;
pub mod memory;
mod metadata;
mod namespace;
pub mod query;
pub mod search;
mod send;
mod store;
mod time;
mod value;
mod world;

pub use address::{Address, Edge, Range};
pub use change::{Change, ChangeKind, Changes, ChangesQuery, LogOrder, Trim, Trimmed, Undo, Undone};
pub use commit::{
    Action, Check, Commit, Condition, Conflict, Expected, ExpiryChange, Found, MetadataChange, Outcome, Part, Quota,
    Receipt, Resource, Write, Written,
};
pub use engine::{Durability, Engine, Snapshot, Usage};
pub use entry::Entry;
pub use error::{Error, ErrorKind, Result};
pub use glob::Glob;
pub use id::{CommitId, Lineage, Revision, StoreId, Version};
pub use index::Index;
pub use key::{IntoKey, Key};
pub use limits::{Limits, commit_bytes};
pub use metadata::Metadata;
pub use namespace::{Namespace, NamespaceForm};
pub use query::{Aggregate, Aggregated, Cursor, Filter, Query, Question, Sort, field};
pub use search::Search;
pub use send::{BoxFuture, Shared};
pub use store::*;
pub use time::Timestamp;
pub use value::{ContentKind, Encoding, Encodings, Value};
pub use world::World;
