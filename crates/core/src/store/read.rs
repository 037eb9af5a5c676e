//! Reading: entries, lists, scans and counts.
//!
//! Each is as of one moment, over however many pages.

use serde::de::DeserializeOwned;

use super::{
    Scope,
    moment::{Item, Moment, PAGE_ITEMS},
    select::{Listing, Select},
};
use crate::{
    address::{Address, Range},
    engine::Snapshot,
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::{Revision, Version},
    key::{IntoKey, Key},
    metadata::Metadata,
    value::ContentKind,
};

impl Scope {
    /// The entry at `key`, if there is one.
    ///
    /// # Errors
    /// `Invalid` for a bad key; else what the engine meets.
    pub async fn get(&self, key: impl IntoKey) -> Result<Option<Entry>> {
        let address = self.address(key)?;
        let found = self.engine().get(vec![address], self.world().now()).await?;
        Ok(found.value.into_iter().next().flatten())
    }

    /// The entries at `keys`, in the same order, as of one moment.
    ///
    /// # Errors
    /// `Invalid` when one key is bad; else what the engine meets.
    pub async fn get_many<K: IntoKey>(&self, keys: impl IntoIterator<Item = K>) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let addresses = keys.into_iter().map(|key| self.address(key)).collect::<Result<_>>()?;
        self.engine().get(addresses, self.world().now()).await
    }

    /// The value at `key`, read from JSON.
    ///
    /// # Errors
    /// `InvalidState` when the value is not JSON, `Invalid` when it is something else than a `T`.
    pub async fn get_json<T: DeserializeOwned>(&self, key: impl IntoKey) -> Result<Option<T>> {
        let Some(entry) = self.get(key).await? else { return Ok(None) };
        parse(&entry).map(Some)
    }

    /// Whether there is an entry at `key`.
    ///
    /// # Errors
    /// As [`Scope::get`].
    pub async fn exists(&self, key: impl IntoKey) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    /// The version of the entry at `key`; 0 when there is none.
    ///
    /// # Errors
    /// As [`Scope::get`].
    pub async fn version(&self, key: impl IntoKey) -> Result<Version> {
        Ok(self.get(key).await?.map_or(Version::ZERO, |entry| entry.version))
    }

    /// The metadata of the entry at `key`.
    ///
    /// # Errors
    /// As [`Scope::get`].
    pub async fn metadata(&self, key: impl IntoKey) -> Result<Option<Metadata>> {
        Ok(self.get(key).await?.map(|entry| entry.metadata))
    }

    /// The selected keys, in bytewise order, as of one moment.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn list(&self, select: impl Into<Select>) -> Result<Listing<Key>> {
        collect(self, Moment::present(self.world().now()), select.into(), |address: Address| address.key).await
    }

    /// The selected entries, in bytewise order of their keys, as of one moment and all at once; [`Scope::pages`] is for
    /// more than memory holds.
    ///
    /// # Errors
    /// What the engine meets; `Trimmed` when others write so much meanwhile that the log no longer reaches back.
    pub async fn scan(&self, select: impl Into<Select>) -> Result<Listing<Entry>> {
        collect(self, Moment::present(self.world().now()), select.into(), |entry: Entry| entry).await
    }

    /// How many entries are selected; limit and offset count as in [`Scope::list`].
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn count(&self, select: impl Into<Select>) -> Result<u64> {
        let (select, now) = (select.into(), self.world().now());
        if select.is_range() {
            return Ok(self.engine().count(select.range(self), now).await?.value);
        }
        count(self, Moment::present(now), select).await
    }

    /// The selected entries page by page, in bounded memory, all as of the moment of the first page.
    pub fn pages(&self, select: impl Into<Select>) -> Pages<'_> {
        Pages::new(self, Moment::present(self.world().now()), select.into())
    }
}

/// The value of `entry`, read from JSON.
pub(super) fn parse<T: DeserializeOwned>(entry: &Entry) -> Result<T> {
    if entry.value.kind() != ContentKind::Json {
        let message = format!("the value of the key {} was not stored as JSON", entry.address);
        return Err(Error::new(ErrorKind::InvalidState, message));
    }
    let mut parser = serde_json::Deserializer::from_slice(entry.value.bytes());
    // What is stored as JSON is no deeper than ours may be; serde_json's own bound would refuse the deepest level.
    parser.disable_recursion_limit();
    T::deserialize(&mut parser).and_then(|read| parser.end().map(|()| read)).map_err(|error| {
        Error::invalid(format!("the value of the key {} has another shape", entry.address)).caused_by(error)
    })
}

/// Everything that `select` selects.
pub(super) async fn collect<T: Item, U>(
    scope: &Scope,
    moment: Moment,
    select: Select,
    make: impl Fn(T) -> U,
) -> Result<Listing<U>> {
    let mut walk = Walk::new(scope, moment, select);
    let (mut items, mut next) = (Vec::new(), None);
    while let Some(page) = walk.page::<T>().await? {
        next = page.last().map(|last| last.address().key.clone());
        items.extend(page.into_iter().map(&make));
    }
    // A walk that found fewer than it was to find has come to the end.
    let next = next.filter(|_| walk.wanted == 0);
    Ok(Listing { items, next, revision: walk.settled().await? })
}

pub(super) async fn count(scope: &Scope, moment: Moment, select: Select) -> Result<u64> {
    let mut walk = Walk::new(scope, moment, select);
    let mut count = 0;
    while let Some(page) = walk.page::<Address>().await? {
        count += page.len() as u64;
    }
    Ok(count)
}

/// A way through what is selected, page by page, as of one moment.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    scope: &'a Scope,
    pub(super) moment: Moment,
    select: Select,
    /// What is still to come; `None` when that is nothing.
    range: Option<Range>,
    /// How many more are wanted.
    wanted: usize,
    /// How many are passed over first.
    offset: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(scope: &'a Scope, moment: Moment, select: Select) -> Self {
        let range = Some(select.range(scope)).filter(|range| !range.is_empty());
        let (wanted, offset) = (select.limit.unwrap_or(usize::MAX), select.offset);
        Self { scope, moment, select, range, wanted, offset }
    }

    /// The next items, at least one; `None` when there are none left. When it fails, asking again tries the same again.
    pub(super) async fn page<T: Item>(&mut self) -> Result<Option<Vec<T>>> {
        self.skip().await?;
        while self.wanted > 0 {
            let Some(mut items) = self.step::<T>(self.wanted).await? else { break };
            items.truncate(self.wanted);
            self.wanted -= items.len();
            if !items.is_empty() {
                return Ok(Some(items));
            }
        }
        Ok(None)
    }

    /// Passes over the offset, by keys alone.
    async fn skip(&mut self) -> Result<()> {
        while self.offset > 0 && self.wanted > 0 {
            let before = self.clone();
            let Some(mut items) = self.step::<Address>(self.offset).await? else { break };
            if let Some(last) = items.get(self.offset - 1) {
                // The page may hold more than is passed over: what comes after that is still to come.
                self.range = before.range.map(|range| beyond(range, last, self.select.reverse));
                items.truncate(self.offset);
            }
            self.offset -= items.len();
        }
        Ok(())
    }

    /// What matches in the next page of the range, which may be nothing; `None` at the end of the range.
    async fn step<T: Item>(&mut self, limit: usize) -> Result<Option<Vec<T>>> {
        let Some(range) = &self.range else { return Ok(None) };
        let limit = if self.select.matches_all() { limit } else { PAGE_ITEMS };
        let (mut items, rest) = self.moment.page::<T>(self.scope, range, self.select.reverse, limit).await?;
        items.retain(|item| self.select.matches(&item.address().key));
        self.range = rest;
        Ok(Some(items))
    }

    /// The revision that everything was read at.
    pub(super) async fn settled(&self) -> Result<Revision> {
        self.moment.settled(self.scope).await
    }
}

fn beyond(range: Range, last: &Address, reverse: bool) -> Range {
    if reverse { range.before(last) } else { range.after(last) }
}

/// Selected entries, page by page, all as of one moment.
#[derive(Debug)]
pub struct Pages<'a>(Walk<'a>);

impl<'a> Pages<'a> {
    pub(super) fn new(scope: &'a Scope, moment: Moment, select: Select) -> Self {
        Self(Walk::new(scope, moment, select))
    }

    /// The next page; `None` when there is none left.
    ///
    /// # Errors
    /// What the engine meets; asking again reads the same page again. `Trimmed` when the log no longer reaches back to
    /// the moment of the first page.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        self.0.page().await
    }

    /// The revision of the moment, once the first page was read.
    pub fn revision(&self) -> Option<Revision> {
        self.0.moment.revision
    }
}
