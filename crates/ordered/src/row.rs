//! Rows of indexes as bytes that sort by term, then key.
//!
//! A term may hold any byte, so it ends with one that nothing in it can be taken for: each 00 of it is written as 00 FF, and
//! behind it stands 00 01. The key follows as it is.

use larder_core::{Key, Result, index::Term};

use crate::error::corrupt;

/// What every row of `term` begins with; as a bound, what every row of this term and of later ones comes behind.
pub(crate) fn beginning(term: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(term.len() + 2);
    for byte in term {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(0xff);
        }
    }
    bytes.extend_from_slice(&[0, 1]);
    bytes
}

/// What comes behind every row of `term`, and before those of later ones.
pub(crate) fn behind(term: &[u8]) -> Vec<u8> {
    let mut bytes = beginning(term);
    *bytes.last_mut().expect("a row begins with something") = 2;
    bytes
}

/// The parts of a row.
pub(crate) fn read(row: &[u8]) -> Result<(Term, Key)> {
    let mut term = Vec::with_capacity(row.len());
    let mut rest = row.iter();
    let odd = || corrupt("a row of an index cannot be read");
    loop {
        match *rest.next().ok_or_else(odd)? {
            0 => match rest.next() {
                Some(0xff) => term.push(0),
                Some(1) => break,
                _ => return Err(odd()),
            },
            byte => term.push(byte),
        }
    }
    Ok((Term::from_bytes(term), key(rest.as_slice())?))
}

fn key(bytes: &[u8]) -> Result<Key> {
    let key = std::str::from_utf8(bytes).ok().and_then(|text| Key::new(text).ok());
    key.ok_or_else(|| corrupt("an index names a key that nobody can have stored"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sort_by_term_then_key_and_read_back() {
        let bytes: [&[u8]; 11] =
            [b"", b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"a\0b", b"a\x01", b"\xff"];
        let terms = bytes.map(Term::from_bytes);
        assert!(terms.is_sorted());
        let keys = [" ", "a", "a!", "\u{10ffff}"].map(|key| Key::new(key).expect("valid"));
        let all: Vec<_> = terms.iter().flat_map(|term| keys.iter().map(move |key| (term.clone(), key.clone()))).collect();
        let rows: Vec<_> =
            all.iter().map(|(term, key)| [&*beginning(term.as_bytes()), key.as_str().as_bytes()].concat()).collect();
        assert!(rows.is_sorted());
        for ((term, key), row) in all.iter().zip(&rows) {
            assert_eq!(read(row).ok(), Some((term.clone(), key.clone())));
            for edge in &terms {
                assert_eq!(*row >= beginning(edge.as_bytes()), term >= edge, "{term:?} from {edge:?}");
                assert_eq!(*row >= behind(edge.as_bytes()), term > edge, "{term:?} behind {edge:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_row_is_not_read() {
        for bytes in [&b""[..], b"a", b"a\0", b"a\0\x02k", b"a\0\x01", b"a\0\x01\xff"] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
