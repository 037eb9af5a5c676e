//! What readers and the lane share: the map, and which store is in it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result, StoreId};

use crate::{
    error::{closed, corrupt},
    head::Head,
    map::{Map, View},
    setup::Setup,
};

#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) map: Arc<dyn Map>,
    pub(crate) store: StoreId,
    /// How long a commit is tried again whose answer was lost, or that others were faster than.
    pub(crate) patience: Duration,
    closed: AtomicBool,
    /// With the tick of its last change.
    setup: Mutex<Option<(u64, Arc<Setup>)>>,
}

impl Keeper {
    pub(crate) fn new(map: Arc<dyn Map>, store: StoreId, patience: Duration) -> Self {
        Self { map, store, patience, closed: AtomicBool::new(false), setup: Mutex::new(None) }
    }

    /// A view to read from.
    pub(crate) async fn view(&self) -> Result<Box<dyn View>> {
        if self.is_closed() {
            return Err(closed());
        }
        self.map.view().await
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The head of our store, read from what stands there.
    pub(crate) fn head(&self, record: Option<&Bytes>) -> Result<Head> {
        let head = Head::read(record.ok_or_else(|| corrupt("its head is gone"))?)?;
        if head.store != self.store {
            return Err(corrupt("another store stands in its place"));
        }
        Ok(head)
    }

    /// The setup that `head` tells of, read from its view if it is not known yet.
    pub(crate) async fn setup(&self, view: &dyn View, head: &Head) -> Result<Arc<Setup>> {
        if let Some((_, setup)) = self.known().as_ref().filter(|(tick, _)| *tick == head.setup) {
            return Ok(setup.clone());
        }
        let setup = Arc::new(Setup::read(view).await?);
        let mut known = self.known();
        // A view that was opened long ago tells of what was before.
        if known.as_ref().is_none_or(|(tick, _)| *tick < head.setup) {
            *known = Some((head.setup, setup.clone()));
        }
        Ok(setup)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<(u64, Arc<Setup>)>> {
        // It is whole between any two statements, so a panic elsewhere has not broken it.
        self.setup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told to whoever asked a lane that has ended at work.
    pub(crate) fn failed() -> Error {
        Error::new(ErrorKind::Internal, "the thread that writes failed")
    }
}
