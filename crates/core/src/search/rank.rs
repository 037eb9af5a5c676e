//! Ranking: which of what was found comes first.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::look::Seen;
use crate::{
    error::{Error, Result},
    key::Key,
};

/// How soon more of the same counts less.
const K1: f64 = 1.2;
/// How much long texts have to hold more.
const B: f64 = 0.75;
/// How little it matters, when two lists become one, whether something is first or second.
const FUSED: f64 = 60.0;
/// How many bytes the keys of an answer may take.
const BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is known of everything that was found: what BM25 compares one entry with.
///
/// Whole numbers alone are added up, so that it does not matter in which order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Corpus {
    entries: u64,
    words: u64,
    /// How many entries hold each phrase.
    holding: Vec<u64>,
}

impl Corpus {
    pub(crate) fn add(&mut self, seen: &Seen) {
        self.entries += 1;
        self.words += seen.length;
        self.holding.resize(seen.counts.len(), 0);
        for (holding, count) in self.holding.iter_mut().zip(&seen.counts) {
            *holding += u64::from(*count > 0);
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// How well an entry of these fits; the parts are added in the order in which they were asked for.
    pub(crate) fn score(&self, seen: &Seen) -> f64 {
        let mean = self.words as f64 / self.entries as f64;
        let norm = K1 * (1.0 - B + B * seen.length as f64 / mean);
        let part = |(count, holding): (&u32, &u64)| {
            let count = f64::from(*count);
            // One more than elsewhere: here everything holds something that was asked for, and what all of them hold
            // would not count at all.
            let rare = (1.0 + (self.entries as f64 + 1.0) / (*holding as f64 + 0.5)).ln();
            rare * count * (K1 + 1.0) / (count + norm)
        };
        seen.counts.iter().zip(&self.holding).filter(|(count, _)| **count > 0).map(part).sum()
    }
}

/// What a place in a list of two adds to a score: reciprocal rank fusion, after Cormack, Clarke and Büttcher.
pub(crate) fn fused(place: usize) -> f64 {
    1.0 / (FUSED + 1.0 + place as f64)
}

/// The best so far, as many as are wanted: the highest scores, and of equal ones the first keys.
#[derive(Debug)]
pub(crate) struct Best {
    most: usize,
    heap: BinaryHeap<Scored>,
    bytes: usize,
}

/// A key and how well its entry fits. The best comes first.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    pub(crate) key: Key,
    pub(crate) score: f64,
}

impl Best {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new(), bytes: 0 }
    }

    /// Takes `key` if it is among the best.
    ///
    /// # Errors
    /// `Limit` when the best take more memory than an answer may.
    pub(crate) fn add(&mut self, key: &Key, score: f64) -> Result<()> {
        // The two zeros are one number.
        let score = score + 0.0;
        if self.heap.len() == self.most {
            // Most are worse than the worst, and are not even copied.
            let better = |worst: &Scored| score.total_cmp(&worst.score).reverse().then_with(|| key.cmp(&worst.key)).is_lt();
            if !self.heap.peek().is_some_and(better) {
                return Ok(());
            }
            let worst = self.heap.pop();
            self.bytes -= worst.map_or(0, |worst| worst.bytes());
        }
        let scored = Scored { key: key.clone(), score };
        self.bytes += scored.bytes();
        if self.bytes > BYTES_MAX {
            return Err(Error::limit(format!("the answer would hold more than {BYTES_MAX} bytes at once: give it a limit")));
        }
        self.heap.push(scored);
        Ok(())
    }

    pub(crate) fn into_sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec()
    }
}

impl Scored {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.key.len()
    }
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.key.cmp(&other.key))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}
