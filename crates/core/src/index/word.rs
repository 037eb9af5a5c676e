//! Indexes of words: the terms of an entry, and the spans in which everything stands that a search can find.
//!
//! A word is the term of its text, folded. An entry that has too many of them has the term of what is missing instead, which
//! stands behind all words, and every search looks there, too.

use std::collections::BTreeSet;

use super::{
    Choice, Index, IndexState, IndexStatus, Order, Span, Term,
    span::after,
    term::{self, MISSING},
};
use crate::{
    entry::Entry,
    query::{Path, texts},
    search::{Need, Phrase, Words, each_word},
};

/// The terms of `entry` in `index`, which is one of words.
pub(super) fn terms(index: &Index, entry: &Entry) -> Vec<Term> {
    let mut words = BTreeSet::new();
    for path in index.paths() {
        texts(entry, path, &mut |text| {
            each_word(text, &mut |_, word| {
                if words.len() <= Index::WORDS_MAX && !words.contains(word) {
                    words.insert(word.to_owned());
                }
            });
        });
    }
    if words.len() > Index::WORDS_MAX {
        return vec![Term::cut(vec![MISSING])];
    }
    let term = |word: &String| {
        let mut bytes = Vec::with_capacity(word.len() + 2);
        term::text(&mut bytes, word);
        Term::cut(bytes)
    };
    words.iter().map(term).collect()
}

/// How each of `indexes` that can help finding `words` does so: where one word has to be there, along that one, else along one
/// of each phrase.
pub fn finding(indexes: &[IndexStatus], words: &Words) -> Vec<Choice> {
    let value = [Path::value()];
    let paths = if words.paths().is_empty() { &value } else { words.paths() };
    let ready = indexes.iter().filter(|status| status.state == IndexState::Ready && status.index.is_words());
    let covering = ready.filter(|status| paths.iter().all(|path| status.index.paths().iter().any(|of| is_below(path, of))));
    covering.flat_map(|status| ways(words.phrases()).into_iter().map(|spans| choice(status, spans))).collect()
}

/// Whether everything that `path` reaches is also below what `of` reaches.
fn is_below(path: &Path, of: &Path) -> bool {
    path.root() == of.root() && path.steps().starts_with(of.steps())
}

/// The words one of which has to be there, as spans; each of these ways is enough.
fn ways(phrases: &[Phrase]) -> Vec<Vec<Span>> {
    let must: Vec<_> =
        phrases.iter().filter(|phrase| phrase.need == Need::Must).map(|phrase| vec![rarest(phrase)]).collect();
    if must.is_empty() {
        return vec![phrases.iter().filter(|phrase| phrase.need == Need::Any).map(rarest).collect()];
    }
    must
}

/// Of all words of a phrase, which have to be there, the one that is likely to be the rarest: the longest.
fn rarest(phrase: &Phrase) -> Span {
    let last = phrase.words.len() - 1;
    let open = |place: usize| phrase.prefix && place == last;
    let longest = phrase.words.iter().enumerate().max_by_key(|(place, word)| (!open(*place), word.len()));
    let (place, word) = longest.expect("a phrase has a word");
    let mut from = Vec::new();
    if open(place) {
        term::beginning(&mut from, word);
    } else {
        term::text(&mut from, word);
    }
    Span { to: after(&from), from }
}

fn choice(status: &IndexStatus, mut spans: Vec<Span>) -> Choice {
    // Words are shorter than terms are, so nothing of this was cut.
    spans.sort_unstable();
    let mut apart: Vec<Span> = Vec::with_capacity(spans.len() + 1);
    for span in spans {
        match apart.last_mut() {
            Some(last) if span.from <= last.to => last.to = std::mem::take(&mut last.to).max(span.to),
            _ => apart.push(span),
        }
    }
    apart.push(Span { from: vec![MISSING], to: vec![MISSING + 1] });
    Choice {
        id: status.id,
        index: status.index.clone(),
        spans: apart,
        order: Order::Other,
        equal: 0,
        fixed: Vec::new(),
        is_bound: true,
        is_exact: false,
    }
}
