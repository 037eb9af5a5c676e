//! Shares the seeds of a campaign among threads, and says how far they are.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::{Orders, engines::Engine};

/// How many seeds a thread takes at once.
const AT_ONCE: u64 = 500;

/// A piece of a campaign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// The first seed of the piece.
    pub(crate) seed: u64,
    /// How many there are.
    pub(crate) count: u64,
}

/// Does everything that was ordered on as many threads as the machine has, and adds up what they answer.
///
/// # Errors
/// The first difference somebody found; nobody begins anything after that.
pub(crate) fn share<T: Default + Send>(
    orders: &Orders,
    engine: &Engine,
    add: impl Fn(&mut T, T) + Sync,
    work: impl Fn(Work) -> Result<T, String> + Sync,
) -> Result<T, String> {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Ok(T::default()));
    let one = || {
        while !stop.load(Ordering::Relaxed) {
            let begun = next.fetch_add(AT_ONCE, Ordering::Relaxed);
            if begun >= orders.histories {
                return;
            }
            let count = AT_ONCE.min(orders.histories - begun);
            let done = work(Work { seed: orders.seed.wrapping_add(begun), count });
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *sum, done) {
                (Ok(sum), Ok(done)) => add(sum, done),
                (Ok(_), Err(difference)) => {
                    stop.store(true, Ordering::Relaxed);
                    *sum = Err(difference);
                }
                (Err(_), _) => {}
            }
            progress(engine.name, begun + count, orders.histories);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(one);
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Only where somebody is looking.
fn progress(engine: &str, done: u64, all: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        // Nothing depends on what is shown meanwhile.
        let _ = write!(out, "\r{engine}: {done} of {all} ");
    }
}
