//! Lies that a crash brings to light, and lies about what other handles did.

use std::sync::{Arc, Mutex, PoisonError};

use futures_lite::future::block_on;
use larder_core::{
    Address, Changes, ChangesQuery, Commit, Engine as _, Entry, Outcome, Range, Result, Revision, Snapshot, StoreId,
    Timestamp, Trim, Trimmed,
    engine::{EngineStatus, Page, Scan},
    memory::MemoryEngine,
};

use super::{Deed, Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(PublishesBeforeDurable),
        || Arc::new(TearsWhatACrashMeets),
        || Arc::new(FencesInMemoryAlone),
        || Arc::new(TrimsAnewAfterACrash),
        || Arc::new(AnswersFromAReplica(Mutex::new((MemoryEngine::new(StoreId::from_bytes([9; 16])), 0)))),
        || Arc::new(LooksAtItsOwnCommits(Mutex::default())),
        || Arc::new(SweepsTheLiving),
        || Arc::new(TrimsOneTooMany),
    ]
}

/// Acknowledges what has yet to reach the medium: a crash takes the last commit.
#[derive(Debug)]
struct PublishesBeforeDurable;
impl Lie for PublishesBeforeDurable {
    fn crashing(&self, honest: &Honest) {
        honest.replay(|deeds| {
            if let Some(last) = deeds.iter().rposition(|deed| matches!(deed, Deed::Commit(_))) {
                deeds.remove(last);
            }
        });
    }
}

/// Writes a commit piece by piece: a crash keeps the first half of the last one.
#[derive(Debug)]
struct TearsWhatACrashMeets;
impl Lie for TearsWhatACrashMeets {
    fn crashing(&self, honest: &Honest) {
        honest.replay(|deeds| {
            let torn = deeds.iter_mut().rev().find_map(|deed| match deed {
                Deed::Commit(commit) if commit.writes.len() > 1 => Some(commit),
                _ => None,
            });
            if let Some(commit) = torn {
                commit.writes.truncate(commit.writes.len() / 2);
            }
        });
    }
}

/// Remembers what never happens for as long as it lives.
#[derive(Debug)]
struct FencesInMemoryAlone;
impl Lie for FencesInMemoryAlone {
    fn crashing(&self, honest: &Honest) {
        honest.replay(|deeds| deeds.retain(|deed| !matches!(deed, Deed::Resolve(_))));
    }
}

/// Writes down how far it has trimmed some other time: after a crash the log is back.
#[derive(Debug)]
struct TrimsAnewAfterACrash;
impl Lie for TrimsAnewAfterACrash {
    fn crashing(&self, honest: &Honest) {
        honest.replay(|deeds| deeds.retain(|deed| !matches!(deed, Deed::Trim(_))));
    }
}

/// Reads single keys from a copy that is one commit behind, and says so.
#[derive(Debug)]
struct AnswersFromAReplica(Mutex<(MemoryEngine, usize)>);
impl Lie for AnswersFromAReplica {
    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let mut replica = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (engine, applied) = &mut *replica;
        let deeds = honest.deeds();
        for deed in &deeds[(*applied).min(deeds.len())..deeds.len().saturating_sub(1)] {
            deed.again(engine);
            *applied += 1;
        }
        block_on(engine.get(addresses, now))
    }
}

/// Learns of the head when it commits or reads the log, and tells whoever probes in between that nothing has moved.
#[derive(Debug)]
struct LooksAtItsOwnCommits(Mutex<Revision>);
impl LooksAtItsOwnCommits {
    fn learn(&self, head: Revision) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
}
impl Lie for LooksAtItsOwnCommits {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let answer = honest.commit(commit);
        self.learn(honest.status().revision);
        answer
    }

    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        honest.changes(query).inspect(|part| self.learn(part.head))
    }

    fn status(&self, honest: &Honest, now: Timestamp) -> Result<EngineStatus> {
        honest.status_at(now).inspect(|status| self.learn(status.revision))
    }

    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        let probes = scan.limit == 0 && scan.range == Range::reserved();
        let mut page = honest.scan(scan)?;
        if probes {
            page.revision = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        }
        Ok(page)
    }
}

/// Hands out for sweeping what has a second left to live.
#[derive(Debug)]
struct SweepsTheLiving;
impl Lie for SweepsTheLiving {
    fn expired(&self, honest: &Honest, now: Timestamp, limit: usize) -> Result<Vec<Address>> {
        honest.expired(now.after(std::time::Duration::from_secs(1)), limit)
    }
}

/// Takes "up to and including" for "up to and one more".
#[derive(Debug)]
struct TrimsOneTooMany;
impl Lie for TrimsOneTooMany {
    fn trim(&self, honest: &Honest, trim: Trim) -> Result<Trimmed> {
        honest.trim(Trim { through: trim.through.next(), ..trim })
    }
}
