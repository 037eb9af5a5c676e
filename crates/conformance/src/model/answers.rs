//! Whether an answer is one that the oracle allows.
//!
//! An engine may end a page or a part of the log earlier than it was asked to, if it says so. Everything else is exact.

use std::fmt::Debug;

use larder_core::{
    Address, Changes, ChangesQuery, Commit, Entry, ErrorKind, LogOrder, Outcome, Result, Revision, Snapshot, Timestamp,
    Undo, Undone,
    engine::{EngineStatus, Page, Scan},
};

use super::{
    oracle::{Oracle, Prediction},
    reach::{logged, size},
};

/// What an engine said, and what it should have said.
pub(super) type Verdict<T = ()> = std::result::Result<T, String>;

/// That two things are equal.
pub(super) fn same<T: Debug + PartialEq<U>, U: Debug>(what: &str, found: &T, expected: &U) -> Verdict {
    if found == expected { Ok(()) } else { Err(format!("{what}\n  found    {found:?}\n  expected {expected:?}")) }
}

/// That something holds.
pub(super) fn holds(what: &str, holds: bool, found: &dyn Debug) -> Verdict {
    if holds { Ok(()) } else { Err(format!("{what}\n  found    {found:?}")) }
}

/// The answer, which has to be one.
pub(super) fn good<T>(what: &str, answer: Result<T>) -> Verdict<T> {
    answer.map_err(|error| format!("{what}\n  found    {error:?}"))
}

impl Oracle {
    /// Compares the answer to `commit`, and lets it happen if it does.
    pub(super) fn answered(&mut self, commit: &Commit, found: Result<Outcome>) -> Verdict {
        let found = found.map_err(|error| error.kind());
        match self.predict(commit) {
            Prediction::Refused(kind) => same("a commit has to be refused", &found, &Err::<Outcome, ErrorKind>(kind)),
            Prediction::Conflicts(conflict) => same("a commit has to conflict", &found, &Ok(Outcome::Conflicted(conflict))),
            Prediction::Happened(receipt) => same("a known id answers as before", &found, &Ok(Outcome::Committed(receipt))),
            Prediction::Happens(plan) => {
                let Ok(Outcome::Committed(receipt)) = &found else {
                    return Err(format!("a commit has to happen\n  found    {found:?}"));
                };
                if Self::takes_a_revision(&plan) {
                    holds("a later revision than any before", receipt.revision > self.head, &receipt.revision)?;
                }
                let expected = self.happen(commit, plan, receipt.revision);
                same("the receipt of a commit", receipt, &expected)
            }
        }
    }

    /// Compares what was found at `addresses`.
    pub(super) fn got(&self, addresses: &[Address], now: Timestamp, found: &Snapshot<Vec<Option<Entry>>>) -> Verdict {
        same("the revision of a read", &found.revision, &self.head)?;
        let expected: Vec<Option<Entry>> = addresses.iter().map(|address| self.live(address, now).cloned()).collect();
        same("what was read", &found.value, &expected)
    }

    /// Compares a page; `wanted` is what of an entry it consists of.
    pub(super) fn paged<T: Debug + PartialEq>(
        &self,
        scan: &Scan,
        found: &Snapshot<Page<T>>,
        wanted: impl Fn(&Entry) -> T,
    ) -> Verdict {
        same("the revision of a page", &found.revision, &self.head)?;
        let Page { items, more } = &found.value;
        let entries = self.within(&scan.range, scan.now);
        let whole: Vec<T> = if scan.reverse { entries.rev().map(wanted).collect() } else { entries.map(wanted).collect() };
        holds("a page holds at most what was asked for", items.len() <= scan.limit, items)?;
        same("a page is the beginning of the whole", items, &whole.get(..items.len()).unwrap_or(&whole))?;
        let ended_early = scan.limit > 0 && !whole.is_empty() && items.is_empty();
        holds("a page that was to hold something is empty", !ended_early, items)?;
        holds("when there are no items, there is no more", !(*more && items.is_empty()), more)?;
        holds("there is more behind the page", *more || items.is_empty() || items.len() == whole.len(), more)
    }

    /// Compares a part of the log.
    pub(super) fn told(&self, query: &ChangesQuery, found: Result<Changes>) -> Verdict {
        let oldest = if query.gaps { self.oldest } else { self.reaches(&query.ranges) };
        if let Some(oldest) = self.unreachable(query.lineage, query.after, oldest) {
            let told = found.map_err(|error| (error.kind(), error.oldest()));
            return same("the log does not reach there", &told, &Err::<Changes, _>((ErrorKind::Trimmed, Some(oldest))));
        }
        let Changes { changes, through, head } = good("a part of the log", found)?;
        same("the head, told with the log", &head, &self.head)?;
        let wanted = |address: &Address| query.ranges.is_empty() || query.ranges.iter().any(|range| range.contains(address));
        let whole = self.log.iter().filter(|change| change.revision > query.after && wanted(&change.address));
        let whole: Vec<_> = match query.order {
            LogOrder::OldestFirst => whole.collect(),
            LogOrder::NewestFirst { before } => {
                whole.filter(|change| before.is_none_or(|before| change.revision < before)).rev().collect()
            }
        };
        let count = changes.len();
        same("a part of the log", &changes.iter().collect::<Vec<_>>(), &whole.get(..count).unwrap_or(&whole))?;
        let last = changes.last().map(|change| change.revision);
        let next = whole.get(count).map(|change| change.revision);
        holds("a commit is never cut", last.is_none() || last != next, &changes)?;
        holds("not stopped before the first", last.is_some() || next.is_none(), &through)?;
        let before_last = changes.iter().filter(|change| Some(change.revision) != last).count();
        holds("stopped at the limit", before_last < query.limit.max(1), &changes)?;
        let through_is_true = match query.order {
            LogOrder::OldestFirst => {
                last.is_none_or(|last| last <= through)
                    && next.map_or(through <= head, |next| through < next)
                    && (next.is_some() || last.is_some() || through == head)
            }
            LogOrder::NewestFirst { .. } => {
                last.is_none_or(|last| last >= through)
                    && next.map_or(through >= query.after, |next| through > next)
                    && (next.is_some() || last.is_some() || through == query.after)
            }
        };
        holds("how far the log was looked at", through_is_true, &(last, through, next))
    }

    /// Compares what was undone.
    pub(super) fn went_back(&self, undo: &Undo, found: Result<Snapshot<Page<Undone>>>) -> Verdict {
        let oldest = self.reaches(std::slice::from_ref(&undo.range));
        if let Some(oldest) = self.unreachable(undo.lineage, undo.after, oldest) {
            let told = found.map(|_| ()).map_err(|error| (error.kind(), error.oldest()));
            return same("nobody can go back there", &told, &Err::<(), _>((ErrorKind::Trimmed, Some(oldest))));
        }
        let Snapshot { revision, value: Page { items, more } } = good("undoing", found)?;
        same("the revision of what was undone", &revision, &self.head)?;
        let mut whole = self.undone(&undo.range, undo.after);
        if undo.reverse {
            whole.reverse();
        }
        holds("no more is undone than was asked for", items.len() <= undo.limit, &items)?;
        same("what was undone", &items, &whole.get(..items.len()).unwrap_or(&whole))?;
        holds("undone something, if there is something", undo.limit == 0 || whole.is_empty() || !items.is_empty(), &whole)?;
        holds("there is more to undo", more || items.is_empty() || items.len() == whole.len(), &more)
    }

    /// Compares what was found to have expired.
    pub(super) fn swept(&self, now: Timestamp, limit: usize, found: &[Address]) -> Verdict {
        let mut expected: Vec<Timestamp> =
            self.entries.values().filter_map(|entry| entry.expires_at).filter(|at| *at <= now).collect();
        expected.sort_unstable();
        expected.truncate(limit);
        let at = |address: &Address| self.entries.get(address).and_then(|entry| entry.expires_at);
        let times: Vec<Option<Timestamp>> = found.iter().map(at).collect();
        same("what has expired, in that order", &times, &expected.into_iter().map(Some).collect::<Vec<_>>())?;
        let mut once = found.to_vec();
        once.sort_unstable();
        once.dedup();
        holds("what has expired is told once", once.len() == found.len(), &found)
    }

    /// Compares how the store is.
    pub(super) fn stands(&self, now: Timestamp, found: &EngineStatus) -> Verdict {
        let live: Vec<&Entry> = self.entries.values().filter(|entry| super::oracle::is_live(entry, now)).collect();
        let bytes: u64 = live.iter().map(|entry| size(entry)).sum();
        let kept = |change: &larder_core::Change| logged(&change.address, change.before.as_ref());
        same("the lineage", &found.lineage, &self.lineage)?;
        same(
            "the status: revision, entries, bytes, oldest, changes, bytes of the log",
            &(found.revision, found.entries, found.bytes, found.oldest, found.changes, found.log_bytes),
            &(
                self.head,
                live.len() as u64,
                bytes,
                self.oldest,
                self.log.len() as u64,
                self.log.iter().map(kept).sum::<u64>(),
            ),
        )
    }
}

/// An answer in few words.
pub(super) fn brief(answer: &Result<Outcome>) -> String {
    match answer {
        Ok(Outcome::Committed(receipt)) => {
            let versions: Vec<String> = receipt.writes.iter().map(|written| written.version.to_string()).collect();
            format!("committed at revision {}, versions [{}]", receipt.revision, versions.join(", "))
        }
        Ok(Outcome::Conflicted(conflict)) => format!("conflict in {:?}: {conflict}", conflict.part),
        Err(error) => format!("{}: {}", error.kind().code(), error.message()),
    }
}

/// A revision that stands for no commit of this store.
pub(super) fn beyond(head: Revision) -> Revision {
    Revision::new(head.get() + 1)
}
