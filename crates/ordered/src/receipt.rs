//! Receipts as bytes: what is remembered of commits. A fenced id has none, which is no bytes at all.

use bytes::{BufMut as _, Bytes};
use larder_core::{Receipt, Result, Revision, Version, Written, engine::Resolution};

use crate::error::corrupt;

const EXISTED: u8 = 1;
const NUMBER: u8 = 2;

/// The revision, and for each write its version, whether the entry was there, and the number it arrived at.
pub(crate) fn write(receipt: &Receipt) -> Bytes {
    let mut bytes = Vec::with_capacity(8 + 9 * receipt.writes.len());
    bytes.put_u64(receipt.revision.get());
    for written in &receipt.writes {
        bytes.put_u64(written.version.get());
        bytes.put_u8(u8::from(written.existed) * EXISTED + u8::from(written.number.is_some()) * NUMBER);
        if let Some(number) = written.number {
            bytes.put_i64(number);
        }
    }
    bytes.into()
}

/// What is remembered of an id that nothing may happen under.
pub(crate) fn fence() -> Bytes {
    Bytes::new()
}

/// What is remembered of an id.
pub(crate) fn read(bytes: &[u8]) -> Result<Resolution> {
    if bytes.is_empty() {
        return Ok(Resolution::Never);
    }
    parse(bytes).map(Resolution::Committed).ok_or_else(|| corrupt("a receipt cannot be read"))
}

fn parse(bytes: &[u8]) -> Option<Receipt> {
    let (revision, mut rest) = bytes.split_first_chunk()?;
    let mut writes = Vec::with_capacity(rest.len() / 9);
    while let Some((version, more)) = rest.split_first_chunk() {
        let (flags, more) = more.split_first()?;
        let (number, more) = match flags & NUMBER {
            0 => (None, more),
            _ => more.split_first_chunk().map(|(number, more)| (Some(i64::from_be_bytes(*number)), more))?,
        };
        let version = Version::new(u64::from_be_bytes(*version));
        writes.push(Written { version, existed: flags & EXISTED != 0, number });
        rest = more;
    }
    rest.is_empty().then(|| Receipt { revision: Revision::new(u64::from_be_bytes(*revision)), writes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back() {
        let written = |version, existed, number| Written { version: Version::new(version), existed, number };
        let writes = vec![written(0, true, None), written(7, false, Some(i64::MIN)), written(1 << 60, true, Some(0))];
        let receipt = Receipt { revision: Revision::new(9), writes };
        let bytes = write(&receipt);
        assert_eq!(read(&bytes).ok(), Some(Resolution::Committed(receipt)));
        assert_eq!(read(b"").ok(), Some(Resolution::Never));
        // Cut between two writes it would be a shorter receipt; cut anywhere else it is none.
        let whole = [8, 17, 34, 51];
        assert!((1..bytes.len()).all(|length| read(&bytes[..length]).is_ok() == whole.contains(&length)));
    }
}
