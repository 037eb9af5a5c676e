//! Lies about unique indexes: who may have what.

use std::sync::Arc;

use larder_core::{
    Action, Address, Check, Commit, ContentKind, Entry, Index, MetadataChange, Namespace, Outcome, Range, Result, Timestamp,
    Value, Write,
    engine::{IndexWalk, Scan},
    index::{IndexState, IndexStatus, Span},
    query::Root,
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(LooksBeforeItLocks),
        || Arc::new(Takes("upper case for lower", |value| written(value, str::to_lowercase))),
        || {
            Arc::new(Takes("one large number for the next", |value| {
                written(value, |text| text.replace("9007199254740993", "9007199254740992"))
            }))
        },
        || Arc::new(Takes("a text up to a NUL for a text", |value| written(value, |text| text.replace("\\u0000", "")))),
        || Arc::new(Takes("missing for null", |value| written(value, |text| text.replace("{}", "{\"email\":null}")))),
        || Arc::new(Takes("bytes for JSON", |value| Value::json(value.bytes().clone()).ok())),
        || Arc::new(IgnoresExpiry),
        || Arc::new(ForgetsNull),
        || Arc::new(KeepsRowsOfWhatIsRefused),
    ]
}

/// The unique indexes of a namespace.
fn unique(honest: &Honest, namespace: &Namespace) -> Vec<IndexStatus> {
    let all = honest.list_indexes(Some(namespace.clone())).unwrap_or_default();
    all.into_iter().filter(|status| status.index.is_unique()).collect()
}

/// Commits without asking any unique index, as if there were none.
///
/// The indexes are there again after it, so that everything else is as it should be.
fn without_asking(honest: &Honest, commit: Commit) -> Result<Outcome> {
    let mut gone = Vec::new();
    let namespaces: std::collections::BTreeSet<Namespace> =
        commit.writes.iter().map(|write| write.address.namespace.clone()).collect();
    for namespace in &namespaces {
        for status in unique(honest, namespace) {
            honest.drop_index(status.id)?;
            gone.push(status);
        }
    }
    let answer = honest.commit(commit);
    for IndexStatus { namespace, index, .. } in gone {
        // What cannot be unique any more is kept all the same.
        let built = build(honest, &namespace, &index);
        if built.is_err() {
            let plain = Index::over(index.paths().iter().cloned())?;
            build(honest, &namespace, &plain)?;
        }
    }
    answer
}

fn build(honest: &Honest, namespace: &Namespace, index: &Index) -> Result<()> {
    let mut status = Some(honest.create_index(namespace.clone(), index.clone())?);
    while let Some(IndexStatus { id, state: IndexState::Building { .. }, .. }) = status {
        status = honest.advance(id, 1000, Timestamp::EPOCH)?;
    }
    Ok(())
}

/// Asks whether a value is free, lets others run, and takes it.
#[derive(Debug)]
struct LooksBeforeItLocks;
impl Lie for LooksBeforeItLocks {
    fn group(&self, honest: &Honest, group: Vec<Commit>) -> Vec<Result<Outcome>> {
        let free = |commit: &Commit| is_free(honest, commit);
        let were: Vec<bool> = group.iter().map(free).collect();
        // Others get their turn, where that can matter.
        for _ in 0..if were.contains(&true) { 100 } else { 0 } {
            std::thread::yield_now();
        }
        let commits = group.into_iter().zip(were);
        commits.map(|(commit, free)| if free { without_asking(honest, commit) } else { honest.commit(commit) }).collect()
    }
}

/// Whether nobody has in a unique index what `commit` puts there; only where it does nothing but put.
fn is_free(honest: &Honest, commit: &Commit) -> bool {
    let [Write { address, action: Action::Put { value, .. } }] = &commit.writes[..] else { return false };
    let checked = commit.checks.iter().any(|check| matches!(check, Check::Unchanged { .. }));
    let indexes = unique(honest, &address.namespace);
    !checked
        && !indexes.is_empty()
        && indexes.iter().all(|status| holders(honest, status, address, value, commit.now).is_empty())
}

fn holders(honest: &Honest, status: &IndexStatus, address: &Address, value: &Value, now: Timestamp) -> Vec<Entry> {
    let Some(sample) = honest.stored(address).or_else(|| any(honest, &address.namespace)) else { return Vec::new() };
    let entry = Entry { address: address.clone(), value: value.clone(), ..sample };
    let terms = status.index.terms(&entry).unwrap_or_default();
    let spans = terms.iter().map(|term| Span { from: term.as_bytes().to_vec(), to: [term.as_bytes(), &[0]].concat() });
    let range = Range::namespace(&address.namespace);
    let (index, spans, also) = (status.id, spans.collect(), Vec::new());
    let walk = IndexWalk { index, spans, reverse: false, after: None, range, also, limit: 10, now };
    let walked = honest.walk(walk).ok().flatten().map(|walked| walked.value.items).unwrap_or_default();
    walked.into_iter().map(|(_, entry)| entry).filter(|entry| entry.address != *address).collect()
}

fn any(honest: &Honest, namespace: &Namespace) -> Option<Entry> {
    let scan = Scan { range: Range::namespace(namespace), reverse: false, limit: 1, now: Timestamp::EPOCH };
    honest.scan(scan).ok()?.value.items.pop()
}

/// Compares for uniqueness what was written otherwise.
struct Takes(&'static str, fn(&Value) -> Option<Value>);

/// The value as it would be if it were written otherwise; of bytes there is no other way.
fn written(value: &Value, write: impl Fn(&str) -> String) -> Option<Value> {
    let text = std::str::from_utf8(value.bytes()).ok().filter(|_| value.kind() == ContentKind::Json)?;
    Value::json(write(text)).ok()
}

impl std::fmt::Debug for Takes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl Lie for Takes {
    fn name(&self) -> String {
        format!("Compares: {}", self.0)
    }

    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        for (at, Write { address, action }) in commit.writes.iter().enumerate() {
            let Action::Put { value, .. } = action else { continue };
            let Some(value) = self.1(value) else { continue };
            let all = unique(honest, &address.namespace).into_iter();
            let of_values = |status: &IndexStatus| status.index.paths().iter().all(|path| path.root() == Root::Value);
            for status in all.filter(of_values) {
                let scan =
                    Scan { range: Range::namespace(&address.namespace), reverse: false, limit: 1000, now: commit.now };
                let there = honest.scan(scan)?.value.items;
                let terms = |entry: &Entry| {
                    let value = self.1(&entry.value).unwrap_or_else(|| entry.value.clone());
                    status.index.terms(&Entry { value, ..entry.clone() }).unwrap_or_default()
                };
                let Some(sample) = there.first() else { continue };
                let own = terms(&Entry { address: address.clone(), value: value.clone(), ..sample.clone() });
                let written = |other: &Entry| commit.writes.iter().any(|write| write.address == other.address);
                let same = |other: &Entry| terms(other).iter().any(|term| term.as_bytes()[0] != 0xf0 && own.contains(term));
                if there.iter().any(|other| !written(other) && same(other)) {
                    return Ok(Outcome::Conflicted(larder_core::Conflict {
                        part: larder_core::Part::Write(at),
                        address: Some(address.clone()),
                        expected: larder_core::Expected::Unique(status.index),
                        found: larder_core::Found::Taken,
                    }));
                }
            }
        }
        honest.commit(commit)
    }
}

/// What has expired holds on until it is swept up.
#[derive(Debug)]
struct IgnoresExpiry;
impl Lie for IgnoresExpiry {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        for (at, Write { address, action }) in commit.writes.iter().enumerate() {
            let Action::Put { value, .. } = action else { continue };
            for status in unique(honest, &address.namespace) {
                if !holders(honest, &status, address, value, Timestamp::EPOCH).is_empty()
                    && holders(honest, &status, address, value, commit.now).is_empty()
                    && holds_a_value(&status.index, address, value, honest)
                {
                    return Ok(Outcome::Conflicted(larder_core::Conflict {
                        part: larder_core::Part::Write(at),
                        address: Some(address.clone()),
                        expected: larder_core::Expected::Unique(status.index),
                        found: larder_core::Found::Taken,
                    }));
                }
            }
        }
        honest.commit(commit)
    }
}

fn holds_a_value(index: &Index, address: &Address, value: &Value, honest: &Honest) -> bool {
    let Some(sample) = any(honest, &address.namespace) else { return false };
    let terms = index.terms(&Entry { value: value.clone(), ..sample }).unwrap_or_default();
    terms.iter().any(|term| term.as_bytes()[0] != 0xf0)
}

/// Does not compare null, as databases do not.
#[derive(Debug)]
struct ForgetsNull;
impl Lie for ForgetsNull {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let null = |write: &Write| match &write.action {
            Action::Put { value, .. } => value.bytes().ends_with(b":null}"),
            _ => false,
        };
        if commit.writes.iter().all(null) { without_asking(honest, commit) } else { honest.commit(commit) }
    }
}

/// The first write of a commit that is refused stays in the index.
#[derive(Debug)]
struct KeepsRowsOfWhatIsRefused;
impl Lie for KeepsRowsOfWhatIsRefused {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let answer = honest.commit(commit.clone());
        let first = commit.writes.first().cloned();
        if !matches!(answer, Ok(Outcome::Committed(_)))
            && let Some(Write { address, action: Action::Put { value, .. } }) = first
            && !unique(honest, &address.namespace).is_empty()
            && commit.writes.len() > 1
        {
            let action = Action::Put { value, expires_at: None, metadata: MetadataChange::Keep };
            let alone =
                Commit { writes: vec![Write { address, action }], checks: Vec::new(), id: next(commit.id), ..commit };
            drop(honest.commit(alone));
        }
        answer
    }
}

fn next(id: larder_core::CommitId) -> larder_core::CommitId {
    let mut bytes = *id.as_bytes();
    bytes[15] = bytes[15].wrapping_add(1);
    larder_core::CommitId::from_bytes(bytes)
}
