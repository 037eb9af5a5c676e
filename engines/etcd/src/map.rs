//! The map: the keys under a prefix of a cluster, looked at as of one of its revisions, and written by one transaction.
//!
//! A key of the map stands under PREFIX 00 KEY. No prefix holds a NUL, so no two of them ever meet.

use std::{
    any::Any,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use larder_core::{
    BoxFuture, Durability, Limits, Result,
    engine::{Capabilities, Reach},
};
use larder_ordered::{Applied, Batch, Map, Pair, Part, Size, View};
use tokio::sync::OnceCell;

use crate::{
    client::Client,
    config::EtcdConfig,
    error::{Attempt, So, closed, odd},
    keeper::Keeper,
    last::{is_narrow, narrow},
    message::{Compare, DESCENDING, DeleteRequest, KeyValue, PutRequest, RangeRequest, Request, RequestOp},
    pages::Pages,
    read::{count, read},
    readers::Readers,
};

/// What a commit may be. A batch is larger than its commits: each change stands in the log as well.
pub(crate) const LIMITS: Limits = Limits::FLOOR;

/// What a batch may be: what one commit may need with all that it does to indexes. What a cluster takes in one request is
/// less; more than that takes several.
const MOST: Size = Size { operations: 16 << 10, bytes: 8 << 20 };

/// More than anybody has. A member counts one further than it is asked to, and with the largest number there is finds nothing.
const LIMIT_MAX: usize = 1 << 31;

/// The keys under one prefix.
#[derive(Debug)]
pub(crate) struct EtcdMap {
    pub(crate) client: Arc<Client>,
    prefix: Bytes,
    pages: Pages,
    readers: Arc<Readers>,
    /// Where the cluster is ours.
    keeper: Option<Arc<Keeper>>,
    closed: AtomicBool,
}

impl EtcdMap {
    pub(crate) fn new(client: Arc<Client>, config: &EtcdConfig) -> Result<Self> {
        let prefix = [config.prefix.as_bytes(), &[0]].concat().into();
        let pages = Pages::new(config.prefix.as_bytes());
        let readers = Arc::new(Readers::start(client.clone(), pages.clone())?);
        let keeper = Keeper::new(&client, config);
        Ok(Self { client, prefix, pages, readers, keeper, closed: AtomicBool::new(false) })
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) { Err(closed()) } else { Ok(()) }
    }
}

/// Where a key of the map stands.
fn place(prefix: &[u8], key: &[u8]) -> Bytes {
    let mut place = BytesMut::with_capacity(prefix.len() + key.len());
    place.extend_from_slice(prefix);
    place.extend_from_slice(key);
    place.freeze()
}

/// A map as of one revision.
#[derive(Debug)]
struct Moment {
    client: Arc<Client>,
    readers: Arc<Readers>,
    prefix: Bytes,
    /// Which one, once somebody has looked.
    revision: OnceCell<i64>,
    /// What was found by its key, and at which revision it was written.
    seen: Mutex<Vec<(Bytes, i64)>>,
}

impl Moment {
    /// Reads as of the revision of this moment, which the first who reads decides: it is the latest there is by then.
    async fn read(&self, ranges: Vec<RangeRequest>) -> Result<Vec<Vec<KeyValue>>> {
        let mut first = None;
        let decided = self.revision.get_or_try_init(async || {
            let (revision, found) = self.readers.ask(ranges.clone()).await?;
            first = Some(found);
            Ok::<_, larder_core::Error>(revision)
        });
        let revision = *decided.await?;
        match first {
            Some(found) => Ok(found),
            None => Ok(read(&self.client, ranges, Some(revision)).await?.1),
        }
    }

    /// Begins ranges of which the last keys are wanted not long before these.
    async fn narrow(&self, ranges: &mut [RangeRequest]) -> Result<()> {
        let backwards: Vec<&mut RangeRequest> = ranges.iter_mut().filter(|range| range.sort_order == DESCENDING).collect();
        if backwards.is_empty() {
            return Ok(());
        }
        let revision = self.revision().await?;
        let counts = count(&self.client, backwards.iter().map(|range| (**range).clone()).collect(), revision).await?;
        for (range, count) in backwards.into_iter().zip(counts) {
            if !is_narrow(count, range.limit) {
                *range = narrow(&self.client, range.clone(), count, revision).await?;
            }
        }
        Ok(())
    }

    /// Which revision this is; where nobody has looked yet, it is the latest there is now.
    async fn revision(&self) -> Result<i64> {
        if !self.revision.initialized() {
            self.read(vec![RangeRequest::of_nothing(self.prefix.clone())]).await?;
        }
        self.revision.get().copied().ok_or_else(odd)
    }

    /// What has to hold if `key` has not changed since.
    async fn unchanged(&self, key: &Bytes) -> Result<Compare> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|(seen, _)| seen == key).cloned();
        if let Some((_, revision)) = seen {
            // Also not removed, by whoever empties a cluster under its users.
            return Ok(Compare::written_at(place(&self.prefix, key), revision));
        }
        let since = self.revision().await?;
        Ok(Compare::written_before(place(&self.prefix, key), since + 1))
    }
}

impl Map for EtcdMap {
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "etcd", limits: LIMITS, durability: Durability::Full, reach: Reach::Cluster }
    }

    fn most(&self) -> Size {
        MOST
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>>> {
        let moment = self.check_open().map(|()| Moment {
            client: self.client.clone(),
            prefix: self.prefix.clone(),
            readers: self.readers.clone(),
            revision: OnceCell::new(),
            seen: Mutex::default(),
        });
        Box::pin(std::future::ready(moment.map(|moment| Box::new(moment) as Box<dyn View>)))
    }

    fn apply<'a>(&'a self, view: &'a dyn View, batch: Batch) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(async move {
            self.check_open()?;
            let moment: &Moment = view.as_any().downcast_ref().ok_or_else(odd)?;
            let compare = moment.unchanged(&batch.guard.0).await?;
            let put = |(key, value): Pair| Request::Put(PutRequest { key: place(&self.prefix, &key), value }).into();
            let delete = |key: Bytes| {
                Request::Delete(DeleteRequest { key: place(&self.prefix, &key), range_end: Bytes::new() }).into()
            };
            let puts = std::iter::once(batch.guard).chain(batch.puts).map(put);
            let operations: Vec<RequestOp> = puts.chain(batch.deletes.into_iter().map(delete)).collect();
            let mut applied = self.pages.apply(&self.client, compare.clone(), operations.clone()).await;
            let is_full = |applied: &Attempt<_>| applied.as_ref().is_err_and(|failure| failure.so == So::Full);
            if let Some(keeper) = self.keeper.as_ref().filter(|_| is_full(&applied)) {
                keeper.make_room().await?;
                applied = self.pages.apply(&self.client, compare, operations).await;
            }
            let (applied, revision) = applied?;
            if let (Applied::Done, Some(keeper)) = (&applied, &self.keeper) {
                // What is done is done, whatever becomes of this.
                let _ = keeper.noticed(revision);
            }
            Ok(applied)
        })
    }

    fn size(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        // What the members tell is what all their users take together.
        Box::pin(std::future::ready(Ok(None)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.closed.store(true, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl View for Moment {
    fn get(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        Box::pin(async move {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let at = |key: &Bytes| RangeRequest { key: place(&self.prefix, key), ..RangeRequest::default() };
            let found = self.read(keys.iter().map(at).collect()).await?;
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let values = keys.into_iter().zip(found).map(|(key, found)| {
                let pair = found.into_iter().next()?;
                seen.push((key, pair.mod_revision));
                Some(pair.value)
            });
            Ok(values.collect())
        })
    }

    fn scan(&self, parts: Vec<Part>) -> BoxFuture<'_, Result<Vec<Vec<Pair>>>> {
        Box::pin(async move {
            // A range without an end would be one key, and one without a limit everything.
            let is_something = |part: &Part| part.limit > 0 && part.from < part.to;
            let at = |part: &Part| RangeRequest {
                key: place(&self.prefix, &part.from),
                range_end: place(&self.prefix, &part.to),
                limit: i64::try_from(part.limit.min(LIMIT_MAX)).unwrap_or_default(),
                sort_order: if part.reverse { DESCENDING } else { 0 },
                ..RangeRequest::default()
            };
            let mut ranges: Vec<RangeRequest> = parts.iter().filter(|part| is_something(part)).map(at).collect();
            self.narrow(&mut ranges).await?;
            let mut found = if ranges.is_empty() { Vec::new() } else { self.read(ranges).await? }.into_iter();
            let within = |pair: KeyValue| (pair.key.slice(self.prefix.len()..), pair.value);
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let mut each = |part: &Part| -> Result<Vec<Pair>> {
                if !is_something(part) {
                    return Ok(Vec::new());
                }
                let pairs = found.next().ok_or_else(odd)?;
                if let ([pair], 1) = (&pairs[..], part.limit) {
                    seen.push((pair.key.slice(self.prefix.len()..), pair.mod_revision));
                }
                Ok(pairs.into_iter().map(within).collect())
            };
            parts.iter().map(&mut each).collect()
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
