//! Entries as bytes: a header, the encodings, the metadata, and then the value exactly as it was written.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | 1, the version of this form |
//! | 1 | 1 for JSON, 2 where the value stands by itself, 4 where the metadata does; 8 and 16 where the log has the same one, too |
//! | 2..34 | version, revision, created_at, updated_at |
//! | 34..42 | expires_at; all ones is never |
//! | 42..44 | which change of its commit wrote it |
//! | 44..46 | length of the encodings |
//! | 46..50 | length of the metadata; none is no bytes at all |
//! | 50..54 | length of the value |
//! | 54.. | encodings, metadata, value; instead of what stands by itself the 12 bytes of its place |
//!
//! What stands by itself is never written again: when its entry is overwritten, the log is given the place. That keeps every
//! batch as small as what it writes anew, however large the things are that it replaces.

use bytes::{BufMut as _, Bytes};
use larder_core::{Address, ContentKind, Encodings, Entry, Metadata, Result, Revision, Timestamp, Value, Version};

use crate::{
    error::corrupt,
    layout::{Body, Place},
};

/// The most bytes of a value, and of metadata, that stand in the record of an entry.
pub(crate) const SHORT: usize = 512;

/// The bytes before the encodings.
const HEADER: usize = 54;
const FORM: u8 = 1;
const NEVER: u64 = u64::MAX;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: ContentKind,
    pub(crate) version: Version,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// The change that wrote it.
    pub(crate) place: Place,
    pub(crate) encodings: Encodings,
    pub(crate) metadata: Held,
    pub(crate) value: Held,
}

/// A value, or metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Here(Bytes),
    /// It stands by itself.
    There {
        body: Body,
        bytes: u32,
        /// The last change of the entry, as the log tells it, has it on its other side, too.
        logged: bool,
    },
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::There { bytes, .. } => *bytes as usize,
        }
    }

    pub(crate) fn body(&self) -> Option<Body> {
        match self {
            Self::Here(_) => None,
            Self::There { body, .. } => Some(*body),
        }
    }

    /// The same behind a change that left it as it was.
    pub(crate) fn left(&self) -> Self {
        match self.clone() {
            Self::There { body, bytes, .. } => Self::There { body, bytes, logged: true },
            here => here,
        }
    }

    /// How many bytes [`Self::put`] writes.
    fn written_bytes(&self) -> usize {
        match self {
            Self::Here(held) => held.len(),
            Self::There { .. } => Body::BYTES,
        }
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Here(held) => bytes.put_slice(held),
            Self::There { body, .. } => bytes.put_slice(&body.bytes()),
        }
    }
}

/// The bytes of metadata in storage.
pub(crate) fn stored(metadata: &Metadata) -> Bytes {
    if metadata.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(metadata.as_str().as_bytes()) }
}

impl Record {
    pub(crate) fn write(&self) -> Bytes {
        let encodings = if self.encodings.is_empty() { String::new() } else { self.encodings.to_string() };
        let flag = |held: &Held, apart: u8, logged: u8| match held {
            Held::Here(_) => 0,
            Held::There { logged: false, .. } => apart,
            Held::There { logged: true, .. } => apart | logged,
        };
        let json = u8::from(self.kind == ContentKind::Json);
        // Exactly: what has room left is held in one more piece of memory.
        let held = [&self.metadata, &self.value].map(Held::written_bytes);
        let mut bytes = Vec::with_capacity(HEADER + encodings.len() + held[0] + held[1]);
        bytes.put_u8(FORM);
        bytes.put_u8(json | flag(&self.value, 2, 8) | flag(&self.metadata, 4, 16));
        bytes.put_u64(self.version.get());
        bytes.put_u64(self.place.revision.get());
        bytes.put_u64(millis(self.created_at));
        bytes.put_u64(millis(self.updated_at));
        bytes.put_u64(self.expires_at.map_or(NEVER, millis));
        bytes.put_u16(self.place.ordinal);
        bytes.put_u16(u16::try_from(encodings.len()).expect("eight names of 32 bytes are few"));
        bytes.put_u32(u32::try_from(self.metadata.len()).expect("metadata has a limit"));
        bytes.put_u32(u32::try_from(self.value.len()).expect("values have a limit"));
        bytes.put_slice(encodings.as_bytes());
        self.metadata.put(&mut bytes);
        self.value.put(&mut bytes);
        bytes.into()
    }

    pub(crate) fn read(bytes: &Bytes) -> Result<Self> {
        Self::parse(bytes).ok_or_else(|| corrupt("an entry cannot be read"))
    }

    fn parse(bytes: &Bytes) -> Option<Self> {
        let number = |at: usize| Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let short = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let length = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let &[FORM, flags] = bytes.first_chunk()? else { return None };
        let held = |at: usize, length: u32, apart: u8, logged: u8| {
            if flags & apart == 0 {
                let end = at.checked_add(length as usize).filter(|end| *end <= bytes.len())?;
                return Some((Held::Here(bytes.slice(at..end)), end));
            }
            let body = Body::read(bytes.get(at..at + Body::BYTES)?)?;
            Some((Held::There { body, bytes: length, logged: flags & logged != 0 }, at + Body::BYTES))
        };
        let at = |millis: u64| Timestamp::from_millis_saturating(millis.cast_signed());
        let encodings = HEADER + usize::from(short(44)?);
        let (metadata, value) = held(encodings, length(46)?, 4, 16)?;
        let (value, end) = held(value, length(50)?, 2, 8)?;
        let expires_at = number(34)?;
        (end == bytes.len()).then_some(Self {
            kind: if flags & 1 == 0 { ContentKind::Opaque } else { ContentKind::Json },
            version: Version::new(number(2)?),
            created_at: at(number(18)?),
            updated_at: at(number(26)?),
            expires_at: (expires_at != NEVER).then(|| at(expires_at)),
            place: Place { revision: Revision::new(number(10)?), ordinal: short(42)? },
            encodings: std::str::from_utf8(bytes.get(HEADER..encodings)?).ok()?.parse().ok()?,
            metadata,
            value,
        })
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What the entry counts for at `member`.
    pub(crate) fn bytes(&self, member: &[u8]) -> u64 {
        let key = member.iter().position(|byte| *byte == 0).map_or(0, |nul| member.len() - nul - 1);
        (key + self.value.len() + self.metadata.len()) as u64
    }

    /// The entry at `address`; what stands by itself is told by `body`, and is empty where that tells nothing.
    pub(crate) fn entry(&self, address: Address, body: impl Fn(Body) -> Option<Bytes>) -> Result<Entry> {
        let bytes = |held: &Held| match held {
            Held::Here(bytes) => bytes.clone(),
            Held::There { body: apart, .. } => body(*apart).unwrap_or_default(),
        };
        let metadata = bytes(&self.metadata);
        let metadata = match metadata.is_empty() {
            true => Metadata::default(),
            false => Metadata::from_stored(metadata)
                .map_err(|error| corrupt("an entry has metadata that cannot be read").caused_by(error))?,
        };
        Ok(Entry {
            address,
            value: Value::from_stored(bytes(&self.value), self.kind, self.encodings.clone()),
            version: self.version,
            revision: self.place.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            metadata,
        })
    }
}

fn millis(at: Timestamp) -> u64 {
    at.as_millis().cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::{Shown, entry_value};

    fn record() -> Record {
        Record {
            kind: ContentKind::Json,
            version: Version::new(3),
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::MAX,
            expires_at: Some(Timestamp::MAX),
            place: Place { revision: Revision::new(1 << 60), ordinal: 258 },
            encodings: "zstd,seal".parse().expect("valid"),
            metadata: Held::Here(Bytes::from_static(b"{\"a\":null}")),
            value: Held::Here(Bytes::from_static(b"\x00\xff")),
        }
    }

    fn apart() -> Record {
        let held = |tick, bytes, logged| Held::There { body: Body { tick, number: 2 }, bytes, logged };
        Record {
            kind: ContentKind::Opaque,
            expires_at: None,
            encodings: Encodings::default(),
            metadata: held(7, 513, false),
            value: held(8, 1 << 20, true),
            ..record()
        }
    }

    /// The bytes of the store: whoever changes them changes what stands in the maps of others.
    #[test]
    fn a_record_reads_back_and_its_form_stays() {
        let numbers = "000000000000000310000000000000000000000000000000".to_owned() + "0000e677cc8ba2ff";
        let short =
            format!("0101{numbers}0000e677cc8ba2ff010200090000000a000000027a7374642c7365616c7b2261223a6e756c6c7d00ff");
        let long = format!(
            "010e{numbers}ffffffffffffffff01020000000002010010000000000000000000070000000200000000000000080000000{}",
            "2"
        );
        for (record, form) in [(record(), short), (apart(), long)] {
            let bytes = record.write();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, form);
            assert_eq!(Record::read(&bytes).ok(), Some(record));
            assert!((0..bytes.len()).all(|length| Record::read(&bytes.slice(..length)).is_err()));
        }
    }

    /// What a map is told of where a value stands is where it stands.
    #[test]
    fn a_value_is_found_in_its_record() {
        let bytes = record().write();
        let Some(Shown::Here(range)) = entry_value(&bytes) else { panic!("it is short") };
        assert_eq!(&bytes[range], b"\x00\xff");
        let body = Body { tick: 8, number: 2 };
        assert_eq!(entry_value(&apart().write()), Some(Shown::There(crate::layout::body(body))));
        assert_eq!(entry_value(b"no record"), None);
    }

    #[test]
    fn an_entry_counts_what_it_holds_wherever_that_stands() {
        assert_eq!(record().bytes(b"a\0key"), 3 + 10 + 2);
        assert_eq!(apart().bytes(b"a\0key"), 3 + 513 + (1 << 20));
    }
}
