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
    /// How a store of it is named.
    pub(crate) url: &'static str,
    /// What it is bad at.
    pub(crate) weakness: &'static str,
}

/// Every engine there is.
pub(crate) const ENGINES: &[Engine] = &[
    Engine {
        name: "memory",
        factory: &Memory::fresh,
        url: "memory:",
        weakness: "keeps nothing: what is in it, the log included, is in the memory of one process and gone with it.",
    },
    Engine {
        name: "sqlite",
        factory: &sqlite,
        url: "sqlite:PATH",
        weakness: "has one writer at a time, on one machine. The file must not be on a network file system, whose locks and syncs \
                   are not to be trusted. Programs on another machine need one of the servers.",
    },
    Engine {
        name: "file",
        factory: &directory::Place::fresh,
        url: "file:PATH",
        weakness: "holds keys, the log and small values in memory, writes every value twice (into its journal, then into the file \
                   of the entry), and is open in one process at a time. It is for stores that people want to look into, not for \
                   large ones.",
    },
    Engine {
        name: "surrealkv",
        factory: &surrealkv,
        url: "surrealkv:PATH",
        weakness: "is open in one process at a time, and its format is as young as the library that keeps it.",
    },
    // On the servers that `cargo xtask soak` starts.
    Engine {
        name: "postgres",
        factory: &schema::Place::fresh,
        url: "postgres://USER@HOST/DATABASE?schema=NAME",
        weakness: "takes a few round trips for every group of commits, and all writers of a store wait for one row: a lone task \
                   that writes is slow, and many processes that write share what one of them could. Nothing else may write to its \
                   tables.",
    },
    Engine {
        name: "redis",
        factory: &prefix::Place::fresh,
        url: "redis://HOST/DB?prefix=NAME",
        weakness: "holds everything in the memory of one server, the log and its before-images included. It is durable only with \
                   an append-only file that is synced always, which is refused otherwise; a failover to a replica may lose commits, \
                   and is then told as a new lineage. A large commit keeps the server from everybody else while it is written.",
    },
    Engine {
        name: "etcd",
        factory: &cluster::Place::fresh,
        url: "etcd://HOST,HOST?prefix=NAME",
        weakness: "is for small stores: a cluster holds 2 GiB unless it is told otherwise, every revision of every key included \
                   until somebody compacts it, and a commit has to fit into one request of 1.5 MiB. Writers in several processes \
                   get in each other's way, and whoever was second tries again.",
    },
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
