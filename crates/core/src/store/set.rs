//! Setting one key, with everything that can go with it.

use std::{future::IntoFuture, time::Duration};

use bytes::Bytes;

use super::{CommitBuilder, Scope};
use crate::{
    commit::{Action, Condition, Expected, MetadataChange, Receipt},
    error::{Error, ErrorKind, Result},
    id::{Revision, Version},
    key::{IntoKey, Key},
    metadata::Metadata,
    send::BoxFuture,
    time::Timestamp,
    value::Value,
};

/// What a write left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The entry's version now.
    pub version: Version,
    /// The commit's revision.
    pub revision: Revision,
    /// Whether the entry was there before.
    pub existed: bool,
}

/// A set being put together; awaiting it sends it.
#[must_use = "a set does nothing until it is awaited"]
#[derive(Debug)]
pub struct Set<'a> {
    scope: &'a Scope,
    key: Result<Key>,
    value: Result<Value>,
    expiry: Expiry,
    metadata: MetadataChange,
    condition: Option<Condition>,
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    Never,
    At(Timestamp),
    In(Duration),
}

impl Scope {
    /// Makes `key` hold `value`.
    ///
    /// Metadata stays unless some is given; an expiry ends unless one is given.
    pub fn set(&self, key: impl IntoKey, value: impl Into<Value>) -> Set<'_> {
        self.set_value(key, Ok(value.into()))
    }

    pub(super) fn set_value(&self, key: impl IntoKey, value: Result<Value>) -> Set<'_> {
        let metadata = MetadataChange::Keep;
        Set { scope: self, key: key.into_key(), value, expiry: Expiry::Never, metadata, condition: None }
    }
}

impl<'a> Set<'a> {
    /// The entry expires this long after it was written; longer than zero.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.expiry = Expiry::In(ttl);
        self
    }

    /// The entry expires at this moment.
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expiry = Expiry::At(at);
        self
    }

    /// The entry gets this metadata instead of what it has.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = MetadataChange::Replace(metadata);
        self
    }

    /// Only if `condition` holds; else `Conflict`, and `AlreadyExists` where the entry should have been absent.
    pub fn only_if(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Only if the key is absent.
    pub fn if_absent(self) -> Self {
        self.only_if(Condition::Absent)
    }

    /// Only if the entry has this version; 0 means absent.
    pub fn if_version(self, version: impl Into<Version>) -> Self {
        self.only_if(Condition::Version(version.into()))
    }

    /// Only if the entry was written last at this revision.
    pub fn if_revision(self, revision: Revision) -> Self {
        self.only_if(Condition::Revision(revision))
    }

    /// Only if the entry holds these bytes.
    pub fn if_value(self, value: impl Into<Bytes>) -> Self {
        self.only_if(Condition::Value(value.into()))
    }

    async fn send(self) -> Result<Stamp> {
        stamp(self.commit()?.send().await)
    }

    /// The set as a commit.
    pub(super) fn commit(self) -> Result<CommitBuilder<'a>> {
        let (scope, key, value) = (self.scope, self.key?, self.value?);
        let expires_at = match self.expiry {
            Expiry::Never => None,
            Expiry::At(at) => Some(at),
            Expiry::In(ttl) => Some(super::write::expiry_in(scope, ttl)?),
        };
        let mut commit = scope.commit();
        if let Some(condition) = self.condition {
            commit = commit.check(&key, condition);
        }
        Ok(commit.action(key, Action::Put { value, expires_at, metadata: self.metadata }))
    }
}

/// What a set answers, from what its commit did.
pub(super) fn stamp(receipt: Result<Receipt>) -> Result<Stamp> {
    let receipt = receipt.map_err(already_exists)?;
    let written = receipt.writes[0];
    Ok(Stamp { version: written.version, revision: receipt.revision, existed: written.existed })
}

/// A conflict over absence has a kind of its own.
fn already_exists(error: Error) -> Error {
    match error.as_conflict() {
        Some(conflict) if conflict.expected == Expected::Absent => {
            let message = conflict.to_string();
            error.as_kind(ErrorKind::AlreadyExists, message)
        }
        _ => error,
    }
}

impl<'a> IntoFuture for Set<'a> {
    type Output = Result<Stamp>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
