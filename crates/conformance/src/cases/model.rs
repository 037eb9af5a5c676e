//! Everything else: histories by chance against the oracle.

use crate::{case, ground::Ground, model};

/// How many histories each engine is told here; `cargo xtask soak` tells as many as one likes.
const HISTORIES: u64 = 100;

pub(super) fn model_random_histories_agree_with_the_oracle(ground: &Ground) {
    if let Err(difference) = model::histories(ground.factory, case::seed(), HISTORIES) {
        panic!("{difference}");
    }
}
