//! Home: an open directory with everybody who works on it, shared by the handles of this process.

use std::{
    any::Any,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use larder_core::{Durability, Result};

use crate::{
    core::Core,
    disk::{Disk, read_all},
    error::explain,
    journal::Journal,
    keeper::{Bell, Keeper},
    presence::Presence,
    writer::{Job, Writer},
};

/// Where the boot stands in which commits were acknowledged that were not synced. A clean end removes it.
const RELAXED: &str = "relaxed";

/// What stands there where the system does not tell its boots apart: every reopen then counts as one.
const UNKNOWN: &str = "unknown";

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
    /// Whether [`RELAXED`] is there.
    is_marked: bool,
    may_have_lost: bool,
    /// What keeps others out; the first goes before the second.
    kept: Option<(Box<dyn Any + Send + Sync>, Option<Presence>)>,
}

impl Home {
    /// Moves in, with one handle.
    pub(crate) fn new(
        core: Arc<Core>,
        journal: Journal,
        lock: Box<dyn Any + Send + Sync>,
        durability: Durability,
        presence: Option<Presence>,
    ) -> Result<Arc<Self>> {
        let mark = read_mark(&*core.disk)?;
        // What was lost must be heard of after the next crash, too, so an older mark stays until that was noted.
        let is_marked = mark.is_some() || durability != Durability::Full;
        if mark.is_none() && is_marked {
            make_mark(&*core.disk)?;
        }
        let bell = Arc::new(Bell::default());
        let writer = Writer::start(core.clone(), journal, bell.clone())?;
        let gather = core.tuning.gather_ms.map(Duration::from_millis);
        let may_have_lost = mark.as_ref().is_some_and(|mark| *mark != boot(&*core.disk) || mark == UNKNOWN);
        let keeper = Arc::new(Keeper { core, writer, busy: Mutex::default() });
        let thread = gather.map(|gather| keeper.start(bell.clone(), gather)).transpose()?;
        let kept = Some((lock, presence));
        let tenancy = Mutex::new(Tenancy { handles: 1, thread, is_marked, may_have_lost, kept });
        Ok(Arc::new(Self { keeper, bell, tenancy }))
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.keeper.core
    }

    /// One handle more, unless all have left already.
    pub(crate) fn enter(&self, durability: Durability) -> Result<bool> {
        let mut tenancy = self.tenancy();
        if tenancy.kept.is_none() {
            return Ok(false);
        }
        if durability != Durability::Full && !tenancy.is_marked {
            make_mark(&*self.core().disk)?;
            tenancy.is_marked = true;
        }
        tenancy.handles += 1;
        Ok(true)
    }

    /// Whether a power cut may have taken what was acknowledged as relaxed.
    pub(crate) fn may_have_lost(&self) -> bool {
        self.tenancy().may_have_lost
    }

    /// That something may have been lost has been noted where it is safe.
    pub(crate) fn loss_is_noted(&self) -> Result<()> {
        let mut tenancy = self.tenancy();
        if tenancy.may_have_lost {
            make_mark(&*self.core().disk)?;
            tenancy.may_have_lost = false;
        }
        Ok(())
    }

    /// One handle fewer; the last one waits until the directory is safe and free.
    pub(crate) fn leave(&self) -> Result<()> {
        let mut tenancy = self.tenancy();
        tenancy.handles -= 1;
        if tenancy.handles > 0 {
            return Ok(());
        }
        let Some(kept) = tenancy.kept.take() else { return Ok(()) };
        let (thread, is_marked, may_have_lost) = (tenancy.thread.take(), tenancy.is_marked, tenancy.may_have_lost);
        drop(tenancy);
        self.bell.end();
        // One that panicked has told so already.
        let _ = thread.map(JoinHandle::join);
        // What cannot be shown now is shown by whoever opens the directory next: the journal has it.
        let _ = self.keeper.tidy(self.core().is_journal_long());
        let closed = self.keeper.writer.wait(Job::Close).and_then(|()| {
            if !is_marked || may_have_lost {
                return Ok(());
            }
            let disk = &self.core().disk;
            let removed = disk.remove(RELAXED).and_then(|()| disk.sync_directory(""));
            removed.map_err(|error| explain("noting that every commit is safe", error))
        });
        let (lock, presence) = kept;
        drop(lock);
        drop(presence);
        closed
    }

    /// As [`Home::leave`], but nobody waits.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let home = self.clone();
        let left = thread::Builder::new().name("larder-file-end".into()).spawn(move || drop(home.leave()));
        // Without a thread to be had the end comes here and now.
        if left.is_err() {
            let _ = self.leave();
        }
    }

    fn tenancy(&self) -> MutexGuard<'_, Tenancy> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.tenancy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn boot(disk: &dyn Disk) -> String {
    disk.boot().unwrap_or_else(|| UNKNOWN.to_owned())
}

fn make_mark(disk: &dyn Disk) -> Result<()> {
    let marked = || {
        let file = disk.create(RELAXED)?;
        file.write(0, boot(disk).as_bytes())?;
        file.sync()?;
        disk.sync_directory("")
    };
    marked().map_err(|error| explain("noting that commits are relaxed", error))
}

fn read_mark(disk: &dyn Disk) -> Result<Option<String>> {
    match disk.open(RELAXED).and_then(|file| read_all(&*file)) {
        Ok(boot) => Ok(Some(String::from_utf8_lossy(&boot).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(explain("reading how commits were made safe", error)),
    }
}
