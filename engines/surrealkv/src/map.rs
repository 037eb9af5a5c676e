//! The map: a tree of SurrealKV, of which one batch at a time is written.
//!
//! SurrealKV looks for conflicts between transactions in a window that is not all of time, and not over ranges. Here nobody
//! depends on that: batches are written one after the other, and each looks at its guard as it is then.

use std::{
    fmt,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use bytes::Bytes;
use larder_core::{
    BoxFuture, Durability, Limits, Result,
    engine::{Capabilities, Reach},
};
use larder_ordered::{Applied, Batch, Map, Pair, Part, Size, UNKNOWN_LIFE, View};
use surrealkv::{Durability as Syncing, LSMIterator as _, Mode, Transaction, Tree, TreeBuilder};
use tokio::sync::Mutex;

use crate::{
    error::{closed, explain, is_certain},
    place::{self, Place},
    runtime::elsewhere,
};

/// What a directory takes at most.
const LIMITS: Limits = Limits { value_bytes: 64 << 20, commit_writes: 4096, commit_checks: 4096, commit_bytes: 128 << 20 };

static BOOT: LazyLock<String> = LazyLock::new(|| {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.map_or_else(|_| UNKNOWN_LIFE.to_owned(), |id| id.trim().to_owned())
});

/// A tree of SurrealKV.
pub(crate) struct TreeMap {
    /// Nothing once it was closed, so that nobody keeps it open.
    tree: RwLock<Option<Arc<Tree>>>,
    place: RwLock<Option<Place>>,
    durability: Durability,
    /// Whoever has it writes.
    turn: Arc<Mutex<()>>,
}

impl fmt::Debug for TreeMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeMap").field("place", &self.place).field("durability", &self.durability).finish_non_exhaustive()
    }
}

impl TreeMap {
    pub(crate) async fn open(place: Place, durability: Durability) -> Result<Self> {
        let builder = TreeBuilder::new().with_path(place.tree.clone());
        let tree = elsewhere(async move { builder.build_async().await.map_err(|error| explain(&error)) }).await?;
        Ok(Self {
            tree: RwLock::new(Some(Arc::new(tree))),
            place: RwLock::new(Some(place)),
            durability,
            turn: Arc::default(),
        })
    }

    fn tree(&self) -> Result<Arc<Tree>> {
        // It is whole between any two statements, so a panic elsewhere has not broken it.
        self.tree.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }
}

impl Map for TreeMap {
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "surrealkv", limits: LIMITS, durability: self.durability, reach: Reach::Process }
    }

    fn most(&self) -> Size {
        Size { operations: 1 << 20, bytes: 256 << 20 }
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>>> {
        Box::pin(async {
            let transaction = self.tree()?.begin_with_mode(Mode::ReadOnly).map_err(|error| explain(&error))?;
            Ok(Box::new(TreeView(transaction)) as Box<dyn View>)
        })
    }

    fn apply<'a>(&'a self, view: &'a dyn View, batch: Batch) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(async move {
            let view: &TreeView = view.as_any().downcast_ref().expect("a view of this map");
            let seen = view.one(&batch.guard.0)?;
            let (tree, turn) = (self.tree()?, self.turn.clone());
            let syncing = if self.durability == Durability::Full { Syncing::Immediate } else { Syncing::Eventual };
            elsewhere(async move {
                let _turn = turn.lock().await;
                write(&tree, batch, seen, syncing).await
            })
            .await
        })
    }

    fn life(&self) -> Option<String> {
        (self.durability != Durability::Full).then(|| BOOT.clone())
    }

    fn sync(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let tree = self.tree()?;
            elsewhere(async move { tree.flush_wal(true).map_err(|error| explain(&error)) }).await
        })
    }

    fn size(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        Box::pin(async {
            let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
            // Files come and go meanwhile; what cannot be told is not.
            Ok(place.as_ref().and_then(|place| place::size(&place.tree).ok()))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let tree = self.tree.write().unwrap_or_else(PoisonError::into_inner).take();
            let closed = match tree {
                Some(tree) => elsewhere(async move { tree.close().await.map_err(|error| explain(&error)) }).await,
                None => Ok(()),
            };
            // Only now may somebody else have it.
            drop(self.place.write().unwrap_or_else(PoisonError::into_inner).take());
            closed
        })
    }
}

async fn write(tree: &Tree, batch: Batch, seen: Option<Bytes>, syncing: Syncing) -> Result<Applied> {
    let failed = |error: surrealkv::Error| explain(&error);
    let mut transaction = tree.begin().map_err(failed)?.with_durability(syncing);
    let (guard, next) = batch.guard;
    if transaction.get(&guard[..]).map_err(failed)?.as_deref() != seen.as_deref() {
        return Ok(Applied::Raced);
    }
    // What nobody else holds is handed over as it is, not copied.
    for (key, value) in batch.puts {
        transaction.set(Vec::from(key), Vec::from(value)).map_err(failed)?;
    }
    for key in batch.deletes {
        transaction.delete(Vec::from(key)).map_err(failed)?;
    }
    transaction.set(Vec::from(guard), Vec::from(next)).map_err(failed)?;
    match transaction.commit().await {
        Ok(()) => Ok(Applied::Done),
        Err(surrealkv::Error::TransactionWriteConflict | surrealkv::Error::TransactionRetry) => Ok(Applied::Raced),
        Err(error) if is_certain(&error) => Err(explain(&error)),
        Err(error) => Ok(Applied::Unknown(explain(&error))),
    }
}

/// A transaction that only reads.
struct TreeView(Transaction);

impl fmt::Debug for TreeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TreeView")
    }
}

impl TreeView {
    fn one(&self, key: &Bytes) -> Result<Option<Bytes>> {
        let value = self.0.get(&key[..]).map_err(|error| explain(&error))?;
        Ok(value.map(Bytes::from))
    }

    fn part(&self, part: &Part) -> Result<Vec<Pair>> {
        if part.limit == 0 || part.from >= part.to {
            return Ok(Vec::new());
        }
        self.pairs(part).map_err(|error| explain(&error))
    }

    fn pairs(&self, part: &Part) -> surrealkv::Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        let mut found = self.0.range(&part.from[..], &part.to[..])?;
        let mut is_there = if part.reverse { found.seek_last()? } else { found.seek_first()? };
        while is_there && pairs.len() < part.limit {
            let key = Bytes::copy_from_slice(found.key().user_key());
            pairs.push((key, Bytes::from(found.value()?)));
            is_there = if part.reverse { found.prev()? } else { found.next()? };
        }
        Ok(pairs)
    }
}

impl View for TreeView {
    fn get(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        Box::pin(async move { keys.iter().map(|key| self.one(key)).collect() })
    }

    fn scan(&self, parts: Vec<Part>) -> BoxFuture<'_, Result<Vec<Vec<Pair>>>> {
        Box::pin(async move { parts.iter().map(|part| self.part(part)).collect() })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SurrealKvConfig, place};

    #[test]
    fn a_tree_is_a_map() {
        for durability in [Durability::Full, Durability::Relaxed] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            larder_ordered::check(|| {
                let place = place::take(&SurrealKvConfig::new(directory.path())).expect("nobody has it open");
                Arc::new(futures_lite::future::block_on(TreeMap::open(place, durability)).expect("it opens"))
            });
        }
    }
}
