//! Lies about what a commit does.

use std::{sync::Arc, thread, time::Duration};

use larder_core::{
    Action, Address, Check, Commit, CommitId, Condition, Conflict, Error, ErrorKind, Found, Key, Metadata, MetadataChange,
    Outcome, Part, Result, Timestamp, Value, Version, decide,
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(KeepsTheFirstHalf),
        || Arc::new(AcceptsAStaleVersion),
        || Arc::new(ChecksTooEarly),
        || Arc::new(LetsAFailureEndTheGroup),
        || Arc::new(NumbersTheGroupOnce),
        || Arc::new(RewritesJson),
        || Arc::new(DropsMetadata),
        || Arc::new(KeepsTheOldExpiry),
        || Arc::new(AddsBeyondTheCeiling),
        || Arc::new(RecodesByWriting),
        || Arc::new(RevivesWhatHasExpired),
        || Arc::new(AnswersInAnotherOrder),
        || Arc::new(OverlooksExpiryInRanges),
        || Arc::new(TrustsClocksToMoveOn),
        || Arc::new(LeavesWhatHasExpired),
        || Arc::new(OverlooksRanges),
        || Arc::new(HidesWhatWasMet),
        || Arc::new(DecidesTheGroupFirst),
        || Arc::new(TrustsAnyRevision),
        || Arc::new(KnowsNoVersionZero),
        || Arc::new(TakesTheLastOfTwo),
        || Arc::new(CountsNothingAsSomething),
        || Arc::new(AnnotatesNothing),
        || Arc::new(ComparesWithoutBlanks),
    ]
}

/// Another id made at the same time: what is done under it nobody asks for.
fn beside(id: CommitId) -> CommitId {
    let mut bytes = *id.as_bytes();
    bytes[15] ^= 0x55;
    bytes[14] ^= 0xaa;
    CommitId::from_bytes(bytes)
}

/// Writes one by one, and stops at the error.
#[derive(Debug)]
struct KeepsTheFirstHalf;
impl Lie for KeepsTheFirstHalf {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let answer = honest.commit(commit.clone());
        if !matches!(answer, Ok(Outcome::Committed(_))) && commit.writes.len() > 1 {
            let writes = commit.writes[..commit.writes.len() / 2].to_vec();
            let half = Commit { id: beside(commit.id), checks: vec![], writes, ..commit };
            // Whether even the first half is refused makes no difference to the lie.
            let _ = honest.commit(half);
        }
        answer
    }
}

/// Takes "at least this version" for "this version".
#[derive(Debug)]
struct AcceptsAStaleVersion;
impl Lie for AcceptsAStaleVersion {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        commit.checks.retain(|check| match check {
            Check::Key { address, condition: Condition::Version(expected) } => {
                honest.stored(address).is_none_or(|entry| entry.version < *expected || expected.get() == 0)
            }
            _ => true,
        });
        honest.commit(commit)
    }
}

/// The first check on a key that does not hold now.
fn failed(honest: &Honest, commit: &Commit) -> Option<Conflict> {
    commit.checks.iter().enumerate().find_map(|(index, check)| match check {
        Check::Key { address, condition } => {
            let (expected, found) = decide::check(condition, honest.stored(address).as_ref(), commit.now).err()?;
            Some(Conflict { part: Part::Check(index), address: Some(address.clone()), expected, found })
        }
        Check::Unchanged { .. } | Check::Quota { .. } => None,
    })
}

/// Checks, then writes, and lets others in between.
#[derive(Debug)]
struct ChecksTooEarly;
impl Lie for ChecksTooEarly {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        // What fails now is left to the engine, which may know the id and the answer.
        if failed(honest, &commit).is_none() {
            commit.checks.retain(|check| !matches!(check, Check::Key { .. }));
            thread::sleep(Duration::from_millis(1));
        }
        honest.commit(commit)
    }
}

/// One transaction around the group: after the first failure nothing of it happens.
#[derive(Debug)]
struct LetsAFailureEndTheGroup;
impl Lie for LetsAFailureEndTheGroup {
    fn group(&self, honest: &Honest, group: Vec<Commit>) -> Vec<Result<Outcome>> {
        let mut failed = false;
        let mut next = |commit| {
            if failed {
                return Err(Error::new(ErrorKind::Unavailable, "the transaction was rolled back"));
            }
            let answer = honest.commit(commit);
            failed = answer.is_err();
            answer
        };
        group.into_iter().map(&mut next).collect()
    }
}

/// Answers every commit of a group with the same revision.
#[derive(Debug)]
struct NumbersTheGroupOnce;
impl Lie for NumbersTheGroupOnce {
    fn group(&self, honest: &Honest, group: Vec<Commit>) -> Vec<Result<Outcome>> {
        let mut answers: Vec<_> = group.into_iter().map(|commit| honest.commit(commit)).collect();
        let mut first = None;
        for answer in &mut answers {
            if let Ok(Outcome::Committed(receipt)) = answer {
                receipt.revision = *first.get_or_insert(receipt.revision);
            }
        }
        answers
    }
}

/// Keeps JSON as a document, and writes it anew.
#[derive(Debug)]
struct RewritesJson;
impl Lie for RewritesJson {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for write in &mut commit.writes {
            if let Action::Put { value, .. } = &mut write.action
                && let Some(number) = value.as_integer()
            {
                *value = Value::integer(number);
            }
        }
        honest.commit(commit)
    }
}

/// A set replaces the whole row.
#[derive(Debug)]
struct DropsMetadata;
impl Lie for DropsMetadata {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for write in &mut commit.writes {
            if let Action::Put { metadata: metadata @ MetadataChange::Keep, .. } = &mut write.action {
                *metadata = MetadataChange::Replace(Metadata::default());
            }
        }
        honest.commit(commit)
    }
}

/// A set without a time to live leaves the one that was there.
#[derive(Debug)]
struct KeepsTheOldExpiry;
impl Lie for KeepsTheOldExpiry {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for write in &mut commit.writes {
            let old = honest.stored(&write.address).and_then(|entry| entry.expires_at);
            if let Action::Put { expires_at: expires_at @ None, .. } = &mut write.action {
                *expires_at = old.filter(|at| *at > commit.now);
            }
        }
        honest.commit(commit)
    }
}

/// Adds without looking at the bound.
#[derive(Debug)]
struct AddsBeyondTheCeiling;
impl Lie for AddsBeyondTheCeiling {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for write in &mut commit.writes {
            if let Action::Add { ceiling, .. } = &mut write.action {
                *ceiling = i64::MAX;
            }
        }
        honest.commit(commit)
    }
}

/// Stores another encoding as if somebody had written it.
#[derive(Debug)]
struct RecodesByWriting;
impl Lie for RecodesByWriting {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for write in &mut commit.writes {
            if let Action::Recode { value, revision } = write.action.clone() {
                let expires_at = honest.stored(&write.address).and_then(|entry| entry.expires_at);
                let condition = Condition::Revision(revision);
                commit.checks.push(Check::Key { address: write.address.clone(), condition });
                write.action = Action::Put { value, expires_at, metadata: MetadataChange::Keep };
            }
        }
        honest.commit(commit)
    }
}

/// Decides at its own time, which is long ago: a write over an expired entry goes on with it.
#[derive(Debug)]
struct RevivesWhatHasExpired;
impl Lie for RevivesWhatHasExpired {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let expired = |address: &Address, now| honest.stored(address).is_some_and(|entry| entry.is_expired(now));
        if commit.writes.iter().any(|write| expired(&write.address, commit.now)) {
            commit.now = Timestamp::EPOCH;
        }
        honest.commit(commit)
    }
}

/// Answers the writes of a commit in reverse.
#[derive(Debug)]
struct AnswersInAnotherOrder;
impl Lie for AnswersInAnotherOrder {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let mut answer = honest.commit(commit);
        if let Ok(Outcome::Committed(receipt)) = &mut answer {
            receipt.writes.reverse();
        }
        answer
    }
}

/// Looks for changes of a range in the log alone, where expiry leaves nothing.
#[derive(Debug)]
struct OverlooksExpiryInRanges;
impl Lie for OverlooksExpiryInRanges {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for check in &mut commit.checks {
            if let Check::Unchanged { read_at, .. } = check {
                *read_at = commit.now;
            }
        }
        honest.commit(commit)
    }
}

/// Looks for what has expired since the reading, and not for what has not yet: clocks never step back, do they?
#[derive(Debug)]
struct TrustsClocksToMoveOn;
impl Lie for TrustsClocksToMoveOn {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for check in &mut commit.checks {
            if let Check::Unchanged { read_at, .. } = check {
                *read_at = commit.now.min(*read_at);
            }
        }
        honest.commit(commit)
    }
}

/// Deletes what is there and leaves what has expired to somebody else.
#[derive(Debug)]
struct LeavesWhatHasExpired;
impl Lie for LeavesWhatHasExpired {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for (index, write) in commit.writes.iter_mut().enumerate() {
            let expired = honest.stored(&write.address).is_some_and(|entry| entry.is_expired(commit.now));
            if matches!(write.action, Action::Delete) && expired {
                // Deleting what was never there answers the same, and does nothing.
                write.address.key = Key::new(format!("never there {index}")).expect("a good key");
            }
        }
        honest.commit(commit)
    }
}

/// Guards a range by nothing.
#[derive(Debug)]
struct OverlooksRanges;
impl Lie for OverlooksRanges {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        commit.checks.retain(|check| !matches!(check, Check::Unchanged { .. }));
        honest.commit(commit)
    }
}

/// Tells a loser that it lost, and not to what.
#[derive(Debug)]
struct HidesWhatWasMet;
impl Lie for HidesWhatWasMet {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let mut answer = honest.commit(commit);
        if let Ok(Outcome::Conflicted(conflict)) = &mut answer {
            conflict.found = Found::Absent;
        }
        answer
    }
}

/// Asks all checks of a group before it applies any of its commits.
#[derive(Debug)]
struct DecidesTheGroupFirst;
impl Lie for DecidesTheGroupFirst {
    fn group(&self, honest: &Honest, mut group: Vec<Commit>) -> Vec<Result<Outcome>> {
        for commit in &mut group {
            if failed(honest, commit).is_none() {
                commit.checks.retain(|check| !matches!(check, Check::Key { .. }));
            }
        }
        group.into_iter().map(|commit| honest.commit(commit)).collect()
    }
}

/// Finds nothing in the log after a revision that it does not know, and takes that for "unchanged".
#[derive(Debug)]
struct TrustsAnyRevision;
impl Lie for TrustsAnyRevision {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let status = honest.status();
        for check in &mut commit.checks {
            if let Check::Unchanged { since, .. } = check {
                *since = (*since).clamp(status.oldest, status.revision);
            }
        }
        honest.commit(commit)
    }
}

/// Does not know that version 0 is absence.
#[derive(Debug)]
struct KnowsNoVersionZero;
impl Lie for KnowsNoVersionZero {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for check in &mut commit.checks {
            if let Check::Key { condition: Condition::Version(version @ Version::ZERO), .. } = check {
                *version = Version::new(u64::MAX);
            }
        }
        honest.commit(commit)
    }
}

/// Takes two writes of one key for one, instead of refusing them.
#[derive(Debug)]
struct TakesTheLastOfTwo;
impl Lie for TakesTheLastOfTwo {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let all = commit.writes.clone();
        let mut place = 0;
        commit.writes.retain(|write| {
            place += 1;
            all[place..].iter().all(|later| later.address != write.address)
        });
        honest.commit(commit)
    }
}

/// Counts every commit, also one that changes nothing.
#[derive(Debug)]
struct CountsNothingAsSomething;
impl Lie for CountsNothingAsSomething {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let mut answer = honest.commit(commit);
        if let Ok(Outcome::Committed(receipt)) = &mut answer
            && receipt.writes.iter().all(|written| written.version == Version::ZERO && !written.existed)
        {
            receipt.revision = receipt.revision.next();
        }
        answer
    }
}

/// Updates the metadata of no row, and is content.
#[derive(Debug)]
struct AnnotatesNothing;
impl Lie for AnnotatesNothing {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let there = |address: &Address| honest.stored(address).is_some_and(|entry| !entry.is_expired(commit.now));
        for write in &mut commit.writes {
            if matches!(write.action, Action::Annotate { .. }) && !there(&write.address) {
                write.action = Action::Delete;
            }
        }
        honest.commit(commit)
    }
}

/// Compares values as a database compares text of fixed length.
#[derive(Debug)]
struct ComparesWithoutBlanks;
impl Lie for ComparesWithoutBlanks {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for check in &mut commit.checks {
            if let Check::Key { address, condition: Condition::Value(bytes) } = check
                && let Some(entry) = honest.stored(address)
                && entry.value.bytes().trim_ascii_end() == bytes.trim_ascii_end()
            {
                *bytes = entry.value.bytes().clone();
            }
        }
        honest.commit(commit)
    }
}
