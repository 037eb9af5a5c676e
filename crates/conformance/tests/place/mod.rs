//! Places for stores that live in memory.

use std::sync::Arc;

use larder_conformance::Site;
use larder_core::{BoxFuture, Engine, Result, StoreId, memory::MemoryEngine};

/// A place that keeps one engine alive, and opens it as often as it is asked to.
pub(crate) struct Place(Arc<dyn Engine>);

impl Place {
    pub(crate) fn new(engine: impl Engine) -> Self {
        Self(Arc::new(engine))
    }
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

/// A fresh store in memory.
pub(crate) fn memory() -> Place {
    Place::new(MemoryEngine::new(StoreId::from_bytes([7; 16])))
}
