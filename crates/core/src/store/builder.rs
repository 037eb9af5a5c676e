//! The commit builder: several checks and writes, all or nothing.

use std::{borrow::Cow, collections::BTreeSet, future::IntoFuture, ops::RangeInclusive, sync::Arc};

use super::{Scope, Store, fold, gate, namespaces};
use crate::{
    address::Address,
    commit::{Action, Check, Commit, Condition, Conflict, ExpiryChange, MetadataChange, Outcome, Part, Receipt, Write},
    error::{Error, ErrorKind, Result},
    id::{CommitId, Revision},
    key::IntoKey,
    namespace::Namespace,
    send::BoxFuture,
    time::Timestamp,
    value::Value,
};

/// A commit being put together; awaiting it sends it.
///
/// Checks see the state before, writes apply in the order given. Several writes of one key make one version step and
/// one change. The receipt answers every write in order.
#[must_use = "a commit does nothing until it is awaited"]
#[derive(Debug)]
pub struct CommitBuilder<'a> {
    /// Whose commit it is.
    scope: &'a Scope,
    /// Whom what follows concerns.
    within: Cow<'a, Scope>,
    /// The quotas of everybody who writes.
    quotas: Vec<Check>,
    id: Option<CommitId>,
    checks: Vec<Check>,
    writes: Vec<Write>,
    /// The first thing that was wrong; told when the commit is awaited, before anything is sent.
    wrong: Option<Error>,
    /// What it is refused by.
    guard: Guard,
}

/// What a commit is refused by, whatever else it checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// The deletion of a namespace that it writes to, and the gate of the store.
    Both,
    /// The gate alone: this is the deletion's own.
    Gate,
    /// Nothing: it changes nothing that anybody could read, or works on the gate itself.
    Nothing,
}

impl Scope {
    /// Begins a commit of several checks and writes.
    pub fn commit(&self) -> CommitBuilder<'_> {
        CommitBuilder {
            scope: self,
            within: Cow::Borrowed(self),
            quotas: self.quota().into_iter().collect(),
            id: None,
            checks: Vec::new(),
            // Most commits write one key; growing from nothing would make room for four.
            writes: Vec::with_capacity(1),
            wrong: None,
            guard: Guard::Both,
        }
    }
}

impl<'a> CommitBuilder<'a> {
    /// Uses this id, so that the outcome can be asked for, and so that the commit can be sent again and happen once.
    ///
    /// An id names one commit. Another commit under the id of one that has happened does not happen: it is answered with
    /// the receipt of the first, or refused as `Invalid` where that receipt cannot be its own.
    pub fn id(mut self, id: CommitId) -> Self {
        self.id = Some(id);
        self
    }

    /// What follows concerns another namespace of the same store: who holds both handles may commit to both at once. What
    /// `scope` may not do alone it may not do here.
    pub fn within(mut self, scope: &Scope) -> Self {
        if !Arc::ptr_eq(&scope.shared, &self.scope.shared) {
            self.wrong.get_or_insert(Error::invalid("a commit goes to one store, and this handle belongs to another"));
        }
        self.quotas.extend(scope.quota().filter(|quota| !self.quotas.contains(quota)));
        self.within = Cow::Owned(scope.clone());
        self
    }

    /// Only if `condition` holds for `key` before the commit.
    pub fn check(mut self, key: impl IntoKey, condition: Condition) -> Self {
        if let Some(address) = self.right(self.within.address(key)) {
            self.checks.push(Check::Key { address, condition });
        }
        self
    }

    /// Only if no key of this namespace that begins with `prefix` has changed after `since`, and none that was there
    /// at `read_at` has expired.
    pub fn check_unchanged(mut self, prefix: &str, since: Revision, read_at: Timestamp) -> Self {
        self.checks.push(Check::Unchanged { range: self.within.prefix(prefix), since, read_at });
        self
    }

    /// Sets `key`; keeps its metadata, and what it had of an expiry ends.
    pub fn set(self, key: impl IntoKey, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.action(key, Action::Put { value, expires_at: None, metadata: MetadataChange::Keep })
    }

    /// Makes `key` absent.
    pub fn delete(self, key: impl IntoKey) -> Self {
        self.action(key, Action::Delete)
    }

    /// Adds `delta` to the JSON integer at `key`; the sum has to be within `bounds`.
    pub fn add(self, key: impl IntoKey, delta: i64, bounds: RangeInclusive<i64>) -> Self {
        let (floor, ceiling) = bounds.into_inner();
        self.action(key, Action::Add { delta, floor, ceiling })
    }

    /// Changes metadata or expiry of `key`, which must be there.
    pub fn annotate(self, key: impl IntoKey, metadata: MetadataChange, expiry: ExpiryChange) -> Self {
        self.action(key, Action::Annotate { metadata, expiry })
    }

    /// Any action on `key`, the ones for import and layers included.
    pub fn action(mut self, key: impl IntoKey, action: Action) -> Self {
        let bytes = action.value().map(|value| value.bytes().len());
        if self.right(self.within.may_write(bytes)).is_some()
            && let Some(address) = self.right(self.within.address(key))
        {
            self.writes.push(Write { address, action });
        }
        self
    }

    fn right<T>(&mut self, checked: Result<T>) -> Option<T> {
        checked.map_err(|error| self.wrong.get_or_insert(error)).ok()
    }

    /// For what the store keeps about itself.
    pub(super) fn at(mut self, address: Address, action: Action) -> Self {
        self.writes.push(Write { address, action });
        self
    }

    /// For what the store keeps about itself.
    pub(super) fn check_at(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// For transactions, which have looked at bounds and folded their writes before.
    pub(super) fn prepared(mut self, checks: Vec<Check>, writes: Vec<Write>, quotas: Vec<Check>) -> Self {
        self.checks.extend(checks);
        self.writes.extend(writes);
        self.quotas = quotas;
        self
    }

    /// For the deletion of a namespace, which writes where nobody else may.
    pub(super) fn unguarded(mut self) -> Self {
        self.guard = Guard::Gate;
        self
    }

    /// For what goes on while a store is moved.
    pub(super) fn ungated(mut self) -> Self {
        self.guard = Guard::Nothing;
        self
    }

    /// Whose commit it is.
    pub(super) fn scope(&self) -> &'a Scope {
        self.scope
    }

    pub(super) async fn send(self) -> Result<Receipt> {
        let scope = self.scope;
        let (commit, answers) = self.prepare()?;
        let id = commit.id;
        answers.told(scope, id, scope.shared.committer.commit(commit).await?).await
    }

    /// As [`Self::send`], for what is not urgent: nobody is to wait for it.
    pub(super) async fn send_along(self) -> Result<Receipt> {
        let scope = self.scope;
        let (commit, answers) = self.prepare()?;
        let id = commit.id;
        answers.told(scope, id, scope.shared.committer.commit_along(commit).await?).await
    }

    /// The commit as it is sent, and how to tell its answer.
    pub(super) fn prepare(self) -> Result<(Commit, Answers)> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let Self { scope, mut checks, quotas, .. } = self;
        // Only the caller's own: what is added below is the store's business.
        scope.limits.verify_checks(checks.len())?;
        let fold::Folded { writes, checks: brought, given } = fold::fold(self.writes)?;
        let given_checks = checks.len();
        checks.extend(brought);
        let own_checks = checks.len();
        let gated = self.guard != Guard::Nothing && !writes.is_empty();
        checks.extend(gated.then(gate::is_open));
        let gated_checks = checks.len();
        let mut guards = Vec::new();
        if self.guard == Guard::Both {
            guards = namespaces_of(&writes);
            checks.extend(guards.iter().map(namespaces::not_being_deleted));
        }
        let guarded_checks = checks.len();
        checks.extend(quotas);

        let id = self.id.unwrap_or_else(|| scope.world().commit_id());
        let commit = Commit { id, now: scope.world().now(), checks, writes };
        scope.limits.verify(&commit)?;
        let sent = commit.writes.len();
        Ok((commit, Answers { given, sent, given_checks, own_checks, gated_checks, guarded_checks, guards }))
    }
}

/// What is needed to tell the answer to a commit in the words of whoever gave it.
///
/// Its checks are, in this order: those that were given, those that folding added, the gate, a guard for each namespace, and
/// quotas.
#[derive(Debug)]
pub(super) struct Answers {
    given: fold::Given,
    /// How many writes were sent.
    sent: usize,
    given_checks: usize,
    own_checks: usize,
    gated_checks: usize,
    guarded_checks: usize,
    guards: Vec<Namespace>,
}

impl Answers {
    /// What the caller of the commit `id` is told.
    pub(super) async fn told(&self, scope: &Scope, id: CommitId, outcome: Outcome) -> Result<Receipt> {
        match outcome {
            Outcome::Conflicted(Conflict { part: Part::Check(index), .. })
                if (self.own_checks..self.gated_checks).contains(&index) =>
            {
                Err(Store::closed(scope).await)
            }
            outcome => self.tell(id, outcome),
        }
    }

    fn tell(&self, id: CommitId, outcome: Outcome) -> Result<Receipt> {
        match outcome {
            Outcome::Committed(receipt) if receipt.writes.len() != self.sent => {
                Err(another_commit(id, receipt.writes.len(), self.sent))
            }
            Outcome::Committed(receipt) => {
                Ok(Receipt { revision: receipt.revision, writes: self.given.answers(&receipt.writes) })
            }
            Outcome::Conflicted(conflict) => Err(match conflict.part {
                Part::Check(index) if index >= self.guarded_checks => Error::quota(conflict),
                Part::Check(index) if index >= self.gated_checks => {
                    namespaces::being_deleted(&self.guards[index - self.gated_checks])
                }
                Part::Check(index) if index >= self.given_checks => {
                    // The one check that folding adds: what annotates must find an entry.
                    let message = format!("{conflict}, so its metadata and expiry cannot be changed");
                    Error::new(ErrorKind::NotFound, message)
                }
                Part::Check(_) => Error::conflict(conflict),
                Part::Write(place) => Error::conflict(self.given.conflict(place, conflict)),
            }),
        }
    }
}

fn another_commit(id: CommitId, found: usize, sent: usize) -> Error {
    Error::invalid(format!("the id {id} belongs to another commit: that one wrote {found} keys, this one writes {sent}"))
}

/// Each namespace that is written to and could be deleted, once; nearly always there is one at most.
fn namespaces_of(writes: &[Write]) -> Vec<Namespace> {
    let guarded = |namespace: &&Namespace| !namespace.is_reserved() && !namespace.is_default();
    let mut users = writes.iter().map(|write| &write.address.namespace).filter(guarded);
    let Some(first) = users.next() else { return Vec::new() };
    if users.all(|namespace| namespace == first) {
        return vec![first.clone()];
    }
    let all: BTreeSet<&Namespace> = writes.iter().map(|write| &write.address.namespace).filter(guarded).collect();
    all.into_iter().cloned().collect()
}

impl<'a> IntoFuture for CommitBuilder<'a> {
    type Output = Result<Receipt>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
