//! The runtime that drives connections.
//!
//! The driver needs tokio; callers need not. What belongs to a connection runs on threads of our own, shared by all
//! stores of the process, so a store works under any executor and outlives every one of them.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::LazyLock,
    task::{Context, Poll},
};

use larder_core::{Error, ErrorKind, Result};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("larder-etcd").enable_io().enable_time().build()
});

fn runtime() -> Result<&'static Runtime> {
    RUNTIME.as_ref().map_err(|error| {
        let message = format!("the system cannot start the threads that drive connections: {error}");
        Error::new(ErrorKind::Unavailable, message).engine("etcd")
    })
}

/// Begins `task`; it is done whether anybody waits for it or not.
pub(crate) fn begin<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Result<JoinHandle<T>> {
    Ok(runtime()?.spawn(task))
}

/// Does `task` right here, with the clock of over there: what waits for an answer wants to wait for only so long.
pub(crate) async fn within<T>(task: impl Future<Output = T>) -> Result<T> {
    let runtime = runtime()?;
    let mut task = pin!(task);
    let poll = |context: &mut Context<'_>| -> Poll<T> {
        let _inside = runtime.enter();
        Pin::as_mut(&mut task).poll(context)
    };
    Ok(std::future::poll_fn(poll).await)
}
