//! The engine: a cluster that will do, the map under a prefix of it, and what `larder-ordered` makes of that.

use std::sync::Arc;

use larder_core::{Error, Result, StoreId};
use larder_ordered::{Opening, OrderedEngine};

use crate::{client::Client, config::EtcdConfig, map::EtcdMap, place};

/// Connects, and creates the store with the identity `fresh` where there is none.
///
/// # Errors
/// `Unavailable` for a cluster that cannot be reached or has no leader; `Denied` for one that does not let us in, or do what has
/// to be done; `NotFound` for a missing store that is not to be created; `Invalid` for a prefix of another program;
/// `Unsupported` for a store of a newer version, and a cluster of an older one. Nothing is touched by any of them.
pub async fn open(config: EtcdConfig, fresh: StoreId) -> Result<OrderedEngine> {
    let client = Arc::new(Client::new(&config).await?);
    place::judge(&client, &config).await?;
    let opening = Opening { create: config.create, patience: config.patience };
    let map = EtcdMap::new(client, &config)?;
    // What is told of a store is told of this one.
    let placed = |error: Error| {
        let message =
            format!("{} (under the prefix {:?} of the cluster at {})", error.message(), config.prefix, config.place());
        let kind = error.kind();
        error.as_kind(kind, message)
    };
    OrderedEngine::open(Arc::new(map), fresh, opening).await.map_err(placed)
}
