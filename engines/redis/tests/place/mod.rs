//! Places for stores at a server: each its own prefix.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering},
};

use larder_conformance::Site;
use larder_core::{BoxFuture, Engine, Result, StoreId};
use larder_redis::{RedisConfig, RedisEngine};

/// The server that `cargo xtask test` has started.
pub(crate) static SERVER: LazyLock<String> = LazyLock::new(|| {
    std::env::var("LARDER_TEST_REDIS")
        .expect("LARDER_TEST_REDIS names a Redis server: run `cargo xtask engine redis`, which starts one")
});

/// A prefix of its own.
pub(crate) struct Place {
    url: String,
}

impl Place {
    pub(crate) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // The process keeps runs apart that meet at one server.
        Self { url: format!("{}?prefix=test-{}-{number}", *SERVER, std::process::id()) }
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::parse(&self.url).expect("the URL of the server is good")
    }
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async {
            let engine = RedisEngine::open(self.config(), StoreId::from_bytes([7; 16])).await?;
            Ok(Arc::new(engine) as Arc<dyn Engine>)
        })
    }
}
