//! Places for stores in a cluster: each its own prefix.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use larder_conformance::{Site, TestWorld};
use larder_core::{BoxFuture, Engine, Result, Store, StoreId};
use larder_etcd::{EtcdConfig, OrderedEngine};

/// The cluster that `cargo xtask` has started.
pub(crate) fn server() -> String {
    let url = env::var("LARDER_TEST_ETCD");
    url.expect("LARDER_TEST_ETCD names an etcd cluster for tests; `cargo xtask engine etcd` starts one")
}

/// The URL of a store at `server` that nobody else has.
pub(crate) fn fresh_at(server: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // The process keeps runs apart that meet at one cluster.
    format!("{server}?prefix=test-{}-{number}", std::process::id())
}

pub(crate) async fn open(url: &str) -> Result<OrderedEngine> {
    larder_etcd::open(EtcdConfig::parse(url)?, StoreId::from_bytes([7; 16])).await
}

/// A store over an engine of its own.
pub(crate) fn store(engine: OrderedEngine, seed: u64) -> Store {
    Store::new(Arc::new(engine), Arc::new(TestWorld::new(seed)))
}

/// A prefix of its own.
pub(crate) struct Place {
    url: String,
}

impl Place {
    pub(crate) fn fresh() -> Self {
        Self { url: fresh_at(&server()) }
    }
}

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async { Ok(Arc::new(open(&self.url).await?) as Arc<dyn Engine>) })
    }
}
