//! Transactions that wait for their next operation, found by id: for servers, whose callers come and go.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Transaction;
use crate::{
    commit::Receipt,
    engine::Resolution,
    error::{Error, ErrorKind, Result},
    id::CommitId,
    store::Scope,
    time::Timestamp,
};

/// How many transactions a store parks at most.
const PARKED_MAX: usize = 1024;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// It has not ended.
    Open,
    /// It happened; this is what it answered or would have.
    Committed(Receipt),
    /// It did not happen, and never will: it was rolled back, wrote nothing, or was never begun.
    RolledBack,
    /// It is longer ago than what the store remembers.
    Forgotten,
}

/// The transactions of a process that have not ended.
#[derive(Debug, Default)]
pub(in crate::store) struct Transactions(Mutex<HashMap<CommitId, Option<Parked>>>);

#[derive(Debug)]
struct Parked {
    transaction: Transaction,
    /// From then on it is rolled back.
    until: Timestamp,
}

type Open = HashMap<CommitId, Option<Parked>>;

impl Transactions {
    pub(super) fn enter(&self, id: CommitId) {
        self.open().insert(id, None);
    }

    pub(super) fn leave(&self, id: CommitId) {
        // Not under the lock: what is removed may be a transaction, which leaves when it is dropped.
        let gone = self.open().remove(&id);
        drop(gone);
    }

    /// Rolls back everything that is parked.
    pub(in crate::store) fn end(&self) {
        let parked: Vec<Parked> = self.open().values_mut().filter_map(Option::take).collect();
        drop(parked);
    }

    /// Rolls back those that have waited for too long.
    fn lapse(&self, now: Timestamp) {
        // Not under the lock, as above.
        let outdated = Self::outdated(&mut self.open(), now);
        drop(outdated);
    }

    /// Takes out those that have waited for too long; whoever gets them drops them without the lock.
    fn outdated(open: &mut Open, now: Timestamp) -> Vec<Parked> {
        let outdated = |parked: &Option<Parked>| parked.as_ref().is_some_and(|parked| parked.until <= now);
        open.values_mut().filter(|parked| outdated(parked)).filter_map(Option::take).collect()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transaction {
    /// Lets the transaction wait for [`Scope::resume`], for as long as `idle`; then it is rolled back.
    ///
    /// # Errors
    /// `Limit` when too many wait already; then it is rolled back at once.
    pub fn park(self, idle: Duration) -> Result<CommitId> {
        let (id, shared) = (self.id, self.scope.shared.clone());
        let now = shared.world.now();
        shared.transactions.lapse(now);
        let mut open = shared.transactions.open();
        let full = open.values().flatten().count() >= PARKED_MAX;
        let refused = if full {
            Some(self)
        } else {
            open.insert(id, Some(Parked { transaction: self, until: now.after(idle) }));
            None
        };
        drop(open);
        match refused {
            Some(_) => Err(Error::limit(format!("{PARKED_MAX} transactions are open already"))),
            None => Ok(id),
        }
    }
}

impl Scope {
    /// Takes up a parked transaction again, which was begun by a handle like this one: of the same namespace, and with the
    /// same bounds.
    ///
    /// # Errors
    /// `NotFound` when there is none, because it has ended or was rolled back after waiting too long; `InvalidState` while
    /// somebody else is at work with it.
    pub fn resume(&self, id: CommitId) -> Result<Transaction> {
        self.shared.transactions.lapse(self.world().now());
        let mut open = self.shared.transactions.open();
        let found = match open.get_mut(&id) {
            None => None,
            Some(parked) => match parked.take_if(|parked| parked.transaction.scope.is_like(self)) {
                Some(parked) => Some(Ok(parked.transaction)),
                // Others' transactions are not there.
                None if parked.is_some() => None,
                None => Some(Err(Error::new(ErrorKind::InvalidState, format!("the transaction {id} is being used")))),
            },
        };
        drop(open);
        found.unwrap_or_else(|| Err(Error::new(ErrorKind::NotFound, format!("there is no open transaction {id}"))))
    }

    /// What became of the transaction `id`. One that is not open in this process, and has not been committed, never will be.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn transaction_state(&self, id: CommitId) -> Result<TransactionState> {
        self.shared.transactions.lapse(self.world().now());
        if self.shared.transactions.open().contains_key(&id) {
            return Ok(TransactionState::Open);
        }
        Ok(match self.resolve(id).await? {
            Resolution::Committed(receipt) => TransactionState::Committed(receipt),
            Resolution::Never => TransactionState::RolledBack,
            Resolution::Forgotten => TransactionState::Forgotten,
        })
    }
}
