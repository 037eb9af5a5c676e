//! Makes an engine of any byte-ordered transactional map.
//!
//! A map brings three things, which is what [`Map`] says: it can be looked at as of one moment, it is ordered by bytes, and a
//! batch of writes happens whole or not at all and not after somebody else's. All else is here, once, for all of them.
//!
//! ```
//! use std::sync::Arc;
//!
//! use larder_core::{Result, StoreId};
//! use larder_ordered::{Opening, OrderedEngine, TestMap};
//!
//! # async fn example() -> Result<()> {
//! let map = TestMap::new();
//! let engine = OrderedEngine::open(Arc::new(map), StoreId::from_bytes([7; 16]), Opening::default()).await?;
//! # drop(engine);
//! # Ok(()) }
//! ```
//!
//! # The map
//!
//! | for whom | what |
//! | --- | --- |
//! | who has a map | [`Map`], [`View`], [`Batch`], and [`OrderedEngine::open`] |
//! | who wants to know whether it is one | [`check()`], which every map has to pass |
//! | whose map shows entries to people | [`entry_address`], [`entry_value`] |
//! | who tests what becomes of an engine when its map fails | [`TestMap`] |

#![forbid(unsafe_code)]

mod build;
mod check;
mod engine;
mod error;
mod group;
mod head;
mod holders;
mod indexes;
mod keeper;
mod kept;
mod lane;
mod layout;
mod line;
mod lineage;
mod log;
mod map;
mod past;
mod place;
mod read;
mod receipt;
mod record;
mod row;
mod setup;
mod sheet;
mod show;
mod test_map;
mod trim;
mod undo;
mod walk;
mod write;

pub use check::check;
pub use engine::{Opening, OrderedEngine};
pub use lineage::UNKNOWN_LIFE;
pub use map::{Applied, Batch, Map, Pair, Part, Size, View};
pub use show::{Shown, entry_address, entry_value};
pub use test_map::{TestMap, Trouble};
