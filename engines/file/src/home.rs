//! Home: an open directory with everybody who works on it, shared by the handles of this process.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use larder_core::Result;

use crate::{
    core::Core,
    journal::Journal,
    keeper::{Bell, Keeper},
    presence::Presence,
    writer::{Job, Writer},
};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Home {
    keeper: Arc<Keeper>,
    bell: Arc<Bell>,
    tenancy: Mutex<Tenancy>,
}

#[derive(Debug)]
struct Tenancy {
    handles: usize,
    thread: Option<JoinHandle<()>>,
    /// What keeps others out; the first goes before the second.
    kept: Option<(Box<dyn Any + Send + Sync>, Option<Presence>)>,
}

impl Home {
    /// Moves in, with one handle.
    pub(crate) fn new(
        core: Arc<Core>,
        journal: Journal,
        is_told: bool,
        lock: Box<dyn Any + Send + Sync>,
        presence: Option<Presence>,
    ) -> Result<Arc<Self>> {
        let bell = Arc::new(Bell::default());
        let writer = Writer::start(core.clone(), journal, is_told, bell.clone())?;
        let gather = core.tuning.gather_ms.map(Duration::from_millis);
        let keeper = Arc::new(Keeper { core, writer, busy: Mutex::default() });
        let thread = gather.map(|gather| keeper.start(bell.clone(), gather)).transpose()?;
        let kept = Some((lock, presence));
        let tenancy = Mutex::new(Tenancy { handles: 1, thread, kept });
        Ok(Arc::new(Self { keeper, bell, tenancy }))
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.keeper.core
    }

    /// One handle more; not when all have left already.
    pub(crate) fn enter(&self) -> bool {
        let mut tenancy = self.tenancy();
        let is_open = tenancy.handles > 0;
        tenancy.handles += usize::from(is_open);
        is_open
    }

    /// One handle fewer; the last one waits until the directory is safe and free.
    pub(crate) fn leave(&self) -> Result<()> {
        if self.go() { self.end() } else { Ok(()) }
    }

    /// One handle fewer; whether it was the last one.
    fn go(&self) -> bool {
        let mut tenancy = self.tenancy();
        tenancy.handles -= 1;
        tenancy.handles == 0
    }

    fn end(&self) -> Result<()> {
        let (kept, thread) = {
            let mut tenancy = self.tenancy();
            (tenancy.kept.take(), tenancy.thread.take())
        };
        let Some((lock, presence)) = kept else { return Ok(()) };
        self.bell.end();
        // One that panicked has told so already.
        let _ = thread.map(JoinHandle::join);
        // What cannot be shown now is shown by whoever opens the directory next: the journal has it.
        let _ = self.keeper.tidy(self.core().is_journal_long());
        let closed = self.keeper.writer.wait(Job::Close);
        drop(lock);
        drop(presence);
        closed
    }

    /// As [`Home::leave`], but nobody waits.
    pub(crate) fn abandon(self: &Arc<Self>) {
        // Whoever leaves next is not to take this one for somebody who stays.
        if !self.go() {
            return;
        }
        let home = self.clone();
        let left = thread::Builder::new().name("larder-file-end".into()).spawn(move || drop(home.end()));
        // Without a thread to be had the end comes here and now.
        if left.is_err() {
            let _ = self.end();
        }
    }

    fn tenancy(&self) -> MutexGuard<'_, Tenancy> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.tenancy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
