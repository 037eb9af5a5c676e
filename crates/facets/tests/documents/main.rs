//! Collections of documents, over each engine.

#![forbid(unsafe_code)]

mod changes;
mod collections;
mod entries;
mod interference;
mod judging;
mod large;
mod patches;
mod place;
mod races;
