//! One storage contract over many engines.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> larder::Result<()> {
//! let store = larder::open("memory:").await?;
//!
//! let first = store.set("workloads/web", "v1").await?;
//! let second = store.set("workloads/web", "v2").if_version(first.version).await?;
//! assert_eq!(second.version.get(), 2);
//!
//! // Somebody who has not seen version 2 is told so, and nothing is lost.
//! let late = store.set("workloads/web", "v3").if_version(first.version).await.unwrap_err();
//! assert_eq!(late.kind(), larder::ErrorKind::Conflict);
//!
//! // All or nothing: the check sees the state before, the writes follow in order.
//! store.commit()
//!     .check("workloads/web", larder::Condition::Version(second.version))
//!     .set("workloads/web", "v3")
//!     .delete("workloads/old")
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! The engine is chosen by the URL, and nothing else changes with it:
//!
//! | URL | engine | feature |
//! | --- | --- | --- |
//! | `memory:` | the memory of the process | always |
//! | `sqlite:PATH` | one embedded file; PATH is taken literally | `sqlite` (default) |
//! | `file:PATH` | a directory that people can look into; PATH is taken literally | `file` (default) |
//! | `surrealkv:PATH` | a directory of SurrealKV; PATH is taken literally | `surrealkv` (default) |
//! | `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME` | a schema of a PostgreSQL database | `postgres` (default) |
//! | `redis://USER:PASSWORD@HOST:PORT/DB?prefix=NAME` | a prefix of a Redis server | `redis` (default) |
//! | `etcd://USER:PASSWORD@HOST:PORT,HOST:PORT/?prefix=NAME` | a prefix of an etcd cluster | `etcd` (default) |
//!
//! With the feature `documents` there are collections of JSON under schemas, in `documents`.
//!
//! Stores are copied, compared, backed up and moved from one engine to another in [`moving`].
//!
//! The contract itself, with everything that is re-exported here, is documented in [`larder_core`].

#![forbid(unsafe_code)]

pub mod blocking;
mod open;
mod world;

pub use larder_core::*;
#[cfg(feature = "documents")]
pub use larder_facets::documents;
pub use larder_moving as moving;
pub use open::{Builder, open, without_password};
pub use world::SystemWorld;

/// The example of README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
