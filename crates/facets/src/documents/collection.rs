//! A collection: documents under one schema. Every write depends on the schema that it was judged by being in force.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use larder_core::{
    Aggregate, Aggregated, CommitBuilder, Condition, Entry, Error, ErrorKind, Expected, Filter, IntoKey, Key, Matched,
    Query, Receipt, Result, Scope, Store, Value, World, query::Measure,
};
use serde::de::DeserializeOwned;

use super::{
    Document, Schema,
    settings::{self, InForce, Stored},
};

/// How often a write is begun anew because the schema was changed; far more often than it is by chance.
const CHANGES_MAX: usize = 100;
/// How often is looked whether a change of the schema has come to its end.
const PAUSE: Duration = Duration::from_millis(2);

/// A handle to a collection; clones share what they know of its schema, so that one read serves many writes.
#[derive(Clone)]
pub struct Collection {
    pub(super) name: Arc<str>,
    /// The documents, under the bounds of whoever writes.
    pub(super) documents: Scope,
    /// All documents, for changing the schema; `None` for who may not.
    pub(super) all: Option<Scope>,
    pub(super) settings: Scope,
    pub(super) world: Arc<dyn World>,
    known: Arc<Mutex<Option<Arc<InForce>>>>,
}

impl Collection {
    pub(super) fn new(store: &Store, name: &str) -> Result<Self> {
        let documents = store.scope(&settings::documents(name)?)?;
        Ok(Self {
            name: name.into(),
            all: Some(documents.clone()),
            documents,
            settings: store.scope(&settings::namespace())?,
            world: store.world().clone(),
            known: Arc::default(),
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace that the documents are entries of: to watch them, to see what they were, to ask about them. What is
    /// written through it is judged by nobody.
    pub fn scope(&self) -> &Scope {
        &self.documents
    }

    /// The same collection under the bounds of `scope`, which is a handle to its namespace: a quota, a prefix of ids, or
    /// reading only. For guests; they cannot change the schema.
    ///
    /// # Errors
    /// `Invalid` when `scope` is a handle to something else.
    pub fn through(&self, scope: &Scope) -> Result<Self> {
        if scope.namespace() != self.documents.namespace() {
            let message = format!("the collection {:?} lies in the namespace {:?}", self.name, self.documents.namespace());
            return Err(Error::invalid(message));
        }
        Ok(Self { documents: scope.clone(), all: None, ..self.clone() })
    }

    /// The document `id`, if there is one.
    ///
    /// # Errors
    /// `Invalid` for a bad id and for a document that is something else than a `T`; else what the engine meets.
    pub async fn get<T: DeserializeOwned>(&self, id: impl IntoKey) -> Result<Option<Document<T>>> {
        self.documents.get(id).await?.map(Document::read).transpose()
    }

    /// The documents that `query` asks for, as of one moment.
    ///
    /// # Errors
    /// As [`Scope::query`], and `Invalid` when one of them is something else than a `T`.
    pub async fn find<T: DeserializeOwned>(&self, query: impl Into<Query>) -> Result<Matched<Document<T>>> {
        let Matched { items, next, revision, examined } = self.documents.query(query).await?;
        let items = items.into_iter().map(Document::read).collect::<Result<_>>()?;
        Ok(Matched { items, next, revision, examined })
    }

    /// How many documents `filter` lets through.
    ///
    /// # Errors
    /// As [`Scope::aggregate`].
    pub async fn count(&self, filter: impl Into<Filter>) -> Result<u64> {
        match self.documents.aggregate(&Aggregate::new(filter.into(), Measure::Count)).await? {
            Aggregated::Count(count) => Ok(count),
            _ => Err(Error::new(ErrorKind::Internal, "a count was answered with something else")),
        }
    }

    /// Deletes the document `id`, and says whether it was there.
    ///
    /// # Errors
    /// `Invalid` for a bad id; else what the engine meets.
    pub async fn delete(&self, id: impl IntoKey) -> Result<bool> {
        let id = id.into_key()?;
        let receipt = self.write(None, &id, |commit| commit.delete(&id)).await?;
        Ok(receipt.writes[0].existed)
    }

    /// Deletes the document `id` if `condition` holds; else `Conflict`.
    ///
    /// # Errors
    /// As [`Collection::delete`], and `Conflict`, which tells what was found.
    pub async fn delete_if(&self, id: impl IntoKey, condition: Condition) -> Result<()> {
        let id = id.into_key()?;
        self.write(None, &id, |commit| commit.check(&id, condition.clone()).delete(&id)).await.map(drop)
    }

    /// Sends the commit that `make` adds to, if `value` keeps to the schema, so that it only happens while that schema is in
    /// force; begun anew when it was changed.
    pub(super) async fn write(
        &self,
        value: Option<&Value>,
        id: &Key,
        make: impl Fn(CommitBuilder<'_>) -> CommitBuilder<'_>,
    ) -> Result<Receipt> {
        let mut in_force = self.known().await?;
        for _ in 0..CHANGES_MAX {
            if let Some(value) = value {
                in_force = self.judged(in_force, id, value).await?;
            }
            let guarded = in_force.guard(self.documents.commit().within(&self.settings), &self.name);
            match make(guarded.within(&self.documents)).await {
                Err(error) if self.is_about_the_schema(&error) => in_force = self.load().await?,
                answer => return answer,
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("the schema of the collection {:?} changes without end", self.name)))
    }

    /// Judges `value`, and answers what it was judged by: what is known, or what is in force now where that refuses.
    async fn judged(&self, known: Arc<InForce>, id: &Key, value: &Value) -> Result<Arc<InForce>> {
        if self.judge(&known, id, value).is_ok() {
            return Ok(known);
        }
        let now = self.load().await?;
        self.judge(&now, id, value)?;
        Ok(now)
    }

    /// # Errors
    /// `Invalid`, with every violated rule.
    pub(super) fn judge(&self, in_force: &InForce, id: &Key, value: &Value) -> Result<()> {
        let Some((_, schema)) = &in_force.schema else { return Ok(()) };
        let Some(violations) = schema.violations(value)? else { return Ok(()) };
        let (name, version) = (&self.name, in_force.version);
        let places =
            if violations.total == 1 { "in one place".to_owned() } else { format!("in {} places", violations.total) };
        let message = format!("the document {id:?} violates version {version} of the schema of {name:?} {places}");
        Err(Error::invalid(message).caused_by(violations))
    }

    /// Whether a commit met another schema than it was made for.
    fn is_about_the_schema(&self, error: &Error) -> bool {
        let address = error.as_conflict().and_then(|conflict| conflict.address.as_ref());
        address.is_some_and(|address| address.namespace == *self.settings.namespace() && *address.key == *self.name)
    }

    /// The schema in force, as of the last time that anybody looked.
    async fn known(&self) -> Result<Arc<InForce>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(known) => Ok(known),
            None => self.load().await,
        }
    }

    /// The schema in force now; while it is being changed, waits for that.
    pub(super) async fn load(&self) -> Result<Arc<InForce>> {
        loop {
            let entry = self.settings.get(&*self.name).await?;
            if !Stored::read(entry.as_ref())?.is_closed(self.world.now())
                && let Some(in_force) = self.known_by(entry.as_ref()).await?
            {
                return Ok(in_force);
            }
            self.world.sleep(PAUSE).await;
        }
    }

    /// What is in force where `entry` says so; `None` when it says so no longer.
    pub(super) async fn known_by(&self, entry: Option<&Entry>) -> Result<Option<Arc<InForce>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let since = entry.map(|entry| entry.revision);
        if let Some(known) = known.clone().filter(|known| known.since == since) {
            return Ok(Some(known));
        }
        let version = Stored::read(entry)?.version;
        let schema = match version {
            0 => None,
            version => {
                let Some(stored) = self.settings.get(settings::version_key(&self.name, version)?).await? else {
                    return self.gone(since, version).await;
                };
                let before = known.and_then(|known| known.schema.clone());
                Some(match before.filter(|(revision, _)| *revision == stored.revision) {
                    Some(before) => before,
                    None => (stored.revision, Schema::parse(stored.value.bytes().clone()).map_err(damaged)?),
                })
            }
        };
        let in_force = Arc::new(InForce { since, version, schema });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_force.clone());
        Ok(Some(in_force))
    }

    /// A version that is not there: the collection was dropped meanwhile, or damaged.
    async fn gone(&self, since: Option<larder_core::Revision>, version: u64) -> Result<Option<Arc<InForce>>> {
        let again = self.settings.get(&*self.name).await?.map(|entry| entry.revision);
        if again != since {
            return Ok(None);
        }
        let message = format!("version {version} of the schema of {:?} is in force and is not there", self.name);
        Err(Error::new(ErrorKind::Corrupt, message))
    }

    /// `Conflict` over a document that is not there is `NotFound`, over one that should not be there `AlreadyExists`.
    pub(super) fn told(&self, id: &Key, error: Error) -> Error {
        let name = &self.name;
        match error.as_conflict().map(|conflict| conflict.expected.clone()) {
            Some(Expected::Absent) => error
                .as_kind(ErrorKind::AlreadyExists, format!("there is a document {id:?} in the collection {name:?} already")),
            Some(Expected::Exists) => self.absent(id),
            _ => error,
        }
    }

    pub(super) fn absent(&self, id: &Key) -> Error {
        Error::new(ErrorKind::NotFound, format!("there is no document {id:?} in the collection {:?}", self.name))
    }
}

fn damaged(error: Error) -> Error {
    error
        .as_kind(ErrorKind::Corrupt, "the schema that is in force cannot be read: it was damaged, or is beyond this version")
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("name", &self.name).field("documents", &self.documents).finish_non_exhaustive()
    }
}
