//! The runtime that SurrealKV works on.
//!
//! It needs tokio; callers need not. What it does runs on threads of our own, shared by all stores of the process, so a store
//! works under any executor and outlives every one of them.

use std::{future::Future, sync::LazyLock};

use larder_core::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    // What it does in the background blocks its thread: two are the least on which a commit is not held up by that.
    Builder::new_multi_thread().worker_threads(4).thread_name("larder-surrealkv").enable_all().build()
});

/// Does `task` over there and waits for it here; it is done whether anybody waits for it or not.
pub(crate) async fn elsewhere<T: Send + 'static>(task: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = RUNTIME.as_ref().map_err(|error| {
        let message = "the system cannot start the threads that SurrealKV needs";
        Error::new(ErrorKind::Unavailable, message).engine("surrealkv").caused_by(error.to_string())
    })?;
    let failed = |error| Error::new(ErrorKind::Internal, "a task failed").engine("surrealkv").caused_by(error);
    runtime.spawn(task).await.map_err(failed)?
}
