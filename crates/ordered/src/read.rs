//! Questions about entries: get, scan, list, count, usage, expired, status, each as of one moment.

use std::collections::HashMap;

use bytes::Bytes;
use larder_core::{
    Address, Entry, Namespace, Range, Result, Revision, Snapshot, Timestamp, Usage,
    engine::{EngineStatus, Page, Scan},
};

use crate::{
    error::corrupt,
    head::{Head, read_usage},
    keeper::Keeper,
    layout::{self, ENTRY, bounds},
    map::{Pair, Part, View},
    record::Record,
    setup::PAGE_ROWS,
};

/// A page ends early when it holds this many bytes.
pub(crate) const PAGE_BYTES_MAX: usize = 8 << 20;

/// The entries that `found` are the records of, with what of them stands by itself.
pub(crate) async fn whole(view: &dyn View, found: Vec<(Address, Record)>) -> Result<Vec<Entry>> {
    let mut bodies: Vec<_> =
        found.iter().flat_map(|(_, record)| [record.value.body(), record.metadata.body()]).flatten().collect();
    let mut known = HashMap::with_capacity(bodies.len());
    if !bodies.is_empty() {
        bodies.sort_unstable();
        bodies.dedup();
        let values = view.get(bodies.iter().map(|body| layout::body(*body)).collect()).await?;
        for (body, value) in bodies.into_iter().zip(values) {
            known.insert(body, value.ok_or_else(|| corrupt("a value is gone"))?);
        }
    }
    let entry = |(address, record): (Address, Record)| record.entry(address, |body| known.get(&body).cloned());
    found.into_iter().map(entry).collect()
}

pub(crate) async fn get(keeper: &Keeper, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
    let view = keeper.view().await?;
    let mut keys = vec![layout::head()];
    keys.extend(addresses.iter().map(layout::entry_at));
    let mut found = view.get(keys).await?.into_iter();
    let revision = keeper.head(found.next().flatten().as_ref())?.revision;
    let mut value: Vec<Option<Entry>> = vec![None; addresses.len()];
    let (mut live, mut places) = (Vec::new(), Vec::new());
    for (place, (address, record)) in addresses.into_iter().zip(found).enumerate() {
        let record = record.map(|record| Record::read(&record)).transpose()?;
        if let Some(record) = record.filter(|record| !record.is_expired(now)) {
            live.push((address, record));
            places.push(place);
        }
    }
    for (place, entry) in places.into_iter().zip(whole(&*view, live).await?) {
        value[place] = Some(entry);
    }
    Ok(Snapshot { revision, value })
}

/// The head of a view, and the first pairs of `parts`.
pub(crate) async fn ask(keeper: &Keeper, view: &dyn View, mut parts: Vec<Part>) -> Result<(Head, Vec<Vec<Pair>>)> {
    parts.insert(0, layout::only(&layout::head()));
    let mut found = view.scan(parts).await?;
    if found.is_empty() {
        return Err(corrupt("its head is gone"));
    }
    let head = found.remove(0).pop().map(|(_, head)| head);
    Ok((keeper.head(head.as_ref())?, found))
}

pub(crate) async fn scan(keeper: &Keeper, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
    let view = keeper.view().await?;
    let Snapshot { revision, value: Page { items, more } } = page(keeper, &*view, &scan, true).await?;
    let items = whole(&*view, items).await?;
    Ok(Snapshot { revision, value: Page { items, more } })
}

pub(crate) async fn list(keeper: &Keeper, scan: Scan) -> Result<Snapshot<Page<Address>>> {
    let view = keeper.view().await?;
    let Snapshot { revision, value: Page { items, more } } = page(keeper, &*view, &scan, false).await?;
    let items = items.into_iter().map(|(address, _)| address).collect();
    Ok(Snapshot { revision, value: Page { items, more } })
}

/// The records of a page; `bounded` is one whose values are read as well.
async fn page(keeper: &Keeper, view: &dyn View, scan: &Scan, bounded: bool) -> Result<Snapshot<Page<(Address, Record)>>> {
    let mut page = Page { items: Vec::new(), more: false };
    let mut part = Part { reverse: scan.reverse, ..layout::part(bounds(ENTRY, &scan.range), 0) };
    if scan.limit == 0 || scan.range.is_empty() {
        return Ok(Snapshot { revision: ask(keeper, view, Vec::new()).await?.0.revision, value: page });
    }
    let (mut revision, mut bytes, mut namespace) = (None, 0, None);
    loop {
        part.limit = (scan.limit - page.items.len()).saturating_add(1).min(PAGE_ROWS);
        let pairs = match revision {
            Some(_) => view.scan(vec![part.clone()]).await?.pop().unwrap_or_default(),
            None => {
                let (head, mut found) = ask(keeper, view, vec![part.clone()]).await?;
                revision = Some(head.revision);
                found.pop().unwrap_or_default()
            }
        };
        let revision = revision.unwrap_or_default();
        for (key, record) in &pairs {
            let record = Record::read(record)?;
            if record.is_expired(scan.now) {
                continue;
            }
            if page.items.len() >= scan.limit || (bounded && bytes >= PAGE_BYTES_MAX) {
                page.more = true;
                return Ok(Snapshot { revision, value: page });
            }
            bytes += record.value.len() + record.metadata.len() + key.len();
            page.items.push((layout::address(&layout::behind_tag(key), &mut namespace)?, record));
        }
        match pairs.last().filter(|_| pairs.len() >= part.limit) {
            Some((last, _)) if scan.reverse => part.to = last.clone(),
            Some((last, _)) => part.from = layout::next(last),
            None => return Ok(Snapshot { revision, value: page }),
        }
    }
}

pub(crate) async fn count(keeper: &Keeper, range: Range, now: Timestamp) -> Result<Snapshot<u64>> {
    let view = keeper.view().await?;
    let whole = match range.within_namespace() {
        _ if range == Range::all() => Some(None),
        Some((name, "", None)) => Some(Some(layout::usage(name.as_bytes()))),
        _ => None,
    };
    // What is counted already is not counted again, but for what has expired.
    if let Some(usage) = whole {
        let parts = usage.iter().map(layout::only).collect();
        let (head, mut found) = ask(keeper, &*view, parts).await?;
        let stored = match usage {
            None => head.usage.entries,
            Some(_) => {
                let usage = found.pop().and_then(|mut pairs| pairs.pop()).map(|(_, usage)| read_usage(&usage));
                usage.transpose()?.unwrap_or_default().entries
            }
        };
        let (mut expired, mut namespace) = (0, None);
        each(&*view, layout::part(layout::expiring(None, now), PAGE_ROWS), |_, member| {
            expired += u64::from(range.contains(&layout::address(member, &mut namespace)?));
            Ok(())
        })
        .await?;
        let value = stored.checked_sub(expired).ok_or_else(|| corrupt("more expires than is there"))?;
        return Ok(Snapshot { revision: head.revision, value });
    }
    let revision = ask(keeper, &*view, Vec::new()).await?.0.revision;
    let mut value = 0;
    if !range.is_empty() {
        each(&*view, layout::part(bounds(ENTRY, &range), PAGE_ROWS), |_, record| {
            value += u64::from(!Record::read(record)?.is_expired(now));
            Ok(())
        })
        .await?;
    }
    Ok(Snapshot { revision, value })
}

/// Looks at every pair of `part`, whose limit is that of a question.
async fn each(view: &dyn View, mut part: Part, mut look: impl FnMut(&Bytes, &Bytes) -> Result<()> + Send) -> Result<()> {
    loop {
        let pairs = view.scan(vec![part.clone()]).await?.pop().unwrap_or_default();
        for (key, value) in &pairs {
            look(key, value)?;
        }
        match pairs.last().filter(|_| pairs.len() >= part.limit) {
            Some((last, _)) => part.from = layout::next(last),
            None => return Ok(()),
        }
    }
}

pub(crate) async fn usage(keeper: &Keeper, namespace: Namespace) -> Result<Snapshot<Usage>> {
    let view = keeper.view().await?;
    let key = layout::usage(namespace.as_str().as_bytes());
    let mut found = view.get(vec![layout::head(), key]).await?.into_iter();
    let revision: Revision = keeper.head(found.next().flatten().as_ref())?.revision;
    let value = found.next().flatten().map_or(Ok(Usage::default()), |usage| read_usage(&usage))?;
    Ok(Snapshot { revision, value })
}

pub(crate) async fn expired(keeper: &Keeper, now: Timestamp, limit: usize) -> Result<Vec<Address>> {
    let view = keeper.view().await?;
    let mut part = layout::part(layout::expiring(None, now), 0);
    let (mut addresses, mut namespace) = (Vec::new(), None);
    ask(keeper, &*view, Vec::new()).await?;
    while addresses.len() < limit {
        part.limit = (limit - addresses.len()).min(PAGE_ROWS);
        let pairs = view.scan(vec![part.clone()]).await?.pop().unwrap_or_default();
        for (_, member) in &pairs {
            addresses.push(layout::address(member, &mut namespace)?);
        }
        match pairs.last().filter(|_| pairs.len() >= part.limit) {
            Some((last, _)) => part.from = layout::next(last),
            None => break,
        }
    }
    Ok(addresses)
}

pub(crate) async fn status(keeper: &Keeper, now: Timestamp) -> Result<EngineStatus> {
    let view = keeper.view().await?;
    let head = ask(keeper, &*view, Vec::new()).await?.0;
    // What has expired is counted off.
    let (mut entries, mut bytes) = (0, 0);
    let mut part = layout::part(layout::expiring(None, now), PAGE_ROWS);
    loop {
        let pairs = view.scan(vec![part.clone()]).await?.pop().unwrap_or_default();
        let keys: Vec<Bytes> = pairs.iter().map(|(_, member)| layout::entry(member)).collect();
        if keys.is_empty() {
            break;
        }
        for ((_, member), record) in pairs.iter().zip(view.get(keys).await?) {
            let record = Record::read(&record.ok_or_else(|| corrupt("an entry that expires is gone"))?)?;
            (entries, bytes) = (entries + 1, bytes + record.bytes(member));
        }
        match pairs.last().filter(|_| pairs.len() >= part.limit) {
            Some((last, _)) => part.from = layout::next(last),
            None => break,
        }
    }
    Ok(EngineStatus {
        store: head.store,
        lineage: head.lineage,
        revision: head.revision,
        entries: head.usage.entries.saturating_sub(entries),
        bytes: head.usage.bytes.saturating_sub(bytes),
        size: keeper.map.size().await?,
        oldest: head.oldest,
        changes: head.changes,
        log_bytes: head.usage.log_bytes,
    })
}
