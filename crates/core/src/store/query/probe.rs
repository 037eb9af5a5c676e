//! Probes: entries that a filter lets through, found along an index.
//!
//! An index tells of the present. What has changed since the moment is laid over it: what was changed is left out, and what it
//! was before comes in where its terms have their place. So every page is one of the moment, however far the store has gone on.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{access::Access, sieve};
use crate::{
    address::Range,
    change::Undone,
    engine::{IndexWalk, Place, Snapshot, Walked},
    entry::Entry,
    error::Result,
    id::Revision,
    index::{Choice, IndexId, Order, Span, Term},
    key::Key,
    query::{Filter, Matcher, Rank, Sort},
    store::{
        Scope,
        moment::{Moment, PAGE_ITEMS},
    },
};

/// So many entries at most are asked for first: engines answer that at once, and often it is all there is.
const FIRST_ITEMS_MAX: usize = 128;
/// So many at least are asked for next, as some may be sorted out.
const NEXT_ITEMS_MIN: usize = 64;
/// After so many entries it is asked whether reading all of them in order would have been quicker:
const DOUBT_AFTER: u64 = 4096;
/// to look one up along an index costs about so many times as much.
const LOOKUP_COST: u64 = 4;
/// How many entries that have changed since the moment are laid over an index; beyond that, the log is no shorter a way.
const UNDONE_MAX: usize = 16 * PAGE_ITEMS;

/// Entries that a filter lets through, along an index.
pub(in crate::store) struct Probe<'a> {
    scope: &'a Scope,
    pub(super) moment: Moment,
    matcher: Matcher,
    choice: Choice,
    also: Vec<(IndexId, Term)>,
    places: Places,
    range: Range,
    /// What is still to come, the first of them behind `after`.
    spans: Vec<Span>,
    after: Option<Place>,
    /// Where to begin, when the index has no place for it.
    start: Option<(Sort, Rank)>,
    in_order: bool,
    /// Whether it was asked already if this is the way to go.
    doubted: bool,
    /// How much to ask for at least, and at most.
    ask: (usize, usize),
    pub(super) examined: u64,
    pub(super) instead: Option<Access>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(scope: &'a Scope, moment: Moment, filter: &Filter, choice: &Choice, also: &[Choice]) -> Result<Self> {
        let spans = choice.spans.clone();
        Ok(Self {
            scope,
            moment,
            matcher: Matcher::new(filter)?,
            choice: choice.clone(),
            also: also.iter().map(|choice| (choice.id, choice.term())).collect(),
            places: Places::new(spans.clone()),
            range: sieve::range(scope, filter),
            spans,
            after: None,
            start: None,
            in_order: false,
            doubted: false,
            ask: (1, FIRST_ITEMS_MAX),
            examined: 0,
            instead: None,
        })
    }

    /// Entries are to come in the order of `sort`, behind `start`.
    pub(super) fn go_in_order(&mut self, sort: &Sort, start: Option<&Rank>) {
        self.in_order = true;
        let Some(start) = start else { return };
        match self.choice.term_of(sort, start) {
            Some(term) if self.places.of(&term).is_some() => {
                self.go_behind(Place { term, key: start.key().clone() });
            }
            // A place that this index does not have: everything up to it is passed over.
            _ => self.start = Some((sort.clone(), start.clone())),
        }
    }

    fn go_behind(&mut self, place: Place) {
        let at = self.spans.iter().position(|span| span.contains(&place.term)).unwrap_or(self.spans.len());
        self.spans.drain(..at);
        self.after = Some(place);
    }

    pub(super) async fn page(&mut self, wanted: usize) -> Result<Option<Vec<Entry>>> {
        if self.spans.is_empty() {
            return Ok(None);
        }
        // What comes in order may end early, unless it is the order alone that the index is walked for.
        let doubtful = !self.in_order || !self.choice.is_bound;
        if self.examined >= DOUBT_AFTER && doubtful && !self.doubted && self.is_a_long_way().await? {
            self.give_up(Access::Keys);
            return Ok(None);
        }
        let limit = wanted.clamp(self.ask.0, self.ask.1);
        self.ask = ((limit * 4).clamp(NEXT_ITEMS_MIN, PAGE_ITEMS), PAGE_ITEMS);
        let walk = IndexWalk {
            index: self.choice.id,
            spans: self.spans.clone(),
            reverse: self.reverse(),
            after: self.after.clone(),
            range: self.range.clone(),
            also: self.also.clone(),
            limit,
            now: self.moment.now,
        };
        let indexes = self.scope.engine().indexes();
        let walked = match indexes {
            Some(indexes) => indexes.walk(walk).await?,
            None => None,
        };
        let Some(Snapshot { revision: head, value: Walked { mut items, through } }) = walked else {
            // It was dropped in the meantime.
            self.scope.forget_indexes();
            self.give_up(Access::Keys);
            return Ok(None);
        };
        self.examined += items.len() as u64;
        if self.in_order && items.iter().any(|(term, _)| term.is_cut()) && !self.choice.is_one_term() {
            // What was cut is in no order any more.
            self.give_up(Access::Index(Choice { order: Order::Other, ..self.choice.clone() }, Vec::new()));
            return Ok(None);
        }
        let before = match self.moment.since(head) {
            Some(_) => self.changed(through.as_ref(), &mut items, head).await?,
            None => true,
        };
        if !before {
            self.give_up(Access::Keys);
            return Ok(None);
        }
        match through {
            Some(place) => self.go_behind(place),
            None => self.spans.clear(),
        }
        if self.choice.is_exact {
            items.retain(|(term, entry)| !term.is_cut() || self.matcher.matches(entry));
        }
        let mut entries = self.once(items);
        if !self.choice.is_exact {
            entries.retain(|entry| self.matcher.matches(entry));
        }
        if let Some((sort, start)) = &self.start {
            entries.retain(|entry| sort.rank(entry) > *start);
        }
        Ok(Some(entries))
    }

    /// Lays over the `items` of a page, which ends at `through`, what has changed since the moment. Whether that could be
    /// done.
    async fn changed(&mut self, through: Option<&Place>, items: &mut Vec<(Term, Entry)>, head: Revision) -> Result<bool> {
        let mut undone: Vec<Undone> = Vec::new();
        let mut rest = Some(self.range.clone());
        while let Some(range) = rest.take().filter(|range| !range.is_empty()) {
            let page = self.moment.undo(self.scope, range.clone(), false, head).await?;
            rest = page.items.last().filter(|_| page.more).map(|last| range.after(&last.address));
            undone.extend(page.items);
            if undone.len() > UNDONE_MAX {
                return Ok(false);
            }
        }
        // In the order of addresses.
        let changed = |entry: &Entry| undone.binary_search_by(|undone| undone.address.cmp(&entry.address)).is_ok();
        items.retain(|(_, entry)| !changed(entry));
        for entry in undone.iter().filter_map(|undone| undone.entry.as_ref()) {
            if entry.is_expired(self.moment.now) {
                continue;
            }
            // What the index would not take is not to be found with it.
            let Ok(terms) = self.choice.index.terms(entry) else { return Ok(false) };
            let in_page = |term: &Term| {
                let place = (term, &entry.address.key);
                let behind = self.after.as_ref().is_none_or(|after| self.order(place, (&after.term, &after.key)).is_gt());
                let before = through.is_none_or(|last| self.order(place, (&last.term, &last.key)).is_le());
                self.places.of(term).is_some() && behind && before
            };
            items.extend(terms.into_iter().filter(in_page).map(|term| (term, entry.clone())));
        }
        if self.in_order && items.iter().any(|(term, _)| term.is_cut()) && !self.choice.is_one_term() {
            return Ok(false);
        }
        items.sort_by(|(a, one), (b, other)| self.order((a, &one.address.key), (b, &other.address.key)));
        Ok(true)
    }

    /// Which of two rows comes first on the way.
    fn order(&self, (a, key): (&Term, &Key), (b, other): (&Term, &Key)) -> Ordering {
        self.terms_order(a, b).then_with(|| key.cmp(other))
    }

    fn terms_order(&self, a: &Term, b: &Term) -> Ordering {
        let terms = if self.reverse() { b.cmp(a) } else { a.cmp(b) };
        self.places.of(a).cmp(&self.places.of(b)).then(terms)
    }

    /// The entries of `items`, those with several terms when they are come upon for the first time.
    fn once(&self, items: Vec<(Term, Entry)>) -> Vec<Entry> {
        if !self.choice.index.is_many() {
            return items.into_iter().map(|(_, entry)| entry).collect();
        }
        // All of its spans count, also those that were walked already.
        let first = |entry: &Entry| {
            let terms = self.choice.index.terms(entry).unwrap_or_default();
            let inside = terms.into_iter().filter(|term| self.places.of(term).is_some());
            inside.min_by(|a, b| self.terms_order(a, b))
        };
        // Each entry is looked at once, however many of its terms are here.
        let mut firsts = BTreeMap::new();
        let is_first = |(term, entry): (Term, Entry)| {
            let first = firsts.entry(entry.address.key.clone()).or_insert_with(|| first(&entry));
            (first.as_ref() == Some(&term)).then_some(entry)
        };
        items.into_iter().filter_map(is_first).collect()
    }

    fn reverse(&self) -> bool {
        self.choice.order == Order::Reverse
    }

    /// Whether to read everything would be quicker than to go on.
    async fn is_a_long_way(&mut self) -> Result<bool> {
        let Some(indexes) = self.scope.engine().indexes() else { return Ok(true) };
        let all = self.scope.usage().await?.entries;
        let most = usize::try_from(all / LOOKUP_COST).unwrap_or(usize::MAX).saturating_add(1);
        let rows = indexes.estimate(self.choice.id, self.spans.clone(), most).await?;
        // From here on it is too late to turn back.
        self.doubted = true;
        Ok(rows >= most)
    }

    fn give_up(&mut self, instead: Access) {
        self.spans.clear();
        self.instead = Some(instead);
    }

    /// The revision that everything was read at.
    pub(super) async fn settled(&self) -> Result<Revision> {
        self.moment.settled(self.scope).await
    }
}

/// Spans in order, so that the one with a term in it is found quickly, with their numbers on the way.
struct Places(Vec<(Span, usize)>);

impl Places {
    fn new(spans: Vec<Span>) -> Self {
        let mut spans: Vec<_> = spans.into_iter().zip(0..).collect();
        spans.sort();
        Self(spans)
    }

    /// The number of the span that `term` is in.
    fn of(&self, term: &Term) -> Option<usize> {
        let behind = self.0.partition_point(|(span, _)| span.from.as_slice() <= term.as_bytes());
        let (span, at) = self.0.get(behind.checked_sub(1)?)?;
        span.contains(term).then_some(*at)
    }
}
