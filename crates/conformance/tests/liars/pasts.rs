//! Lies about what was.

use std::sync::Arc;

use larder_core::{ChangesQuery, Entry, ErrorKind, Lineage, Range, Result, Revision, Snapshot, Undo, Undone, engine::Page};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(UndoesTheLastChange),
        || Arc::new(ForgetsWhatIsGone),
        || Arc::new(ForgetsWhatIsNew),
        || Arc::new(HidesWhatHadExpired),
        || Arc::new(UndoesFromTheStart),
        || Arc::new(UndoesOnePage),
        || Arc::new(UndoesTheNeighbours),
        || Arc::new(UndoesWhatIsLeft),
        || Arc::new(UndoesAnyPast),
        || Arc::new(UndoesOneTooMany),
    ]
}

/// What lies do to a page.
fn changed(answer: Result<Snapshot<Page<Undone>>>, change: impl FnOnce(&mut Vec<Undone>)) -> Result<Snapshot<Page<Undone>>> {
    let mut page = answer?;
    change(&mut page.value.items);
    page.value.more &= !page.value.items.is_empty();
    Ok(page)
}

/// Answers what a key was just before it became what it is.
#[derive(Debug)]
struct UndoesTheLastChange;
impl Lie for UndoesTheLastChange {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        let (lineage, after) = (undo.lineage, undo.after);
        changed(honest.undo(undo), |items| {
            for item in items {
                let own = ChangesQuery { ranges: vec![Range::key(&item.address)], ..ChangesQuery::after(lineage, after) };
                if let Some(last) = honest.changes(own).ok().and_then(|mut part| part.changes.pop()) {
                    item.entry = last.before;
                }
            }
        })
    }
}

/// Looks for what has changed among what is there.
#[derive(Debug)]
struct ForgetsWhatIsGone;
impl Lie for ForgetsWhatIsGone {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        changed(honest.undo(undo), |items| items.retain(|item| honest.stored(&item.address).is_some()))
    }
}

/// Tells of what was, and not of what was not.
#[derive(Debug)]
struct ForgetsWhatIsNew;
impl Lie for ForgetsWhatIsNew {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        changed(honest.undo(undo), |items| items.retain(|item| item.entry.is_some()))
    }
}

/// Takes for absent what had a time to expire.
#[derive(Debug)]
struct HidesWhatHadExpired;
impl Lie for HidesWhatHadExpired {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        let mortal = |entry: &Entry| entry.expires_at.is_none();
        changed(honest.undo(undo), |items| items.iter_mut().for_each(|item| item.entry = item.entry.take().filter(mortal)))
    }
}

/// Knows one direction.
#[derive(Debug)]
struct UndoesFromTheStart;
impl Lie for UndoesFromTheStart {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        honest.undo(Undo { reverse: false, ..undo })
    }
}

/// Takes a full page for the last.
#[derive(Debug)]
struct UndoesOnePage;
impl Lie for UndoesOnePage {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        let mut page = honest.undo(undo)?;
        page.value.more = false;
        Ok(page)
    }
}

/// Minds no range.
#[derive(Debug)]
struct UndoesTheNeighbours;
impl Lie for UndoesTheNeighbours {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        honest.undo(Undo { range: Range::all(), ..undo })
    }
}

/// Undoes as far as the log reaches, and says nothing of the rest.
#[derive(Debug)]
struct UndoesWhatIsLeft;
impl Lie for UndoesWhatIsLeft {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        match honest.undo(undo.clone()) {
            Err(error) if error.kind() == ErrorKind::Trimmed && error.oldest().is_some_and(|oldest| undo.after < oldest) => {
                honest.undo(Undo { after: error.oldest().unwrap_or(undo.after), ..undo })
            }
            answer => answer,
        }
    }
}

/// Does not ask in which lineage a revision was learned.
#[derive(Debug)]
struct UndoesAnyPast;
impl Lie for UndoesAnyPast {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        honest.undo(Undo { lineage: Lineage::ZERO, ..undo })
    }
}

/// Undoes the commit of the revision it should go back to.
#[derive(Debug)]
struct UndoesOneTooMany;
impl Lie for UndoesOneTooMany {
    fn undo(&self, honest: &Honest, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        let before = Revision::new(undo.after.get().saturating_sub(1));
        match honest.undo(Undo { after: before, ..undo.clone() }) {
            Err(error) if error.kind() == ErrorKind::Trimmed => honest.undo(undo),
            answer => answer,
        }
    }
}
