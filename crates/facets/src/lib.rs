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
