//! The real world: the system's clock, its random numbers, and tasks on tokio.

use std::{
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use larder_core::{BoxFuture, Timestamp, World};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

/// Time, chance and tasks of the machine.
///
/// Tasks run on the tokio runtime in which the world was made, if that has threads of its own; else, and when that
/// runtime ends before they do, on a single thread that all such stores of the process share.
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
    /// The world as seen from here.
    pub fn new() -> Self {
        let around = Handle::try_current().ok();
        // A runtime of one thread runs nothing while that thread is outside of it.
        let around = around.filter(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        Self(around.unwrap_or_else(|| ELSEWHERE.handle().clone()))
    }

    /// The world without the runtime around: tasks run on the shared thread.
    pub(crate) fn apart() -> Self {
        Self(ELSEWHERE.handle().clone())
    }
}

/// A task that goes on elsewhere when the runtime it runs on ends before it does.
struct Carried(Option<BoxFuture<'static, ()>>);

impl Future for Carried {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(task) = &mut self.0 else { return Poll::Ready(()) };
        let polled = task.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        // A task that panicked is not carried on; polling it again would panic again.
        if let Some(task) = self.0.take().filter(|_| !std::thread::panicking()) {
            ELSEWHERE.spawn(task);
        }
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
        // Seeded by the system and cryptographically strong, without asking the system every time. A forked process
        // inherits the generator as it stands, so its number goes into the high bits, which every id uses.
        rand::random::<u128>() ^ (u128::from(std::process::id()) << 96)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(Carried(Some(task)));
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // On the shared thread, because a runtime around may have been built without timers, and may end.
        let _guard = ELSEWHERE.enter();
        Box::pin(tokio::time::sleep(duration))
    }
}
