//! Asking by chance: random documents, index sets and questions; every answer is compared with what the reference evaluator
//! and a plain sort make of the entries.
//!
//! A history is some sixty documents in a namespace of its own, two index sets over them, one after the other, and ten
//! questions with each: of the present and of moments past, whole or page by page, of all keys or of some, while documents
//! come, go and expire, between two pages and in the middle of one. What a unique index refuses has to be refused, and
//! nothing else. A history that ends in a difference is made as short as it gets, and told.

mod draw;
mod plain;
mod play;
mod scene;
mod unique;

use std::fmt;

use crate::{Factory, model::Difference, random::Random};
use play::Stage;
use scene::Scene;

/// How many histories are told in one place, each in a namespace of its own.
const IN_ONE_PLACE: u64 = 50;
/// How many shorter histories are tried. The last ones gain little.
const TRIES: usize = 400;

/// What the histories of a run consisted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many histories there were; each has documents of its own.
    pub histories: u64,
    /// States that the documents were in when something was asked.
    pub documents: u64,
    /// Index sets that something was asked with.
    pub indexes: u64,
    /// Questions: each one with a document set and an index set.
    pub questions: u64,
    /// Those that were answered along an index.
    pub walked: u64,
    /// Pages that went on where another had ended.
    pub pages: u64,
    /// Commits and indexes that uniqueness did not allow.
    pub refused: u64,
}

impl Tally {
    /// Counts `other` in.
    pub fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.documents += other.documents;
        self.indexes += other.indexes;
        self.questions += other.questions;
        self.walked += other.walked;
        self.pages += other.pages;
        self.refused += other.refused;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, documents, indexes, questions, walked, pages, refused } = self;
        write!(f, "{questions} questions, {walked} of them answered along an index, and {pages} more pages of them: ")?;
        write!(f, "{histories} histories, {documents} document sets, {indexes} index sets, {refused} refusals")
    }
}

/// Tells the `count` histories that begin with `seed`, and answers what they consisted of.
///
/// The history with number n, counted from 0, is the first one of the seed `seed + n`.
///
/// # Errors
/// The first history in which an answer is not that of the evaluator, shortened.
pub fn histories(factory: &dyn Factory, seed: u64, count: u64) -> Result<Tally, Difference> {
    told(factory, seed, count, TRIES)
}

/// As [`histories`]; to make one shorter that fails, so many are tried.
pub(crate) fn told(factory: &dyn Factory, seed: u64, count: u64, tries: usize) -> Result<Tally, Difference> {
    let mut tally = Tally::default();
    for first in (0..count).step_by(IN_ONE_PLACE as usize) {
        let stage = Stage::new(factory);
        for number in first..count.min(first + IN_ONE_PLACE) {
            let seed = seed.wrapping_add(number);
            let scene = Scene::draw(&mut Random::new(seed));
            match stage.play(&scene, number) {
                Ok(told) => tally.add(told),
                Err(difference) => return Err(shrunk(factory, seed, scene, difference, tries)),
            }
        }
    }
    Ok(tally)
}

/// The shortest history found that fails.
///
/// Greedy: leaves out ever smaller pieces for as long as what is left fails too, each time in a fresh place.
fn shrunk(factory: &dyn Factory, seed: u64, mut scene: Scene, mut difference: String, tries: usize) -> Difference {
    let mut left = tries;
    let mut fails = |scene: &Scene| {
        left = left.saturating_sub(1);
        if left == 0 { None } else { Stage::new(factory).play(scene, 0).err() }
    };
    if fails(&scene).is_none() {
        let story = format!("{difference}\n\nin a fresh place it does not come again; the history is\n{scene}");
        return Difference { seed, story };
    }
    let mut size = scene.size() / 2;
    while size > 0 {
        let (mut start, before) = (0, scene.size());
        while start < scene.size() {
            let shorter = scene.without(start, size);
            match fails(&shorter) {
                Some(found) => (scene, difference) = (shorter, found),
                None => start += size,
            }
        }
        if size > 1 || scene.size() == before {
            size /= 2;
        }
    }
    while let Some((simpler, found)) =
        scene.simpler().into_iter().find_map(|scene| fails(&scene).map(|found| (scene, found)))
    {
        (scene, difference) = (simpler, found);
    }
    Difference { seed, story: format!("{scene}\n{difference}") }
}
