//! Checkpoints: what stands in the write-ahead log goes into the file.
//!
//! Left alone, SQLite does so within the commit that fills the log, and whoever waits for that one waits many times as long as
//! for others. So it is done beside the writer. But while somebody writes, the log is never found empty that way, and would
//! grow for ever: at a larger size the writer does what is left, which is little, and begins the log anew.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI32, Ordering},
};

use larder_core::Result;
use rusqlite::{Connection, hooks::Wal};

use crate::{error::explain, readers::Readers};

/// After so many pages of the log, those before are moved into the file beside the writer.
const BESIDE_PAGES: i32 = 1000;
/// From so many on the writer moves what is left.
const HERE_PAGES: i32 = 4000;

/// How far the log is in the file.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    underway: AtomicBool,
    /// Whose turn it is: of two at once, the second would do nothing.
    turn: Mutex<()>,
    /// So many of its pages were moved last.
    through: AtomicI32,
}

/// Sees to it that what `connection` writes gets into the file.
pub(crate) fn begin(connection: &mut Connection, readers: &Arc<Readers>, progress: &Arc<Progress>) -> Result<()> {
    let (readers, progress) = (readers.clone(), progress.clone());
    let hook = move |wal: &mut Wal, pages: i32| {
        if pages >= HERE_PAGES {
            // What cannot be moved now, because somebody still reads what was before, can be later.
            progress.in_turn(|| wal.checkpoint().ok());
        } else if progress.is_due(pages) {
            let (readers, progress) = (readers.clone(), progress.clone());
            blocking::unblock(move || progress.step(&readers)).detach();
        }
        // The commit has happened, whatever becomes of this.
        Ok(())
    };
    connection.wal_hook(Some(hook)).map_err(explain)
}

impl Progress {
    /// Whether a part of the log, which has so many pages now, is to be moved by whoever is told so.
    fn is_due(&self, pages: i32) -> bool {
        let through = self.through.load(Ordering::Relaxed);
        // A log with fewer pages than were moved is a new one.
        let new = if pages < through { pages } else { pages - through };
        new >= BESIDE_PAGES && !self.underway.swap(true, Ordering::Acquire)
    }

    fn step(&self, readers: &Arc<Readers>) {
        // One that fails is made up for by the next.
        if let Ok(through) = self.in_turn(|| readers.beside(moved)) {
            self.through.store(through, Ordering::Relaxed);
        }
        self.underway.store(false, Ordering::Release);
    }

    /// Does `work`, which may move the log, while nobody else here does so.
    pub(crate) fn in_turn<T>(&self, work: impl FnOnce() -> T) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}

/// Moves what can be moved without making anybody wait; so many pages of the log are then in the file.
fn moved(connection: &Connection) -> Result<i32> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_moves_what_has_come_since() {
        let progress = Progress::default();
        assert!(!progress.is_due(BESIDE_PAGES - 1));
        assert!(progress.is_due(BESIDE_PAGES) && !progress.is_due(BESIDE_PAGES + 1), "somebody is at it");
        progress.through.store(BESIDE_PAGES + 5, Ordering::Relaxed);
        progress.underway.store(false, Ordering::Relaxed);
        assert!(!progress.is_due(2 * BESIDE_PAGES + 4) && progress.is_due(2 * BESIDE_PAGES + 5));
        progress.underway.store(false, Ordering::Relaxed);
        assert!(!progress.is_due(3), "the log has begun anew");
        assert!(progress.is_due(BESIDE_PAGES + 2), "and is as long again");
    }
}
