//! Indexes: created, listed, dropped; and known to whoever asks.

use std::{
    collections::BTreeMap,
    fmt,
    future::IntoFuture,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Scope, Store};
use crate::{
    engine::Indexes,
    error::{Error, ErrorKind, Result},
    index::{Index, IndexState, IndexStatus},
    namespace::Namespace,
    send::BoxFuture,
    time::Timestamp,
};

/// How many entries are taken into an index, or rows out of one, at once: few enough that writers go on beside it.
const STEP: usize = 512;
/// For how long it is believed which indexes there are. One that another process has created is used a moment later; one that was
/// dropped is noticed when it is used.
const KNOWN_FOR_MS: u64 = 1000;
/// Of how many namespaces it is remembered.
const KNOWN_MAX: usize = 1024;

/// An index of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexInfo {
    /// On what it is.
    pub index: Index,
    /// While it is being built, how many entries are in it. Then it is used.
    pub building: Option<u64>,
}

impl IndexInfo {
    fn of(status: IndexStatus) -> Option<Self> {
        let building = match status.state {
            IndexState::Building { entries, .. } => Some(entries),
            IndexState::Ready => None,
            IndexState::Dropped => return None,
        };
        Some(Self { index: status.index, building })
    }
}

/// Which indexes there are, as far as they were asked for.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Found>);

/// By namespace, when it was asked and what was found.
type Found = BTreeMap<Namespace, (Timestamp, Arc<[IndexStatus]>)>;

impl Known {
    fn all(&self) -> MutexGuard<'_, Found> {
        // Whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An index being created; awaiting it builds it.
///
/// Commits keep the index from the beginning on, and writers go on meanwhile. When the building ends half-way, whoever has the
/// store open goes on with it after a while; so does creating the same index again.
#[must_use = "an index is not created until this is awaited"]
pub struct CreateIndex<'a> {
    scope: &'a Scope,
    index: Index,
    progress: Box<dyn FnMut(u64) + Send + 'a>,
}

impl Scope {
    /// Creates an index of this namespace, or goes on building it; when it is there already, that is fine.
    ///
    /// ```
    /// # use larder_core::{Index, Result, Store};
    /// # async fn example(store: Store) -> Result<()> {
    /// store.create_index(Index::on("age")?).await?;
    /// store.create_index(Index::on("email")?.unique()).progress(|entries| println!("{entries} entries")).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When awaited: `AlreadyExists` when there is an index on the same paths, of which one is unique and the other is not;
    /// `InvalidState` when it is to be unique and two entries have the same, and `Limit` when an entry cannot be in it: it is
    /// then not created; `Limit` beyond 16 indexes; `NotFound` when somebody dropped it meanwhile; `Denied` when this handle only
    /// reads, sees a part of its namespace, or has a quota, which does not count what indexes take; `InvalidState` while the
    /// namespace is being deleted; `Unsupported` where the engine keeps none. Else what the engine meets.
    pub fn create_index(&self, index: Index) -> CreateIndex<'_> {
        CreateIndex { scope: self, index, progress: Box::new(|_| ()) }
    }

    /// The indexes of this namespace, in the order in which they were created.
    ///
    /// # Errors
    /// `Denied` when this handle sees a part of its namespace only; else what the engine meets.
    pub async fn indexes(&self) -> Result<Vec<IndexInfo>> {
        self.sees_all()?;
        let Some(indexes) = self.engine().indexes() else { return Ok(Vec::new()) };
        let found = indexes.list(Some(self.namespace().clone())).await?;
        Ok(found.into_iter().filter_map(IndexInfo::of).collect())
    }

    /// Drops the index on the paths of `index`, whether it is unique or not. Whether there was one.
    ///
    /// # Errors
    /// `Denied` when this handle only reads or sees a part of its namespace; else what the engine meets.
    pub async fn drop_index(&self, index: &Index) -> Result<bool> {
        self.may_write(None)?;
        self.sees_all()?;
        let Some(indexes) = self.engine().indexes() else { return Ok(false) };
        let found = indexes.list(Some(self.namespace().clone())).await?;
        let same = |status: &IndexStatus| status.state != IndexState::Dropped && status.index.is_like(index);
        let Some(status) = found.into_iter().find(same) else { return Ok(false) };
        let dropped = drop(indexes, self, status).await;
        self.forget_indexes();
        dropped
    }

    fn sees_all(&self) -> Result<()> {
        if self.bound().is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, "an index is one of a whole namespace, and this handle sees a part of it"))
    }

    /// The indexes of this namespace, as they were a moment ago.
    pub(super) async fn known_indexes(&self) -> Result<Arc<[IndexStatus]>> {
        let Some(indexes) = self.engine().indexes() else { return Ok(Arc::default()) };
        let now = self.world().now();
        if let Some((asked, known)) = self.shared.indexes.all().get(self.namespace())
            && asked.as_millis().abs_diff(now.as_millis()) < KNOWN_FOR_MS
        {
            return Ok(known.clone());
        }
        let found: Arc<[IndexStatus]> = indexes.list(Some(self.namespace().clone())).await?.into();
        let mut known = self.shared.indexes.all();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(self.namespace().clone(), (now, found.clone()));
        Ok(found)
    }

    /// What is known of the indexes of this namespace is no longer so.
    pub(super) fn forget_indexes(&self) {
        self.shared.indexes.all().remove(self.namespace());
    }
}

impl Store {
    /// Goes on with what others have left unfinished: indexes half built, and half removed.
    pub(super) async fn finish_indexes(&self) -> Result<()> {
        let Some(indexes) = self.engine().indexes() else { return Ok(()) };
        for status in indexes.list(None).await?.into_iter().filter(|status| status.state != IndexState::Ready) {
            match finish(indexes, self, status.clone(), &mut |_| ()).await {
                // It cannot be built; it is gone, and whoever wanted it finds that out.
                Err(error) if cannot_be_built(&error) => drop_rest(indexes, self, status).await,
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Drops these indexes of `namespace`.
    pub(super) async fn drop_indexes(&self, namespace: &Namespace, those: Vec<IndexStatus>) -> Result<()> {
        let Some(indexes) = self.engine().indexes() else { return Ok(()) };
        for status in those {
            drop(indexes, self, status).await?;
        }
        self.shared.indexes.all().remove(namespace);
        Ok(())
    }
}

/// Drops an index and removes what is left of it. Whether it was there.
async fn drop(indexes: &dyn Indexes, scope: &Scope, status: IndexStatus) -> Result<bool> {
    let dropped = indexes.drop(status.id).await?;
    finish(indexes, scope, IndexStatus { state: IndexState::Dropped, ..status }, &mut |_| ()).await?;
    Ok(dropped)
}

/// Whether an index was dropped because entries are as they are.
fn cannot_be_built(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidState | ErrorKind::Limit)
}

/// Removes what is left of an index that could not be built. That is told already; what goes wrong here is not.
async fn drop_rest(indexes: &dyn Indexes, scope: &Scope, status: IndexStatus) {
    let dropped = IndexStatus { state: IndexState::Dropped, ..status };
    finish(indexes, scope, dropped, &mut |_| ()).await.ok();
}

/// Builds an index to its end, or removes one. How it is then; `None` when it is no longer there.
async fn finish(
    indexes: &dyn Indexes,
    scope: &Scope,
    status: IndexStatus,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Option<IndexStatus>> {
    let mut status = Some(status);
    while let Some(found) = &status {
        if found.state == IndexState::Ready {
            break;
        }
        if let IndexState::Building { entries, .. } = found.state {
            progress(entries);
        }
        status = indexes.advance(found.id, STEP, scope.world().now()).await?;
    }
    Ok(status)
}

impl<'a> CreateIndex<'a> {
    /// Tells `progress` after every step how many entries are in the index so far.
    pub fn progress(mut self, progress: impl FnMut(u64) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    async fn run(mut self) -> Result<()> {
        self.scope.may_write(None)?;
        self.scope.sees_all()?;
        if self.scope.quota().is_some() {
            // A small entry can have many and long terms.
            let message = "an index takes space that quotas do not count: it is created with a handle that has none";
            return Err(Error::new(ErrorKind::Denied, message));
        }
        let Some(indexes) = self.scope.engine().indexes() else {
            let engine = self.scope.engine().capabilities().engine;
            return Err(Error::new(ErrorKind::Unsupported, format!("the engine {engine} keeps no indexes")));
        };
        self.scope.is_not_being_deleted().await?;
        let created = indexes.create(self.scope.namespace().clone(), self.index.clone()).await?;
        let built = finish(indexes, self.scope, created.clone(), &mut self.progress).await;
        self.scope.forget_indexes();
        if built.as_ref().is_err_and(cannot_be_built) {
            // What is left of it goes now; where that fails, too, whoever has the store open goes on with it.
            drop_rest(indexes, self.scope, created).await;
        }
        match built? {
            Some(IndexStatus { state: IndexState::Ready, .. }) => Ok(()),
            _ => {
                let message = format!("the {:#} was dropped while it was built", self.index);
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }
}

impl fmt::Debug for CreateIndex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateIndex").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for CreateIndex<'a> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
