//! Indexes: rows of (index, term, key) beside the entries, changed with them in the same step.
//!
//! What is counted of a store and its namespaces does not count these rows.

use larder_core::{
    BoxFuture, Index, Namespace, Result, Snapshot, Timestamp,
    engine::{IndexWalk, Indexes, Walked},
    index::{IndexId, IndexStatus, Span},
};

use crate::{
    build::{Advancing, Creating, Dropping},
    engine::{RedisEngine, failed},
    kept,
    read::head,
    walk,
    writer::Job,
};

impl Indexes for RedisEngine {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        Box::pin(async move {
            let mut call = self.readers.function("indexes");
            namespace.iter().for_each(|namespace| call.push(namespace.as_str()));
            let mut answers = self.readers.ask(true, call).await?;
            head(&self.readers, &mut answers)?;
            kept::read_all(answers.list()?)
        })
    }

    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        Box::pin(async move {
            let job = self.writer.ask(|answer| Job::CreateIndex(Creating { namespace, index }, answer));
            job.await.unwrap_or_else(|gone| Err(failed(gone)))
        })
    }

    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let job = self.writer.ask(|answer| Job::DropIndex(Dropping::of(id), answer));
            job.await.unwrap_or_else(|gone| Err(failed(gone)))
        })
    }

    fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        Box::pin(async move {
            let job = self.writer.ask(|answer| Job::AdvanceIndex(Advancing::of(id, limit, now), answer));
            job.await.unwrap_or_else(|gone| Err(failed(gone)))
        })
    }

    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        Box::pin(async move { walk::walk(&self.readers, &walk).await })
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        Box::pin(async move { walk::estimate(&self.readers, id, &spans, most).await })
    }
}
