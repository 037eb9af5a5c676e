//! The keeper: writes the files of entries when changes have gathered, and the state when the journal is long.
//!
//! Nobody waits for it. What it cannot do it tries again after the next write.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use larder_core::Result;

use crate::{
    core::{Core, Look},
    error::explain,
    held::{Held, Place},
    journal,
    pairs::Dirty,
    shown, state,
    writer::{Job, Rolled, Writer},
};

/// How many pairs are written to the state before somebody else gets a turn.
const AT_ONCE: usize = 512;

/// Wakes the keeper.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    wishes: Mutex<Wishes>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct Wishes {
    /// There are files to be written.
    dirty: bool,
    /// The journal is long.
    long: bool,
    end: bool,
}

impl Bell {
    pub(crate) fn ring(&self, dirty: bool, long: bool) {
        if dirty || long {
            let mut wishes = self.lock();
            wishes.dirty |= dirty;
            wishes.long |= long;
            drop(wishes);
            self.rung.notify_all();
        }
    }

    pub(crate) fn end(&self) {
        self.lock().end = true;
        self.rung.notify_all();
    }

    fn is_ended(&self) -> bool {
        self.lock().end
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        // Three flags that are true by themselves, so a panic elsewhere has not broken them.
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do; whether the state is to be written. `None` is the end.
    fn next(&self, gather: Duration) -> Option<bool> {
        let idle = |wishes: &mut Wishes| !(wishes.dirty || wishes.long || wishes.end);
        let mut wishes = self.rung.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        if !wishes.long && !wishes.end {
            // More is written at once when more has gathered.
            let idle = |wishes: &mut Wishes| !(wishes.long || wishes.end);
            wishes = self.rung.wait_timeout_while(wishes, gather, idle).unwrap_or_else(PoisonError::into_inner).0;
        }
        if wishes.end {
            return None;
        }
        let long = wishes.long;
        (wishes.dirty, wishes.long) = (false, false);
        Some(long)
    }
}

/// What the keeper works with.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) core: Arc<Core>,
    pub(crate) writer: Writer,
    /// One at a time: files are written by nobody else.
    pub(crate) busy: Mutex<()>,
}

impl Keeper {
    /// Starts the thread, which ends when `bell` says so.
    pub(crate) fn start(self: &Arc<Self>, bell: Arc<Bell>, gather: Duration) -> Result<JoinHandle<()>> {
        let keeper = self.clone();
        let started = thread::Builder::new().name("larder-file-keeper".into()).spawn(move || keeper.work(&bell, gather));
        started.map_err(|error| explain("starting the thread that writes the files of entries", error))
    }

    fn work(&self, bell: &Bell, gather: Duration) {
        // Whatever was edited while nobody had the store open.
        self.inspect(|| bell.is_ended());
        bell.ring(!self.core.pairs().dirty.is_empty(), self.core.is_journal_long());
        while let Some(long) = bell.next(gather) {
            // What fails is tried again when something is written, and at the end.
            let _ = self.tidy(long);
        }
    }

    /// Notes which files are not what they have to be, unless `ends` ends that.
    pub(crate) fn inspect(&self, ends: impl Fn() -> bool) {
        let look = Look::now(&self.core);
        let mut after = None;
        while !ends() {
            let _busy = self.busy();
            after = shown::inspect(&look, after.as_ref());
            if after.is_none() {
                break;
            }
        }
    }

    fn busy(&self) -> MutexGuard<'_, ()> {
        // It holds nothing that a panic could have broken.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the files of entries what they have to be, and safe; and writes the state anew, where `anew` says so.
    pub(crate) fn tidy(&self, anew: bool) -> Result<()> {
        let _busy = self.busy();
        if anew {
            let Rolled { number, look, mut dirty, journal_bytes } = self.writer.wait(Job::Roll)?;
            self.show(&look, &mut dirty)?;
            return self.write_state(number, &look, journal_bytes);
        }
        let (look, mut dirty) = {
            let mut pairs = self.core.pairs_mut();
            if pairs.dirty.is_empty() {
                return Ok(());
            }
            (Look::at(&self.core, &mut pairs), std::mem::take(&mut pairs.dirty))
        };
        // What a power cut could still take must not be seen in a file.
        let safe = self.writer.wait(Job::Sync).and_then(|()| self.show(&look, &mut dirty));
        if safe.is_err() {
            self.take_back(dirty);
        }
        safe
    }

    fn show(&self, look: &Look, dirty: &mut Dirty) -> Result<()> {
        let shown = shown::show(look, dirty).and_then(|()| self.writer.wait(|answer| Job::Settle(look.moment, answer)));
        if shown.is_err() {
            self.take_back(std::mem::take(dirty));
        }
        shown
    }

    /// Notes once more what could not be done.
    fn take_back(&self, dirty: Dirty) {
        let mut pairs = self.core.pairs_mut();
        for (key, stale) in dirty {
            let noted = pairs.dirty.entry(key).or_default();
            noted.changed = noted.changed.max(stale.changed);
            noted.known.extend(stale.known);
        }
    }

    fn write_state(&self, number: u64, look: &Look, journal_bytes: u64) -> Result<()> {
        let stays = self.stays(look);
        let disk = &self.core.disk;
        let written = state::Writer::create(disk.clone(), number, look.moment).and_then(|mut writer| {
            self.each(look, |key, held| writer.pair(key, held, |file| stays.contains(&file)))?;
            writer.finish()
        });
        let newest = written.inspect_err(|_| {
            // Whatever it takes is wanted by somebody else on a full disk.
            let _ = disk.remove(&state::unfinished(number));
        })?;
        let mut files = std::mem::take(&mut *self.core.stored());
        files.retain(|number, _| stays.contains(number));
        files.insert(number, newest);
        *self.core.stored() = files;
        self.core.journal_shrank(journal_bytes);
        self.remove_old(number)
    }

    /// The files of the state of which half is still asked for.
    fn stays(&self, look: &Look) -> Vec<u64> {
        let mut asked = BTreeMap::<u64, u64>::new();
        let counted = self.each(look, |_, held| {
            if let Held::Long(long) = held
                && let Place::Stored(stored, _) = long.place()
            {
                *asked.entry(stored.number).or_default() += long.length;
            }
            Ok(())
        });
        let stored = self.core.stored();
        let half = |number: &u64| stored.get(number).is_some_and(|stored| asked.get(number) >= Some(&(stored.length / 2)));
        // Counting does not fail; where it did, nothing would stay, and all be written anew.
        counted.map_or_else(|_| Vec::new(), |()| stored.keys().copied().filter(half).collect())
    }

    fn each(&self, look: &Look, mut each: impl FnMut(&Bytes, &Held) -> Result<()>) -> Result<()> {
        let mut after = None;
        loop {
            let pairs = self.core.pairs().following(after.as_ref(), AT_ONCE, look.moment);
            let Some((last, _)) = pairs.last() else { return Ok(()) };
            after = Some(last.clone());
            pairs.iter().try_for_each(|(key, held)| each(key, held))?;
        }
    }

    /// Removes what the state `number` makes superfluous. What stays by accident is removed another time.
    pub(crate) fn remove_old(&self, number: u64) -> Result<()> {
        remove_old(&self.core, number)
    }
}

pub(crate) fn remove_old(core: &Core, number: u64) -> Result<()> {
    let failed = |error| explain("removing old files", error);
    let files = core.disk.list("").map_err(failed)?;
    let numbered = |prefix: &str, name: &str| name.strip_prefix(prefix).and_then(|number| number.parse::<u64>().ok());
    for name in files {
        let old = numbered("journal-", &name).is_some_and(|found| found < number && name == journal::name(found))
            || numbered("state-", &name)
                .is_some_and(|found| found < number && name == state::name(found) && !core.stored().contains_key(&found));
        if old {
            core.disk.remove(&name).map_err(failed)?;
        }
    }
    Ok(())
}
