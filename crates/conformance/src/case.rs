//! What a case is, and how one is run.

use crate::{Factory, ground::Ground};

/// One thing that must be true of every engine.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What must be true, as the name of a test.
    pub name: &'static str,
    /// Which promise it belongs to: `G1` to `G15` of the design, or the part of the contract.
    pub promise: &'static str,
    /// What goes wrong in an engine that this case fails.
    pub story: &'static str,
    pub(crate) body: fn(&Ground<'_>),
}

/// Where the chance of every case comes from, unless `LARDER_SEED` says otherwise.
const SEED: u64 = 0x1a_4d_e4;

impl Case {
    /// Runs the case in a fresh place of `factory`.
    ///
    /// # Panics
    /// When the engine breaks the promise, with what was expected and what was found.
    pub fn run(&self, factory: &dyn Factory) {
        (self.body)(&Ground::new(factory, seed()));
    }
}

/// The seed in `LARDER_SEED`, or the usual one.
pub(crate) fn seed() -> u64 {
    match std::env::var("LARDER_SEED") {
        Ok(text) => text.parse().expect("LARDER_SEED is a whole number"),
        Err(_) => SEED,
    }
}

/// Runs the case with this name; what [`suite!`](crate::suite) expands to.
///
/// # Panics
/// When the engine breaks the promise, and when there is no such case.
pub fn check(name: &str, factory: &dyn Factory) {
    let case = crate::cases().iter().find(|case| case.name == name).expect("suite! names the cases of this list");
    case.run(factory);
}
