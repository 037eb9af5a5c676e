//! G4 and G5 on what callers were answered: threads work through the store on two handles, and checkers that know
//! nothing of stores look for an order that explains it.

use crate::{case, ground::Ground, record};

/// How many histories each engine is put through here; `cargo xtask soak` records as many as one likes.
const HISTORIES: u64 = 50;

pub(super) fn g4_recorded_operations_are_linearizable(ground: &Ground) {
    let stores = [ground.store(), ground.store()];
    for seed in case::seed()..case::seed() + HISTORIES {
        record::operations(&stores, seed).unwrap_or_else(|bad| panic!("{bad}in the history LARDER_SEED={seed}"));
    }
}

pub(super) fn g5_recorded_transactions_are_serializable(ground: &Ground) {
    let stores = [ground.store(), ground.store()];
    for seed in case::seed()..case::seed() + HISTORIES {
        record::transactions(&stores, seed).unwrap_or_else(|bad| panic!("{bad}\nin the history LARDER_SEED={seed}"));
    }
}
