//! A page of the log on its way to a watcher.
//!
//! It is begun before anybody waits for it, so that the engine reads while the watcher's owner works, and it is kept when
//! whoever waited goes away: what was read is not read again.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use crate::{
    change::{Changes, ChangesQuery},
    engine::Engine,
    error::Result,
    send::BoxFuture,
};

/// Behind a lock that nobody ever waits for: it makes a future, which is nobody else's to poll, one that may be looked at
/// from several threads.
pub(super) struct Reading(Mutex<Page>);

enum Page {
    Underway(BoxFuture<'static, Result<Changes>>),
    Read(Result<Changes>),
}

impl Reading {
    pub(super) fn new(engine: Arc<dyn Engine>, query: ChangesQuery) -> Self {
        Self(Mutex::new(Page::Underway(Box::pin(async move { engine.changes(query).await }))))
    }

    /// Sets the engine to work without waiting for it.
    pub(super) async fn begin(&mut self) {
        poll_fn(|context| Poll::Ready(self.poll(context).is_ready())).await;
    }

    /// Waits until the page is read. Given up half-way, it goes on where it was.
    pub(super) async fn end(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    /// The page, which somebody has waited for; else nothing.
    pub(super) fn page(self) -> Option<Result<Changes>> {
        match self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Page::Underway(_) => None,
            Page::Read(page) => Some(page),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let page = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Page::Underway(reading) = page {
            match reading.as_mut().poll(context) {
                Poll::Ready(read) => *page = Page::Read(read),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading")
    }
}
