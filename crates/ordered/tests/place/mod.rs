//! Places for stores in maps of memory.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::sync::Arc;

use larder_conformance::Site;
use larder_core::{BoxFuture, Engine, Result, StoreId};
use larder_ordered::{Opening, OrderedEngine, TestMap};

pub(crate) async fn open(map: &TestMap) -> Result<OrderedEngine> {
    OrderedEngine::open(Arc::new(map.clone()), StoreId::from_bytes([7; 16]), Opening::default()).await
}

/// A map of its own.
pub(crate) struct Place(pub(crate) TestMap);

impl Place {
    pub(crate) fn fresh() -> Self {
        Self(TestMap::new())
    }
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async { Ok(Arc::new(open(&self.0).await?) as Arc<dyn Engine>) })
    }
}
