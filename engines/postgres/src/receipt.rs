//! Receipts as text: what is remembered of commits.

use std::fmt::Write as _;

use larder_core::{Receipt, Result, Revision, Version, Written, engine::Resolution};
use tokio_postgres::Row;

use crate::{
    error::corrupt,
    row::{cell, revision},
};

/// What is remembered of an id, in the columns `first` (its revision) and the next (its receipt).
pub(crate) fn read(row: &Row, first: usize) -> Result<Resolution> {
    let Some(text) = cell::<Option<&str>>(row, first + 1)? else { return Ok(Resolution::Never) };
    parse(revision(row, first)?, text).map(Resolution::Committed).ok_or_else(|| corrupt("a receipt cannot be read"))
}

fn parse(revision: Revision, text: &str) -> Option<Receipt> {
    let rows: Vec<Vec<i64>> = serde_json::from_str(text).ok()?;
    let writes = rows.into_iter().map(|row| {
        let (version, existed, number) = match *row {
            [version, existed] => (version, existed, None),
            [version, existed, number] => (version, existed, Some(number)),
            _ => return None,
        };
        Some(Written { version: Version::new(version.cast_unsigned()), existed: existed != 0, number })
    });
    Some(Receipt { revision, writes: writes.collect::<Option<_>>()? })
}

/// The writes of a receipt.
pub(crate) fn write(receipt: &Receipt) -> String {
    let mut text = String::from("[");
    for (index, written) in receipt.writes.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let number = written.number.map_or_else(String::new, |number| format!(",{number}"));
        write!(text, "{comma}[{},{}{number}]", written.version, u8::from(written.existed))
            .expect("writing to a String does not fail");
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back() {
        let written = |version, existed, number| Written { version: Version::new(version), existed, number };
        let writes = vec![written(0, true, None), written(7, false, Some(i64::MIN)), written(1 << 60, true, Some(0))];
        let receipt = Receipt { revision: Revision::new(9), writes };
        assert_eq!(write(&receipt), "[[0,1],[7,0,-9223372036854775808],[1152921504606846976,1,0]]");
        assert_eq!(parse(Revision::new(9), &write(&receipt)), Some(receipt));
        assert_eq!(parse(Revision::ZERO, "[[1]]"), None);
    }
}
