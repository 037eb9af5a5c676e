//! Indexes: rows of (index, term, key) beside the entries, in the same transactions.
//!
//! What is counted of a store and its namespaces does not count these rows; its size does.

use larder_core::{
    BoxFuture, Index, Namespace, Result, Snapshot, Timestamp,
    engine::{IndexWalk, Indexes, Walked},
    index::{IndexId, IndexStatus, Span},
};

use crate::{
    engine::{PostgresEngine, failed},
    error::corrupt,
    kept::{self, number},
    readers::Readers,
    row::{signed, unsigned},
    walk,
    writer::Job,
};

/// So many rows are counted among small questions: it takes less than a page does.
const COUNT_SMALL: usize = 4096;

impl Indexes for PostgresEngine {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        Box::pin(async move {
            let rows = match &namespace {
                Some(namespace) => self.readers.ask(true, kept::OF_NAMESPACE, &[&namespace.as_str()]).await?,
                None => self.readers.ask(true, kept::ALL, &[]).await?,
            };
            rows.iter().map(kept::status).collect()
        })
    }

    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        Box::pin(async move {
            let job = self.writer.ask(|answer| Job::CreateIndex(namespace, index, answer));
            job.await.unwrap_or_else(|gone| Err(failed(gone)))
        })
    }

    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let job = self.writer.ask(|answer| Job::DropIndex(id, answer));
            job.await.unwrap_or_else(|gone| Err(failed(gone)))
        })
    }

    fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        Box::pin(async move {
            let job = self.writer.ask(|answer| Job::AdvanceIndex(id, limit, now, answer));
            job.await.unwrap_or_else(|gone| Err(failed(gone)))
        })
    }

    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        Box::pin(walk::walk(&self.readers, walk))
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        Box::pin(estimate(&self.readers, id, spans, most))
    }
}

async fn estimate(readers: &Readers, id: IndexId, spans: Vec<Span>, most: usize) -> Result<usize> {
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM unnest($2::bytea[], $3::bytea[]) AS span (low, high) \
        CROSS JOIN LATERAL (SELECT 1 FROM terms WHERE index_id = $1 AND term >= low AND term < high) AS rows \
        WHERE EXISTS (SELECT 1 FROM indexes WHERE id = $1 AND state <> 'dropped') LIMIT $4) AS counted";
    let from: Vec<&[u8]> = spans.iter().map(|span| &*span.from).collect();
    let to: Vec<&[u8]> = spans.iter().map(|span| &*span.to).collect();
    let rows = readers.ask(most <= COUNT_SMALL, COUNT, &[&number(id), &from, &to, &signed(most as u64)]).await?;
    let row = rows.first().ok_or_else(|| corrupt("nothing can be counted"))?;
    Ok(usize::try_from(unsigned(row, 0)?).unwrap_or(most))
}
