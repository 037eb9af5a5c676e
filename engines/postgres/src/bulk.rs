//! Many new rows at once, as COPY takes them.
//!
//! A statement that inserts from arrays looks for a conflict over every row and logs every row by itself; COPY does neither,
//! and writes while the rest is still being put into its form. It takes an answer of the server more, so it is for many.

use bytes::{BufMut as _, Bytes, BytesMut};
use larder_core::{Address, ContentKind, Entry};

use crate::{group::Line, log::PLACES};

/// From how many rows on COPY is worth its answer.
pub(crate) const ROWS_MIN: usize = 256;

/// Rows of entries where nothing was.
pub(crate) const ENTRIES: &str = "COPY entries (namespace, key, version, revision, created_at, updated_at, expires_at, json, encodings, \
    metadata, value) FROM STDIN (FORMAT binary)";

/// Rows of the log over nothing.
pub(crate) const LINES: &str = "COPY log (place, at, kind, namespace, key) FROM STDIN (FORMAT binary)";

/// How many bytes are put into form before they are sent.
const CHUNK_BYTES: usize = 128 << 10;

const START: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;

/// The bytes of COPY for `rows`, in chunks, each made when it is asked for.
pub(crate) fn chunks<T>(rows: impl IntoIterator<Item = T>, write: impl Fn(&mut Cells, T)) -> impl Iterator<Item = Bytes> {
    let mut rows = rows.into_iter();
    let mut cells = Some(Cells(BytesMut::from(START)));
    std::iter::from_fn(move || {
        let mut now = cells.take()?;
        now.0.reserve(CHUNK_BYTES);
        while now.0.len() < CHUNK_BYTES {
            let Some(row) = rows.next() else {
                now.0.put_i16(END);
                return Some(now.0.freeze());
            };
            write(&mut now, row);
        }
        let chunk = now.0.split().freeze();
        cells = Some(now);
        Some(chunk)
    })
}

/// Rows in their binary form: how many cells, then each with its length.
pub(crate) struct Cells(BytesMut);

impl Cells {
    pub(crate) fn entry(&mut self, (address, entry): (&Address, &Entry)) {
        self.0.put_i16(11);
        self.bytes(address.namespace.as_str().as_bytes());
        self.bytes(address.key.as_str().as_bytes());
        self.number(entry.version.get().cast_signed());
        self.number(entry.revision.get().cast_signed());
        self.number(entry.created_at.as_millis());
        self.number(entry.updated_at.as_millis());
        match entry.expires_at {
            Some(at) => self.number(at.as_millis()),
            None => self.null(),
        }
        self.bytes(&[u8::from(entry.value.kind() == ContentKind::Json)]);
        match entry.value.encodings() {
            encodings if encodings.is_empty() => self.null(),
            encodings => self.bytes(encodings.to_string().as_bytes()),
        }
        match &entry.metadata {
            metadata if metadata.is_empty() => self.null(),
            metadata => self.bytes(metadata.as_str().as_bytes()),
        }
        self.bytes(entry.value.bytes());
    }

    pub(crate) fn line(&mut self, line: &Line) {
        self.0.put_i16(5);
        self.number(line.revision.get().cast_signed() * PLACES + line.ordinal);
        self.number(line.at.as_millis());
        self.bytes(line.kind.as_str().as_bytes());
        self.bytes(line.address.namespace.as_str().as_bytes());
        self.bytes(line.address.key.as_str().as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let length = i32::try_from(bytes.len()).expect("the limits of the engine are far below what COPY takes");
        self.0.put_i32(length);
        self.0.put_slice(bytes);
    }

    fn number(&mut self, number: i64) {
        self.0.put_i32(8);
        self.0.put_i64(number);
    }

    fn null(&mut self) {
        self.0.put_i32(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows in `bytes`, each with its cells.
    fn read(mut bytes: &[u8]) -> Vec<Vec<Option<Vec<u8>>>> {
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at(count);
            bytes = rest;
            taken.to_vec()
        };
        assert_eq!(take(START.len()), START);
        let mut rows = Vec::new();
        loop {
            let cells = i16::from_be_bytes(take(2).try_into().expect("two bytes"));
            if cells == END {
                assert!(bytes.is_empty(), "nothing comes behind the end");
                return rows;
            }
            let mut cell = || {
                let length = i32::from_be_bytes(take(4).try_into().expect("four bytes"));
                usize::try_from(length).ok().map(&mut take)
            };
            rows.push((0..cells).map(|_| cell()).collect());
        }
    }

    #[test]
    fn rows_are_whole_wherever_they_are_cut_into_chunks() {
        let sizes = [0, 1, CHUNK_BYTES - 40, 1, CHUNK_BYTES * 2, 0, CHUNK_BYTES - 1, 7];
        for count in 0..=sizes.len() {
            let row = |cells: &mut Cells, size: usize| {
                cells.0.put_i16(3);
                cells.bytes(&vec![7; size]);
                cells.null();
                cells.number(-2);
            };
            let chunks: Vec<Bytes> = chunks(sizes[..count].iter().copied(), row).collect();
            assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
            let number = (-2_i64).to_be_bytes().to_vec();
            let rows: Vec<_> =
                sizes[..count].iter().map(|size| vec![Some(vec![7; *size]), None, Some(number.clone())]).collect();
            assert_eq!(read(&chunks.concat()), rows);
        }
    }

    #[test]
    fn nothing_is_put_into_form_before_it_is_asked_for() {
        let made = std::cell::Cell::new(0);
        let row = |cells: &mut Cells, _| {
            made.set(made.get() + 1);
            cells.bytes(&[7; 1 << 10]);
        };
        let mut chunks = chunks(0..100_000, row);
        let first = chunks.next().expect("there is one");
        assert!(first.len() < CHUNK_BYTES + (2 << 10) && made.get() < 200, "{} rows", made.get());
    }
}
