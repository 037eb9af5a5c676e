//! The form of a backup, to the byte. A change of it is another number in [`FORM`].
//!
//! All numbers are big-endian. The file begins with [`MAGIC`]; each block is its kind, how long it is unpacked and packed, its
//! checksum - SHA-256 over the checksum of the block before, the three and the packed bytes - and the bytes, packed as LZ4.

use bytes::Bytes;
use larder_core::{
    Address, Change, ChangeKind, ContentKind, Entry, Error, ErrorKind, Index, Key, Lineage, Metadata, Namespace, Position,
    Result, Revision, Timestamp, Value, Version,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::follow::Made;

/// What a file begins with.
pub(crate) const MAGIC: &[u8; 8] = b"larder\0B";
/// The form that is written and read.
pub(crate) const FORM: u32 = 1;
/// How long a block is unpacked, about: what is in memory at once.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
/// How long a block may be at most; a commit is not cut, and no engine takes a larger one.
pub(crate) const BLOCK_BYTES_MAX: usize = 512 << 20;
/// How long the head of a block is.
pub(crate) const HEAD_BYTES: usize = 1 + 4 + 4 + 32;

/// What is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A [`Header`], as JSON; the first one.
    Header = 1,
    /// Entries of one moment.
    Entries = 2,
    /// Whole commits, in order.
    Commits = 3,
    /// [`Ending`], as JSON; the last one.
    End = 4,
}

impl Kind {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Header, Self::Entries, Self::Commits, Self::End].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub(crate) form: u32,
    pub(crate) store: String,
    pub(crate) lineage: u64,
    pub(crate) base: u64,
    pub(crate) base_time: i64,
    pub(crate) through: u64,
    /// Whether the entries of the base are in it; else it goes on top of a backup that reaches up to its base.
    pub full: bool,
}

impl Header {
    /// The id of the store.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// The first moment it can be restored to, or that it goes on from.
    pub fn base(&self) -> Position {
        Position { lineage: Lineage::new(self.lineage), revision: Revision::new(self.base) }
    }

    /// The last moment it can be restored to.
    pub fn through(&self) -> Revision {
        Revision::new(self.through)
    }
}

/// What stands at the end of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    pub(crate) entries: u64,
    pub(crate) commits: u64,
    pub(crate) indexes: Vec<(String, Index)>,
}

/// The checksum of a block.
pub(crate) fn checksum(before: &[u8; 32], kind: u8, unpacked: u32, packed: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update([kind]);
    hasher.update(unpacked.to_be_bytes());
    hasher.update((packed.len() as u64).to_be_bytes());
    hasher.update(packed);
    hasher.finalize().into()
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u32).to_be_bytes());
    bytes.extend(part);
}

pub(crate) fn put_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    put(bytes, entry.address.namespace.as_str().as_bytes());
    put(bytes, entry.address.key.as_bytes());
    put_rest(bytes, entry);
    put(bytes, entry.value.bytes());
    put(bytes, entry.metadata.as_str().as_bytes());
    put(bytes, entry.value.encodings().to_string().as_bytes());
    bytes.push(u8::from(entry.value.kind() == ContentKind::Json));
}

/// What has a length that does not change.
fn put_rest(bytes: &mut Vec<u8>, entry: &Entry) {
    bytes.extend(entry.version.get().to_be_bytes());
    let expires = entry.expires_at.map_or(-1, Timestamp::as_millis);
    for time in [entry.created_at.as_millis(), entry.updated_at.as_millis(), expires] {
        bytes.extend(time.to_be_bytes());
    }
}

pub(crate) fn put_commit(bytes: &mut Vec<u8>, made: &Made) {
    bytes.extend(made.revision.get().to_be_bytes());
    bytes.extend(made.at.as_millis().to_be_bytes());
    bytes.extend((made.changes.len() as u32).to_be_bytes());
    for change in &made.changes {
        put(bytes, change.address.namespace.as_str().as_bytes());
        put(bytes, change.address.key.as_bytes());
        let kinds = [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted, ChangeKind::Expired];
        bytes.push(kinds.iter().position(|kind| *kind == change.kind).map_or(0, |at| at as u8));
        // What was before is in the log of whoever restores it; what is needed to go on from it are its version and times.
        bytes.push(u8::from(change.before.is_some()));
        change.before.iter().for_each(|before| put_rest(bytes, before));
        bytes.push(u8::from(change.after.is_some()));
        change.after.iter().for_each(|after| put_entry(bytes, after));
    }
}

/// A block that is read from its beginning to its end.
pub(crate) struct Block {
    bytes: Bytes,
}

impl Block {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into() }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<Bytes> {
        if length > self.bytes.len() {
            return Err(odd("ends too early"));
        }
        Ok(self.bytes.split_to(length))
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(*self.take(N)?.first_chunk().expect("so many bytes were taken"))
    }

    fn part(&mut self) -> Result<Bytes> {
        let length = u32::from_be_bytes(self.number()?);
        self.take(length as usize)
    }

    fn text(&mut self) -> Result<String> {
        String::from_utf8(self.part()?.into()).map_err(|_| odd("holds a name that is no text"))
    }

    fn time(&mut self) -> Result<Timestamp> {
        Timestamp::from_millis(i64::from_be_bytes(self.number()?))
    }

    fn address(&mut self) -> Result<Address> {
        Ok(Address::new(Namespace::new(self.text()?)?, Key::new(self.text()?)?))
    }

    fn rest(&mut self, address: Address) -> Result<Entry> {
        let version = Version::new(u64::from_be_bytes(self.number()?));
        let (created_at, updated_at) = (self.time()?, self.time()?);
        let expires = i64::from_be_bytes(self.number()?);
        let expires_at = (expires >= 0).then(|| Timestamp::from_millis(expires)).transpose()?;
        let (value, metadata, revision) = (Value::opaque(""), Metadata::default(), Revision::ZERO);
        Ok(Entry { address, value, version, revision, created_at, updated_at, expires_at, metadata })
    }

    pub(crate) fn entry(&mut self) -> Result<Entry> {
        let address = self.address()?;
        let entry = self.rest(address)?;
        let (value, metadata) = (self.part()?, Metadata::parse(&self.part()?)?);
        let encodings = self.text()?.parse()?;
        let kind = if self.number::<1>()? == [1] { ContentKind::Json } else { ContentKind::Opaque };
        Ok(Entry { value: Value::from_stored(value, kind, encodings), metadata, ..entry })
    }

    pub(crate) fn commit(&mut self) -> Result<Made> {
        let revision = Revision::new(u64::from_be_bytes(self.number()?));
        let at = self.time()?;
        let count = u32::from_be_bytes(self.number()?);
        let mut changes = Vec::new();
        for _ in 0..count {
            let address = self.address()?;
            let kind = match self.number()? {
                [0] => ChangeKind::Created,
                [1] => ChangeKind::Updated,
                [2] => ChangeKind::Deleted,
                [3] => ChangeKind::Expired,
                _ => return Err(odd("holds a change of no kind")),
            };
            let before = if self.number()? == [1] { Some(self.rest(address.clone())?) } else { None };
            let after = if self.number()? == [1] { Some(self.entry()?) } else { None };
            changes.push(Change { revision, at, kind, address, before, after });
        }
        Ok(Made { revision, at, changes })
    }
}

fn odd(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a block of the backup {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &'static str) -> Entry {
        Entry {
            address: Address::new(Namespace::default(), Key::new("k").expect("valid")),
            value: Value::from_stored(value, ContentKind::Json, "seal".parse().expect("valid")),
            version: Version::new(2),
            revision: Revision::ZERO,
            created_at: Timestamp::from_millis_saturating(1),
            updated_at: Timestamp::from_millis_saturating(2),
            expires_at: Some(Timestamp::from_millis_saturating(3)),
            metadata: Metadata::parse(b"{\"m\":1}").expect("valid"),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes are a form that later versions read: another one is another number in [`FORM`].
    #[test]
    fn the_form_is_this_to_the_byte() {
        let mut bytes = Vec::new();
        put_entry(&mut bytes, &entry("v"));
        let address = "0000000764656661756c74000000016b";
        let rest = "0000000000000002000000000000000100000000000000020000000000000003";
        assert_eq!(hex(&bytes), format!("{address}{rest}0000000176000000077b226d223a317d000000047365616c01"));
        assert_eq!(Block::new(bytes).entry().expect("it is read"), entry("v"));

        let (at, revision) = (Timestamp::from_millis_saturating(4), Revision::new(5));
        let before = Entry { value: Value::opaque(""), metadata: Metadata::default(), expires_at: None, ..entry("v") };
        let change = |kind, before, after| Change { revision, at, kind, address: entry("v").address, before, after };
        let changes =
            vec![change(ChangeKind::Expired, Some(before), None), change(ChangeKind::Created, None, Some(entry("w")))];
        let mut bytes = Vec::new();
        put_commit(&mut bytes, &Made { revision, at, changes: changes.clone() });
        let begin = format!("0000000000000005000000000000000400000002{address}0301");
        assert!(hex(&bytes).starts_with(&begin), "{}", hex(&bytes));
        let mut block = Block::new(bytes);
        assert_eq!(block.commit().expect("it is read").changes, changes);
        assert!(block.is_over());
        assert_eq!(hex(&checksum(&[0; 32], 2, 3, b"abc"))[..16], *"1a21e5f7f0f8e187");
    }
}
