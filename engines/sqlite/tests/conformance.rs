//! The SQLite engine keeps every promise.

use std::sync::Arc;

use larder_conformance::Site;
use larder_core::{BoxFuture, Engine, Result, StoreId};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use tempfile::TempDir;

/// A directory of its own, gone with the case.
struct Place(TempDir);

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async {
            let config = SqliteConfig::new(self.0.path().join("larder.db"));
            let engine = SqliteEngine::open(config, StoreId::from_bytes([7; 16])).await?;
            Ok(Arc::new(engine) as Arc<dyn Engine>)
        })
    }
}

fn fresh() -> Place {
    Place(tempfile::tempdir().expect("a temporary directory can be made"))
}

larder_conformance::suite!(fresh);
