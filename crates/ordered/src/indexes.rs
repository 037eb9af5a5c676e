//! Indexes: rows of (index, term, key) beside the entries, changed by the same batch.
//!
//! What is counted of a store and its namespaces does not count these rows.

use larder_core::{
    BoxFuture, Index, Namespace, Result, Snapshot, Timestamp,
    engine::{IndexWalk, Indexes, Walked},
    index::{IndexId, IndexStatus, Span},
};

use crate::{
    build::{Advancing, Creating, Dropping},
    engine::OrderedEngine,
    lane::Job,
    read::ask,
    walk,
};

impl Indexes for OrderedEngine {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        self.named(async move {
            let view = self.keeper.view().await?;
            let (head, _) = ask(&self.keeper, &*view, Vec::new()).await?;
            let setup = self.keeper.setup(&*view, &head).await?;
            let mut all: Vec<IndexStatus> = match namespace {
                Some(namespace) => setup.indexes_of(&namespace).to_vec(),
                None => setup.indexes().cloned().collect(),
            };
            all.sort_unstable_by_key(|status| status.id);
            Ok(all)
        })
    }

    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        let work = Creating { namespace, index };
        self.named(async move { self.lane.ask(|answer| Job::CreateIndex(work, answer)).await? })
    }

    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        self.named(async move { self.lane.ask(|answer| Job::DropIndex(Dropping::of(id), answer)).await? })
    }

    fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        let work = Advancing::of(id, limit, now);
        self.named(async move { self.lane.ask(|answer| Job::AdvanceIndex(work, answer)).await? })
    }

    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        self.named(async move { walk::walk(&self.keeper, &walk).await })
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        self.named(async move { walk::estimate(&self.keeper, id, &spans, most).await })
    }
}
