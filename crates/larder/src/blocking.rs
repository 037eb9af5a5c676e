//! Stores for programs that do not do async: the same handles, and a way to wait for their answers.
//!
//! ```
//! use larder::blocking::{self, Wait};
//!
//! # fn main() -> larder::Result<()> {
//! let store = blocking::open("memory:")?;
//! let first = store.set("workloads/web", "v1").if_absent().wait()?;
//! store.set("workloads/web", "v2").if_version(first.version).wait()?;
//!
//! let left = store.transact(async |mut t| t.add("budget/tokens", -500, -10_000..=0).await).wait()?;
//! assert_eq!(left, -500);
//!
//! let mut watch = store.watch("workloads/").after(first.revision).start().wait()?;
//! let batch = watch.next().wait()?;
//! assert_eq!(batch.changes[0].address.key.as_str(), "workloads/web");
//!
//! store.create_index(larder::Index::on("owner")?).wait()?;
//! assert_eq!(store.indexes().wait()?.len(), 1);
//! store.close().wait()
//! # }
//! ```
//!
//! What has to go on while a caller waits runs on a thread of the library's own and never on the caller's runtime. So
//! waiting inside of a tokio runtime, also one of a single thread, blocks that thread for as long as it takes, and does
//! not deadlock.

use std::{fmt, ops::Deref, sync::Arc};

use larder_core::Result;

use crate::{Builder, SystemWorld};

/// A store to wait for, opened by [`open`] or [`Builder::open_blocking`].
#[derive(Clone)]
pub struct Store(larder_core::Store);

/// Opens the store at `url`, and creates it where there is none.
///
/// # Errors
/// As [`crate::open`].
pub fn open(url: &str) -> Result<Store> {
    Builder::new(url).open_blocking()
}

/// Waiting for an answer.
///
/// Meant for what a [`Store`] of this module gives: the futures of other stores may need the very thread that waits.
pub trait Wait: IntoFuture + Sized {
    /// Blocks this thread until the answer is there.
    fn wait(self) -> Self::Output {
        futures_lite::future::block_on(self.into_future())
    }
}

impl<F: IntoFuture> Wait for F {}

impl Builder {
    /// Opens the store for callers that wait.
    ///
    /// # Errors
    /// As [`Builder::open`], and `Invalid` when a world was given: this one has to be its own.
    pub fn open_blocking(self) -> Result<Store> {
        if self.has_world() {
            return Err(larder_core::Error::invalid("a store for callers that wait has a world of its own"));
        }
        Ok(Store(self.world(Arc::new(SystemWorld::apart())).open().wait()?))
    }
}

impl Deref for Store {
    type Target = larder_core::Store;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
