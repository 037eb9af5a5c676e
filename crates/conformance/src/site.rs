//! Where the suite runs: what someone with an engine has to give it.
//!
//! Knows nothing of cases. A factory makes fresh places, a place can be opened more than once.

use std::sync::Arc;

use larder_core::{BoxFuture, Engine, Result};

/// A place for one store: an empty directory, a database with a fresh name, a map in memory.
///
/// It is empty when it is made, and what it took may go when it is dropped.
pub trait Site: Send + Sync {
    /// Opens the store of this place; the first time it is a new one.
    ///
    /// Opened twice it gives two independent handles to the same store, as two programs would have them. Opened again
    /// after a handle was closed it gives the same store again. Where nothing outlives the process
    /// ([`Durability::Volatile`](larder_core::Durability::Volatile)) the place itself keeps the store alive, and the
    /// suite closes no handle that it wants to open again.
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>>;

    /// Ends everything that works on the store here as a killed process ends: what the medium holds is what there is
    /// from then on. `None` where nothing outlives the process, or where a process cannot do that to itself.
    ///
    /// Handles may be open and a commit may be under way. After the crash the suite drops them all, and opens others.
    fn crash(&self) -> Option<BoxFuture<'_, Result<()>>> {
        None
    }
}

/// Makes fresh places; every case asks for its own.
///
/// Implemented for every closure that returns a [`Site`].
pub trait Factory: Send + Sync {
    /// A place where no store has been yet.
    fn fresh(&self) -> Box<dyn Site>;
}

impl<F, S> Factory for F
where
    F: Fn() -> S + Send + Sync,
    S: Site + 'static,
{
    fn fresh(&self) -> Box<dyn Site> {
        Box::new(self())
    }
}
