//! The store: the verbs people use, built on the seam.
//!
//! A handle is bound to a namespace and cheap to clone. Everything here is written once, for every engine.

mod builder;
mod clear;
mod committer;
mod diff;
mod fold;
mod gate;
mod history;
mod holds;
mod indexes;
mod keeper;
mod moment;
mod namespaces;
mod once;
mod query;
mod read;
mod retention;
mod scope;
mod search;
mod select;
mod set;
mod status;
mod stored;
mod transaction;
mod view;
mod watch;
mod write;

use std::{fmt, ops::Deref, sync::Arc};

pub use builder::CommitBuilder;
pub use clear::Clear;
pub use diff::{Diff, Difference};
pub use gate::Gate;
pub use history::History;
pub use holds::Hold;
pub use indexes::{CreateIndex, IndexInfo};
pub use keeper::Kept;
pub use namespaces::NamespaceInfo;
pub use query::{Answer, Explanation, Matched};
pub use read::Pages;
pub use retention::{LogBounds, Retention};
pub use scope::Scope;
pub use search::{Hit, Hits};
pub use select::{Listing, Select};
pub use set::{Set, Stamp};
pub use status::Status;
pub use stored::Stored;
pub use transaction::{Isolation, Transaction, TransactionState};
pub use view::{AsOf, View};
pub use watch::{Batch, Position, Watch, WatchBuilder};

use crate::{
    engine::Engine,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    world::World,
};
use committer::Committer;
use indexes::Known;
use scope::Shared;
use transaction::Transactions;
use watch::Follower;

/// The owner's handle to a store, bound to one of its namespaces; `default` at first.
///
/// It is a [`Scope`] and can do all that one can, and besides that what concerns the whole store. Guests are given a
/// [`Store::scope`]. Clones share everything.
#[derive(Clone)]
pub struct Store(Scope);

impl Store {
    /// A store on `engine`, with time, chance and tasks from `world`.
    ///
    /// It keeps to [`Limits::FLOOR`](crate::Limits::FLOOR), so that what fits here fits on every engine.
    pub fn new(engine: Arc<dyn Engine>, world: Arc<dyn World>) -> Self {
        let follower = Follower::new(engine.clone(), world.clone());
        let committer = Arc::new(Committer::new(engine.clone(), world.clone(), follower.clone()));
        let (transactions, indexes) = (Transactions::default(), Known::default());
        let shared = Shared { engine, world, committer, follower, transactions, indexes };
        Self(Scope::new(Arc::new(shared), Namespace::default()))
    }

    /// The same store, bound to another namespace, which need not exist yet.
    ///
    /// # Errors
    /// `Denied` for names that begin with `larder:`.
    pub fn in_namespace(&self, namespace: &Namespace) -> Result<Self> {
        refuse_reserved(namespace)?;
        Ok(Self(self.0.moved(namespace)))
    }

    /// A handle to `namespace`, which need not exist yet, for a guest: it sees that namespace and nothing else.
    ///
    /// # Errors
    /// `Denied` for names that begin with `larder:`.
    pub fn scope(&self, namespace: &Namespace) -> Result<Scope> {
        Ok(self.in_namespace(namespace)?.0)
    }

    /// The same store, up to the limits of its engine instead of those that every engine keeps.
    ///
    /// What is stored this way may not fit elsewhere.
    #[must_use]
    pub fn with_native_limits(&self) -> Self {
        Self(self.0.native())
    }

    /// The engine underneath.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.0.shared.engine
    }

    /// Where time and chance come from.
    pub fn world(&self) -> &Arc<dyn World> {
        &self.0.shared.world
    }

    /// Ends all work; every later call on any handle answers `Closed`, and parked transactions are rolled back.
    ///
    /// # Errors
    /// What the engine met when it let go of its files or connections.
    pub async fn close(&self) -> Result<()> {
        self.0.shared.transactions.end();
        self.engine().close().await
    }
}

/// A store is the scope it is bound to, and its owner's besides.
impl Deref for Store {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.0
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("engine", self.engine()).field("namespace", self.namespace()).finish_non_exhaustive()
    }
}

fn refuse_reserved(namespace: &Namespace) -> Result<()> {
    if namespace.is_reserved() {
        let message = format!("the namespace {namespace:?} is the store's own: names beginning with larder: are reserved");
        return Err(Error::new(ErrorKind::Denied, message));
    }
    Ok(())
}
