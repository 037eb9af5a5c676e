//! The engine: the map, and what makes a store of it.

use std::sync::Arc;

use larder_core::{Result, StoreId};
use larder_ordered::{Opening, OrderedEngine};

use crate::{config::FileConfig, layout::Layout, map::FileMap};

/// Opens the store in the directory of `config`, and creates it with the identity `fresh` where there is none.
///
/// # Errors
/// As [`FileMap::open`].
pub async fn open(config: FileConfig, fresh: StoreId) -> Result<OrderedEngine> {
    let create = config.create;
    let map = blocking::unblock(move || FileMap::open(&config, Layout::STORE)).await?;
    open_map(map, fresh, create).await
}

/// Opens the store in `map`, which was opened with [`Layout::STORE`].
///
/// # Errors
/// Those of the map.
pub async fn open_map(map: FileMap, fresh: StoreId, create: bool) -> Result<OrderedEngine> {
    OrderedEngine::open(Arc::new(map), fresh, Opening { create, ..Opening::default() }).await
}
