//! The real world: the system's clock, its random numbers, and tasks on tokio.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use larder_core::{BoxFuture, Timestamp, World};
use tokio::runtime::{Builder, Handle, Runtime};

/// Time, chance and tasks of the machine.
///
/// Inside a tokio runtime tasks run on it; elsewhere on a single thread that all such stores of the process share.
#[derive(Clone, Debug)]
pub struct SystemWorld(Handle);

static ELSEWHERE: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("larder")
        .enable_time()
        .build()
        .expect("the system can start one more thread")
});

impl SystemWorld {
    /// The world as seen from here: a tokio runtime if there is one around, or the shared thread.
    pub fn new() -> Self {
        Self(Handle::try_current().unwrap_or_else(|_| ELSEWHERE.handle().clone()))
    }
}

impl Default for SystemWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl World for SystemWorld {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is a clock that was never set; the epoch is the nearest truth.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis_saturating(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn random(&self) -> u128 {
        // Seeded by the system and cryptographically strong, without asking the system every time.
        rand::random()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _guard = self.0.enter();
        Box::pin(tokio::time::sleep(duration))
    }
}
