//! Domain stores, built on the contract alone: whatever the engine, they answer the same, and they commit together with
//! everything else that is in the store.
//!
//! | module | what |
//! | --- | --- |
//! | [`documents`] | collections of JSON under schemas |
//!
//! This crate knows no engine.

#![forbid(unsafe_code)]

pub mod documents;

/// The example of the guide runs.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/documents.md")]
struct Guide;
