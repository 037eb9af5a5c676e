//! Lies about what is there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use larder_core::{
    Address, Commit, Entry, Metadata, Namespace, Outcome, Range, Result, Revision, Snapshot, Timestamp, Value,
    engine::{EngineStatus, Page, Scan},
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(GetsTheExpired),
        || Arc::new(ScansTheExpired),
        || Arc::new(CountsTheExpired),
        || Arc::new(LivesAMomentLonger),
        || Arc::new(FindsNothingExpired),
        || Arc::new(SortsOtherwise("without case", |key| key.to_lowercase().encode_utf16().collect())),
        || Arc::new(SortsOtherwise("as UTF-16", |key| key.encode_utf16().collect())),
        || Arc::new(TakesPrefixesForPatterns),
        || Arc::new(SaysThatThereIsNoMore),
        || Arc::new(ReadsOneByOne),
        || Arc::new(NamesAnEarlierMoment),
        || {
            Arc::new(ShowsOtherwise("takes empty for absent", |entry| {
                Some(entry).filter(|entry| !entry.value.bytes().is_empty())
            }))
        },
        || Arc::new(ShowsOtherwise("guesses the kind", guesses_the_kind)),
        || Arc::new(ShowsOtherwise("keeps whole seconds", keeps_whole_seconds)),
        || Arc::new(ShowsOtherwise("keeps text", keeps_text)),
        || Arc::new(ShowsOtherwise("cuts at 65535 bytes", cuts)),
        || Arc::new(ShowsOtherwise("reads metadata as JSON", reads_metadata)),
        || Arc::new(AnswersOnce),
        || Arc::new(CachesForItself::default()),
        || Arc::new(CountsItsOwnTables),
    ]
}

/// Gets what has expired and was not swept yet.
#[derive(Debug)]
struct GetsTheExpired;
impl Lie for GetsTheExpired {
    fn get(&self, honest: &Honest, addresses: Vec<Address>, _: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        honest.get(addresses, Timestamp::EPOCH)
    }
}

/// Scans what has expired and was not swept yet.
#[derive(Debug)]
struct ScansTheExpired;
impl Lie for ScansTheExpired {
    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        honest.scan(Scan { now: Timestamp::EPOCH, ..scan })
    }
}

/// Counts what has expired and was not swept yet.
#[derive(Debug)]
struct CountsTheExpired;
impl Lie for CountsTheExpired {
    fn count(&self, honest: &Honest, range: Range, _: Timestamp) -> Result<Snapshot<u64>> {
        honest.count(range, Timestamp::EPOCH)
    }
}

/// Takes "before" for "not after".
#[derive(Debug)]
struct LivesAMomentLonger;
impl Lie for LivesAMomentLonger {
    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        honest.get(addresses, now.before(Duration::from_millis(1)))
    }
}

/// Sorts a page by something else than bytes.
#[derive(Debug)]
struct SortsOtherwise(&'static str, fn(&str) -> Vec<u16>);
impl Lie for SortsOtherwise {
    fn name(&self) -> String {
        format!("SortsOtherwise: {}", self.0)
    }

    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        let reverse = scan.reverse;
        let mut page = honest.scan(scan)?;
        let order = |entry: &Entry| (entry.address.namespace.clone(), (self.1)(&entry.address.key));
        page.value.items.sort_by_key(order);
        if reverse {
            page.value.items.reverse();
        }
        Ok(page)
    }
}

/// Asks for keys LIKE a prefix.
#[derive(Debug)]
struct TakesPrefixesForPatterns;

fn like(pattern: &str, key: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return true };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '%' => key.char_indices().any(|(at, _)| like(rest, &key[at..])) || like(rest, ""),
        '_' => key.chars().next().is_some_and(|any| like(rest, &key[any.len_utf8()..])),
        first => key.strip_prefix(first).is_some_and(|tail| like(rest, tail)),
    }
}

impl Lie for TakesPrefixesForPatterns {
    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        let pattern = scan.range.within_namespace().map(|(space, prefix, _)| (space.to_owned(), prefix.to_owned()));
        let Some((space, prefix)) = pattern.filter(|(_, prefix)| prefix.contains(['%', '_']) && !prefix.ends_with('\0'))
        else {
            return honest.scan(scan);
        };
        let range = Range::namespace(&Namespace::new(space).expect("a range within a namespace names it"));
        let mut page = honest.scan(Scan { range, limit: usize::MAX, ..scan })?;
        page.value.items.retain(|entry| like(&prefix, &entry.address.key));
        page.value.more = page.value.items.len() > scan.limit && scan.limit > 0;
        page.value.items.truncate(scan.limit);
        Ok(page)
    }
}

/// Ends a listing with its first page.
#[derive(Debug)]
struct SaysThatThereIsNoMore;
impl Lie for SaysThatThereIsNoMore {
    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        let mut page = honest.scan(scan)?;
        page.value.more = false;
        Ok(page)
    }
}

/// Reads each key in a transaction of its own.
#[derive(Debug)]
struct ReadsOneByOne;
impl Lie for ReadsOneByOne {
    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let mut read = honest.get(vec![], now)?;
        for address in addresses {
            let mut one = honest.get(vec![address], now)?;
            read.revision = one.revision;
            read.value.append(&mut one.value);
            thread::sleep(Duration::from_micros(200));
        }
        Ok(read)
    }
}

/// Takes the revision from before the last commit.
#[derive(Debug)]
struct NamesAnEarlierMoment;
impl Lie for NamesAnEarlierMoment {
    fn count(&self, honest: &Honest, range: Range, now: Timestamp) -> Result<Snapshot<u64>> {
        let mut count = honest.count(range, now)?;
        count.revision = Revision::new(count.revision.get().saturating_sub(1));
        Ok(count)
    }
}

/// Shows entries otherwise than they were written.
#[derive(Debug)]
struct ShowsOtherwise(&'static str, fn(Entry) -> Option<Entry>);
impl Lie for ShowsOtherwise {
    fn name(&self) -> String {
        format!("ShowsOtherwise: {}", self.0)
    }

    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let mut read = honest.get(addresses, now)?;
        read.value.iter_mut().for_each(|entry| *entry = entry.take().and_then(self.1));
        Ok(read)
    }

    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        let mut page = honest.scan(scan)?;
        page.value.items = page.value.items.into_iter().filter_map(self.1).collect();
        Ok(page)
    }
}

fn guesses_the_kind(mut entry: Entry) -> Option<Entry> {
    entry.value = Value::detect(entry.value.bytes().clone());
    Some(entry)
}

fn keeps_whole_seconds(mut entry: Entry) -> Option<Entry> {
    entry.created_at = Timestamp::from_millis_saturating(entry.created_at.as_millis() / 1_000 * 1_000);
    Some(entry)
}

fn keeps_text(mut entry: Entry) -> Option<Entry> {
    let text = String::from_utf8_lossy(entry.value.bytes()).into_owned();
    entry.value = Value::from_stored(text, entry.value.kind(), entry.value.encodings().clone());
    Some(entry)
}

fn cuts(mut entry: Entry) -> Option<Entry> {
    let bytes = entry.value.bytes().slice(..entry.value.bytes().len().min(65_535));
    entry.value = Value::from_stored(bytes, entry.value.kind(), entry.value.encodings().clone());
    Some(entry)
}

fn reads_metadata(mut entry: Entry) -> Option<Entry> {
    entry.metadata = Metadata::from_stored(entry.metadata.as_str().replace("1.0", "1")).ok()?;
    Some(entry)
}

/// Answers a key that was asked for twice only once.
#[derive(Debug)]
struct AnswersOnce;
impl Lie for AnswersOnce {
    fn get(&self, honest: &Honest, mut addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        addresses.dedup();
        honest.get(addresses, now)
    }
}

/// A handle keeps what it has read, and learns only of what it writes itself.
#[derive(Debug, Default)]
struct CachesForItself(Mutex<BTreeMap<Address, Option<Entry>>>);
impl Lie for CachesForItself {
    fn commit(&self, honest: &Honest, commit: Commit) -> Result<Outcome> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        commit.writes.iter().for_each(|write| drop(cache.remove(&write.address)));
        honest.commit(commit)
    }

    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = honest.get(addresses.clone(), now)?;
        for (entry, address) in read.value.iter_mut().zip(addresses) {
            let kept = cache.entry(address).or_insert_with(|| entry.clone()).clone();
            *entry = kept.filter(|entry| !entry.is_expired(now));
        }
        Ok(read)
    }
}

/// Keeps no order of what expires when, and so finds nothing.
#[derive(Debug)]
struct FindsNothingExpired;
impl Lie for FindsNothingExpired {
    fn expired(&self, _: &Honest, _: Timestamp, _: usize) -> Result<Vec<Address>> {
        Ok(Vec::new())
    }
}

/// Counts the row in which it keeps its own name.
#[derive(Debug)]
struct CountsItsOwnTables;
impl Lie for CountsItsOwnTables {
    fn status(&self, honest: &Honest, now: Timestamp) -> Result<EngineStatus> {
        let status = honest.status_at(now)?;
        Ok(EngineStatus { entries: status.entries + 1, ..status })
    }
}
