//! The engine: a directory, opened once in a process whatever number of handles it has.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use larder_core::{Durability, Engine as _, Error, ErrorKind, Result, StoreId};
use larder_ordered::{Map, Opening, OrderedEngine};
use tokio::sync::Mutex;

use crate::{config::SurrealKvConfig, map::TreeMap, place};

/// What becomes another handle to a store that is open.
type Shared = Box<dyn Fn() -> Option<OrderedEngine> + Send + Sync>;

/// The stores that are open in this process, by their directories.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Shared>>> = LazyLock::new(Mutex::default);

/// Opens stores in directories.
#[derive(Clone, Copy, Debug)]
pub struct SurrealKvEngine;

impl SurrealKvEngine {
    /// Opens the store, and creates it with the identity `fresh` where there is none.
    ///
    /// # Errors
    /// `Unavailable` when another process has it open; `NotFound` for a missing store that is not to be created; `Invalid` for
    /// a directory of another program; `Unsupported` for a store of a newer version, and for durability that a directory
    /// does not have. Nothing is touched by any of them.
    pub async fn open(config: SurrealKvConfig, fresh: StoreId) -> Result<OrderedEngine> {
        if config.durability == Durability::Volatile {
            let message = "a directory outlives its process: its durability is full or relaxed";
            return Err(Error::new(ErrorKind::Unsupported, message).engine("surrealkv"));
        }
        // One opens at a time, so that two who open the same get the same.
        let mut open = OPEN.lock().await;
        open.retain(|_, shared| shared().is_some());
        if let Ok(path) = config.path.canonicalize()
            && let Some(engine) = open.get(&path).and_then(|shared| shared())
        {
            let durability = engine.capabilities().durability;
            if durability != config.durability {
                let message = format!("this process has the store open with {} durability already", durability.as_str());
                return Err(Error::invalid(message).engine("surrealkv"));
            }
            return Ok(engine);
        }
        let place = place::take(&config)?;
        let map: Arc<dyn Map> = Arc::new(TreeMap::open(place, config.durability).await?);
        let opening = Opening { create: true, ..Opening::default() };
        let engine = match OrderedEngine::open(map.clone(), fresh, opening).await {
            Ok(engine) => engine,
            Err(error) => {
                // The place is let go of before anybody is told.
                drop(map.close().await);
                return Err(error);
            }
        };
        if let Ok(path) = config.path.canonicalize() {
            open.insert(path, Box::new(engine.downgrade()));
        }
        Ok(engine)
    }
}
