//! The indexes of the memory engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::State;
use crate::{
    address::{Address, Range},
    engine::{IndexWalk, Place, Walked},
    error::Result,
    index::{self, Holder, Index, IndexId, IndexState, IndexStatus, Span, Term, Work},
    key::Key,
    namespace::Namespace,
    time::Timestamp,
};

/// Every index of a store.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// By namespace, so that a commit finds those that it concerns; in the order in which they were created.
    namespaces: BTreeMap<Namespace, Vec<IndexStatus>>,
    rows: BTreeMap<IndexId, Rows>,
    /// The number of the latest.
    last: u64,
}

#[derive(Debug, Default)]
struct Rows(BTreeMap<Term, BTreeSet<Key>>);

impl Rows {
    fn add(&mut self, term: Term, key: &Key) {
        self.0.entry(term).or_default().insert(key.clone());
    }

    fn remove(&mut self, term: &Term, key: &Key) {
        if let Some(keys) = self.0.get_mut(term) {
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(term);
            }
        }
    }

    fn span(&self, span: &Span) -> impl DoubleEndedIterator<Item = (&Term, &BTreeSet<Key>)> {
        let [from, to] = [&span.from, &span.to].map(Term::from_bytes);
        // Of what is empty, nothing.
        let to = if span.from < span.to { to } else { from.clone() };
        self.0.range((Bound::Included(from), Bound::Excluded(to)))
    }
}

impl Indexes {
    pub(super) fn of(&self, namespace: &Namespace) -> &[IndexStatus] {
        self.namespaces.get(namespace).map_or(&[], Vec::as_slice)
    }

    fn status(&mut self, id: IndexId) -> Option<&mut IndexStatus> {
        self.namespaces.values_mut().flatten().find(|status| status.id == id)
    }

    fn find(&self, id: IndexId) -> Option<&IndexStatus> {
        self.namespaces.values().flatten().find(|status| status.id == id)
    }

    pub(super) fn holders(&self, id: IndexId, term: &Term) -> impl Iterator<Item = &Key> {
        self.rows.get(&id).and_then(|rows| rows.0.get(term)).into_iter().flatten()
    }

    pub(super) fn apply(&mut self, work: &Work<'_>) {
        let rows = self.rows.entry(work.index).or_default();
        work.removed.iter().for_each(|term| rows.remove(term, &work.address.key));
        work.added.iter().for_each(|term| rows.add(term.clone(), &work.address.key));
    }

    /// All that is left of an index; here that takes one step.
    fn forget(&mut self, id: IndexId) {
        self.rows.remove(&id);
        for indexes in self.namespaces.values_mut() {
            indexes.retain(|status| status.id != id);
        }
        self.namespaces.retain(|_, indexes| !indexes.is_empty());
    }
}

impl State {
    pub(in crate::memory) fn list_indexes(&self, namespace: Option<&Namespace>) -> Vec<IndexStatus> {
        match namespace {
            Some(namespace) => self.indexes.of(namespace).to_vec(),
            None => {
                let mut all: Vec<_> = self.indexes.namespaces.values().flatten().cloned().collect();
                all.sort_unstable_by_key(|status| status.id);
                all
            }
        }
    }

    pub(in crate::memory) fn create_index(&mut self, namespace: Namespace, index: Index) -> Result<IndexStatus> {
        if let Some(there) = index::existing(self.indexes.of(&namespace), &index)? {
            return Ok(there.clone());
        }
        self.indexes.last += 1;
        let state = IndexState::Building { through: None, entries: 0 };
        let status = IndexStatus { id: IndexId(self.indexes.last), namespace: namespace.clone(), index, state };
        self.indexes.namespaces.entry(namespace).or_default().push(status.clone());
        self.indexes.rows.insert(status.id, Rows::default());
        Ok(status)
    }

    pub(in crate::memory) fn drop_index(&mut self, id: IndexId) -> bool {
        let there = self.indexes.find(id).is_some();
        self.indexes.forget(id);
        there
    }

    pub(in crate::memory) fn advance_index(
        &mut self,
        id: IndexId,
        limit: usize,
        now: Timestamp,
    ) -> Result<Option<IndexStatus>> {
        let Some(status) = self.indexes.find(id).cloned() else { return Ok(None) };
        let IndexState::Building { through, entries } = &status.state else { return Ok(Some(status)) };
        let range = Range::namespace(&status.namespace);
        let rest = match through {
            Some(key) => range.after(&Address::new(status.namespace.clone(), key.clone())),
            None => range,
        };
        let found: Vec<_> = self.range(&rest).take(limit.max(1)).cloned().collect();
        for entry in &found {
            // One after the other, so that each meets those before it.
            match index::build(&status.index, entry, now, |term| Ok(self.holders(&status, term))) {
                Ok(terms) => {
                    let rows = self.indexes.rows.entry(id).or_default();
                    terms.into_iter().for_each(|term| rows.add(term, &entry.address.key));
                }
                Err(error) => {
                    self.indexes.forget(id);
                    return Err(error.engine("memory"));
                }
            }
        }
        let state = match found.last() {
            Some(last) if found.len() >= limit.max(1) => {
                IndexState::Building { through: Some(last.address.key.clone()), entries: entries + found.len() as u64 }
            }
            _ => IndexState::Ready,
        };
        Ok(self.indexes.status(id).map(|status| {
            status.state = state;
            status.clone()
        }))
    }

    /// Who has `term` in an index.
    pub(super) fn holders(&self, status: &IndexStatus, term: &Term) -> Vec<Holder> {
        let holder = |key: &Key| {
            let address = Address::new(status.namespace.clone(), key.clone());
            Holder { key: key.clone(), expires_at: self.stored(&address).and_then(|entry| entry.expires_at) }
        };
        self.indexes.holders(status.id, term).map(holder).collect()
    }

    pub(in crate::memory) fn walk(&self, walk: &IndexWalk) -> Option<Walked> {
        let status = self.indexes.find(walk.index).filter(|status| status.state == IndexState::Ready)?;
        let rows = self.indexes.rows.get(&walk.index)?;
        let (mut items, mut through, limit) = (Vec::new(), None, walk.limit.max(1));
        let mut spans = walk.spans.clone();
        if let (Some(first), Some(Place { term, .. })) = (spans.first_mut(), &walk.after) {
            // What was walked already is not walked again, but for the keys of one term.
            if walk.reverse {
                first.to = [term.as_bytes(), &[0]].concat();
            } else {
                first.from = term.as_bytes().to_vec();
            }
        }
        let places = spans.iter().flat_map(|span| {
            let terms = rows.span(span);
            let terms: Box<dyn Iterator<Item = _>> = if walk.reverse { Box::new(terms.rev()) } else { Box::new(terms) };
            terms.flat_map(|(term, keys)| keys.iter().map(move |key| (term, key)))
        });
        let ready =
            |(id, _): &&(IndexId, Term)| self.indexes.find(*id).is_some_and(|status| status.state == IndexState::Ready);
        let also =
            walk.also.iter().filter(ready).map(|(id, term)| self.indexes.rows.get(id).and_then(|rows| rows.0.get(term)));
        let also: Vec<Option<&BTreeSet<Key>>> = also.collect();
        let passed = |(term, key): &(&Term, &Key)| {
            walk.after.as_ref().is_some_and(|after| **term == after.term && **key <= after.key)
        };
        let mut places = places.skip_while(passed).peekable();
        while let Some((term, key)) = places.next() {
            let address = Address::new(status.namespace.clone(), key.clone());
            if walk.range.contains(&address)
                && also.iter().all(|keys| keys.is_some_and(|keys| keys.contains(key)))
                && let Some(entry) = self.live(&address, walk.now)
            {
                items.push((term.clone(), entry.clone()));
            }
            if items.len() == limit {
                through = places.peek().map(|_| Place { term: term.clone(), key: key.clone() });
                break;
            }
        }
        Some(Walked { items, through })
    }

    pub(in crate::memory) fn estimate(&self, id: IndexId, spans: &[Span], most: usize) -> usize {
        let Some(rows) = self.indexes.rows.get(&id) else { return 0 };
        spans.iter().flat_map(|span| rows.span(span)).flat_map(|(_, keys)| keys).take(most).count()
    }
}
