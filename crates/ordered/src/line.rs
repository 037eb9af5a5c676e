//! Changes as bytes: what the log tells of each, but for what the entry became.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | 1 created, 2 updated, 3 deleted, 4 expired |
//! | 1 | 1 where an entry was there before, 2 where its value is that of the entry after it, 4 where its metadata is |
//! | 2..18 | at, what it counts for in the log |
//! | 18..20 | length of the address |
//! | 20.. | NAMESPACE 00 KEY, and the record of the entry before |

use bytes::{BufMut as _, Bytes};
use larder_core::{ChangeKind, Result, Timestamp};

use crate::error::corrupt;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: ChangeKind,
    pub(crate) at: Timestamp,
    /// What it counts for in the log.
    pub(crate) bytes: u64,
    pub(crate) member: Bytes,
    /// The record of the entry before.
    pub(crate) before: Option<Bytes>,
    /// The entry after it has the very same value, standing by itself: what is forgotten with the change is not that.
    pub(crate) leaves_value: bool,
    /// The same of its metadata.
    pub(crate) leaves_metadata: bool,
}

impl Line {
    pub(crate) fn write(&self) -> Bytes {
        let before = self.before.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(20 + self.member.len() + before.len());
        bytes.put_u8(match self.kind {
            ChangeKind::Created => 1,
            ChangeKind::Updated => 2,
            ChangeKind::Deleted => 3,
            ChangeKind::Expired => 4,
        });
        let (value, metadata) = (u8::from(self.leaves_value), u8::from(self.leaves_metadata));
        bytes.put_u8(u8::from(self.before.is_some()) + 2 * value + 4 * metadata);
        bytes.put_u64(self.at.as_millis().cast_unsigned());
        bytes.put_u64(self.bytes);
        bytes.put_u16(u16::try_from(self.member.len()).expect("names and keys have limits"));
        bytes.put_slice(&self.member);
        bytes.put_slice(before);
        bytes.into()
    }

    pub(crate) fn read(bytes: &Bytes) -> Result<Self> {
        Self::parse(bytes).ok_or_else(|| corrupt("a line of the log cannot be read"))
    }

    fn parse(bytes: &Bytes) -> Option<Self> {
        let number = |at: usize| Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let kind = match bytes.first()? {
            1 => ChangeKind::Created,
            2 => ChangeKind::Updated,
            3 => ChangeKind::Deleted,
            4 => ChangeKind::Expired,
            _ => return None,
        };
        let flags = *bytes.get(1)?;
        let length = u16::from_be_bytes(*bytes.get(18..)?.first_chunk()?);
        let end = Some(20 + usize::from(length)).filter(|end| *end <= bytes.len())?;
        Some(Self {
            kind,
            at: Timestamp::from_millis_saturating(number(2)?.cast_signed()),
            bytes: number(10)?,
            member: bytes.slice(20..end),
            before: (flags & 1 != 0).then(|| bytes.slice(end..)),
            leaves_value: flags & 2 != 0,
            leaves_metadata: flags & 4 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_its_form_stays() {
        let line = Line {
            kind: ChangeKind::Deleted,
            at: Timestamp::from_millis_saturating(5),
            bytes: 7,
            member: Bytes::from_static(b"a\0k"),
            before: Some(Bytes::from_static(b"before")),
            leaves_value: true,
            leaves_metadata: false,
        };
        let bytes = line.write();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "030300000000000000050000000000000007000361006b6265666f7265");
        assert_eq!(Line::read(&bytes).ok().as_ref(), Some(&line));
        assert!((0..23).all(|length| Line::read(&bytes.slice(..length)).is_err()));
        for kind in [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Expired] {
            let line = Line { kind, before: None, leaves_value: false, leaves_metadata: true, ..line.clone() };
            assert_eq!(Line::read(&line.write()).ok(), Some(line));
        }
    }
}
