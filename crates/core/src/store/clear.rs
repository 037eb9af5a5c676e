//! Clearing: many deletes in bounded commits.

use std::{fmt, future::IntoFuture};

use super::{Scope, Select};
use crate::{
    commit::{Action, Check},
    error::Result,
    send::BoxFuture,
};

/// How many deletes share a commit at most.
const COMMIT_DELETES: usize = 1000;

/// A clear being put together; awaiting it runs it and answers how many entries went.
///
/// It is many bounded commits: not atomic, and when it ends half-way what was deleted stays deleted, and clearing again
/// goes on. Entries created meanwhile may stay.
#[must_use = "a clear does nothing until it is awaited"]
pub struct Clear<'a> {
    scope: &'a Scope,
    select: Select,
    progress: Box<dyn FnMut(u64) + Send + 'a>,
    /// For the deletion of a namespace, which writes where nobody else may: what must hold for every commit instead.
    instead: Option<Check>,
}

impl Scope {
    /// Deletes the selected entries of this namespace.
    pub fn clear(&self, select: impl Into<Select>) -> Clear<'_> {
        Clear { scope: self, select: select.into(), progress: Box::new(|_| ()), instead: None }
    }
}

impl<'a> Clear<'a> {
    /// Tells `progress` after every commit how many entries have gone so far.
    pub fn progress(mut self, progress: impl FnMut(u64) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Clears a namespace that is being deleted, for as long as `check` holds; then it ends with that conflict.
    pub(super) fn only_while(mut self, check: Check) -> Self {
        self.instead = Some(check);
        self
    }

    async fn run(mut self) -> Result<u64> {
        // Asked also where there is nothing to delete.
        self.scope.may_write(None)?;
        let native = self.scope.native();
        let step = COMMIT_DELETES.min(native.limits.commit_writes);
        let mut left = self.select.limit.unwrap_or(usize::MAX);
        let mut gone = 0;
        while left > 0 {
            let found = native.list(self.select.clone().limit(left.min(step))).await?;
            let Some(last) = found.items.last().cloned() else { break };
            left -= found.items.len();
            let mut commit = native.commit();
            for key in found.items {
                commit = commit.action(key, Action::Delete);
            }
            if let Some(check) = &self.instead {
                commit = commit.unguarded().check_at(check.clone());
            }
            let receipt = commit.await?;
            gone += receipt.writes.iter().filter(|written| written.existed).count() as u64;
            (self.progress)(gone);
            self.select.offset = 0;
            self.select = self.select.after(last);
        }
        Ok(gone)
    }
}

impl fmt::Debug for Clear<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clear").field("select", &self.select).finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for Clear<'a> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
