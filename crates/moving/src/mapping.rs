//! Which revision of the source a revision of the target was, and where somebody who watched the source goes on in the target.
//!
//! Nothing is kept for this: every commit of a copy carries the progress with it, so the log of the target tells.

use larder_core::{Error, ErrorKind, Position, Range, Result, Revision, Store};

use crate::progress::{Progress, Step, address};

/// How far the source had arrived in `target` when that was at `revision`; `None` when it was no copy then.
///
/// # Errors
/// `Trimmed` when the log of the target does not reach back that far; else what the engine meets.
pub async fn source_at(target: &Store, revision: Revision) -> Result<Option<Position>> {
    Ok(at(target, revision).await?.map(|progress| progress.position()))
}

/// The place in the log of `target` that is the same as `position` in the log of its source: who has seen everything up to there
/// goes on here, and nothing is lost or told twice.
///
/// # Errors
/// `Invalid` when `target` is no copy of that past, `Trimmed` for what came before the copy or is trimmed in the target,
/// `Unavailable` when the copy has not come that far yet.
pub async fn place_of(target: &Store, position: Position) -> Result<Position> {
    let status = target.engine().status(target.world().now()).await?;
    let arrived = |found: &Option<Progress>| {
        found
            .as_ref()
            .is_some_and(|progress| progress.step > Step::Entries && progress.position().revision >= position.revision)
    };
    let (mut low, mut high) = (status.oldest, status.revision);
    match at(target, high).await? {
        Some(last) if last.position().lineage != position.lineage => {
            return Err(Error::invalid("the position belongs to another past than the one that was copied"));
        }
        None => return Err(Error::invalid("the store is no copy, so a position of another one says nothing in it")),
        Some(last) if position.revision < last.base().revision => return Err(Error::trimmed(last.base().revision)),
        last if !arrived(&last) => {
            let message = format!("the copy has not come to revision {} of its source yet", position.revision);
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Some(_) => {}
    }
    // The first revision at which everything up to the position was there.
    while low < high {
        let middle = Revision::new(low.get() + (high.get() - low.get()) / 2);
        if arrived(&at(target, middle).await?) { high = middle } else { low = middle.next() }
    }
    // What was forgotten may have been behind the place, too.
    if high == status.oldest && high > Revision::ZERO {
        return Err(Error::trimmed(status.oldest));
    }
    let there = |revision| Position { lineage: status.lineage, revision };
    match at(target, high).await? {
        // It came with a commit that was made later: what is before that one is what was asked for.
        Some(found) if found.position().revision > position.revision => Ok(there(Revision::new(high.get() - 1))),
        _ => Ok(there(high)),
    }
}

/// The progress as it was at `revision`.
async fn at(target: &Store, revision: Revision) -> Result<Option<Progress>> {
    let lineage = target.engine().status(target.world().now()).await?.lineage;
    let mut stored = target.stored(Position { lineage, revision }, Range::key(&address()));
    let found = stored.next().await?.unwrap_or_default();
    found.first().map(Progress::of).transpose()
}
