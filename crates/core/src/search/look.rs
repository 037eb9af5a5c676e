//! Looking: how often an entry holds what is looked for.
//!
//! Its texts are gone through once, where they stand, whatever is looked for.

use std::{collections::HashMap, ops::Range};

use super::{
    word::each_word,
    words::{Need, Phrase, Words},
};
use crate::{
    entry::Entry,
    query::{Path, texts},
};

/// What one entry holds of what is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How often each phrase that is wanted is there.
    pub(crate) counts: Box<[u32]>,
    /// How many words there are in all.
    pub(crate) length: u64,
}

/// Words, ready to be looked for in many entries.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(super) paths: Vec<Path>,
    pub(super) eye: Eye,
}

/// What goes through texts, and remembers what it has seen.
#[derive(Debug)]
pub(super) struct Eye {
    /// How far each phrase is; those that must not be there stand behind the others.
    states: Vec<State>,
    wanted: usize,
    /// Which words of which phrases a word is.
    whole: HashMap<String, Vec<Spot>>,
    /// Which last words of phrases a word may begin with.
    prefixes: Vec<(String, Spot)>,
    /// Which bytes words begin with that are looked for: most words are none of them.
    firsts: Box<[bool; 256]>,
    /// The phrases that the word under the eye is in.
    touched: Vec<usize>,
    ended: Vec<usize>,
    /// The number of the word under the eye; no two texts are next to each other.
    at: u64,
    length: u64,
}

/// A word of a phrase.
#[derive(Clone, Copy, Debug)]
struct Spot {
    phrase: usize,
    bit: u64,
}

/// How far a phrase is.
#[derive(Debug)]
struct State {
    must: bool,
    words: usize,
    /// A bit for each of its words: whether the words up to there have just been seen.
    reached: u64,
    /// The number of the word that they were seen with.
    at: u64,
    /// Which of its words the word under the eye is.
    here: u64,
    count: u32,
}

impl Finder {
    pub(crate) fn new(words: &Words) -> Self {
        let paths = if words.paths().is_empty() { vec![Path::value()] } else { words.paths().to_vec() };
        Self { paths, eye: Eye::new(words.phrases()) }
    }

    /// What `entry` holds; `None` where it is not what is looked for.
    pub(crate) fn look(&mut self, entry: &Entry) -> Option<Seen> {
        let Self { paths, eye } = self;
        eye.begin();
        for path in paths.iter() {
            texts(entry, path, &mut |text| eye.read(text, &mut |_, _| {}));
        }
        eye.seen()
    }
}

impl Eye {
    fn new(phrases: &[Phrase]) -> Self {
        let (wanted, others): (Vec<_>, Vec<_>) = phrases.iter().partition(|phrase| phrase.need != Need::Not);
        let mut eye = Self {
            states: Vec::with_capacity(phrases.len()),
            wanted: wanted.len(),
            whole: HashMap::new(),
            prefixes: Vec::new(),
            firsts: Box::new([false; 256]),
            touched: Vec::new(),
            ended: Vec::new(),
            at: 0,
            length: 0,
        };
        for (number, phrase) in wanted.into_iter().chain(others).enumerate() {
            for (place, word) in phrase.words.iter().enumerate() {
                let spot = Spot { phrase: number, bit: 1 << place };
                eye.firsts[usize::from(word.as_bytes().first().copied().unwrap_or_default())] = true;
                if phrase.prefix && place + 1 == phrase.words.len() {
                    eye.prefixes.push((word.clone(), spot));
                } else {
                    eye.whole.entry(word.clone()).or_default().push(spot);
                }
            }
            let (must, words) = (phrase.need == Need::Must, phrase.words.len());
            eye.states.push(State { must, words, reached: 0, at: 0, here: 0, count: 0 });
        }
        eye
    }

    /// Forgets what it has seen.
    pub(super) fn begin(&mut self) {
        (self.at, self.length) = (0, 0);
        for state in &mut self.states {
            (state.reached, state.at, state.count) = (0, 0, 0);
        }
    }

    /// How many words the phrase with this number has, if it is one that is wanted.
    pub(super) fn wanted(&self, phrase: usize) -> Option<usize> {
        self.states[..self.wanted].get(phrase).map(|state| state.words)
    }

    /// Goes through `text`, and shows `visit` each word with the phrases that end with it.
    pub(super) fn read(&mut self, text: &str, visit: &mut dyn FnMut(Range<usize>, &[usize])) {
        self.at += 1;
        each_word(text, &mut |range, word| {
            self.at += 1;
            self.length += 1;
            self.ended.clear();
            if self.firsts[usize::from(word.as_bytes()[0])] {
                self.word(word);
            }
            visit(range, &self.ended);
        });
    }

    fn word(&mut self, word: &str) {
        let whole = self.whole.get(word).into_iter().flatten();
        let begun = self.prefixes.iter().filter(|(start, _)| word.starts_with(start)).map(|(_, spot)| spot);
        for spot in whole.chain(begun) {
            let state = &mut self.states[spot.phrase];
            if state.here == 0 {
                self.touched.push(spot.phrase);
            }
            state.here |= spot.bit;
        }
        for phrase in self.touched.drain(..) {
            let state = &mut self.states[phrase];
            let before = if state.at + 1 == self.at { state.reached } else { 0 };
            // Every phrase may begin here; others go on.
            state.reached = (before << 1 | 1) & std::mem::take(&mut state.here);
            state.at = self.at;
            if state.reached >> (state.words - 1) & 1 == 1 {
                state.count = state.count.saturating_add(1);
                self.ended.push(phrase);
            }
        }
    }

    fn seen(&self) -> Option<Seen> {
        let (wanted, others) = self.states.split_at(self.wanted);
        let good = wanted.iter().any(|state| state.count > 0)
            && wanted.iter().all(|state| !state.must || state.count > 0)
            && others.iter().all(|state| state.count == 0);
        good.then(|| Seen { counts: wanted.iter().map(|state| state.count).collect(), length: self.length })
    }
}
