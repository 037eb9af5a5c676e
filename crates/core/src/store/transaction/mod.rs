//! Transactions: reads and writes that together see one moment and happen at one moment.
//!
//! Nothing is held open in an engine. Reads are as of one moment and are remembered; writes wait here; the commit checks
//! that what was read is still so. The moment moves on with the store for as long as nothing that was read has changed,
//! so that long transactions meet few conflicts.

mod own;
mod parked;
mod reads;
mod run;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use parked::TransactionState;
pub(super) use parked::Transactions;
use reads::Reads;

use super::{Scope, moment::Moment};
use crate::{
    address::Address,
    change::ChangesQuery,
    commit::{Action, Check, ExpiryChange, MetadataChange, Receipt, Write},
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::{CommitId, Revision},
    key::IntoKey,
    metadata::Metadata,
    value::Value,
};

/// How isolated a transaction asks to be. Whatever is asked for, [`Isolation::Serializable`] is delivered, which is more
/// than each of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// It could see what others have not committed.
    ReadUncommitted,
    /// It could see two different moments.
    ReadCommitted,
    /// It could meet phantoms.
    RepeatableRead,
    /// It could meet write skew.
    Snapshot,
    /// As if it were alone.
    #[default]
    Serializable,
}

/// How many keys a transaction reads one by one at most.
const READS_MAX: usize = 10_000;
/// Up to how many keys the moment is moved on by reading them all again, instead of asking the log.
const REREAD_MAX: usize = 16;

/// A transaction; dropped, it is rolled back.
///
/// Every read is as of one moment and sees what this transaction has written itself. A commit that cannot happen as if
/// everything had been read and written at one moment is a `Conflict`; [`Scope::transact`] tries again by itself. A
/// transaction that only reads never conflicts.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    /// Where it began: its limits hold.
    scope: Scope,
    /// Whom the next operations concern.
    within: Scope,
    id: CommitId,
    moment: Moment,
    /// Whether something that was read has changed: then the moment stays, and nothing can be written any more.
    stale: bool,
    reads: Reads,
    /// What was written, every key once, in the order of first writes.
    writes: Vec<Write>,
    /// What the writes bring along: checks of their own, and the quotas of everybody who writes.
    checks: Vec<Check>,
    quotas: Vec<Check>,
    ended: bool,
    /// Where it goes when a body is done with it.
    home: Option<Home>,
}

/// Where whoever runs a body finds the transaction afterwards.
type Home = Arc<Mutex<Option<Transaction>>>;

impl Scope {
    /// Begins a transaction. Nothing happens in the store until it commits.
    pub fn begin(&self, _isolation: Isolation) -> Transaction {
        let id = self.world().commit_id();
        self.shared.transactions.enter(id);
        Transaction {
            scope: self.clone(),
            within: self.clone(),
            id,
            moment: Moment::present(self.world().now()),
            stale: false,
            reads: Reads::default(),
            writes: Vec::new(),
            checks: Vec::new(),
            quotas: self.quota().into_iter().collect(),
            ended: false,
            home: None,
        }
    }
}

impl Transaction {
    /// Its id, which is that of its commit: what became of it can be asked with [`Scope::transaction_state`].
    pub fn id(&self) -> CommitId {
        self.id
    }

    /// What it delivers.
    pub fn isolation(&self) -> Isolation {
        Isolation::Serializable
    }

    /// What follows concerns another namespace of the same store, under the bounds of `scope`.
    ///
    /// # Errors
    /// `Invalid` when `scope` is of another store.
    pub fn within(&mut self, scope: &Scope) -> Result<&mut Self> {
        if !scope.is_of_the_store_of(&self.scope) {
            return Err(Error::invalid("a transaction is in one store, and this handle belongs to another"));
        }
        self.quotas.extend(scope.quota().filter(|quota| !self.quotas.contains(quota)));
        self.within = scope.clone();
        Ok(self)
    }

    /// The entry at `key`, if there is one. What this transaction has written has revision 0 until it is committed.
    ///
    /// # Errors
    /// `Invalid` for a bad key, `Limit` for more than 10,000 keys, `Trimmed` when the moment of this transaction is no longer
    /// in the log; else what the engine meets.
    pub async fn get(&mut self, key: impl IntoKey) -> Result<Option<Entry>> {
        let address = self.within.address(key)?;
        self.read(std::slice::from_ref(&address)).await?;
        self.seen(&address)
    }

    /// The entries at `keys`, in the same order.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn get_many<K: IntoKey>(&mut self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<Entry>>> {
        let addresses: Vec<Address> = keys.into_iter().map(|key| self.within.address(key)).collect::<Result<_>>()?;
        self.read(&addresses).await?;
        addresses.iter().map(|address| self.seen(address)).collect()
    }

    /// The value at `key`, read from JSON.
    ///
    /// # Errors
    /// As [`Scope::get_json`] and [`Transaction::get`].
    pub async fn get_json<T: serde::de::DeserializeOwned>(&mut self, key: impl IntoKey) -> Result<Option<T>> {
        self.get(key).await?.as_ref().map(super::read::parse).transpose()
    }

    /// Whether there is an entry at `key`.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn exists(&mut self, key: impl IntoKey) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    /// Makes `key` hold `value`; keeps its metadata, and what it had of an expiry ends.
    ///
    /// # Errors
    /// `Invalid` for a bad key, `Limit` when this transaction writes more than one commit takes.
    pub fn set(&mut self, key: impl IntoKey, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        self.action(key, Action::Put { value, expires_at: None, metadata: MetadataChange::Keep })
    }

    /// Makes `key` hold `value`, written as JSON.
    ///
    /// # Errors
    /// As [`Transaction::set`], and `Invalid` for what is no JSON.
    pub fn set_json<T: serde::Serialize + ?Sized>(&mut self, key: impl IntoKey, value: &T) -> Result<()> {
        self.set(key, super::write::json(value)?)
    }

    /// Makes `key` absent.
    ///
    /// # Errors
    /// As [`Transaction::set`].
    pub fn delete(&mut self, key: impl IntoKey) -> Result<()> {
        self.action(key, Action::Delete)
    }

    /// Adds `delta` to the JSON integer at `key` and answers the sum, which has to be within `bounds`; an absent key counts
    /// as 0.
    ///
    /// # Errors
    /// `Conflict` when the sum is out of bounds, `InvalidState` when the value is no integer, and as [`Transaction::get`].
    pub async fn add(&mut self, key: impl IntoKey, delta: i64, bounds: std::ops::RangeInclusive<i64>) -> Result<i64> {
        let (floor, ceiling) = bounds.into_inner();
        let entry = self.change(key, Action::Add { delta, floor, ceiling }).await?;
        let sum = entry.and_then(|entry| entry.value.as_integer());
        sum.ok_or_else(|| Error::new(ErrorKind::Internal, "a sum that was added up is no integer"))
    }

    /// Makes the entry at `key` expire after `ttl` from now, or never.
    ///
    /// # Errors
    /// `NotFound` when the key is absent, and as [`Transaction::get`].
    pub async fn touch(&mut self, key: impl IntoKey, ttl: Option<Duration>) -> Result<()> {
        let at = ttl.map(|ttl| super::write::expiry_in(&self.scope, ttl)).transpose()?;
        let action = Action::Annotate { metadata: MetadataChange::Keep, expiry: ExpiryChange::Set(at) };
        self.change(key, action).await.map(drop)
    }

    /// Replaces the metadata of the entry at `key`.
    ///
    /// # Errors
    /// As [`Transaction::touch`].
    pub async fn set_metadata(&mut self, key: impl IntoKey, metadata: Metadata) -> Result<()> {
        let action = Action::Annotate { metadata: MetadataChange::Replace(metadata), expiry: ExpiryChange::Keep };
        self.change(key, action).await.map(drop)
    }

    /// Ends it without a trace.
    pub fn rollback(&mut self) {
        self.ended = true;
        self.writes.clear();
    }

    /// Makes everything that was written happen, if everything that was read is still so.
    ///
    /// The receipt has one answer for each key written, in the order of first writes; without writes it has the revision
    /// that everything was read at.
    ///
    /// # Errors
    /// `Conflict` when something that was read has changed, and what [`Scope::commit`] meets. `OutcomeUnknown` can be
    /// resolved with [`Transaction::id`].
    pub async fn commit(mut self) -> Result<Receipt> {
        self.open()?;
        if self.writes.is_empty() {
            let revision = self.moment.settled(&self.scope).await?;
            return Ok(Receipt { revision, writes: Vec::new() });
        }
        let mut checks = self.checks.clone();
        let room = self.scope.limits().commit_checks.saturating_sub(checks.len());
        checks.extend(self.reads.checks(&self.moment, room));
        let (writes, quotas) = (std::mem::take(&mut self.writes), std::mem::take(&mut self.quotas));
        self.scope.commit().id(self.id).prepared(checks, writes, quotas).send().await
    }

    /// Makes room for a write, and remembers it.
    pub(super) fn action(&mut self, key: impl IntoKey, action: Action) -> Result<()> {
        self.open()?;
        self.within.may_write(action.value().map(|value| value.bytes().len()))?;
        let address = self.within.address(key)?;
        self.write(Write { address, action })
    }

    /// Writes what `action` makes of what is at `key`, which is read for that; answers it.
    async fn change(&mut self, key: impl IntoKey, action: Action) -> Result<Option<Entry>> {
        let address = self.within.address(key)?;
        self.read(std::slice::from_ref(&address)).await?;
        self.within.may_write(None)?;
        let before = self.seen(&address)?;
        let write = Write { address, action };
        let after = self.effect(write.clone(), before.as_ref())?;
        self.write(write)?;
        Ok(after)
    }

    /// Reads what of `addresses` was not read before, all as of the moment.
    async fn read(&mut self, addresses: &[Address]) -> Result<()> {
        self.open()?;
        let unknown = self.reads.unknown(addresses);
        if unknown.is_empty() {
            return Ok(());
        }
        if self.reads.keys() + unknown.len() > READS_MAX {
            return Err(Error::limit(format!("a transaction reads at most {READS_MAX} keys one by one: scan them instead")));
        }
        if !self.stale && self.reads.only_keys() && self.reads.keys() + unknown.len() <= REREAD_MAX {
            let again = self.reads.addresses().chain(&unknown).cloned().collect();
            let found = self.scope.engine().get(again, self.moment.now).await?;
            let mut entries = found.value;
            let new = entries.split_off(self.reads.keys());
            if self.reads.are(&entries) {
                self.moment.revision = Some(found.revision);
                self.reads.add(unknown, new);
                return Ok(());
            }
            self.stale = true;
        } else {
            self.move_on().await?;
        }
        let entries = self.moment.get_many(&self.scope, unknown.clone()).await?;
        self.reads.add(unknown, entries);
        Ok(())
    }

    /// Makes the present the moment, if nothing that was read has changed since.
    async fn move_on(&mut self) -> Result<()> {
        let Some(revision) = self.moment.revision.filter(|_| !self.stale) else { return Ok(()) };
        let head = self.scope.engine().get(Vec::new(), self.moment.now).await?.revision;
        if head == revision {
            return Ok(());
        }
        let ranges = self.reads.ranges(ChangesQuery::RANGES_MAX);
        if !ranges.is_empty() {
            let lineage = self.moment.lineage(&self.scope).await?;
            let query = ChangesQuery { ranges, limit: 1, ..ChangesQuery::after(lineage, revision) };
            match self.scope.engine().changes(query).await {
                Ok(found) if found.changes.is_empty() && found.through >= head => {}
                Ok(_) => self.stale = true,
                Err(error) if error.kind() == ErrorKind::Trimmed => self.stale = true,
                Err(error) => return Err(error),
            }
        }
        if !self.stale {
            self.moment.revision = Some(head);
        }
        Ok(())
    }

    fn open(&self) -> Result<()> {
        if self.ended {
            return Err(Error::new(ErrorKind::InvalidState, "the transaction was rolled back"));
        }
        Ok(())
    }

    /// The revision that everything was read at so far; `None` before the first read.
    pub fn revision(&self) -> Option<Revision> {
        self.moment.revision
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return self.scope.shared.transactions.leave(self.id) };
        let whole = Self {
            scope: self.scope.clone(),
            within: self.within.clone(),
            reads: std::mem::take(&mut self.reads),
            writes: std::mem::take(&mut self.writes),
            checks: std::mem::take(&mut self.checks),
            quotas: std::mem::take(&mut self.quotas),
            home: None,
            ..*self
        };
        *home.lock().unwrap_or_else(PoisonError::into_inner) = Some(whole);
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("id", &self.id).field("writes", &self.writes.len()).finish_non_exhaustive()
    }
}
