//! Lines of the log as bytes: its place, when, what, how much it weighs, whether something was there before, where.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..10 | place: revision, ordinal |
//! | 10..18 | at |
//! | 18 | 1 created, 2 updated, 3 deleted, 4 expired |
//! | 19..27 | what it counts for in the log |
//! | 27 | 1 where an entry was there before |
//! | 28.. | NAMESPACE 00 KEY |

use bytes::BufMut as _;
use larder_core::{ChangeKind, Result, Timestamp};

use crate::{error::corrupt, layout::Place};

/// A change, but for its two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
    pub(crate) kind: ChangeKind,
    pub(crate) bytes: u64,
    pub(crate) has_before: bool,
    pub(crate) member: &'a [u8],
}

impl<'a> Line<'a> {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28 + self.member.len());
        bytes.put_slice(&self.place.bytes());
        bytes.put_u64(self.at.as_millis().cast_unsigned());
        bytes.put_u8(match self.kind {
            ChangeKind::Created => 1,
            ChangeKind::Updated => 2,
            ChangeKind::Deleted => 3,
            ChangeKind::Expired => 4,
        });
        bytes.put_u64(self.bytes);
        bytes.put_u8(u8::from(self.has_before));
        bytes.put_slice(self.member);
        bytes
    }

    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        let line = || {
            let number = |at: usize| Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
            let kind = match bytes.get(18)? {
                1 => ChangeKind::Created,
                2 => ChangeKind::Updated,
                3 => ChangeKind::Deleted,
                4 => ChangeKind::Expired,
                _ => return None,
            };
            Some(Self {
                place: Place::read(&bytes[..Place::BYTES])?,
                at: Timestamp::from_millis_saturating(number(10)?.cast_signed()),
                kind,
                bytes: number(19)?,
                has_before: *bytes.get(27)? == 1,
                member: bytes.get(28..)?,
            })
        };
        line().ok_or_else(|| corrupt("a line of the log cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use larder_core::Revision;

    use super::*;

    #[test]
    fn a_line_reads_back_and_its_form_stays() {
        let place = Place { revision: Revision::new(258), ordinal: 3 };
        let at = Timestamp::from_millis_saturating(5);
        let line = Line { place, at, kind: ChangeKind::Deleted, bytes: 7, has_before: true, member: b"a\0k" };
        let bytes = line.write();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0000000000000102000300000000000000050300000000000000070161006b");
        assert_eq!(Line::read(&bytes).ok(), Some(line));
        assert!((0..28).all(|length| Line::read(&bytes[..length]).is_err()));
        for kind in [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Expired] {
            assert_eq!(Line::read(&Line { kind, ..line }.write()).map(|line| line.kind).ok(), Some(kind));
        }
    }
}
