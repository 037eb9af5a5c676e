//! Indexes at the seam of a liar: what is honest about them, and where a lie may come in.

use futures_lite::future::block_on;
use larder_core::{
    BoxFuture, Index, Namespace, Result, Snapshot, Timestamp,
    engine::{IndexWalk, Indexes, Walked},
    index::{IndexId, IndexStatus, Span},
};

use super::{Deed, Honest, Liar, now};

impl Honest {
    pub(super) fn create_index(&self, namespace: Namespace, index: Index) -> Result<IndexStatus> {
        self.note(Deed::CreateIndex(namespace.clone(), index.clone()));
        block_on(Indexes::create(&self.engine(), namespace, index))
    }

    pub(super) fn drop_index(&self, id: IndexId) -> Result<bool> {
        self.note(Deed::DropIndex(id));
        block_on(Indexes::drop(&self.engine(), id))
    }

    pub(super) fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> Result<Option<IndexStatus>> {
        self.note(Deed::Advance(id, limit, now));
        block_on(self.engine().advance(id, limit, now))
    }

    pub(super) fn list_indexes(&self, namespace: Option<Namespace>) -> Result<Vec<IndexStatus>> {
        block_on(Indexes::list(&self.engine(), namespace))
    }

    pub(super) fn walk(&self, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
        block_on(self.engine().walk(walk))
    }

    pub(super) fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> Result<usize> {
        block_on(self.engine().estimate(id, spans, most))
    }
}

impl Indexes for Liar {
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>> {
        now(self.open().and_then(|honest| self.lie.list_indexes(honest, namespace)))
    }

    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>> {
        now(self.open().and_then(|honest| self.lie.create_index(honest, namespace, index)))
    }

    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>> {
        now(self.open().and_then(|honest| self.lie.drop_index(honest, id)))
    }

    fn advance(&self, id: IndexId, limit: usize, at: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>> {
        now(self.open().and_then(|honest| self.lie.advance(honest, id, limit, at)))
    }

    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>> {
        now(self.open().and_then(|honest| self.lie.walk(honest, walk)))
    }

    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>> {
        now(self.open().and_then(|honest| honest.estimate(id, spans, most)))
    }
}
