//! How a store is.

use super::{Store, moment::PAGE_ITEMS};
use crate::{
    address::Range,
    engine::{Durability, EngineStatus, Reach, Scan},
    entry::Entry,
    error::Result,
    id::{Lineage, Revision, StoreId},
    limits::Limits,
    time::Timestamp,
};

/// How a store is; that it answered at all says that it is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The engine's name.
    pub engine: &'static str,
    /// When an acknowledged commit is safe.
    pub durability: Durability,
    /// Who can share the store.
    pub reach: Reach,
    /// Which store this is.
    pub store: StoreId,
    /// Which of its pasts.
    pub lineage: Lineage,
    /// The latest revision.
    pub revision: Revision,
    /// Entries of all namespaces, without expired ones and without what the store keeps about itself.
    pub entries: u64,
    /// Their bytes: keys, values and metadata.
    pub bytes: u64,
    /// What the store takes on its medium, in bytes, where the engine can tell.
    pub size: Option<u64>,
    /// How many namespaces there are; at least one.
    pub namespaces: u64,
    /// The log holds what came after this revision.
    pub oldest: Revision,
    /// How many changes the log holds.
    pub changes: u64,
    /// Their bytes: keys, and the values and metadata from before.
    pub log_bytes: u64,
    /// What the engine takes at most.
    pub limits: Limits,
}

impl Store {
    /// How the store is.
    ///
    /// # Errors
    /// What the engine meets: then it is not healthy.
    pub async fn status(&self) -> Result<Status> {
        let now = self.world().now();
        let capabilities = self.engine().capabilities();
        let EngineStatus { store, lineage, revision, entries, bytes, size, oldest, changes, log_bytes } =
            self.engine().status(now).await?;
        let (own_entries, own_bytes) = self.own(now).await?;
        Ok(Status {
            engine: capabilities.engine,
            durability: capabilities.durability,
            reach: capabilities.reach,
            store,
            lineage,
            revision,
            entries: entries.saturating_sub(own_entries),
            bytes: bytes.saturating_sub(own_bytes),
            size,
            namespaces: self.list_namespaces().await?.len() as u64,
            oldest,
            changes,
            log_bytes,
            limits: capabilities.limits,
        })
    }

    /// How many entries the store keeps about itself, and their bytes.
    async fn own(&self, now: Timestamp) -> Result<(u64, u64)> {
        let (mut entries, mut bytes) = (0, 0);
        let mut range = Range::reserved();
        loop {
            let page =
                self.engine().scan(Scan { range: range.clone(), reverse: false, limit: PAGE_ITEMS, now }).await?.value;
            entries += page.items.len() as u64;
            bytes += page.items.iter().map(Entry::bytes).sum::<u64>();
            match page.items.last() {
                Some(last) if page.more => range = range.after(&last.address),
                _ => return Ok((entries, bytes)),
            }
        }
    }
}
