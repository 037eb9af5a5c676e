//! The runtime that drives connections.
//!
//! The driver needs tokio; callers need not. What belongs to a connection runs on threads of our own, shared by all
//! stores of the process, so a store works under any executor and outlives every one of them.

use std::{future::Future, pin::pin, sync::LazyLock, time::Duration};

use futures_util::future::{Either, select};
use larder_core::{Error, ErrorKind, Result};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("larder-postgres").enable_io().enable_time().build()
});

/// Begins `task`; it is done whether anybody waits for it or not.
pub(crate) fn begin<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Result<JoinHandle<T>> {
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.spawn(task)),
        Err(error) => {
            let message = format!("the system cannot start the threads that drive connections: {error}");
            Err(Error::new(ErrorKind::Unavailable, message).engine("postgres"))
        }
    }
}

/// Does `task` over there and waits for it here.
pub(crate) async fn elsewhere<T: Send + 'static>(task: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let failed = |error| Error::new(ErrorKind::Internal, "a task failed").engine("postgres").caused_by(error);
    begin(task)?.await.map_err(failed)?
}

/// Waits for `work` here, but no longer than that; `None` is too long. Nobody needs a runtime for it.
pub(crate) async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
    let Ok(runtime) = &*RUNTIME else { return Some(work.await) };
    let asleep = {
        let _timers = runtime.enter();
        tokio::time::sleep(patience)
    };
    match select(pin!(work), pin!(asleep)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
