//! Entries as bytes: a header of fixed size, the encodings, the metadata, and then the value exactly as it was written.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | 1, the version of this form |
//! | 1 | 1 for JSON, 0 for opaque |
//! | 2..34 | version, revision, created_at, updated_at |
//! | 34..42 | expires_at; all ones is never |
//! | 42..44 | length of the encodings |
//! | 44..48 | length of the metadata; none is no bytes at all |
//! | 48..52 | length of the value |
//!
//! Numbers are unsigned and begin with their highest byte.

use bytes::{Buf as _, BufMut as _, Bytes};
use larder_core::{Address, ContentKind, Encodings, Entry, Error, Metadata, Result, Revision, Timestamp, Value, Version};

use crate::error::corrupt;

/// The bytes before the encodings.
const HEADER: usize = 52;
const FORM: u8 = 1;
const NEVER: u64 = u64::MAX;

/// `entry` without its address.
pub(crate) fn write(entry: &Entry) -> Vec<u8> {
    let encodings = if entry.value.encodings().is_empty() { String::new() } else { entry.value.encodings().to_string() };
    let metadata = if entry.metadata.is_empty() { "" } else { entry.metadata.as_str() };
    let value = entry.value.bytes();
    let mut bytes = Vec::with_capacity(HEADER + encodings.len() + metadata.len() + value.len());
    bytes.put_u8(FORM);
    bytes.put_u8(u8::from(entry.value.kind() == ContentKind::Json));
    bytes.put_u64(entry.version.get());
    bytes.put_u64(entry.revision.get());
    bytes.put_u64(millis(entry.created_at));
    bytes.put_u64(millis(entry.updated_at));
    bytes.put_u64(entry.expires_at.map_or(NEVER, millis));
    bytes.put_u16(u16::try_from(encodings.len()).expect("eight names of 32 bytes are few"));
    bytes.put_u32(u32::try_from(metadata.len()).expect("metadata has a limit"));
    bytes.put_u32(u32::try_from(value.len()).expect("a value has a limit"));
    bytes.put_slice(encodings.as_bytes());
    bytes.put_slice(metadata.as_bytes());
    bytes.put_slice(value);
    bytes
}

fn millis(at: Timestamp) -> u64 {
    at.as_millis().cast_unsigned()
}

/// The lengths of what follows the header.
struct Lengths {
    encodings: usize,
    metadata: usize,
    value: usize,
}

impl Lengths {
    fn read(bytes: &[u8]) -> Result<Self> {
        let lengths = || {
            let &[a, b, c, d, e, f, g, h, i, j] = bytes.get(42..HEADER)?.first_chunk()?;
            Some(Self {
                encodings: usize::from(u16::from_be_bytes([a, b])),
                metadata: u32::from_be_bytes([c, d, e, f]) as usize,
                value: u32::from_be_bytes([g, h, i, j]) as usize,
            })
        };
        lengths().ok_or_else(odd)
    }

    /// How many bytes come before the value.
    fn ahead(&self) -> usize {
        HEADER + self.encodings + self.metadata
    }
}

fn odd() -> Error {
    corrupt("an entry cannot be read")
}

/// How many bytes of an entry that begins with `bytes` come before its value.
pub(crate) fn ahead(bytes: &[u8]) -> Result<usize> {
    Lengths::read(bytes).map(|lengths| lengths.ahead())
}

/// What an entry of `address` counts for that begins with `bytes`.
pub(crate) fn counted(address: &Address, bytes: &[u8]) -> Result<u64> {
    let Lengths { metadata, value, .. } = Lengths::read(bytes)?;
    Ok((address.key.len() + metadata + value) as u64)
}

/// The entry that was stored at `address` as `bytes`.
pub(crate) fn read(address: Address, bytes: Bytes) -> Result<Entry> {
    let lengths = Lengths::read(&bytes)?;
    match lengths.ahead() + lengths.value == bytes.len() {
        true => glance(address, bytes),
        false => Err(odd()),
    }
}

/// The same of bytes that may end anywhere behind what comes before the value.
pub(crate) fn glance(address: Address, bytes: Bytes) -> Result<Entry> {
    parse(address, bytes)?.ok_or_else(odd)
}

fn parse(address: Address, mut bytes: Bytes) -> Result<Option<Entry>> {
    let number = |at: usize| Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let Some(&[FORM, json]) = bytes.first_chunk() else { return Ok(None) };
    let lengths = Lengths::read(&bytes)?;
    let (middle, start) = (HEADER + lengths.encodings, lengths.ahead());
    if start > bytes.len() {
        return Ok(None);
    }
    let (Some(version), Some(revision), Some(created_at), Some(updated_at), Some(expires_at)) =
        (number(2), number(10), number(18), number(26), number(34))
    else {
        return Ok(None);
    };
    let encodings: Encodings = match std::str::from_utf8(&bytes[HEADER..middle]).ok().map(str::parse) {
        _ if middle == HEADER => Encodings::default(),
        Some(Ok(encodings)) => encodings,
        _ => return Ok(None),
    };
    let metadata = match middle == start {
        true => Metadata::default(),
        false => Metadata::from_stored(bytes.slice(middle..start))
            .map_err(|error| corrupt("an entry has metadata that cannot be read").caused_by(error))?,
    };
    let kind = if json == 0 { ContentKind::Opaque } else { ContentKind::Json };
    // Not a slice, which would be one more thing to count the owners of.
    bytes.advance(start);
    let at = |millis: u64| Timestamp::from_millis_saturating(millis.cast_signed());
    Ok(Some(Entry {
        address,
        value: Value::from_stored(bytes, kind, encodings),
        version: Version::new(version),
        revision: Revision::new(revision),
        created_at: at(created_at),
        updated_at: at(updated_at),
        expires_at: (expires_at != NEVER).then(|| at(expires_at)),
        metadata,
    }))
}

#[cfg(test)]
mod tests {
    use larder_core::{Key, Namespace};

    use super::*;

    fn entry() -> Entry {
        Entry {
            address: Address::new(Namespace::default(), Key::new("k").expect("valid")),
            value: Value::from_stored(&b"\x00\xff"[..], ContentKind::Json, "zstd,seal".parse().expect("valid")),
            version: Version::new(3),
            revision: Revision::new(1 << 60),
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::MAX,
            expires_at: Some(Timestamp::MAX),
            metadata: Metadata::parse(b"{\"a\":null}").expect("valid"),
        }
    }

    #[test]
    fn an_entry_reads_back() {
        let plain = Entry { value: Value::opaque(""), expires_at: None, metadata: Metadata::default(), ..entry() };
        for entry in [entry(), plain] {
            let bytes = write(&entry);
            assert_eq!(counted(&entry.address, &bytes).ok(), Some(entry.bytes()));
            assert_eq!(read(entry.address.clone(), bytes.into()).ok(), Some(entry));
        }
    }

    /// The bytes of the store: whoever changes them changes what stands in the servers of others.
    #[test]
    fn the_form_stays() {
        let hex: String = write(&entry()).iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = "0000000000000003100000000000000000000000000000000000e677cc8ba2ff0000e677cc8ba2ff";
        assert_eq!(hex, format!("0101{numbers}00090000000a000000027a7374642c7365616c7b2261223a6e756c6c7d00ff"));
    }

    #[test]
    fn what_was_cut_off_is_not_an_entry() {
        let bytes = Bytes::from(write(&entry()));
        let cut = |length| bytes.slice(..length);
        assert!((0..bytes.len()).all(|length| read(entry().address, cut(length)).is_err()));
        assert_eq!(ahead(&bytes).ok(), Some(bytes.len() - 2));
        assert!((0..bytes.len() - 2).all(|length| glance(entry().address, cut(length)).is_err()));
        for length in bytes.len() - 2..=bytes.len() {
            assert!(glance(entry().address, cut(length)).is_ok_and(|seen| seen.metadata == entry().metadata));
        }
    }
}
