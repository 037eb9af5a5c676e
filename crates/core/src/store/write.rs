//! Writing: one key at a time, and many keys each by itself.

use std::{future::poll_fn, ops::RangeInclusive, pin::Pin, task::Poll, time::Duration};

use serde::Serialize;

use super::{Scope, Set, Stamp};
use crate::{
    commit::{Condition, ExpiryChange, MetadataChange, Receipt},
    engine::Resolution,
    error::{Error, ErrorKind, Result},
    id::CommitId,
    key::IntoKey,
    metadata::Metadata,
    time::Timestamp,
    value::Value,
};

impl Scope {
    /// Makes `key` hold `value`, written as JSON.
    pub fn set_json<T: Serialize + ?Sized>(&self, key: impl IntoKey, value: &T) -> Set<'_> {
        self.set_value(key, json(value))
    }

    /// Makes `key` hold `value` if `condition` holds; else `Conflict`, which tells what was found.
    ///
    /// # Errors
    /// `Conflict`, and what [`Scope::set`] meets.
    pub async fn compare_and_set(&self, key: impl IntoKey, condition: Condition, value: impl Into<Value>) -> Result<Stamp> {
        self.set(key, value).only_if(condition).await
    }

    /// Makes `key` hold `value` if it is absent.
    ///
    /// # Errors
    /// `AlreadyExists`, and what [`Scope::set`] meets.
    pub async fn create(&self, key: impl IntoKey, value: impl Into<Value>) -> Result<Stamp> {
        self.set(key, value).if_absent().await
    }

    /// Makes `key` absent, and says whether it was there.
    ///
    /// # Errors
    /// `Invalid` for a bad key; else what the engine meets.
    pub async fn delete(&self, key: impl IntoKey) -> Result<bool> {
        Ok(self.commit().delete(key).send().await?.writes[0].existed)
    }

    /// Sets many keys, each by itself: what happens to one does not touch another. The answers are in order.
    pub async fn set_many<K: IntoKey, V: Into<Value>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Vec<Result<Stamp>> {
        let sets: Vec<_> = entries.into_iter().map(|(key, value)| self.set(key, value).into_future()).collect();
        join(sets).await
    }

    /// Deletes many keys, each by itself; each answer says whether the key was there.
    pub async fn delete_many<K: IntoKey>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Result<bool>> {
        let deletes: Vec<_> = keys.into_iter().map(|key| self.commit().delete(key).into_future()).collect();
        join(deletes).await.into_iter().map(|answer| answer.map(|receipt: Receipt| receipt.writes[0].existed)).collect()
    }

    /// Adds `delta` to the JSON integer at `key` and answers the sum, which has to be within `bounds`; an absent key
    /// counts as 0 and is created. Expiry and metadata stay.
    ///
    /// # Errors
    /// `Conflict` when the sum is out of bounds, `InvalidState` when the value is no integer.
    pub async fn add(&self, key: impl IntoKey, delta: i64, bounds: RangeInclusive<i64>) -> Result<i64> {
        let receipt = self.commit().add(key, delta, bounds).send().await?;
        receipt.writes[0].number.ok_or_else(|| Error::new(ErrorKind::Internal, "the engine added without a sum"))
    }

    /// Makes the entry at `key` expire after `ttl` from now, or never, and leaves all else as it is.
    ///
    /// # Errors
    /// `NotFound` when the key is absent.
    pub async fn touch(&self, key: impl IntoKey, ttl: Option<Duration>) -> Result<Stamp> {
        let at = ttl.map(|ttl| expiry_in(self, ttl)).transpose()?;
        self.annotate(key, MetadataChange::Keep, ExpiryChange::Set(at)).await
    }

    /// Makes the entry at `key` expire at the moment `at`, and leaves all else as it is.
    ///
    /// # Errors
    /// `NotFound` when the key is absent.
    pub async fn touch_at(&self, key: impl IntoKey, at: Timestamp) -> Result<Stamp> {
        self.annotate(key, MetadataChange::Keep, ExpiryChange::Set(Some(at))).await
    }

    /// Replaces the metadata of the entry at `key`.
    ///
    /// # Errors
    /// `NotFound` when the key is absent.
    pub async fn set_metadata(&self, key: impl IntoKey, metadata: Metadata) -> Result<Stamp> {
        self.annotate(key, MetadataChange::Replace(metadata), ExpiryChange::Keep).await
    }

    /// Lays the fields of `metadata` over those of the entry at `key`.
    ///
    /// # Errors
    /// `NotFound` when the key is absent, `Limit` when the metadata would grow too large.
    pub async fn merge_metadata(&self, key: impl IntoKey, metadata: Metadata) -> Result<Stamp> {
        self.annotate(key, MetadataChange::Merge(metadata), ExpiryChange::Keep).await
    }

    async fn annotate(&self, key: impl IntoKey, metadata: MetadataChange, expiry: ExpiryChange) -> Result<Stamp> {
        let receipt = self.commit().annotate(key, metadata, expiry).send().await?;
        let written = receipt.writes[0];
        Ok(Stamp { version: written.version, revision: receipt.revision, existed: written.existed })
    }

    /// What became of the commit `id`; one that was never seen never will be.
    ///
    /// Who knows an id, which nobody can guess, may ask, whoever sent it: the answer tells a revision, versions and the sums
    /// of what was added, and neither keys nor other values.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn resolve(&self, id: CommitId) -> Result<Resolution> {
        self.engine().resolve(id).await
    }
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Value> {
    serde_json::to_vec(value)
        .map_err(|error| Error::invalid("this cannot be written as JSON").caused_by(error))
        .and_then(Value::json)
}

pub(super) fn expiry_in(scope: &Scope, ttl: Duration) -> Result<Timestamp> {
    if ttl.is_zero() {
        return Err(Error::invalid("a time to live has to be longer than zero"));
    }
    Ok(scope.world().now().after(ttl))
}

/// Waits for all of `futures`, which make progress together; the answers are in order.
pub(super) async fn join<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut answers: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (future, answer) in futures.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            match Pin::new(future).poll(context) {
                Poll::Ready(done) => *answer = Some(done),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}
