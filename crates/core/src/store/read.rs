//! Reading: entries, lists, scans and counts.

use serde::de::DeserializeOwned;

use super::{
    Store,
    select::{Listing, Select, rest},
};
use crate::{
    address::Address,
    engine::{Engine, Page, Scan, Snapshot},
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::{Revision, Version},
    key::{IntoKey, Key},
    metadata::Metadata,
    send::BoxFuture,
    value::ContentKind,
};

/// How many items are asked for at once.
pub(super) const PAGE_ITEMS: usize = 1000;

impl Store {
    /// The entry at `key`, if there is one.
    ///
    /// # Errors
    /// `Invalid` for a bad key; else what the engine meets.
    pub async fn get(&self, key: impl IntoKey) -> Result<Option<Entry>> {
        let address = self.address(key)?;
        let found = self.engine.get(vec![address], self.world.now()).await?;
        Ok(found.value.into_iter().next().flatten())
    }

    /// The entries at `keys`, in the same order, as of one moment.
    ///
    /// # Errors
    /// `Invalid` when one key is bad; else what the engine meets.
    pub async fn get_many<K: IntoKey>(&self, keys: impl IntoIterator<Item = K>) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let addresses = keys.into_iter().map(|key| self.address(key)).collect::<Result<_>>()?;
        self.engine.get(addresses, self.world.now()).await
    }

    /// The value at `key`, read from JSON.
    ///
    /// # Errors
    /// `InvalidState` when the value is not JSON, `Invalid` when it is something else than a `T`.
    pub async fn get_json<T: DeserializeOwned>(&self, key: impl IntoKey) -> Result<Option<T>> {
        let Some(entry) = self.get(key).await? else { return Ok(None) };
        if entry.value.kind() != ContentKind::Json {
            let message = format!("the value of the key {} was not stored as JSON", entry.address);
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        let mut parser = serde_json::Deserializer::from_slice(entry.value.bytes());
        // What is stored as JSON is no deeper than ours may be; serde_json's own bound would refuse the deepest level.
        parser.disable_recursion_limit();
        T::deserialize(&mut parser).and_then(|read| parser.end().map(|()| Some(read))).map_err(|error| {
            Error::invalid(format!("the value of the key {} has another shape", entry.address)).caused_by(error)
        })
    }

    /// Whether there is an entry at `key`.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn exists(&self, key: impl IntoKey) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    /// The version of the entry at `key`; 0 when there is none.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn version(&self, key: impl IntoKey) -> Result<Version> {
        Ok(self.get(key).await?.map_or(Version::ZERO, |entry| entry.version))
    }

    /// The metadata of the entry at `key`.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn metadata(&self, key: impl IntoKey) -> Result<Option<Metadata>> {
        Ok(self.get(key).await?.map(|entry| entry.metadata))
    }

    /// The selected keys, in bytewise order.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn list(&self, select: impl Into<Select>) -> Result<Listing<Key>> {
        let mut items = Vec::new();
        let (next, revision) = self.walk_keys(select.into(), |key| items.push(key)).await?;
        Ok(Listing { items, next, revision })
    }

    /// The selected entries, in bytewise order of their keys, all at once; [`Store::pages`] is for more than memory
    /// holds.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn scan(&self, select: impl Into<Select>) -> Result<Listing<Entry>> {
        let mut items = Vec::new();
        let visit = |entry| items.push(entry);
        let (next, revision) =
            self.walk(select.into(), |engine, scan| engine.scan(scan), |entry: &Entry| &entry.address, visit).await?;
        Ok(Listing { items, next, revision })
    }

    /// How many entries are selected; limit and offset count as in [`Store::list`].
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn count(&self, select: impl Into<Select>) -> Result<u64> {
        let select = select.into();
        if select.is_range() {
            return Ok(self.engine.count(select.range(&self.namespace), self.world.now()).await?.value);
        }
        let mut count = 0;
        self.walk_keys(select, |_| count += 1).await?;
        Ok(count)
    }

    /// The selected entries page by page, in bounded memory.
    pub fn pages(&self, select: impl Into<Select>) -> Pages<'_> {
        Pages { store: self, select: Some(select.into()) }
    }

    async fn walk_keys(&self, select: Select, mut visit: impl FnMut(Key)) -> Result<(Option<Key>, Revision)> {
        self.walk(select, |engine, scan| engine.list(scan), |address| address, |address| visit(address.key)).await
    }

    /// Visits what is selected, page by page. Answers where to go on if the limit ended it, and the last revision.
    async fn walk<T>(
        &self,
        mut select: Select,
        fetch: impl for<'e> Fn(&'e dyn Engine, Scan) -> BoxFuture<'e, Result<Snapshot<Page<T>>>>,
        address: impl Fn(&T) -> &Address,
        mut visit: impl FnMut(T),
    ) -> Result<(Option<Key>, Revision)> {
        let now = self.world.now();
        self.skip(&mut select).await?;
        let mut range = select.range(&self.namespace);
        let mut wanted = select.limit.unwrap_or(usize::MAX);
        loop {
            let limit = if select.matches_all() { wanted.min(PAGE_ITEMS) } else { PAGE_ITEMS };
            let scan = Scan { range: range.clone(), reverse: select.reverse, limit, now };
            let Snapshot { revision, value: page } = fetch(&*self.engine, scan).await?;
            let last = page.items.last().map(|item| address(item).key.clone());
            let mut next = None;
            for item in page.items {
                if wanted > 0 && select.matches(&address(&item).key) {
                    wanted -= 1;
                    if wanted == 0 {
                        next = Some(address(&item).key.clone());
                    }
                    visit(item);
                }
            }
            if wanted == 0 || !page.more {
                return Ok((next, revision));
            }
            range = rest(range, last.as_ref(), &self.namespace, select.reverse);
        }
    }

    /// Turns an offset into a key to go on after, by listing keys alone.
    async fn skip(&self, select: &mut Select) -> Result<()> {
        let now = self.world.now();
        let mut left = std::mem::take(&mut select.offset);
        let mut range = select.range(&self.namespace);
        while left > 0 {
            let limit = if select.matches_all() { left.min(PAGE_ITEMS) } else { PAGE_ITEMS };
            let scan = Scan { range: range.clone(), reverse: select.reverse, limit, now };
            let page = self.engine.list(scan).await?.value;
            let last = page.items.last().map(|address| address.key.clone());
            if let Some(skipped) = page.items.iter().filter(|address| select.matches(&address.key)).nth(left - 1) {
                select.after = Some(skipped.key.clone());
                return Ok(());
            }
            if !page.more {
                // The offset is beyond the end.
                select.limit = Some(0);
                return Ok(());
            }
            left -= page.items.iter().filter(|address| select.matches(&address.key)).count();
            range = rest(range, last.as_ref(), &self.namespace, select.reverse);
        }
        Ok(())
    }
}

/// Selected entries, page by page.
#[derive(Debug)]
pub struct Pages<'a> {
    store: &'a Store,
    /// What is still to come.
    select: Option<Select>,
}

impl Pages<'_> {
    /// The next page; `None` when there is none left. A page holds at most 1000 entries and is as of one moment.
    ///
    /// # Errors
    /// What the engine meets; asking again reads the same page again.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        let Some(mut select) = self.select.clone() else { return Ok(None) };
        self.store.skip(&mut select).await?;
        let wanted = select.limit.unwrap_or(usize::MAX);
        if wanted == 0 {
            self.select = None;
            return Ok(None);
        }
        loop {
            let now = self.store.world.now();
            let range = select.range(&self.store.namespace);
            let scan = Scan { range, reverse: select.reverse, limit: wanted.min(PAGE_ITEMS), now };
            let page = self.store.engine.scan(scan).await?.value;
            if let Some(last) = page.items.last() {
                select.after = Some(last.address.key.clone());
            }
            let mut items = page.items;
            items.retain(|entry| select.matches(&entry.address.key));
            if items.is_empty() && page.more {
                continue;
            }
            let left = wanted - items.len();
            select.limit = select.limit.map(|_| left);
            self.select = (page.more && left > 0).then_some(select);
            return Ok((!items.is_empty()).then_some(items));
        }
    }
}
