//! Questions about entries: get, scan, list, count, usage, expired, status, each as of one moment.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{
    Address, Entry, Namespace, Range, Result, Revision, Snapshot, Timestamp, Usage,
    engine::{EngineStatus, Page, Scan},
};

use crate::{
    entry,
    error::corrupt,
    gets::{self, Found},
    head::{Head, read_usage},
    layout::{address_like, bounds},
    readers::Readers,
    session::Answers,
    stale::{self, Pages},
};

/// A page ends early when it holds this many bytes.
pub(crate) const PAGE_BYTES_MAX: u64 = 8 << 20;
/// Questions for up to this many entries count as small.
pub(crate) const SMALL: usize = 128;

pub(crate) async fn get(
    readers: &Arc<Readers>,
    addresses: Vec<Address>,
    now: Timestamp,
) -> Result<Snapshot<Vec<Option<Entry>>>> {
    let keys = addresses.iter().map(|address| readers.keeper.keys.entry_at(address)).collect();
    let Found { revision, values } = match addresses.len() <= SMALL {
        true => gets::find(readers, keys).await?,
        false => gets::find_alone(readers, &keys).await?,
    };
    let entry = |(address, bytes): (Address, Option<Bytes>)| match bytes {
        Some(bytes) => entry::read(address, bytes).map(|entry| Some(entry).filter(|entry| !entry.is_expired(now))),
        None => Ok(None),
    };
    let value = addresses.into_iter().zip(values).map(entry).collect::<Result<_>>()?;
    Ok(Snapshot { revision, value })
}

/// The state, which comes first in every answer.
pub(crate) fn head(readers: &Readers, answers: &mut Answers) -> Result<Head> {
    readers.keeper.head(answers.bytes()?.as_deref())
}

/// The revision alone: who watches asks for it all the time.
async fn revision(readers: &Arc<Readers>) -> Result<Revision> {
    get(readers, Vec::new(), Timestamp::EPOCH).await.map(|read| read.revision)
}

pub(crate) async fn scan(readers: &Arc<Readers>, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
    page(readers, &scan, true, |address, answers| entry::read(address, answers.some_bytes()?)).await
}

pub(crate) async fn list(readers: &Arc<Readers>, scan: Scan) -> Result<Snapshot<Page<Address>>> {
    page(readers, &scan, false, |address, _| Ok(address)).await
}

async fn page<T>(
    readers: &Arc<Readers>,
    scan: &Scan,
    entries: bool,
    item: impl Fn(Address, &mut Answers) -> Result<T>,
) -> Result<Snapshot<Page<T>>> {
    if scan.limit == 0 || scan.range.is_empty() {
        let value = Page { items: Vec::new(), more: false };
        return Ok(Snapshot { revision: revision(readers).await?, value });
    }
    let (from, to) = bounds(&scan.range);
    let (from, to) = if scan.reverse { (to, from) } else { (from, to) };
    let call = readers.function("scan").arg(&from).arg(&to).flag(scan.reverse).number(scan.limit);
    let call = call.number(scan.now.as_millis()).flag(entries).number(PAGE_BYTES_MAX);
    let mut answers = readers.ask(scan.limit <= SMALL, call).await?;
    let revision = head(readers, &mut answers)?.revision;
    let more = answers.number()? == 1;
    let mut found = answers.list()?;
    let (mut items, mut namespace) = (Vec::new(), None);
    while found.len() > 0 {
        let address = address_like(&found.some_bytes()?, &mut namespace)?;
        items.push(item(address, &mut found)?);
    }
    Ok(Snapshot { revision, value: Page { items, more } })
}

pub(crate) async fn count(readers: &Arc<Readers>, range: Range, now: Timestamp) -> Result<Snapshot<u64>> {
    if range.is_empty() {
        return Ok(Snapshot { revision: revision(readers).await?, value: 0 });
    }
    let (from, to) = bounds(&range);
    let mut pages = Pages::default();
    loop {
        let call = readers.function("count").arg(&from).arg(&to).number(now.as_millis());
        let mut answers = readers.ask(false, call).await?;
        let state = answers.some_bytes()?;
        let revision = readers.keeper.head(Some(&state))?.revision;
        let (found, expired) = (answers.number()?, answers.number()?);
        // Mostly nothing has expired; what has is swept up soon.
        let mut stale = 0;
        let whole =
            expired == 0 || pages.each(readers, &mut Some(state), now, |page| stale += page.of(&range)).await?.is_some();
        if whole {
            let value = found.checked_sub(stale).ok_or_else(|| corrupt("more expires than is there"))?;
            return Ok(Snapshot { revision, value });
        }
    }
}

pub(crate) fn addresses(answers: Answers) -> Result<Vec<Address>> {
    let mut namespace = None;
    answers.all_bytes()?.iter().map(|member| address_like(member, &mut namespace)).collect()
}

pub(crate) async fn usage(readers: &Readers, namespace: Namespace) -> Result<Snapshot<Usage>> {
    let call = readers.function("usage").arg(namespace.as_str());
    let mut answers = readers.ask(true, call).await?;
    let revision = head(readers, &mut answers)?.revision;
    let value = answers.list()?.bytes()?.map_or(Ok(Usage::default()), |usage| read_usage(&usage))?;
    Ok(Snapshot { revision, value })
}

pub(crate) async fn expired(readers: &Readers, now: Timestamp, limit: usize) -> Result<Vec<Address>> {
    let limit = limit.min(i64::MAX as usize);
    let call = readers.function("expiring").arg("-inf").number(now.as_millis()).arg("0").number(limit);
    let mut answers = readers.ask(limit <= SMALL, call).await?;
    head(readers, &mut answers)?;
    addresses(answers.list()?)
}

pub(crate) async fn status(readers: &Readers, now: Timestamp) -> Result<EngineStatus> {
    let mut pages = Pages::default();
    let (head, expired, bytes) = loop {
        let (mut expired, mut bytes) = (0, 0);
        let count = |page: stale::Page| {
            expired += page.addresses.len() as u64;
            bytes += page.bytes + page.addresses.iter().map(|address| address.key.len() as u64).sum::<u64>();
        };
        if let Some(head) = pages.each(readers, &mut None, now, count).await? {
            break (head, expired, bytes);
        }
    };
    Ok(EngineStatus {
        store: head.store,
        lineage: head.lineage,
        revision: head.revision,
        entries: head.usage.entries.saturating_sub(expired),
        bytes: head.usage.bytes.saturating_sub(bytes),
        size: None,
        oldest: head.oldest,
        changes: head.changes,
        log_bytes: head.usage.log_bytes,
    })
}
