//! Everything else: histories by chance against the oracle.

use crate::{asking, case, ground::Ground, model};

/// How many histories each engine is told here; `cargo xtask soak` tells as many as one likes.
const HISTORIES: u64 = 100;

pub(super) fn model_random_histories_agree_with_the_oracle(ground: &Ground) {
    if let Err(difference) = model::histories(ground.factory, case::seed(), HISTORIES) {
        panic!("{difference}");
    }
}

/// How many histories of questions each engine is told here: 800 questions. `cargo xtask soak queries` asks as many as one
/// likes.
const ASKING: u64 = 40;
/// How many shorter ones are tried of one that goes wrong; the campaign tries more.
const SHORTER: usize = 60;

pub(super) fn g11_any_index_answers_as_the_evaluator_does(ground: &Ground) {
    match asking::told(ground.factory, case::seed(), ASKING, SHORTER) {
        Ok(told) => println!("{told}"),
        Err(difference) => panic!("{difference}"),
    }
}
