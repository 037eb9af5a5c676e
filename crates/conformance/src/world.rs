//! A world in which a test chooses time, chance and tasks.
//!
//! The clock stands still until a test steps it, forwards or backwards; random numbers come from a seed; tasks run on
//! threads of their own, so that they make progress whatever the caller does.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use futures_lite::future;
use larder_core::{BoxFuture, Timestamp, World};

use crate::random::Random;

/// A world for tests. Clones share clock and chance, so several handles live in the same world.
#[derive(Clone, Debug)]
pub struct TestWorld(Arc<Mutex<Parts>>);

#[derive(Debug)]
struct Parts {
    now: Timestamp,
    random: Random,
    /// Who sleeps; everybody looks again whenever the clock is set.
    sleepers: Vec<Waker>,
}

impl TestWorld {
    /// Where the clock stands at first: 2023-11-14T22:13:20Z.
    pub const START: Timestamp = Timestamp::from_millis_saturating(1_700_000_000_000);

    /// A world whose chance comes from `seed`.
    pub fn new(seed: u64) -> Self {
        let parts = Parts { now: Self::START, random: Random::new(seed), sleepers: Vec::new() };
        Self(Arc::new(Mutex::new(parts)))
    }

    /// Moves the clock forwards.
    pub fn step(&self, duration: Duration) {
        self.set(self.now().after(duration));
    }

    /// Moves the clock backwards, as a clock does that was wrong and is set right.
    pub fn step_back(&self, duration: Duration) {
        self.set(self.now().before(duration));
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        let sleepers = {
            let mut parts = self.parts();
            parts.now = now;
            std::mem::take(&mut parts.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // The parts are whole between any two statements, so a panic elsewhere has not broken them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        self.parts().now
    }

    fn random(&self) -> u128 {
        let random = &mut self.parts().random;
        u128::from(random.bits()) << 64 | u128::from(random.bits())
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        thread::spawn(move || future::block_on(task));
    }

    /// Waits until somebody has moved the clock far enough; never for real time.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (world, until) = (self.clone(), self.now().after(duration));
        Box::pin(future::poll_fn(move |context| {
            let mut parts = world.parts();
            if parts.now >= until {
                return Poll::Ready(());
            }
            parts.sleepers.push(context.waker().clone());
            Poll::Pending
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_wakes_when_the_clock_is_moved_and_not_before() {
        let world = TestWorld::new(1);
        let mut sleep = world.sleep(Duration::from_secs(2));
        let awake = |sleep: &mut BoxFuture<'static, ()>| future::block_on(future::poll_once(sleep)).is_some();
        assert!(!awake(&mut sleep));
        world.step(Duration::from_millis(1_999));
        assert!(!awake(&mut sleep));
        world.clone().step(Duration::from_millis(1));
        assert!(awake(&mut sleep));
    }

    #[test]
    fn the_same_seed_is_the_same_chance() {
        let draw = |seed| (0..4).map(|_| TestWorld::new(seed).random()).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
