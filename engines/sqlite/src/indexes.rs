//! Indexes: rows of (index, term, key) beside the entries, in the same transactions.
//!
//! What is counted of a store and its namespaces does not count these rows; its size does.

use larder_core::{
    BoxFuture, Index, Namespace, Result, Snapshot, Timestamp,
    engine::{IndexWalk, Indexes, Walked},
    index::{IndexId, IndexStatus, Span},
};
use rusqlite::Connection;

use crate::{
    engine::{SMALL, SqliteEngine, failed},
    error::explain,
    kept::{self, number},
    walk,
    writer::Job,
};

/// So many rows are counted where the caller is: it takes less than a page does.
const COUNT_SMALL: usize = 4096;

impl Indexes for SqliteEngine {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        self.readers.read(true, move |connection| kept::list(connection, namespace.as_ref()))
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
        self.readers.read(walk.limit <= SMALL, move |connection| walk::walk(connection, &walk))
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        self.readers.read(most <= COUNT_SMALL, move |connection| estimate(connection, id, &spans, most))
    }
}

fn estimate(connection: &Connection, id: IndexId, spans: &[Span], most: usize) -> Result<usize> {
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM terms WHERE index_id = ?1 AND term >= ?2 AND term < ?3 \
        AND EXISTS (SELECT 1 FROM indexes WHERE id = ?1 AND state <> 'dropped') LIMIT ?4)";
    let mut statement = connection.prepare_cached(COUNT).map_err(explain)?;
    let mut rows = 0;
    for span in spans {
        let left = i64::try_from(most - rows).unwrap_or(i64::MAX);
        let counted = statement.query_row((number(id), &*span.from, &*span.to, left), |row| row.get::<_, i64>(0));
        rows += usize::try_from(counted.map_err(explain)?).unwrap_or(most);
        if rows >= most {
            break;
        }
    }
    Ok(rows)
}
