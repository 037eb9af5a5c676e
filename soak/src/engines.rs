//! The engines that are soaked, each in places of its own.

use std::sync::Arc;

use larder_conformance::{Factory, Site};
use larder_core::{BoxFuture, Result, StoreId, memory::MemoryEngine};

#[path = "../../engines/etcd/tests/place/mod.rs"]
mod cluster;
#[path = "../../engines/file/tests/place/mod.rs"]
mod directory;
#[path = "../../engines/sqlite/tests/place/mod.rs"]
mod place;
#[path = "../../engines/surrealkv/tests/place/mod.rs"]
mod tree;

#[path = "../../engines/redis/tests/place/mod.rs"]
mod prefix;
#[path = "../../engines/postgres/tests/place/mod.rs"]
mod schema;

/// An engine, and where its stores can be.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) factory: &'static dyn Factory,
}

/// Every engine there is.
pub(crate) const ENGINES: &[Engine] = &[
    Engine { name: "memory", factory: &Memory::fresh },
    Engine { name: "sqlite", factory: &sqlite },
    Engine { name: "file", factory: &directory::Place::fresh },
    Engine { name: "surrealkv", factory: &surrealkv },
    // On the servers that `cargo xtask soak` starts.
    Engine { name: "postgres", factory: &schema::Place::fresh },
    Engine { name: "redis", factory: &prefix::Place::fresh },
    Engine { name: "etcd", factory: &cluster::Place::fresh },
];

/// Whether somebody has said that this run has to do without `engine`.
pub(crate) fn is_skipped(engine: &str) -> bool {
    std::env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine))
}

/// Memory of this process, where the machine has it: a history is about what is written, not about how fast disks are.
const SHARED_MEMORY: &str = "/dev/shm";

fn sqlite() -> place::Place {
    let quick = std::path::Path::new(SHARED_MEMORY);
    if quick.is_dir() { place::Place::within(quick) } else { place::Place::fresh() }
}

fn surrealkv() -> tree::Place {
    let quick = std::path::Path::new(SHARED_MEMORY);
    if quick.is_dir() { tree::Place::within(quick) } else { tree::Place::fresh() }
}

struct Memory(MemoryEngine);

impl Memory {
    fn fresh() -> Self {
        Self(MemoryEngine::new(StoreId::from_bytes([7; 16])))
    }
}

impl Site for Memory {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn larder_core::Engine>>> {
        let engine: Arc<dyn larder_core::Engine> = Arc::new(self.0.clone());
        Box::pin(std::future::ready(Ok(engine)))
    }
}
