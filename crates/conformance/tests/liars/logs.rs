//! Lies about the log.

use std::{sync::Arc, time::Duration};

use larder_core::{ChangeKind, Changes, ChangesQuery, ErrorKind, LogOrder, Range, Result, Revision};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(LosesAChange(ChangeKind::Deleted)),
        || Arc::new(LosesAChange(ChangeKind::Expired)),
        || Arc::new(ForgetsWhatWas),
        || Arc::new(TellsThePresent),
        || Arc::new(TearsCommits),
        || Arc::new(SortsByKey),
        || Arc::new(TellsWhatIsLeft),
        || Arc::new(KnowsOnePastOnly),
        || Arc::new(KnowsNoHead),
        || Arc::new(MindsNoRange),
        || Arc::new(BeginsAtTheHead),
        || Arc::new(TurnsNoCommit),
        || Arc::new(TakesAnyNumberOfRanges),
        || Arc::new(LogsItsOwnClock),
        || Arc::new(TellsTheLastOneAgain),
        || Arc::new(LooksFurtherThanItTells),
        || Arc::new(SkipsWhatItFindsNothingIn),
        || Arc::new(LosesWhatHappenedInTheSameMoment),
    ]
}

/// Loses the changes of one kind.
#[derive(Debug)]
struct LosesAChange(ChangeKind);
impl Lie for LosesAChange {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let mut part = honest.changes(query)?;
        part.changes.retain(|change| change.kind != self.0);
        Ok(part)
    }
}

/// Keeps no before-images.
#[derive(Debug)]
struct ForgetsWhatWas;
impl Lie for ForgetsWhatWas {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let mut part = honest.changes(query)?;
        part.changes.iter_mut().for_each(|change| change.before = None);
        Ok(part)
    }
}

/// Takes what is there now for what was there after the change.
#[derive(Debug)]
struct TellsThePresent;
impl Lie for TellsThePresent {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let mut part = honest.changes(query)?;
        for change in part.changes.iter_mut().filter(|change| change.after.is_some()) {
            change.after = honest.stored(&change.address);
        }
        Ok(part)
    }
}

/// Cuts at the limit, wherever that is.
#[derive(Debug)]
struct TearsCommits;
impl Lie for TearsCommits {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let limit = query.limit;
        let mut part = honest.changes(query)?;
        part.changes.truncate(limit);
        Ok(part)
    }
}

/// Tells the changes of a commit in the order of keys.
#[derive(Debug)]
struct SortsByKey;
impl Lie for SortsByKey {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let mut part = honest.changes(query)?;
        part.changes.sort_by_key(|change| (change.revision, change.address.clone()));
        Ok(part)
    }
}

/// Tells who comes too late what is left, as if it were everything.
#[derive(Debug)]
struct TellsWhatIsLeft;
impl Lie for TellsWhatIsLeft {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let oldest = honest.status().oldest;
        honest.changes(ChangesQuery { after: query.after.max(oldest), ..query })
    }
}

/// Does not ask in which lineage a revision was learned.
#[derive(Debug)]
struct KnowsOnePastOnly;
impl Lie for KnowsOnePastOnly {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        honest.changes(ChangesQuery { lineage: honest.status().lineage, ..query })
    }
}

/// Waits for what comes after a revision that it has not reached itself.
#[derive(Debug)]
struct KnowsNoHead;
impl Lie for KnowsNoHead {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let head = honest.status().revision;
        honest.changes(ChangesQuery { after: query.after.min(head), ..query })
    }
}

/// Reads the log from its end, wherever it was to begin.
#[derive(Debug)]
struct BeginsAtTheHead;
impl Lie for BeginsAtTheHead {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let order = match query.order {
            LogOrder::OldestFirst => LogOrder::OldestFirst,
            LogOrder::NewestFirst { .. } => LogOrder::NewestFirst { before: None },
        };
        honest.changes(ChangesQuery { order, ..query })
    }
}

/// Reads commits from the last to the first, and each of them from its first change to its last.
#[derive(Debug)]
struct TurnsNoCommit;
impl Lie for TurnsNoCommit {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let newest_first = query.order != LogOrder::OldestFirst;
        let mut found = honest.changes(query)?;
        if newest_first {
            found.changes.chunk_by_mut(|one, next| one.revision == next.revision).for_each(<[_]>::reverse);
        }
        Ok(found)
    }
}

/// Tells everything, whatever was asked for.
#[derive(Debug)]
struct MindsNoRange;
impl Lie for MindsNoRange {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        honest.changes(ChangesQuery { ranges: vec![Range::all()], ..query })
    }
}

/// Answers what other engines could not.
#[derive(Debug)]
struct TakesAnyNumberOfRanges;
impl Lie for TakesAnyNumberOfRanges {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        if query.ranges.len() <= ChangesQuery::RANGES_MAX {
            return honest.changes(query);
        }
        let mut part = honest.changes(ChangesQuery { ranges: vec![], ..query.clone() })?;
        part.changes.retain(|change| query.ranges.iter().any(|range| range.contains(&change.address)));
        Ok(part)
    }
}

/// Goes on from a revision, where it should go on after it.
#[derive(Debug)]
struct TellsTheLastOneAgain;
impl Lie for TellsTheLastOneAgain {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let before = Revision::new(query.after.get().saturating_sub(1));
        match honest.changes(ChangesQuery { after: before, ..query.clone() }) {
            Err(error) if error.kind() == ErrorKind::Trimmed => honest.changes(query),
            answer => answer,
        }
    }
}

/// Writes into the log when the engine got to it.
#[derive(Debug)]
struct LogsItsOwnClock;
impl Lie for LogsItsOwnClock {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let mut part = honest.changes(query)?;
        part.changes.iter_mut().for_each(|change| change.at = change.at.after(Duration::from_millis(1)));
        Ok(part)
    }
}

/// Stops at the limit, and says that it has looked at everything.
#[derive(Debug)]
struct LooksFurtherThanItTells;
impl Lie for LooksFurtherThanItTells {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let forwards = query.order == LogOrder::OldestFirst;
        let mut part = honest.changes(query)?;
        if forwards {
            part.through = part.head;
        }
        Ok(part)
    }
}

/// Says of a range in which nothing has changed that it was looked at up to a revision that has yet to come.
#[derive(Debug)]
struct SkipsWhatItFindsNothingIn;
impl Lie for SkipsWhatItFindsNothingIn {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let (ranges, head) = (query.ranges.len(), honest.status().revision);
        // Whoever goes on from there is not told that it is nowhere.
        let mut part = honest.changes(ChangesQuery { after: query.after.min(head), ..query })?;
        if ranges > 0 && part.changes.is_empty() {
            (part.through, part.head) = (part.head.next(), part.head.next());
        }
        Ok(part)
    }
}

/// Tells commits apart by their time.
#[derive(Debug)]
struct LosesWhatHappenedInTheSameMoment;
impl Lie for LosesWhatHappenedInTheSameMoment {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        let mut part = honest.changes(query)?;
        part.changes.dedup_by(|later, earlier| later.at == earlier.at && later.revision != earlier.revision);
        Ok(part)
    }
}
