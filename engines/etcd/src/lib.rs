//! The etcd engine of Larder: a store under one prefix of a cluster.
//!
//! Any number of processes on any number of machines may use it at the same time. What is read is read as of one of the
//! cluster's revisions; a group of commits is decided here, on what was read, and written by one transaction of the cluster,
//! which does all of it or, where anything has changed meanwhile, nothing.
//!
//! ```no_run
//! use larder_etcd::EtcdConfig;
//! # let random = [7; 16];
//! # let open = async {
//! let config = EtcdConfig::parse("etcd://a.example:2379,b.example:2379,c.example:2379/?prefix=larder")?;
//! let engine = larder_etcd::open(config, larder_core::StoreId::from_bytes(random)).await?;
//! # Ok::<_, larder_core::Error>(engine) };
//! ```

#![forbid(unsafe_code)]

mod client;
mod config;
mod engine;
mod error;
mod keeper;
mod last;
mod map;
mod message;
mod nest;
mod pages;
mod place;
mod read;
mod readers;
mod runtime;
#[cfg(test)]
mod tests;

pub use config::EtcdConfig;
pub use engine::open;
pub use larder_ordered::OrderedEngine;
