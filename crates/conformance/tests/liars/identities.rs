//! Lies about ids, and about what outlives a handle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use larder_core::{
    Commit, CommitId, Conflict, Error, ErrorKind, Outcome, Receipt, Result, Timestamp, Trim, Trimmed, engine::Resolution,
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(AppliesTwice::default()),
        || Arc::new(FencesNothing::default()),
        || Arc::new(SpendsTheIdOfAConflict::default()),
        || Arc::new(ForgetsNothing),
        || Arc::new(TakesForgottenIds),
        || Arc::new(ForgetsTheFuture::default()),
        || Arc::new(ForgetsOnClosing),
        || Arc::new(StaysOpen),
        || Arc::new(CountsAConflictAsDone::default()),
    ]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An id that nobody else uses, made at the same time.
fn another(id: CommitId, count: usize) -> CommitId {
    let mut bytes = *id.as_bytes();
    bytes[6] ^= 0x5a;
    bytes[7] ^= count as u8;
    CommitId::from_bytes(bytes)
}

/// Looks at no id.
#[derive(Debug, Default)]
struct AppliesTwice(Mutex<BTreeSet<CommitId>>);
impl Lie for AppliesTwice {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let mut seen = lock(&self.0);
        if !seen.insert(commit.id) {
            commit.id = another(commit.id, seen.len());
        }
        honest.commit(commit)
    }
}

/// Says "never", and writes it down nowhere.
#[derive(Debug, Default)]
struct FencesNothing(Mutex<BTreeSet<CommitId>>);
impl Lie for FencesNothing {
    fn resolve(&self, honest: &Honest, id: CommitId) -> Result<Resolution> {
        let resolution = honest.resolve(id);
        if matches!(resolution, Ok(Resolution::Never)) {
            lock(&self.0).insert(id);
        }
        resolution
    }

    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let unfenced = lock(&self.0);
        if unfenced.contains(&commit.id) {
            commit.id = another(commit.id, unfenced.len());
        }
        honest.commit(commit)
    }
}

/// Remembers what did not happen, and answers a retry with it.
#[derive(Debug, Default)]
struct SpendsTheIdOfAConflict(Mutex<BTreeMap<CommitId, Conflict>>);
impl Lie for SpendsTheIdOfAConflict {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let mut spent = lock(&self.0);
        if let Some(conflict) = spent.get(&commit.id) {
            return Ok(Outcome::Conflicted(conflict.clone()));
        }
        let id = commit.id;
        let answer = honest.commit(commit);
        if let Ok(Outcome::Conflicted(conflict)) = &answer {
            spent.insert(id, conflict.clone());
        }
        answer
    }
}

/// Says "never" of what it can no longer know.
#[derive(Debug)]
struct ForgetsNothing;
impl Lie for ForgetsNothing {
    fn resolve(&self, honest: &Honest, id: CommitId) -> Result<Resolution> {
        honest.resolve(id).map(|resolution| match resolution {
            Resolution::Forgotten => Resolution::Never,
            other => other,
        })
    }
}

/// Takes a commit that may be here for the second time.
#[derive(Debug)]
struct TakesForgottenIds;
impl Lie for TakesForgottenIds {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let answer = honest.commit(commit.clone());
        match answer {
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                let mut bytes = [0xff; 16];
                bytes[8..].copy_from_slice(&commit.id.as_bytes()[8..]);
                honest.commit(Commit { id: CommitId::from_bytes(bytes), ..commit })
            }
            answer => answer,
        }
    }
}

/// Forgets up to any moment it is told, also one that has yet to come.
#[derive(Debug, Default)]
struct ForgetsTheFuture(Mutex<Option<Timestamp>>);
impl Lie for ForgetsTheFuture {
    fn trim(&self, honest: &Honest, trim: Trim) -> Result<Trimmed> {
        let mut since = lock(&self.0);
        *since = (*since).max(Some(trim.ids_before));
        honest.trim(trim)
    }

    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        if lock(&self.0).is_some_and(|since| commit.id.made_at() < since) {
            return Err(Error::forgotten(commit.id));
        }
        honest.commit(commit)
    }
}

/// Acknowledges what was in a buffer.
#[derive(Debug)]
struct ForgetsOnClosing;
impl Lie for ForgetsOnClosing {
    fn closing(&self, honest: &Honest) -> bool {
        honest.forget();
        true
    }
}

/// Goes on working after it was closed.
#[derive(Debug)]
struct StaysOpen;
impl Lie for StaysOpen {
    fn closing(&self, _: &Honest) -> bool {
        false
    }
}

/// Says of a conflict that it happened.
#[derive(Debug, Default)]
struct CountsAConflictAsDone(Mutex<BTreeSet<CommitId>>);
impl Lie for CountsAConflictAsDone {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let id = commit.id;
        let answer = honest.commit(commit);
        if let Ok(Outcome::Conflicted(_)) = &answer {
            lock(&self.0).insert(id);
        }
        answer
    }

    fn resolve(&self, honest: &Honest, id: CommitId) -> Result<Resolution> {
        if lock(&self.0).contains(&id) {
            return Ok(Resolution::Committed(Receipt { revision: honest.status().revision, writes: vec![] }));
        }
        honest.resolve(id)
    }
}
