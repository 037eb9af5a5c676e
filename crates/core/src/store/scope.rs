//! The scope: a handle to one namespace, and the rules under which it is used.
//!
//! Whoever holds a scope holds the right to its namespace, and to nothing else: nothing here leads to the engine, to
//! another namespace or to the store. What its holder makes of it can only be narrower.

use std::{fmt, sync::Arc};

use super::{committer::Committer, indexes::Known, transaction::Transactions, watch::Follower};
use crate::{
    address::{Address, Range},
    commit::{Check, Quota},
    engine::{Engine, Usage},
    error::{Error, ErrorKind, Result},
    key::IntoKey,
    limits::Limits,
    namespace::Namespace,
    world::World,
};

/// A handle to one namespace of a store.
///
/// It sees, changes and watches what is in its namespace. Of its neighbours it learns that revisions skip, and no more. A
/// scope can be narrowed, and never widened: to reading, to the keys that begin with a prefix, to a quota.
#[derive(Clone)]
pub struct Scope {
    pub(super) shared: Arc<Shared>,
    pub(super) namespace: Namespace,
    pub(super) limits: Limits,
    bounds: Bounds,
}

/// What all handles of a store share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) world: Arc<dyn World>,
    pub(super) committer: Arc<Committer>,
    pub(super) follower: Arc<Follower>,
    pub(super) transactions: Transactions,
    pub(super) indexes: Known,
}

/// What a scope may do less than its namespace could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bounds {
    /// Every key begins with this.
    prefix: String,
    read_only: bool,
    quota: Quota,
    /// The bytes of the largest value.
    value_bytes: Option<u64>,
}

impl Scope {
    pub(super) fn new(shared: Arc<Shared>, namespace: Namespace) -> Self {
        Self { shared, namespace, limits: Limits::FLOOR, bounds: Bounds::default() }
    }

    /// The same bounds in another namespace: for stores, whose bounds are none.
    pub(super) fn moved(&self, namespace: &Namespace) -> Self {
        Self { namespace: namespace.clone(), ..self.clone() }
    }

    /// The same, up to the limits of the engine.
    pub(super) fn native(&self) -> Self {
        Self { limits: self.shared.engine.capabilities().limits, ..self.clone() }
    }

    /// The namespace this handle is bound to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What this handle takes at most in one commit.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same scope, but it only reads: every write is `Denied`.
    #[must_use]
    pub fn read_only(&self) -> Self {
        let mut scope = self.clone();
        scope.bounds.read_only = true;
        scope
    }

    /// The same scope, but only with the keys that begin with `prefix`, taken literally; to name another one is `Denied`.
    ///
    /// # Errors
    /// `Denied` when this scope is bound to a prefix already, with which `prefix` does not begin.
    pub fn narrowed(&self, prefix: &str) -> Result<Self> {
        if !prefix.starts_with(&self.bounds.prefix) {
            return Err(self.outside(prefix));
        }
        let mut scope = self.clone();
        prefix.clone_into(&mut scope.bounds.prefix);
        Ok(scope)
    }

    /// The same scope, but what it writes is refused as `Quota` where its namespace would grow beyond `quota`, decided
    /// with the commit itself. Of two quotas the smaller one holds.
    #[must_use]
    pub fn with_quota(&self, quota: Quota) -> Self {
        let less = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(b.map_or(a, |b| a.min(b))));
        let mut scope = self.clone();
        let own = &mut scope.bounds.quota;
        own.entries = less(own.entries, quota.entries);
        own.bytes = less(own.bytes, quota.bytes);
        own.log_bytes = less(own.log_bytes, quota.log_bytes);
        scope
    }

    /// The same scope, but a value of more than `bytes` is refused as `Quota`.
    #[must_use]
    pub fn with_largest_value(&self, bytes: u64) -> Self {
        let mut scope = self.clone();
        scope.bounds.value_bytes = Some(scope.bounds.value_bytes.map_or(bytes, |own| own.min(bytes)));
        scope
    }

    /// What the namespace takes, expired entries included until they are swept up.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn usage(&self) -> Result<Usage> {
        Ok(self.shared.engine.usage(self.namespace.clone()).await?.value)
    }

    /// Whether both are handles to one store.
    pub(super) fn is_of_the_store_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.shared.engine
    }

    pub(super) fn world(&self) -> &dyn World {
        &*self.shared.world
    }

    /// The address of `key`, if this scope may name it.
    pub(super) fn address(&self, key: impl IntoKey) -> Result<Address> {
        let key = key.into_key()?;
        if !key.starts_with(&self.bounds.prefix) {
            return Err(self.outside(&key));
        }
        Ok(Address::new(self.namespace.clone(), key))
    }

    /// The keys that begin with `prefix`, as far as this scope sees them.
    pub(super) fn prefix(&self, prefix: &str) -> Range {
        let range = Range::prefix(&self.namespace, prefix);
        if self.bounds.prefix.is_empty() { range } else { range.intersect(&self.all()) }
    }

    /// Everything that this scope sees.
    pub(super) fn all(&self) -> Range {
        Range::prefix(&self.namespace, &self.bounds.prefix)
    }

    /// Whether this is a handle to the same namespace as `other`, with the same bounds.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.bounds == other.bounds
    }

    /// What every key begins with.
    pub(super) fn bound(&self) -> &str {
        &self.bounds.prefix
    }

    /// Whether this scope may write a value of `bytes`, if any.
    pub(super) fn may_write(&self, bytes: Option<usize>) -> Result<()> {
        if self.bounds.read_only {
            return Err(Error::new(ErrorKind::Denied, "this handle only reads"));
        }
        match (bytes, self.bounds.value_bytes) {
            (Some(bytes), Some(most)) if bytes as u64 > most => {
                let message = format!("a value of {bytes} bytes is too large: the quota allows {most}");
                Err(Error::new(ErrorKind::Quota, message))
            }
            _ => Ok(()),
        }
    }

    /// The check that every commit through this scope carries, where it has a quota.
    pub(super) fn quota(&self) -> Option<Check> {
        let quota = self.bounds.quota;
        (quota != Quota::default()).then(|| Check::Quota { namespace: self.namespace.clone(), quota })
    }

    fn outside(&self, key: &str) -> Error {
        let message = format!("{key:?} is outside of what this handle sees: keys that begin with {:?}", self.bounds.prefix);
        Error::new(ErrorKind::Denied, message)
    }
}

/// Says what the holder knows anyway, and nothing of the store behind it.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("namespace", &self.namespace).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
