//! Holding the log for as long as a command reads from it.

use std::time::Duration;

use larder::{Error, Key, Position, Store};
use tokio::task::JoinSet;

/// For how long the log stays held after a command that died.
const TTL: Duration = Duration::from_secs(10 * 60);
/// How often a hold is renewed meanwhile.
const EVERY: Duration = Duration::from_secs(3 * 60);

/// A hold that is renewed until it is ended, also while the command waits for whoever reads its output.
///
/// It protects and decides nothing: where it cannot be had, because the disk is full or the file is not to be written to,
/// a read that comes too late is refused all the same.
#[derive(Debug)]
pub(crate) struct Holding {
    store: Store,
    name: Key,
    renewal: JoinSet<()>,
}

impl Holding {
    /// Holds everything after `position` for a command called `what`.
    pub(crate) async fn begin(store: &Store, what: &str, position: Position) -> Result<Self, Error> {
        let name = Key::new(format!("{what}-{:032x}", store.world().random()))?;
        let _ = store.hold(&name, position, TTL).await;
        let mut renewal = JoinSet::new();
        renewal.spawn({
            let (store, name) = (store.clone(), name.clone());
            async move {
                loop {
                    store.world().sleep(EVERY).await;
                    let _ = store.hold(&name, position, TTL).await;
                }
            }
        });
        Ok(Self { store: store.clone(), name, renewal })
    }

    /// Lets go of the log.
    pub(crate) async fn end(mut self) {
        self.renewal.shutdown().await;
        let _ = self.store.release_hold(&self.name).await;
    }
}
