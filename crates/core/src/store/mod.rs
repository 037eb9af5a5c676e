//! The store: the verbs people use, built on the seam.
//!
//! A handle is bound to a namespace and cheap to clone. Everything here is written once, for every engine.

mod builder;
mod clear;
mod committer;
mod fold;
mod history;
mod keeper;
mod namespaces;
mod read;
mod select;
mod set;
mod status;
mod watch;
mod write;

use std::sync::Arc;

pub use builder::CommitBuilder;
pub use clear::Clear;
pub use history::History;
pub use keeper::{Kept, Retention};
pub use namespaces::NamespaceInfo;
pub use read::Pages;
pub use select::{Listing, Select};
pub use set::{Set, Stamp};
pub use status::Status;
pub use watch::{Batch, Position, Watch, WatchBuilder};

use crate::{
    address::Address,
    engine::Engine,
    error::{Error, Result},
    key::IntoKey,
    limits::Limits,
    namespace::Namespace,
    world::World,
};
use committer::Committer;
use watch::Follower;

/// A handle to a store, bound to one of its namespaces; `default` at first.
///
/// Clones share engine and committer.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<dyn Engine>,
    world: Arc<dyn World>,
    committer: Arc<Committer>,
    follower: Arc<Follower>,
    namespace: Namespace,
    limits: Limits,
}

impl Store {
    /// A store on `engine`, with time, chance and tasks from `world`.
    ///
    /// It keeps to [`Limits::FLOOR`], so that what fits here fits on every engine.
    pub fn new(engine: Arc<dyn Engine>, world: Arc<dyn World>) -> Self {
        let follower = Follower::new(engine.clone(), world.clone());
        let committer = Arc::new(Committer::new(engine.clone(), world.clone(), follower.clone()));
        Self { engine, world, committer, follower, namespace: Namespace::default(), limits: Limits::FLOOR }
    }

    /// The same store, bound to another namespace, which need not exist yet.
    ///
    /// # Errors
    /// `Denied` for names that begin with `larder:`.
    pub fn in_namespace(&self, namespace: &Namespace) -> Result<Self> {
        refuse_reserved(namespace)?;
        Ok(Self { namespace: namespace.clone(), ..self.clone() })
    }

    /// The same store, up to the limits of its engine instead of those that every engine keeps.
    ///
    /// What is stored this way may not fit elsewhere.
    #[must_use]
    pub fn with_native_limits(&self) -> Self {
        Self { limits: self.engine.capabilities().limits, ..self.clone() }
    }

    /// The namespace this handle is bound to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What this handle takes at most.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The engine underneath.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Where time and chance come from.
    pub fn world(&self) -> &Arc<dyn World> {
        &self.world
    }

    /// Ends all work; every later call on any handle answers `Closed`.
    ///
    /// # Errors
    /// What the engine met when it let go of its files or connections.
    pub async fn close(&self) -> Result<()> {
        self.engine.close().await
    }

    fn address(&self, key: impl IntoKey) -> Result<Address> {
        Ok(Address::new(self.namespace.clone(), key.into_key()?))
    }
}

fn refuse_reserved(namespace: &Namespace) -> Result<()> {
    if namespace.is_reserved() {
        let message = format!("the namespace {namespace:?} is the store's own: names beginning with larder: are reserved");
        return Err(Error::new(crate::ErrorKind::Denied, message));
    }
    Ok(())
}
