//! Frames: what the journal is made of, as bytes.
//!
//! A frame is a header of 32 bytes and a body, all numbers with the lowest byte first:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `LDRf` |
//! | 4 | the length of the body |
//! | 8 | the moment of the map: one more with each batch |
//! | 8 | how much of this file was synced when the frame was written |
//! | 8 | XXH3 of the 24 bytes before this and of the body, with the number of the file as its seed |
//!
//! A body begins with a byte that says what it is. Of a batch (1) there follow the number of puts, the puts, each a length, a
//! key, a length and a value, and then the deletes, each a length and a key. Numbers and lengths in bodies have 4 bytes.
//! That files of entries are safe up to this moment (2), that the journal goes on in the next file (3), and that everything
//! before was synced (4) have nothing more.

use bytes::Bytes;
use larder_ordered::Batch;
use xxhash_rust::xxh3::Xxh3;

/// What every frame begins with.
pub(crate) const MAGIC: [u8; 4] = *b"LDRf";

/// The bytes before the body.
pub(crate) const HEADER: usize = 32;

const BATCH: u8 = 1;
const SETTLED: u8 = 2;
const END: u8 = 3;
const SYNCED: u8 = 4;

/// What stands in a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Writes that happened at this moment.
    Batch(Vec<(Bytes, Option<Bytes>)>),
    /// The files of entries are as of this moment, and safe.
    Settled,
    /// The journal goes on in the next file.
    End,
    /// Everything before was synced. It says so by being there: what is damaged before it was safe once.
    Synced,
}

/// A frame as it was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) moment: u64,
    /// How much of the file was synced when this was written.
    pub(crate) synced: u64,
    pub(crate) body: Body,
    /// How many bytes it takes.
    pub(crate) length: usize,
}

/// Writes a frame of `body` behind `out`.
fn put(out: &mut Vec<u8>, number: u64, moment: u64, synced: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; HEADER - 4]);
    body(out);
    let length = u32::try_from(out.len() - start - HEADER).expect("a batch keeps to the most that the map takes");
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    out[start + 8..start + 16].copy_from_slice(&moment.to_le_bytes());
    out[start + 16..start + 24].copy_from_slice(&synced.to_le_bytes());
    let hash = digest(&out[start..], number);
    out[start + 24..start + 32].copy_from_slice(&hash.to_le_bytes());
}

fn digest(frame: &[u8], number: u64) -> u64 {
    let mut digest = Xxh3::with_seed(number);
    digest.update(&frame[..24]);
    digest.update(&frame[HEADER..]);
    digest.digest()
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("a batch keeps to the most that the map takes").to_le_bytes());
}

/// A frame for `batch`, in the file `number`.
pub(crate) fn batch(out: &mut Vec<u8>, number: u64, moment: u64, synced: u64, batch: &Batch) {
    put(out, number, moment, synced, |out| {
        out.push(BATCH);
        count(out, 1 + batch.puts.len());
        for (key, value) in std::iter::once(&batch.guard).chain(&batch.puts) {
            text(out, key);
            text(out, value);
        }
        batch.deletes.iter().for_each(|key| text(out, key));
    });
}

/// A frame that says that the files of entries are safe.
pub(crate) fn settled(out: &mut Vec<u8>, number: u64, moment: u64, synced: u64) {
    put(out, number, moment, synced, |out| out.push(SETTLED));
}

/// A frame that says that the next file goes on.
pub(crate) fn end(out: &mut Vec<u8>, number: u64, moment: u64, synced: u64) {
    put(out, number, moment, synced, |out| out.push(END));
}

/// A frame that says that everything before it was synced.
pub(crate) fn synced(out: &mut Vec<u8>, number: u64, moment: u64, synced: u64) {
    put(out, number, moment, synced, |out| out.push(SYNCED));
}

/// The frame that `bytes` begin with, in the file `number`; `None` when there is none, or a part of one.
pub(crate) fn read(bytes: &[u8], number: u64) -> Option<Frame> {
    let (header, _) = bytes.split_at_checked(HEADER)?;
    let word = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    if header[..4] != MAGIC {
        return None;
    }
    let length = HEADER + usize::try_from(word(4)? & u64::from(u32::MAX)).ok()?;
    let frame = bytes.get(..length)?;
    if digest(frame, number) != word(24)? {
        return None;
    }
    Some(Frame { moment: word(8)?, synced: word(16)?, body: body(&frame[HEADER..])?, length })
}

fn body(bytes: &[u8]) -> Option<Body> {
    let (kind, mut rest) = bytes.split_first()?;
    match *kind {
        SETTLED => Some(Body::Settled),
        END => Some(Body::End),
        SYNCED => Some(Body::Synced),
        BATCH => {
            let puts = take_count(&mut rest)?;
            let mut writes = Vec::new();
            for _ in 0..puts {
                let key = take_text(&mut rest)?;
                writes.push((key, Some(take_text(&mut rest)?)));
            }
            while !rest.is_empty() {
                writes.push((take_text(&mut rest)?, None));
            }
            Some(Body::Batch(writes))
        }
        _ => None,
    }
}

fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let (count, behind) = rest.split_first_chunk()?;
    *rest = behind;
    usize::try_from(u32::from_le_bytes(*count)).ok()
}

fn take_text(rest: &mut &[u8]) -> Option<Bytes> {
    let length = take_count(rest)?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(Bytes::copy_from_slice(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Batch {
        Batch {
            guard: (Bytes::from("g"), Bytes::from("7")),
            puts: vec![(Bytes::from("k"), Bytes::new())],
            deletes: vec![Bytes::from("old")],
        }
    }

    /// The bytes are the format: whoever changes them writes a new version of it, and reads this one.
    #[test]
    fn the_bytes_of_a_frame_stay_what_they_are() {
        let mut bytes = Vec::new();
        batch(&mut bytes, 3, 0x0102, 32, &sample());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = "4c445266".to_owned() + "1f000000" + "0201000000000000" + "2000000000000000";
        let body = "01".to_owned() + "02000000" + "0100000067" + "0100000037" + "010000006b" + "00000000" + "030000006f6c64";
        assert_eq!((&hex[..48], &hex[64..]), (&*header, &*body));
        assert_eq!(&hex[48..64], "383927f8e09bc586");
    }

    #[test]
    fn a_frame_reads_back_whole_or_not_at_all() {
        let mut bytes = Vec::new();
        batch(&mut bytes, 3, 9, 0, &sample());
        let frame = read(&bytes, 3).expect("it is whole");
        let put = |key: &'static str, value: &'static str| (Bytes::from(key), Some(Bytes::from(value)));
        assert_eq!(frame.body, Body::Batch(vec![put("g", "7"), put("k", ""), (Bytes::from("old"), None)]));
        assert_eq!((frame.moment, frame.length), (9, bytes.len()));
        assert!(read(&bytes, 4).is_none(), "it is of another file");
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at], 3).is_none(), "{at} bytes");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(read(&damaged, 3).is_none(), "byte {at}");
        }
    }
}
