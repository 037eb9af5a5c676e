//! Verifying a store against itself: everything can be read, counts are what is there, indexes hold what they should.

use larder_core::{
    ChangesQuery, ContentKind, Entry, Error, ErrorKind, Namespace, Position, Range, Result, Revision, Store, Timestamp,
    engine::{EngineStatus, IndexWalk, Scan},
    index::{IndexState, IndexStatus, Span},
    json,
};
use sha2::{Digest as _, Sha256};

use crate::{
    digest::{Digest, Summing},
    progress::is_taken,
};

/// How many rows of an index are read at once.
const ROWS_AT_ONCE: usize = 1000;
/// How often a namespace is looked at again because somebody has written to it meanwhile.
const LOOKS_MAX: usize = 20;

/// What was looked at, and what was wrong with it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Every namespace that holds something.
    pub namespaces: Vec<Digest>,
    /// How many indexes were held against the entries.
    pub indexes: u64,
    /// What is not as it has to be, each in a sentence; empty is good.
    pub faults: Vec<String>,
}

/// Reads all of `store`, and says what is not as it has to be. Others may write meanwhile.
///
/// # Errors
/// What the engine meets, such as `Corrupt`; `Conflict` when somebody writes to a namespace with indexes so often that it is
/// never the same twice.
pub async fn verify(store: &Store, mut told: impl FnMut(u64) + Send) -> Result<Verified> {
    let mut verified = Verified { namespaces: Vec::new(), indexes: 0, faults: Vec::new() };
    let mut entries = 0;
    let mut range = Range::all();
    let scan = |range: &Range| Scan { range: range.clone(), reverse: false, limit: 1, now: Timestamp::EPOCH };
    while let Some(address) = store.engine().list(scan(&range)).await?.value.items.pop() {
        range = Range::after_namespace(&address.namespace);
        let mut looked = None;
        for _ in 0..LOOKS_MAX {
            looked = namespace(store, &address.namespace).await?;
            if looked.is_some() {
                break;
            }
        }
        let Some(Looked { digest, indexes, faults }) = looked else {
            let message = format!("the namespace {:?} was written to each of {LOOKS_MAX} times", address.namespace);
            return Err(Error::new(ErrorKind::Conflict, message));
        };
        entries += digest.entries;
        // What is about the store and not in it is read, too, and nobody compares it.
        verified.namespaces.extend(Some(digest).filter(|_| is_taken(&address)));
        verified.indexes += indexes;
        verified.faults.extend(faults);
        told(entries);
    }
    Ok(verified)
}

/// What was found in one namespace.
struct Looked {
    digest: Digest,
    indexes: u64,
    faults: Vec<String>,
}

/// An index as it should be and as it is: how many rows it has, and a sum over them that no order changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rows {
    count: u64,
    sum: u128,
}

impl Rows {
    fn add(&mut self, term: &[u8], key: &str) {
        let mut hasher = Sha256::new();
        hasher.update((term.len() as u64).to_be_bytes());
        hasher.update(term);
        hasher.update(key);
        let hash: [u8; 32] = hasher.finalize().into();
        let half = hash.first_chunk().expect("16 bytes are half of 32");
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(*half));
        self.count += 1;
    }
}

/// Looks at a namespace; `None` when somebody has written to it while its indexes were read, which are only as they are now.
async fn namespace(store: &Store, namespace: &Namespace) -> Result<Option<Looked>> {
    let engine = store.engine();
    let (now, range) = (store.world().now(), Range::namespace(namespace));
    let EngineStatus { lineage, .. } = engine.status(now).await?;
    let indexes: Vec<IndexStatus> = match engine.indexes() {
        Some(indexes) => indexes.list(Some(namespace.clone())).await?,
        None => Vec::new(),
    };
    let ready: Vec<IndexStatus> = indexes.into_iter().filter(|status| status.state == IndexState::Ready).collect();
    let usage = engine.usage(namespace.clone()).await?;
    let position = Position { lineage, revision: usage.revision };

    let (mut summing, mut faults) = (Summing::new(namespace.clone()), Vec::new());
    let mut wanted = vec![Rows::default(); ready.len()];
    let (mut entries, mut bytes) = (0, 0);
    let mut stored = store.stored(position, range.clone());
    while let Some(page) = stored.next().await? {
        for entry in &page {
            (entries, bytes) = (entries + 1, bytes + entry.bytes());
            faults.extend(fault(entry));
            for (rows, status) in wanted.iter_mut().zip(&ready) {
                for term in status.index.terms(entry)? {
                    rows.add(term.as_bytes(), &entry.address.key);
                }
            }
            if !entry.is_expired(now) {
                summing.add(entry);
            }
        }
    }
    if (usage.value.entries, usage.value.bytes) != (entries, bytes) {
        faults.push(format!(
            "the namespace {namespace:?} holds {entries} entries of {bytes} bytes, and counts {} of {}",
            usage.value.entries, usage.value.bytes
        ));
    }
    for (wanted, status) in wanted.into_iter().zip(&ready) {
        let found = rows(store, status, &range).await?;
        if found != wanted {
            if has_changed(store, position, &range).await? {
                return Ok(None);
            }
            faults.push(format!(
                "the {:#} of the namespace {namespace:?} has {} rows where the entries make {}, or others than they make",
                status.index, found.count, wanted.count
            ));
        }
    }
    Ok(Some(Looked { digest: summing.end(), indexes: ready.len() as u64, faults }))
}

/// What is wrong with an entry by itself.
fn fault(entry: &Entry) -> Option<String> {
    if entry.version.get() == 0 {
        return Some(format!("the key {} has version 0", entry.address));
    }
    let plain = entry.value.kind() == ContentKind::Json && entry.value.encodings().is_empty();
    let broken = plain && json::check(entry.value.bytes()).is_err();
    broken.then(|| format!("the value of the key {} is stored as JSON and is none", entry.address))
}

/// The rows that an index has.
async fn rows(store: &Store, status: &IndexStatus, range: &Range) -> Result<Rows> {
    let mut rows = Rows::default();
    let Some(indexes) = store.engine().indexes() else { return Ok(rows) };
    let mut after = None;
    loop {
        let walk = IndexWalk {
            index: status.id,
            spans: vec![Span::all()],
            reverse: false,
            after: after.take(),
            range: range.clone(),
            also: Vec::new(),
            limit: ROWS_AT_ONCE,
            now: Timestamp::EPOCH,
        };
        let Some(page) = indexes.walk(walk).await? else { return Ok(rows) };
        for (term, entry) in &page.value.items {
            rows.add(term.as_bytes(), &entry.address.key);
        }
        match page.value.through {
            Some(through) => after = Some(through),
            None => return Ok(rows),
        }
    }
}

/// Whether anything in `range` has changed after `position`.
async fn has_changed(store: &Store, position: Position, range: &Range) -> Result<bool> {
    let mut after: Revision = position.revision;
    loop {
        let query = ChangesQuery { ranges: vec![range.clone()], limit: 1, ..ChangesQuery::after(position.lineage, after) };
        let found = store.engine().changes(query).await?;
        if !found.changes.is_empty() {
            return Ok(true);
        }
        if found.through >= found.head {
            return Ok(false);
        }
        after = found.through;
    }
}
