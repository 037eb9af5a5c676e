//! Signals: whoever has committed tells whoever listens, by NOTIFY.
//!
//! It is sent behind the commit and not in it: a transaction that notifies holds a lock of the whole cluster until it is synced,
//! one that does nothing else has nothing to sync. A process that ends between the two has told nobody, and those who listen find
//! out by themselves, as they do when their connection is lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use larder_core::{BoxFuture, Result, StoreId, engine::Signals};

use crate::{
    error::{closed, unavailable},
    keeper::Keeper,
    lane::Lane,
};

/// Where a store tells of its commits. It is in every transaction log of a database, so stores do not share it.
fn channel(store: StoreId) -> String {
    format!("larder_{store}")
}

/// What is sent behind a commit.
pub(crate) fn notify(store: StoreId) -> String {
    format!("NOTIFY {}", channel(store))
}

/// Listens, from when it is first asked to.
#[derive(Debug)]
pub(crate) struct Listener {
    lane: Arc<Lane>,
    closed: AtomicBool,
}

impl Listener {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        let listen = format!("LISTEN {}", channel(keeper.store));
        Self { lane: Arc::new(Lane::greeting(keeper, listen)), closed: AtomicBool::new(false) }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.lane.end();
    }
}

impl Signals for Listener {
    fn after(&self, heard: u64) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            if self.closed.load(Ordering::Acquire) {
                return Err(closed());
            }
            // Whoever has just begun to listen may have missed something: a session is a signal by itself.
            let session = self.lane.session().await?;
            let number = |count: u64| (session.number() << 32) + count;
            let mut notified = session.notified();
            let count = notified.wait_for(|count| number(*count) > heard).await;
            count.map(|count| number(*count)).map_err(|_| unavailable("the connection to the server was lost"))
        })
    }
}
