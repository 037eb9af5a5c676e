//! Spans: which part of an index holds all that a filter can let through, and in which order it stands there.

use super::{Index, IndexId, IndexState, IndexStatus, Term, term};
use crate::query::{By, Condition, Filter, Json, Node, Path, Rank, Sort, Test};

/// A part of an index: the terms from one on, up to another and without that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first that may be in it.
    pub from: Vec<u8>,
    /// The first that is behind it.
    pub to: Vec<u8>,
}

impl Span {
    /// Every term.
    pub fn all() -> Self {
        Self { from: Vec::new(), to: vec![term::MISSING + 1] }
    }

    /// Whether `term` is in it.
    pub fn contains(&self, term: &Term) -> bool {
        (self.from.as_slice()..self.to.as_slice()).contains(&term.as_bytes())
    }
}

/// How an index can be used for a query. Everything that the filter lets through is in its spans, and more may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which index.
    pub id: IndexId,
    /// On what it is.
    pub index: Index,
    /// In the order in which they are to be walked; no two overlap.
    pub spans: Vec<Span>,
    /// In which order entries come when the spans are walked.
    pub order: Order,
    /// How many of its paths, from the first on, have to be one value each,
    pub equal: usize,
    /// and how those stand at the beginning of every term.
    pub fixed: Vec<u8>,
    /// Whether the filter says anything of what is in the index; else it is its order that helps.
    pub is_bound: bool,
    /// Whether the filter lets everything through that has a term in the spans, unless that was cut.
    pub is_exact: bool,
}

impl Choice {
    /// Whether all of it has one term.
    pub fn is_one_term(&self) -> bool {
        self.equal == self.index.paths().len()
    }

    /// Whether `filter` asks about nothing else than what the index is on.
    pub(crate) fn tells_all_of(&self, filter: &Filter) -> bool {
        filter.conditions().iter().all(|condition| self.index.paths().contains(condition.path()))
    }

    /// The one term, where there is one.
    pub(crate) fn term(&self) -> Term {
        Term::cut(self.fixed.clone())
    }

    /// Whether at most one entry can be found.
    pub fn is_one_entry(&self) -> bool {
        // What is missing may be so in many.
        self.index.is_unique() && self.is_one_term() && !term::is_partial(&self.index, &Term::from_bytes(&self.fixed))
    }

    /// The term of the entry at the place `rank` of `sort`, in whose order this one comes; `None` where there is no such place
    /// here.
    pub(crate) fn term_of(&self, sort: &Sort, rank: &Rank) -> Option<Term> {
        let fixed = &self.index.paths()[..self.equal];
        let mut rest = self.fixed.as_slice();
        for path in fixed {
            let value;
            (value, rest) = term::split(rest);
            // A place with another value than this path has here is before all of these entries, or behind them.
            let elsewhere = |(by, found): (&By, _)| by.path == *path && term::value(found) != value;
            if wanted(sort, rank.values()).any(elsewhere) {
                return None;
            }
        }
        let mut bytes = self.fixed.clone();
        for (_, value) in wanted(sort, rank.values()).filter(|(by, _)| !fixed.contains(&by.path)) {
            bytes.extend(term::value(value));
        }
        (bytes.len() < Term::BYTES_MAX || self.is_one_term()).then(|| Term::cut(bytes))
    }
}

/// In which order entries come out of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order of its terms, which is not the one asked for.
    Other,
    /// In the order asked for, walking from the first term to the last.
    Forward,
    /// In the order asked for, walking each span from the last term to the first.
    Reverse,
}

/// How each of `indexes` that can help with `filter` and `sort` does so.
pub fn choices(indexes: &[IndexStatus], filter: &Filter, sort: &Sort) -> Vec<Choice> {
    let ready = indexes.iter().filter(|status| status.state == IndexState::Ready && !status.index.is_words());
    ready.filter_map(|status| choice(status, filter, sort)).collect()
}

fn choice(status: &IndexStatus, filter: &Filter, sort: &Sort) -> Option<Choice> {
    let paths = status.index.paths();
    let mut told = 0;
    // What terms begin with: one value of each path so far, and how many of the paths have just one.
    let (mut beginnings, mut tails, mut equal, mut fixed) = (vec![Vec::new()], None, 0, Vec::new());
    for path in paths {
        let Some(parts) = parts(filter, path) else { break };
        let product = beginnings.len() * parts.len();
        // Before they are multiplied, not after it; how many there are is told by what they were.
        let parts: Vec<Part> = parts.into_iter().map(Part::cut).collect();
        let many = product > Index::TERMS_MAX;
        told += usize::from(!many);
        if parts.iter().any(|part| !part.point) || many {
            tails = Some(if many { cover(&parts) } else { parts });
            break;
        }
        let one = product == 1;
        let beginning = |first: &[u8], part: &Part| {
            let mut bytes = [first, &part.from].concat();
            bytes.truncate(Term::BYTES_MAX);
            bytes
        };
        beginnings = beginnings.iter().flat_map(|first| parts.iter().map(|part| beginning(first, part))).collect();
        if one {
            equal += 1;
            fixed.clone_from(&beginnings[0]);
        }
    }
    let is_bound = tails.is_some() || beginnings != [Vec::<u8>::new()];
    let one_term = tails.is_none() && equal == paths.len();
    let order = order(paths, equal, one_term, sort);
    if !is_bound && order == Order::Other {
        return None;
    }
    let parts = match tails {
        None => beginnings.into_iter().map(Part::point).collect(),
        Some(tails) => {
            let behind = |first: &Vec<u8>| tails.iter().map(|tail| tail.behind(first)).collect::<Vec<_>>();
            beginnings.iter().flat_map(behind).collect()
        }
    };
    let mut spans: Vec<Span> = Vec::new();
    for Part { from, to, .. } in union(parts).into_iter().map(Part::cut) {
        let span = Span { from, to };
        match spans.last_mut() {
            // What was cut may have come to overlap.
            Some(last) if span.from < last.to => last.to = span.to.max(std::mem::take(&mut last.to)),
            _ => spans.push(span),
        }
    }
    if order == Order::Reverse {
        spans = values_first(spans, &[&*fixed, &[term::MISSING]].concat());
    }
    let is_exact = is_told(filter, &paths[..told]);
    Some(Choice { id: status.id, index: status.index.clone(), spans, order, equal, fixed, is_bound, is_exact })
}

/// Whether `filter` is nothing but conditions that all have to hold, each on one value at one of `paths`: then what it lets
/// through is what those paths have to be.
fn is_told(filter: &Filter, paths: &[Path]) -> bool {
    match filter.node() {
        Node::All(filters) => filters.iter().all(|filter| is_told(filter, paths)),
        Node::Condition(condition) => {
            let path = condition.path();
            // Of the tests that say nothing of where a value stands, none is told.
            !path.is_many() && paths.contains(path) && test(condition).is_some()
        }
        Node::Any(_) | Node::Not(_) | Node::Wrong(_) => false,
    }
}

/// The parts of `sort` that have something to say, each with one of `those`: what is equal is in the order of keys anyway.
fn wanted<T>(sort: &Sort, those: impl Iterator<Item = T>) -> impl Iterator<Item = (&By, T)> {
    sort.parts().iter().zip(those).take_while(|(by, _)| by.descending || by.path != Path::key())
}

/// In which order entries come, when the first `equal` of `paths` have one value each.
fn order(paths: &[Path], equal: usize, one_term: bool, sort: &Sort) -> Order {
    let (fixed, rest) = paths.split_at(equal);
    let parts = wanted(sort, std::iter::repeat(())).map(|(by, ())| by);
    let wanted: Vec<_> = parts.filter(|by| !fixed.contains(&by.path)).collect();
    if wanted.is_empty() {
        // By key, which is how the entries of one term stand.
        return if one_term { Order::Forward } else { Order::Other };
    }
    let same = rest.len() == wanted.len() && rest.iter().zip(&wanted).all(|(path, by)| *path == by.path);
    match (same, &wanted[..]) {
        (true, wanted) if wanted.iter().all(|by| !by.descending) => Order::Forward,
        // Of several, those where the second is missing would have to come in between.
        (true, [by]) if by.descending => Order::Reverse,
        _ => Order::Other,
    }
}

/// The spans from the last to the first, but those at or behind `missing` at the end.
fn values_first(spans: Vec<Span>, missing: &[u8]) -> Vec<Span> {
    let (mut values, mut last) = (Vec::new(), Vec::new());
    for Span { from, to } in spans.into_iter().rev() {
        if to.as_slice() > missing {
            last.push(Span { from: from.clone().max(missing.to_vec()), to: to.clone() });
        }
        if from.as_slice() < missing {
            values.push(Span { from, to: to.min(missing.to_vec()) });
        }
    }
    values.extend(last);
    values
}

/// A part of what one path, or several, can be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    from: Vec<u8>,
    to: Vec<u8>,
    /// Whether it is one value.
    point: bool,
}

impl Part {
    fn point(value: Vec<u8>) -> Self {
        // Behind a value stands another one, or nothing; the text that goes on with a NUL is not that value any more.
        Self { to: [&*value, &[term::NUL]].concat(), from: value, point: true }
    }

    fn value(value: &Json) -> Self {
        let mut bytes = Vec::new();
        term::json(&mut bytes, value);
        Self::point(bytes)
    }

    fn range(from: Vec<u8>, to: Vec<u8>) -> Self {
        Self { from, to, point: false }
    }

    fn behind(&self, first: &[u8]) -> Self {
        Self { from: [first, &self.from].concat(), to: [first, &self.to].concat(), point: self.point }
    }

    /// As terms are: where they would be longer they are cut, and so is what is asked for.
    fn cut(mut self) -> Self {
        self.from.truncate(Term::BYTES_MAX);
        if self.to.len() > Term::BYTES_MAX {
            self.to.truncate(Term::BYTES_MAX);
            self.to = after(&self.to);
        }
        self
    }
}

/// What comes after everything that begins with `bytes`.
pub(super) fn after(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while bytes.pop_if(|last| *last == u8::MAX).is_some() {}
    match bytes.last_mut() {
        Some(last) => *last += 1,
        // Nothing begins with that; of everything, it is the end.
        None => bytes.push(term::MISSING + 1),
    }
    bytes
}

/// What `path` has to be where `filter` holds, in order and without overlaps; `None` where that may be anything.
fn parts(filter: &Filter, path: &Path) -> Option<Vec<Part>> {
    match filter.node() {
        Node::All(filters) => {
            let all = filters.iter().filter_map(|filter| parts(filter, path));
            // Of several elements, each may be what another condition asks for.
            if path.is_many() {
                all.min_by_key(|parts| (!points(parts), parts.len()))
            } else {
                // The shorter ones first: what is left is never longer than they are.
                let mut all: Vec<_> = all.collect();
                all.sort_by_key(Vec::len);
                all.into_iter().reduce(|a, b| meet(&a, &b))
            }
        }
        Node::Any(filters) => {
            let any = filters.iter().map(|filter| parts(filter, path)).collect::<Option<Vec<_>>>()?;
            Some(union(any.concat()))
        }
        Node::Condition(condition) if condition.path() == path => test(condition),
        Node::Condition(_) | Node::Not(_) | Node::Wrong(_) => None,
    }
}

fn points(parts: &[Part]) -> bool {
    parts.iter().all(|part| part.point)
}

fn test(condition: &Condition) -> Option<Vec<Part>> {
    let below = |value: &Json, with: bool| {
        let (first, one) = (type_of(value)?, Part::value(value));
        Some(Part::range(vec![first], if with { one.to } else { one.from }))
    };
    let above = |value: &Json, with: bool| {
        let (first, one) = (type_of(value)?, Part::value(value));
        Some(Part::range(if with { one.from } else { one.to }, vec![first + 1]))
    };
    let found = match condition.test() {
        Test::Eq(value) => vec![Part::value(value)],
        Test::In(values) => union(values.iter().map(Part::value).collect()),
        // What has no order is neither larger nor smaller.
        Test::Gt(value) => above(value, false).into_iter().collect(),
        Test::Gte(value) => above(value, true).into_iter().collect(),
        Test::Lt(value) => below(value, false).into_iter().collect(),
        Test::Lte(value) => below(value, true).into_iter().collect(),
        Test::StartsWith(text) => {
            let mut bytes = Vec::new();
            term::beginning(&mut bytes, text);
            vec![Part::range(bytes.clone(), after(&bytes))]
        }
        Test::Exists(true) => vec![Part::range(vec![term::NULL], vec![term::MISSING])],
        Test::Exists(false) => vec![Part::point(vec![term::MISSING])],
        Test::Ne(_) | Test::Nin(_) | Test::Contains(_) | Test::EndsWith(_) => return None,
    };
    Some(found)
}

/// What every value of the type of `value` begins with, if it is one with an order.
fn type_of(value: &Json) -> Option<u8> {
    match value {
        Json::Number(_) => Some(term::NUMBER),
        Json::Text(_) => Some(term::TEXT),
        _ => None,
    }
}

/// What is in both, which are in order and without overlaps; so is the answer.
fn meet(these: &[Part], others: &[Part]) -> Vec<Part> {
    let (mut these, mut others) = (these.iter().peekable(), others.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (these.peek(), others.peek()) {
        let (from, to) = ((&a.from).max(&b.from), (&a.to).min(&b.to));
        if from < to {
            both.push(Part { from: from.clone(), to: to.clone(), point: a.point || b.point });
        }
        // Whichever ends first meets nothing more.
        if a.to <= b.to {
            these.next()
        } else {
            others.next()
        };
    }
    both
}

/// What is in any of them, in order and without overlaps.
fn union(mut parts: Vec<Part>) -> Vec<Part> {
    parts.sort_unstable();
    let mut merged: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match merged.last_mut() {
            Some(last) if part.from < last.to => {
                if (&part.from, &part.to) != (&last.from, &last.to) {
                    last.point &= part.to <= last.to;
                    last.to = part.to.max(std::mem::take(&mut last.to));
                }
            }
            _ => merged.push(part),
        }
    }
    merged
}

/// One that all of them are in.
fn cover(parts: &[Part]) -> Vec<Part> {
    let whole = parts.first().zip(parts.last()).map(|(first, last)| Part::range(first.from.clone(), last.to.clone()));
    whole.into_iter().collect()
}
