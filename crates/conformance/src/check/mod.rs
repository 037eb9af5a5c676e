//! Checkers of recorded histories: whether what several callers were answered could have happened at all.
//!
//! A recording knows when each call was made and when it was answered, on a clock that all callers share. What lies
//! between is anybody's guess, and it is the checker's business to find a guess that explains every answer, or to say
//! that there is none. [`linear`] is about single keys and needs no help; [`serial`] is about commits over many keys, and
//! lets the revisions claim an order.
//!
//! They are our own because they are small; the well-kept ones, Porcupine and Elle, would bring the runtimes of Go and
//! Clojure into every test. They know nothing of engines and stores. That they see what they are there for is proved beside them on small
//! histories that are known to be bad.

pub mod linear;
pub mod serial;

use std::sync::atomic::{AtomicU64, Ordering};

/// A clock of which every reading is later than the one before, whoever reads it.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// The next moment.
    pub fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
