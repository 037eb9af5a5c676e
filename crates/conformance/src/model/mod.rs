//! The model test: histories by chance, told to an engine and to a small oracle, which must agree on every answer.
//!
//! A history is some thirty steps over up to four handles: groups of commits with every check and write there is,
//! commits sent again, ids resolved and fenced, every way of reading, clocks that go forwards and backwards, sweeping,
//! trimming, handles closed and opened, futures dropped half-way, and crashes where the place can crash. A history that
//! ends in a difference is made as short as it gets, and told.

mod answers;
mod draw;
mod history;
mod oracle;
mod reach;
mod shrink;

use std::fmt;

use crate::{Factory, random::Random};
use history::History;

/// How many steps a history has.
const STEPS: usize = 30;
/// How many histories are told in one place, which each of them leaves empty.
const IN_ONE_PLACE: u64 = 50;

/// What the histories of a run consisted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many histories there were.
    pub histories: u64,
    /// Their steps.
    pub steps: u64,
    /// Commits that were sent.
    pub commits: u64,
    /// Handles that were closed and opened again.
    pub reopened: u64,
    /// Commits that were given up half-way.
    pub given_up: u64,
    /// Crashes.
    pub crashed: u64,
    /// Trims.
    pub trims: u64,
}

impl Tally {
    /// Counts `other` in.
    pub fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.commits += other.commits;
        self.reopened += other.reopened;
        self.given_up += other.given_up;
        self.crashed += other.crashed;
        self.trims += other.trims;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, steps, commits, reopened, given_up, crashed, trims } = self;
        write!(f, "{histories} histories: {steps} steps, {commits} commits, {trims} trims, ")?;
        write!(f, "{reopened} handles reopened, {given_up} commits given up, {crashed} crashes")
    }
}

/// A history in which an engine and the oracle differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The seed that tells this history first.
    pub seed: u64,
    /// What was done, and what the last answer should have been.
    pub story: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\nthe history comes again with LARDER_SEED={}", self.story, self.seed)
    }
}

/// Tells the `count` histories that begin with `seed`, and answers what they consisted of.
///
/// The history with number n, counted from 0, is the first one of the seed `seed + n`.
///
/// # Errors
/// The first history in which the engine differs from the oracle, shortened.
pub fn histories(factory: &dyn Factory, seed: u64, count: u64) -> Result<Tally, Difference> {
    let mut tally = Tally::default();
    let mut told = 0;
    while told < count {
        let here = IN_ONE_PLACE.min(count - told);
        tally.add(in_one_place(factory, seed.wrapping_add(told), here)?);
        told += here;
    }
    Ok(tally)
}

fn in_one_place(factory: &dyn Factory, first: u64, count: u64) -> Result<Tally, Difference> {
    let site = factory.fresh();
    let mut history = History::new(&*site, false).map_err(|story| Difference { seed: first, story })?;
    for n in 0..count {
        let seed = first.wrapping_add(n);
        let steps = steps(seed);
        if let Err(difference) = history.run(&steps) {
            drop(history);
            return Err(shrink::shrunk(factory, seed, steps).unwrap_or_else(|| Difference {
                seed: first,
                story: format!("the history with the seed {seed} differs after {n} others in one place:\n{difference}"),
            }));
        }
    }
    Ok(history.tally)
}

/// The steps of the history with this seed.
fn steps(seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    (0..STEPS).map(|_| random.bits()).collect()
}
