//! Writing documents: inserting, replacing and patching, each with what can go with it.

use std::{future::IntoFuture, time::Duration};

use larder_core::{
    Action, BoxFuture, Condition, Error, ErrorKind, Expected, IntoKey, Key, Metadata, MetadataChange, Receipt, Result,
    Revision, Timestamp, Value, Version,
};
use serde::Serialize;

use super::{Collection, Patch};

/// How often a patch is applied anew because others have written the document; far more often than they do by chance.
const ATTEMPTS_MAX: usize = 1000;

/// What a write left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The document's id, given or generated.
    pub id: Key,
    /// Its version now.
    pub version: Version,
    /// The commit's revision.
    pub revision: Revision,
    /// Whether the document was there before.
    pub existed: bool,
}

impl Saved {
    fn of(id: Key, receipt: &Receipt) -> Self {
        let written = receipt.writes[0];
        Self { id, version: written.version, revision: receipt.revision, existed: written.existed }
    }
}

/// What goes with a document.
#[derive(Debug, Default)]
struct Beside {
    ttl: Option<Duration>,
    metadata: MetadataChange,
}

impl Beside {
    fn put(&self, value: Value, now: Timestamp) -> Result<Action> {
        if self.ttl.is_some_and(|ttl| ttl.is_zero()) {
            return Err(Error::invalid("a time to live has to be longer than zero"));
        }
        Ok(Action::Put { value, expires_at: self.ttl.map(|ttl| now.after(ttl)), metadata: self.metadata.clone() })
    }
}

/// An insert being put together; awaiting it sends it.
#[must_use = "an insert does nothing until it is awaited"]
#[derive(Debug)]
pub struct Insert<'a> {
    collection: &'a Collection,
    id: Option<Result<Key>>,
    value: Result<Value>,
    beside: Beside,
}

/// A replacement being put together; awaiting it sends it.
#[must_use = "a replacement does nothing until it is awaited"]
#[derive(Debug)]
pub struct Replace<'a> {
    collection: &'a Collection,
    id: Result<Key>,
    value: Result<Value>,
    condition: Option<Condition>,
    beside: Beside,
}

/// A patch being put together; awaiting it sends it.
#[must_use = "a patch does nothing until it is awaited"]
#[derive(Debug)]
pub struct Patching<'a> {
    collection: &'a Collection,
    id: Result<Key>,
    patch: Patch,
    condition: Option<Condition>,
}

impl Collection {
    /// Inserts a document under a generated id, or the one that it is given; ids that are generated sort by when they were.
    ///
    /// What is written as JSON is kept byte for byte, so a [`serde_json::value::RawValue`] is kept as it was spelled.
    ///
    /// # Errors
    /// `Invalid` when it violates the schema, with [`Violations`](super::Violations) as the cause; `AlreadyExists` when there
    /// is a document with this id; `Limit` when it is too large; else what the engine meets.
    pub fn insert<T: Serialize + ?Sized>(&self, content: &T) -> Insert<'_> {
        self.insert_value(json(content))
    }

    /// As [`Collection::insert`], from a value as it is stored; see [`Value::json`].
    pub fn insert_value(&self, value: Result<Value>) -> Insert<'_> {
        Insert { collection: self, id: None, value, beside: Beside::default() }
    }

    /// Makes the document `id` say something else. Metadata stays unless some is given; an expiry ends unless one is given.
    ///
    /// # Errors
    /// `NotFound` when there is no such document, `Conflict` when it is not as expected, and as [`Collection::insert`].
    pub fn replace<T: Serialize + ?Sized>(&self, id: impl IntoKey, content: &T) -> Replace<'_> {
        self.replace_value(id, json(content))
    }

    /// As [`Collection::replace`], from a value as it is stored.
    pub fn replace_value(&self, id: impl IntoKey, value: Result<Value>) -> Replace<'_> {
        let condition = Some(Condition::Exists);
        Replace { collection: self, id: id.into_key(), value, condition, beside: Beside::default() }
    }

    /// Changes the document `id` as `patch` says; applied anew when others have written it meanwhile. Its metadata and expiry
    /// stay.
    ///
    /// # Errors
    /// `NotFound` when there is no such document, and as [`Patch::apply`] and [`Collection::insert`].
    pub fn patch(&self, id: impl IntoKey, patch: Patch) -> Patching<'_> {
        Patching { collection: self, id: id.into_key(), patch, condition: None }
    }
}

impl Insert<'_> {
    /// Under this id.
    pub fn id(mut self, id: impl IntoKey) -> Self {
        self.id = Some(id.into_key());
        self
    }

    /// The document expires this long after it was written; longer than zero.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.beside.ttl = Some(ttl);
        self
    }

    /// With this metadata.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.beside.metadata = MetadataChange::Replace(metadata);
        self
    }

    async fn send(self) -> Result<Saved> {
        let Self { collection, id, value, beside } = self;
        let id = id.unwrap_or_else(|| Key::new(collection.world.commit_id().to_string()))?;
        let value = value?;
        let action = beside.put(value.clone(), collection.world.now())?;
        let written = collection
            .write(Some(&value), &id, |commit| commit.check(&id, Condition::Absent).action(&id, action.clone()))
            .await;
        let receipt = written.map_err(|error| collection.told(&id, error))?;
        Ok(Saved::of(id, &receipt))
    }
}

impl Replace<'_> {
    /// Only if the document has this version.
    pub fn if_version(self, version: impl Into<Version>) -> Self {
        self.only_if(Condition::Version(version.into()))
    }

    /// Only if the document was written last at this revision.
    pub fn if_revision(self, revision: Revision) -> Self {
        self.only_if(Condition::Revision(revision))
    }

    /// Also if there is no such document: then it is inserted.
    pub fn or_insert(mut self) -> Self {
        self.condition = None;
        self
    }

    /// The document expires this long after it was written; longer than zero.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.beside.ttl = Some(ttl);
        self
    }

    /// With this metadata instead of what it has.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.beside.metadata = MetadataChange::Replace(metadata);
        self
    }

    fn only_if(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    async fn send(self) -> Result<Saved> {
        let Self { collection, id, value, condition, beside } = self;
        let (id, value) = (id?, value?);
        let action = beside.put(value.clone(), collection.world.now())?;
        let written = collection
            .write(Some(&value), &id, |commit| {
                let commit = match &condition {
                    Some(condition) => commit.check(&id, condition.clone()),
                    None => commit,
                };
                commit.action(&id, action.clone())
            })
            .await;
        let receipt = written.map_err(|error| collection.told(&id, error))?;
        Ok(Saved::of(id, &receipt))
    }
}

impl Patching<'_> {
    /// Only if the document has this version; else `Conflict`.
    pub fn if_version(mut self, version: impl Into<Version>) -> Self {
        self.condition = Some(Condition::Version(version.into()));
        self
    }

    /// Only if the document was written last at this revision; else `Conflict`.
    pub fn if_revision(mut self, revision: Revision) -> Self {
        self.condition = Some(Condition::Revision(revision));
        self
    }

    async fn send(self) -> Result<Saved> {
        let Self { collection, id, patch, condition } = self;
        let id = id?;
        for _ in 0..ATTEMPTS_MAX {
            let Some(entry) = collection.documents.get(&id).await? else { return Err(collection.absent(&id)) };
            let met = match &condition {
                Some(Condition::Version(version)) => entry.version == *version,
                Some(Condition::Revision(revision)) => entry.revision == *revision,
                _ => true,
            };
            // A document that is not the expected one is sent anyway, so that the conflict tells what was found.
            let value = if met { patch.apply(entry.value.bytes())? } else { entry.value.clone() };
            let seen = Condition::Revision(entry.revision);
            let check = condition.clone().filter(|_| !met).unwrap_or(seen);
            let action = Action::Put { value: value.clone(), expires_at: entry.expires_at, metadata: MetadataChange::Keep };
            let judged = met.then_some(&value);
            let written =
                collection.write(judged, &id, |commit| commit.check(&id, check.clone()).action(&id, action.clone())).await;
            match written {
                Ok(receipt) => return Ok(Saved::of(id, &receipt)),
                // Somebody else has written it: with a condition, the next look tells the conflict.
                Err(error) if met && is_about_the_revision(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("others write the document {id:?} without end")))
    }
}

/// Whether somebody else has written what was read; what a unique index does not allow is another matter.
fn is_about_the_revision(error: &Error) -> bool {
    error.as_conflict().is_some_and(|conflict| matches!(conflict.expected, Expected::Revision(_)))
}

pub(super) fn json<T: Serialize + ?Sized>(content: &T) -> Result<Value> {
    serde_json::to_vec(content)
        .map_err(|error| Error::invalid("this cannot be written as JSON").caused_by(error))
        .and_then(Value::json)
}

macro_rules! sent_when_awaited {
    ($($builder:ident),*) => { $(
        impl<'a> IntoFuture for $builder<'a> {
            type Output = Result<Saved>;
            type IntoFuture = BoxFuture<'a, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }
    )* };
}
sent_when_awaited!(Insert, Replace, Patching);
