//! The world outside: time, chance, tasks.
//!
//! The contract has none of these by itself. A program injects the real ones, a test chooses its own.

use std::{fmt::Debug, time::Duration};

use crate::{
    id::CommitId,
    send::{BoxFuture, Shared},
    time::Timestamp,
};

/// Where time, chance and tasks come from.
pub trait World: Debug + Shared + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// 128 random bits, not to be guessed by others.
    fn random(&self) -> u128;

    /// Runs `task` to its end beside the caller.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// A fresh id for a commit made now.
    fn commit_id(&self) -> CommitId {
        CommitId::new(self.now(), self.random())
    }
}

#[cfg(test)]
pub(crate) mod still {
    use super::*;

    /// A world in which no task runs and no time passes.
    #[derive(Debug)]
    pub(crate) struct Still;

    impl World for Still {
        fn now(&self) -> Timestamp {
            Timestamp::EPOCH
        }
        fn random(&self) -> u128 {
            0
        }
        fn spawn(&self, _: BoxFuture<'static, ()>) {}
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }
}
