//! Lies about indexes: what is in them, what a walk tells, and which ones there are.

use std::sync::Arc;

use larder_core::{
    Entry, Index, Key, Namespace, Range, Result, Revision, Snapshot, Timestamp,
    engine::{IndexWalk, Scan, Walked},
    index::{IndexId, IndexState, IndexStatus, Span, Term},
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(Rows("keeps what an entry had", |honest, walk, items| items.extend(stale(honest, walk)))),
        || Arc::new(Rows("forgets what is written over", |_, _, items| items.retain(|(_, entry)| entry.version.get() < 2))),
        || {
            Arc::new(Rows("forgets what has no such field", |_, _, items| {
                items.retain(|(term, _)| term.as_bytes()[0] != 0xf0)
            }))
        },
        || Arc::new(Rows("has an entry once", once)),
        || Arc::new(Walks("does not look at the clock", |walk| IndexWalk { now: Timestamp::EPOCH, ..walk })),
        || Arc::new(Walks("knows one direction", |walk| IndexWalk { reverse: false, ..walk })),
        || {
            Arc::new(Walks("takes what is outside, too", |walk| {
                let namespace = walk.range.within_namespace().and_then(|(name, ..)| Namespace::new(name).ok());
                IndexWalk { range: namespace.map_or_else(Range::all, |namespace| Range::namespace(&namespace)), ..walk }
            }))
        },
        || Arc::new(Walks("walks the first span alone", |walk| IndexWalk { spans: walk.spans[..1].to_vec(), ..walk })),
        || Arc::new(Walks("takes null for missing", |walk| IndexWalk { spans: respanned(&walk, &[0x10], &[0xf0]), ..walk })),
        || {
            Arc::new(Walks("asks others for a term more", |walk| {
                let also =
                    walk.also.iter().map(|(id, term)| (*id, Term::from_bytes([term.as_bytes(), &[0]].concat()))).collect();
                IndexWalk { also, ..walk }
            }))
        },
        || {
            Arc::new(Through("skips a row", |honest, walk, walked| {
                let next = IndexWalk { after: walked.through.clone(), limit: 1, ..walk.clone() };
                let skipped = walked.through.is_some().then(|| honest.walk(next).ok().flatten()).flatten();
                if let Some(place) = skipped.and_then(|skipped| skipped.value.through) {
                    walked.through = Some(place);
                }
            }))
        },
        || Arc::new(Through("takes a part for all", |_, _, walked| walked.through = None)),
        || {
            Arc::new(Through("begins a term again", |_, _, walked| {
                if let Some(place) = &mut walked.through
                    && let Ok(first) = Key::new("!")
                {
                    // Keys before the first one of any case.
                    place.key = first;
                }
            }))
        },
        || Arc::new(AnotherMoment(-1)),
        || Arc::new(AnotherMoment(1)),
        || Arc::new(KeepsWhatItCouldNotBuild),
        || Arc::new(AnswersHalfBuilt),
        || Arc::new(BeginsAgain),
        || Arc::new(ListsEverybodys),
        || Arc::new(DropsNothing),
        || Arc::new(ForgetsIndexes),
    ]
}

/// Does something to the rows that a walk tells of.
struct Rows(&'static str, fn(&Honest, &IndexWalk, &mut Vec<(Term, Entry)>));
impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl Lie for Rows {
    fn name(&self) -> String {
        format!("Rows: {}", self.0)
    }

    fn walk(&self, honest: &Honest, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
        let mut answer = honest.walk(walk.clone())?;
        if let Some(walked) = &mut answer {
            self.1(honest, &walk, &mut walked.value.items);
        }
        Ok(answer)
    }
}

/// Every entry of the range that has been written over, under a term that it may have had.
fn stale(honest: &Honest, walk: &IndexWalk) -> Vec<(Term, Entry)> {
    let scan = Scan { range: walk.range.clone(), reverse: false, limit: 100, now: walk.now };
    let entries = honest.scan(scan).map(|page| page.value.items).unwrap_or_default();
    let first = walk.spans.first().map(|span| Term::from_bytes(&span.from));
    let changed = entries.into_iter().filter(|entry| entry.version.get() > 1);
    changed.filter_map(|entry| Some((first.clone()?, entry))).collect()
}

fn once(_: &Honest, _: &IndexWalk, items: &mut Vec<(Term, Entry)>) {
    let mut seen = std::collections::BTreeSet::new();
    items.retain(|(_, entry)| seen.insert(entry.address.clone()));
}

/// Walks otherwise than it was asked to.
struct Walks(&'static str, fn(IndexWalk) -> IndexWalk);
impl std::fmt::Debug for Walks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl Lie for Walks {
    fn name(&self) -> String {
        format!("Walks: {}", self.0)
    }

    fn walk(&self, honest: &Honest, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
        if walk.spans.is_empty() { honest.walk(walk) } else { honest.walk(self.1(walk)) }
    }
}

/// The spans of a walk, with those of `from` being those of `to`.
fn respanned(walk: &IndexWalk, from: &[u8], to: &[u8]) -> Vec<Span> {
    let spans = walk.spans.iter().cloned();
    let other = |span: Span| match span.from == from {
        true => Span { from: to.to_vec(), to: [to, &[0xff]].concat() },
        false => span,
    };
    spans.map(other).collect()
}

/// Ends a page somewhere else than it says.
struct Through(&'static str, fn(&Honest, &IndexWalk, &mut Walked));
impl std::fmt::Debug for Through {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl Lie for Through {
    fn name(&self) -> String {
        format!("Through: {}", self.0)
    }

    fn walk(&self, honest: &Honest, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
        let mut answer = honest.walk(walk.clone())?;
        if let Some(walked) = &mut answer {
            self.1(honest, &walk, &mut walked.value);
        }
        Ok(answer)
    }
}

/// Walks at one moment and names another one.
#[derive(Debug)]
struct AnotherMoment(i64);
impl Lie for AnotherMoment {
    fn name(&self) -> String {
        format!("WalksAt{self:?}")
    }

    fn walk(&self, honest: &Honest, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
        let mut answer = honest.walk(walk)?;
        if let Some(walked) = &mut answer {
            walked.revision = Revision::new(walked.revision.get().saturating_add_signed(self.0));
        }
        Ok(answer)
    }
}

/// An index that could not be built stays, without being unique.
#[derive(Debug)]
struct KeepsWhatItCouldNotBuild;
impl Lie for KeepsWhatItCouldNotBuild {
    fn advance(&self, honest: &Honest, id: IndexId, limit: usize, now: Timestamp) -> Result<Option<IndexStatus>> {
        let there = honest.list_indexes(None)?.into_iter().find(|status| status.id == id);
        let answer = honest.advance(id, limit, now);
        if answer.is_err()
            && let Some(IndexStatus { namespace, index, .. }) = there
        {
            honest.create_index(namespace, Index::over(index.paths().iter().cloned())?)?;
        }
        answer
    }
}

/// Says that an index is whole after the first step.
#[derive(Debug)]
struct AnswersHalfBuilt;
impl Lie for AnswersHalfBuilt {
    fn walk(&self, honest: &Honest, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
        let answer = honest.walk(walk.clone())?;
        let there = honest.list_indexes(None)?.into_iter().any(|status| status.id == walk.index);
        let nothing = Snapshot { revision: honest.status().revision, value: Walked { items: Vec::new(), through: None } };
        Ok(answer.or_else(|| there.then_some(nothing)))
    }
}

/// Begins to build from the beginning whenever it is asked to go on.
#[derive(Debug)]
struct BeginsAgain;
impl Lie for BeginsAgain {
    fn advance(&self, honest: &Honest, id: IndexId, limit: usize, now: Timestamp) -> Result<Option<IndexStatus>> {
        let answer = honest.advance(id, limit, now)?;
        let state = IndexState::Building { through: None, entries: 0 };
        let again = |status: IndexStatus| match status.state {
            IndexState::Building { .. } => IndexStatus { state: state.clone(), ..status },
            _ => status,
        };
        Ok(answer.map(again))
    }
}

/// Lists the indexes of all namespaces.
#[derive(Debug)]
struct ListsEverybodys;
impl Lie for ListsEverybodys {
    fn list_indexes(&self, honest: &Honest, _: Option<Namespace>) -> Result<Vec<IndexStatus>> {
        honest.list_indexes(None)
    }
}

/// Says that it has dropped an index, and keeps it.
#[derive(Debug)]
struct DropsNothing;
impl Lie for DropsNothing {
    fn drop_index(&self, honest: &Honest, id: IndexId) -> Result<bool> {
        Ok(honest.list_indexes(None)?.iter().any(|status| status.id == id))
    }

    fn advance(&self, honest: &Honest, id: IndexId, limit: usize, now: Timestamp) -> Result<Option<IndexStatus>> {
        let answer = honest.advance(id, limit, now)?;
        Ok(answer.filter(|status| status.state != IndexState::Ready || limit != 512))
    }
}

/// After a crash there are no indexes.
#[derive(Debug)]
struct ForgetsIndexes;
impl Lie for ForgetsIndexes {
    fn crashing(&self, honest: &Honest) {
        let all = honest.list_indexes(None).unwrap_or_default();
        all.into_iter().for_each(|status| drop(honest.drop_index(status.id)));
    }
}
