//! What readers and the lane share: the map, and which store is in it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result, StoreId};

use crate::{
    error::corrupt,
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
    /// How many handles are open; what has come to none stays there.
    handles: AtomicUsize,
    /// With the tick of its last change.
    setup: Mutex<Option<(u64, Arc<Setup>)>>,
}

impl Keeper {
    pub(crate) fn new(map: Arc<dyn Map>, store: StoreId, patience: Duration) -> Self {
        Self { map, store, patience, handles: AtomicUsize::new(1), setup: Mutex::new(None) }
    }

    /// A view to read from.
    pub(crate) async fn view(&self) -> Result<Box<dyn View>> {
        self.map.view().await
    }

    /// Counts one more handle, if there is one yet.
    pub(crate) fn enter(&self) -> bool {
        let more = |handles| (handles > 0).then_some(handles + 1);
        self.handles.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// Counts one handle less, and tells whether it was the last one.
    pub(crate) fn leave(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::AcqRel) == 1
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
