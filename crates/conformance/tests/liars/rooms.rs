//! Lies about namespaces: what each takes, what it may take, and how far back it is told.

use std::{sync::Arc, thread, time::Duration};

use larder_core::{
    Changes, ChangesQuery, Check, Commit, Conflict, Expected, Found, Namespace, Outcome, Part, Quota, Result, Revision,
    Snapshot, Timestamp, Trim, Trimmed, Usage, decide,
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(CountsTheNeighbours),
        || Arc::new(CountsTheWholeStore),
        || Arc::new(CountsWithoutTheLog),
        || Arc::new(DecidesQuotasBefore),
        || Arc::new(DecidesQuotasOnce),
        || Arc::new(IgnoresABound("entries", |quota| quota.entries = None)),
        || Arc::new(IgnoresABound("bytes", |quota| quota.bytes = None)),
        || Arc::new(IgnoresABound("log bytes", |quota| quota.log_bytes = None)),
        || Arc::new(ForbidsToShrink),
        || Arc::new(TakesUpToTheBound),
        || Arc::new(TrimsTheNeighbours),
        || Arc::new(TrimsNothing),
        || Arc::new(TrimsIdsWithTheNamespace),
        || Arc::new(TellsWhatIsLeftOfANamespace),
        || Arc::new(TellsEverybodyOfATrim),
        || Arc::new(VouchesForWhatWasTrimmed),
    ]
}

/// Counts those whose names begin alike, too.
#[derive(Debug)]
struct CountsTheNeighbours;
impl Lie for CountsTheNeighbours {
    fn usage(&self, honest: &Honest, namespace: Namespace) -> Result<Snapshot<Usage>> {
        let mut told = honest.usage(namespace.clone())?;
        if namespace.as_str() == "x" {
            let other = honest.usage(Namespace::new("wasm:x").expect("a good name"))?.value;
            told.value.entries += other.entries;
            told.value.bytes += other.bytes;
        }
        Ok(told)
    }
}

/// Counts the store.
#[derive(Debug)]
struct CountsTheWholeStore;
impl Lie for CountsTheWholeStore {
    fn usage(&self, honest: &Honest, namespace: Namespace) -> Result<Snapshot<Usage>> {
        let (told, status) = (honest.usage(namespace)?, honest.status());
        let value = Usage { entries: status.entries, bytes: status.bytes, log_bytes: status.log_bytes };
        Ok(Snapshot { value, ..told })
    }
}

/// Takes what is in the log for nothing.
#[derive(Debug)]
struct CountsWithoutTheLog;
impl Lie for CountsWithoutTheLog {
    fn usage(&self, honest: &Honest, namespace: Namespace) -> Result<Snapshot<Usage>> {
        let mut told = honest.usage(namespace)?;
        told.value.log_bytes = 0;
        Ok(told)
    }
}

/// The quotas of `commit` with what their namespaces take now.
fn quotas(honest: &Honest, commit: &Commit) -> Vec<(usize, Quota, Usage)> {
    let quota = |(index, check): (usize, &Check)| match check {
        Check::Quota { namespace, quota } => Some((index, *quota, honest.usage(namespace.clone()).ok()?.value)),
        _ => None,
    };
    commit.checks.iter().enumerate().filter_map(quota).collect()
}

fn without_quotas(mut commit: Commit) -> Commit {
    commit.checks.retain(|check| !matches!(check, Check::Quota { .. }));
    commit
}

/// Asks only whether there is too much already.
#[derive(Debug)]
struct DecidesQuotasBefore;
impl Lie for DecidesQuotasBefore {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        for (index, quota, usage) in quotas(honest, &commit) {
            let below = Usage { entries: 0, bytes: 0, log_bytes: 0 };
            if let Err((expected, found)) = decide::quota(&quota, below, usage) {
                return Ok(Outcome::Conflicted(Conflict { part: Part::Check(index), address: None, expected, found }));
            }
        }
        honest.commit(without_quotas(commit))
    }
}

/// Asks whether there is room, and lets others in before it is taken.
#[derive(Debug)]
struct DecidesQuotasOnce;
impl Lie for DecidesQuotasOnce {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let room = |(_, quota, usage): &(usize, Quota, Usage)| quota.entries.is_some_and(|most| usage.entries < most);
        let asked = quotas(honest, &commit);
        if asked.is_empty() || !asked.iter().all(room) || commit.writes.len() > 1 {
            return honest.commit(commit);
        }
        thread::sleep(Duration::from_millis(1));
        honest.commit(without_quotas(commit))
    }
}

/// Knows two bounds of three.
#[derive(Debug)]
struct IgnoresABound(&'static str, fn(&mut Quota));
impl Lie for IgnoresABound {
    fn name(&self) -> String {
        format!("IgnoresABound({})", self.0)
    }

    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        for check in &mut commit.checks {
            if let Check::Quota { quota, .. } = check {
                (self.1)(quota);
            }
        }
        honest.commit(commit)
    }
}

/// Refuses whatever is decided while there is too much.
#[derive(Debug)]
struct ForbidsToShrink;
impl Lie for ForbidsToShrink {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        for (index, quota, usage) in quotas(honest, &commit) {
            if let Err((expected, found)) = decide::quota(&quota, Usage::default(), usage) {
                return Ok(Outcome::Conflicted(Conflict { part: Part::Check(index), address: None, expected, found }));
            }
        }
        honest.commit(commit)
    }
}

/// Takes "at most" for "less than".
#[derive(Debug)]
struct TakesUpToTheBound;
impl Lie for TakesUpToTheBound {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let bounds = quotas(honest, &commit);
        for check in &mut commit.checks {
            if let Check::Quota { quota, .. } = check {
                quota.entries = quota.entries.map(|most| most.saturating_sub(1));
            }
        }
        let mut answer = honest.commit(commit)?;
        // Who is refused is told the bound that was asked for.
        if let Outcome::Conflicted(Conflict { part: Part::Check(index), expected: Expected::AtMost(_, most), .. }) =
            &mut answer
            && let Some((_, Quota { entries: Some(asked), .. }, _)) = bounds.iter().find(|(at, ..)| at == index)
        {
            *most = *asked;
        }
        Ok(answer)
    }
}

/// Trims all where it should trim one.
#[derive(Debug)]
struct TrimsTheNeighbours;
impl Lie for TrimsTheNeighbours {
    fn trim(&self, honest: &Honest, trim: Trim) -> Result<Trimmed> {
        honest.trim(Trim { namespace: None, ..trim })
    }
}

/// Leaves the log of a single namespace as it is.
#[derive(Debug)]
struct TrimsNothing;
impl Lie for TrimsNothing {
    fn trim(&self, honest: &Honest, trim: Trim) -> Result<Trimmed> {
        match trim.namespace {
            Some(_) => Ok(Trimmed { oldest: trim.through, changes: 0, ids: 0 }),
            None => honest.trim(trim),
        }
    }
}

/// Forgets ids with the changes of a namespace.
#[derive(Debug)]
struct TrimsIdsWithTheNamespace;
impl Lie for TrimsIdsWithTheNamespace {
    fn trim(&self, honest: &Honest, trim: Trim) -> Result<Trimmed> {
        let ids = match trim.namespace {
            Some(_) => honest.trim(Trim::new(Revision::ZERO, Timestamp::MAX))?.ids,
            None => 0,
        };
        let trimmed = honest.trim(trim)?;
        Ok(Trimmed { ids: trimmed.ids + ids, ..trimmed })
    }
}

/// Tells who asks about a namespace that was trimmed by itself what is left of it.
#[derive(Debug)]
struct TellsWhatIsLeftOfANamespace;
impl Lie for TellsWhatIsLeftOfANamespace {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        honest.changes(ChangesQuery { gaps: true, ..query })
    }
}

/// Knows one end of the log for all: that of the namespace that is told least far back.
#[derive(Debug)]
struct TellsEverybodyOfATrim;
impl Lie for TellsEverybodyOfATrim {
    fn changes(&self, honest: &Honest, query: ChangesQuery) -> Result<Changes> {
        if !query.gaps {
            honest.changes(ChangesQuery { ranges: vec![], limit: 1, ..query.clone() })?;
        }
        honest.changes(query)
    }
}

/// Looks for changes in what is left of the log, and finds none.
#[derive(Debug)]
struct VouchesForWhatWasTrimmed;
impl Lie for VouchesForWhatWasTrimmed {
    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        loop {
            let answer = honest.commit(commit.clone())?;
            let Outcome::Conflicted(Conflict { part: Part::Check(index), found: Found::Trimmed(_), .. }) = &answer else {
                return Ok(answer);
            };
            // Of the whole store it knows better.
            match commit.checks[*index] {
                Check::Unchanged { since, .. } if since >= honest.status().oldest => drop(commit.checks.remove(*index)),
                _ => return Ok(answer),
            }
        }
    }
}
