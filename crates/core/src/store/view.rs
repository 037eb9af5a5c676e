//! Views: a scope as of one moment, present or past, for as long as the log reaches back to it.

use serde::de::DeserializeOwned;

use super::{
    Listing, Pages, Position, Scope, Select,
    moment::Moment,
    read::{self, collect},
};
use crate::{
    change::{Change, ChangesQuery, LogOrder},
    engine::EngineStatus,
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::Revision,
    key::{IntoKey, Key},
    time::Timestamp,
};

/// A moment in the past of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// After the commit of this revision, seen with that commit's clock.
    Revision(Revision),
    /// When callers' clocks showed this. Where they disagreed, after one of the commits in question.
    Time(Timestamp),
}

impl From<Revision> for AsOf {
    fn from(revision: Revision) -> Self {
        Self::Revision(revision)
    }
}

impl From<Timestamp> for AsOf {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

/// A scope as of one moment: every read answers as if nothing had happened since.
///
/// It lives from the log. When that no longer reaches back to the moment, reads are answered `Trimmed`; a
/// [hold](super::Store::hold) prevents it.
#[derive(Clone, Debug)]
pub struct View {
    scope: Scope,
    position: Position,
    now: Timestamp,
    /// Whether it was asked for as something past.
    long_ago: bool,
}

impl Scope {
    /// A view of the present.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn view(&self) -> Result<View> {
        let now = self.world().now();
        let EngineStatus { lineage, revision, .. } = self.engine().status(now).await?;
        Ok(View { scope: self.clone(), position: Position { lineage, revision }, now, long_ago: false })
    }

    /// A view of the past, as far as the log tells it.
    ///
    /// ```
    /// # use larder_core::{AsOf, Result, Revision, Store};
    /// # async fn example(store: Store, before: Revision) -> Result<()> {
    /// let view = store.view_at(before).await?;
    /// let then = view.get("workloads/web").await?;
    /// let now = store.get("workloads/web").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Trimmed` when the log does not reach back that far, or the store has not come to that revision; `Invalid` for a
    /// time that is yet to come.
    pub async fn view_at(&self, moment: impl Into<AsOf>) -> Result<View> {
        let present = self.view().await?;
        let (revision, now) = match moment.into() {
            AsOf::Revision(revision) if revision > present.position.revision => {
                return Err(Error::new(
                    ErrorKind::Trimmed,
                    format!("the store has not come to revision {revision}: it is at {}", present.position.revision),
                ));
            }
            AsOf::Revision(revision) => (revision, present.clock_at(revision).await?),
            AsOf::Time(time) if time > present.now => {
                return Err(Error::invalid(format!("{time} is yet to come: by this clock it is {}", present.now)));
            }
            AsOf::Time(time) if time == present.now => (present.position.revision, time),
            AsOf::Time(time) => (present.revision_at(time).await?, time),
        };
        // Asked now, so that who comes too late is told here and not with the first read.
        // Nothing is between a revision and itself, so the log is asked how far it reaches and not read.
        let order = LogOrder::NewestFirst { before: Some(revision.next()) };
        let own = ChangesQuery {
            limit: 1,
            ranges: vec![self.all()],
            order,
            ..ChangesQuery::after(present.position.lineage, revision)
        };
        self.engine().changes(own).await?;
        Ok(View { position: Position { revision, ..present.position }, now, long_ago: true, ..present })
    }
}

impl View {
    /// Everything up to this revision is seen, nothing after it.
    pub fn revision(&self) -> Revision {
        self.position.revision
    }

    /// The same as a place in the log: where a watch that goes on from this view begins.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What had expired by then is not seen.
    pub fn time(&self) -> Timestamp {
        self.now
    }

    /// The entry at `key`, if there was one.
    ///
    /// # Errors
    /// `Invalid` for a bad key, `Trimmed` when the log no longer reaches back; else what the engine meets.
    pub async fn get(&self, key: impl IntoKey) -> Result<Option<Entry>> {
        self.moment().get(&self.scope, self.scope.address(key)?).await
    }

    /// The entries at `keys`, in the same order.
    ///
    /// # Errors
    /// As [`View::get`].
    pub async fn get_many<K: IntoKey>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<Entry>>> {
        let addresses = keys.into_iter().map(|key| self.scope.address(key)).collect::<Result<_>>()?;
        self.moment().get_many(&self.scope, addresses).await
    }

    /// The value at `key`, read from JSON.
    ///
    /// # Errors
    /// As [`Scope::get_json`] and [`View::get`].
    pub async fn get_json<T: DeserializeOwned>(&self, key: impl IntoKey) -> Result<Option<T>> {
        self.get(key).await?.as_ref().map(read::parse).transpose()
    }

    /// Whether there was an entry at `key`.
    ///
    /// # Errors
    /// As [`View::get`].
    pub async fn exists(&self, key: impl IntoKey) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    /// The selected keys, in bytewise order.
    ///
    /// # Errors
    /// `Trimmed` when the log no longer reaches back; else what the engine meets.
    pub async fn list(&self, select: impl Into<Select>) -> Result<Listing<Key>> {
        collect(&self.scope, self.moment(), select.into(), |address: crate::Address| address.key).await
    }

    /// The selected entries, in bytewise order of their keys, all at once.
    ///
    /// # Errors
    /// As [`View::list`].
    pub async fn scan(&self, select: impl Into<Select>) -> Result<Listing<Entry>> {
        collect(&self.scope, self.moment(), select.into(), |entry: Entry| entry).await
    }

    /// How many entries are selected.
    ///
    /// # Errors
    /// As [`View::list`].
    pub async fn count(&self, select: impl Into<Select>) -> Result<u64> {
        read::count(&self.scope, self.moment(), select.into()).await
    }

    /// The selected entries page by page, in bounded memory.
    pub fn pages(&self, select: impl Into<Select>) -> Pages<'_> {
        Pages::new(&self.scope, self.moment(), select.into())
    }

    /// The same moment, seen through another scope of the same store.
    ///
    /// # Errors
    /// `Invalid` when `scope` is of another store.
    pub fn within(&self, scope: &Scope) -> Result<Self> {
        if !scope.is_of_the_store_of(&self.scope) {
            return Err(Error::invalid("a view is of one store, and this handle belongs to another"));
        }
        Ok(Self { scope: scope.clone(), ..self.clone() })
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn moment(&self) -> Moment {
        let moment = Moment::past(self.position.lineage, self.position.revision, self.now);
        if self.long_ago { moment.long_ago() } else { moment }
    }

    /// The first commit after `after` that the log still tells of, whoever made it.
    async fn next(&self, after: Revision) -> Result<Option<Change>> {
        let query = ChangesQuery { limit: 1, gaps: true, ..ChangesQuery::after(self.position.lineage, after) };
        Ok(self.scope.engine().changes(query).await?.changes.into_iter().next())
    }

    /// The clock of the commit `revision`, or of the last one before it.
    async fn clock_at(&self, revision: Revision) -> Result<Timestamp> {
        let before = Revision::new(revision.get().saturating_sub(1));
        match self.next(before).await {
            Ok(Some(change)) if change.revision == revision => return Ok(change.at),
            Err(error) if error.kind() != ErrorKind::Trimmed => return Err(error),
            _ => {}
        }
        // A gap, or the log begins right here: the next commit's clock is the best that is known.
        Ok(self.next(revision).await?.map_or(self.now, |change| change.at))
    }

    /// The revision of the last commit made at `time` or before.
    async fn revision_at(&self, time: Timestamp) -> Result<Revision> {
        let mut low = self.scope.engine().status(self.now).await?.oldest;
        // When it was that the last forgotten commit was made, nobody knows; only that it was before now, and before the one
        // that came after it.
        if low > Revision::ZERO && self.next(low).await?.map_or(self.now, |change| change.at) > time {
            return Err(Error::trimmed(low));
        }
        let mut high = self.position.revision;
        while low < high {
            let middle = Revision::new(low.get() + (high.get() - low.get()) / 2);
            match self.next(middle).await? {
                Some(change) if change.revision <= high && change.at <= time => low = change.revision,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
