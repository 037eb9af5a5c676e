//! The suite that every engine of Larder has to pass, and every layer, which is an engine too.
//!
//! Engines differ in limits and in how durable they are, and in nothing else: what one of them answers all of them
//! answer. This crate is the proof. It can be used by anybody who has an engine; nothing in it knows any.
//!
//! # Your own engine
//!
//! Say where a fresh store can be, and how to open it. This is all of it, for the memory engine:
//!
//! ```
//! use std::sync::Arc;
//!
//! use larder_conformance::Site;
//! use larder_core::{BoxFuture, Engine, Result, StoreId, memory::MemoryEngine};
//!
//! /// A place for one store. For an engine with files this holds a temporary directory.
//! struct Place(MemoryEngine);
//!
//! impl Site for Place {
//!     fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
//!         let engine: Arc<dyn Engine> = Arc::new(self.0.clone());
//!         Box::pin(async move { Ok(engine) })
//!     }
//! }
//!
//! fn fresh() -> Place {
//!     Place(MemoryEngine::new(StoreId::from_bytes([7; 16])))
//! }
//!
//! // In `tests/conformance.rs`: one test for each case, named after what must be true.
//! larder_conformance::suite!(fresh);
//!
//! // Or as data, for a runner of your own.
//! for case in larder_conformance::cases().iter().filter(|case| case.promise == "G9") {
//!     case.run(&fresh);
//! }
//! ```
//!
//! * Every case gets a fresh place, so cases run side by side.
//! * There is no way to leave a case out. An engine that cannot pass one is not an engine; if you believe that the case
//!   is wrong, say so to us.
//! * [`Site::open`] is called more than once for a place, and its handles must not share what two programs could not.
//! * [`Site::crash`] is yours to give if your engine outlives its process: copying the files away under the open handles
//!   is a crash. Without it the suite drops handles that were never closed, and no more.
//! * A case fails by panicking, with what was expected and what was found. [`Case::story`] says what kind of mistake
//!   this usually is.
//! * No case needs a runtime or measures time: an engine that needs a runtime starts one in its `Site`, and one that
//!   waits does so without the clock of the test, which stands still.
//! * Everything by chance comes from one seed. A history that goes wrong is made short and told with its seed, and
//!   `LARDER_SEED=<n>` tells it again, or another one. [`model`] tells as many as one likes.
//!
//! # The map
//!
//! | for whom | what |
//! | --- | --- |
//! | who has an engine | [`suite!`], [`Site`], [`Factory`] |
//! | who writes another runner | [`cases`], [`Case`], [`check()`] |
//! | who has hours to spare | [`model`], [`record`], [`watching`] |
//! | who has recorded what callers were answered | [`check`](mod@check) |
//! | who disturbs the line to a server | [`proxy`], [`Patient`] |
//! | who tests anything else on a store | [`world`] |

#![forbid(unsafe_code)]

pub mod asking;
mod case;
mod cases;
mod catalogue;
pub mod check;
mod fault;
mod ground;
pub mod model;
mod patient;
pub mod proxy;
mod random;
pub mod record;
mod site;
pub mod watching;
mod work;
pub mod world;

pub use case::{Case, check};
pub use cases::cases;
pub use patient::Patient;
pub use site::{Factory, Site};
pub use world::TestWorld;

/// Expands to one `#[test]` for each case there is, run in fresh places of the given [`Factory`].
///
/// Takes an expression, such as the name of a function that returns a [`Site`].
#[macro_export]
macro_rules! suite {
    ($factory:expr $(,)?) => {
        $crate::__catalogue!(__tests $factory);
    };
}
