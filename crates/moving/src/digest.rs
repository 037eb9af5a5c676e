//! Digests: one number for all that a namespace holds, the same in every store that holds the same.
//!
//! SHA-256 over the entries in the order of their keys. Revisions are numbers of one store and stay out; everything else is in,
//! each part with its length before it, so that no two different entries are written alike.

use std::fmt;

use larder_core::{ContentKind, Entry, Namespace, Position, Range, Result, Store, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::progress::is_taken;

/// What a namespace holds, as one number.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// Whose; also what the store keeps about its namespaces has one.
    pub namespace: Namespace,
    /// How many entries it holds.
    pub entries: u64,
    /// Their bytes: keys, values and metadata.
    pub bytes: u64,
    /// Over all of them.
    pub sha256: [u8; 32],
}

/// The digest of every namespace of `store` that holds something, in bytewise order of names, as of the moment of `position`;
/// what has expired by `now` is not there.
///
/// # Errors
/// `Trimmed` when the log does not reach back to `position`; else what the engine meets.
pub async fn digests(
    store: &Store,
    position: Position,
    now: Timestamp,
    mut told: impl FnMut(u64) + Send,
) -> Result<Vec<Digest>> {
    let mut found: Vec<Digest> = Vec::new();
    let mut summing: Option<Summing> = None;
    let (mut stored, mut entries) = (store.stored(position, Range::all()), 0);
    while let Some(page) = stored.next().await? {
        for entry in page.iter().filter(|entry| is_taken(&entry.address) && !entry.is_expired(now)) {
            if summing.as_ref().is_none_or(|summing| summing.namespace != entry.address.namespace) {
                found.extend(summing.take().map(Summing::end));
            }
            summing.get_or_insert_with(|| Summing::new(entry.address.namespace.clone())).add(entry);
            entries += 1;
        }
        told(entries);
    }
    found.extend(summing.map(Summing::end));
    Ok(found)
}

/// A digest being made.
pub(crate) struct Summing {
    namespace: Namespace,
    entries: u64,
    bytes: u64,
    hasher: Sha256,
}

impl Summing {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace, entries: 0, bytes: 0, hasher: Sha256::new() }
    }

    pub(crate) fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.bytes += entry.bytes();
        let mut part = |bytes: &[u8]| {
            self.hasher.update((bytes.len() as u64).to_be_bytes());
            self.hasher.update(bytes);
        };
        part(entry.address.key.as_bytes());
        part(entry.value.bytes());
        part(entry.metadata.as_str().as_bytes());
        part(entry.value.encodings().to_string().as_bytes());
        let kind = match entry.value.kind() {
            ContentKind::Opaque => 0,
            ContentKind::Json => 1,
        };
        // No entry expires before the epoch, so -1 is never.
        let expires = entry.expires_at.map_or(-1, Timestamp::as_millis);
        for number in [entry.created_at.as_millis(), entry.updated_at.as_millis(), expires, kind] {
            self.hasher.update(number.to_be_bytes());
        }
        self.hasher.update(entry.version.get().to_be_bytes());
    }

    pub(crate) fn end(self) -> Digest {
        let Self { namespace, entries, bytes, hasher } = self;
        Digest { namespace, entries, bytes, sha256: hasher.finalize().into() }
    }
}

/// As 64 hex digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} entries, {} bytes, {self}", self.namespace, self.entries, self.bytes)
    }
}
