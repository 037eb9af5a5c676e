//! Reading a state back.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use larder_core::Result;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    disk::Disk,
    error::{corrupt, explain},
    held::{Held, Long, Place, Stored, hash},
    state::{HEADER, HERE, THERE, TITLE, name},
};

/// What a state says.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) moment: u64,
    pub(crate) pairs: Vec<(Bytes, Option<Held>)>,
    /// The files that it is made of, the newest one included.
    pub(crate) files: BTreeMap<u64, Arc<Stored>>,
}

/// Reads the state `number`; values of more than `small` bytes stay where they are.
///
/// # Errors
/// `Corrupt` when a byte of it is not what was written, or a file that it needs is missing.
pub(crate) fn read(disk: &dyn Disk, number: u64, small: usize) -> Result<State> {
    let newest = open(disk, number)?;
    let mut reader = Reader { stored: newest.clone(), at: 0, blocks: 0 };
    if reader.take(TITLE.len())? != TITLE {
        return Err(reader.damaged());
    }
    let first = reader.block()?;
    let moment = first.as_slice().try_into().map(u64::from_le_bytes).map_err(|_| reader.damaged())?;
    let mut state = State { moment, pairs: Vec::new(), files: BTreeMap::from([(number, newest.clone())]) };
    loop {
        let start = reader.at + HEADER as u64;
        let block = reader.block()?;
        if block.is_empty() {
            break;
        }
        let mut rest = &*block;
        while !rest.is_empty() {
            let (key, found) = pair(&mut rest).ok_or_else(|| reader.damaged())?;
            let held = match found {
                Found::Here(value) if value.len() <= small => Held::Short(Bytes::copy_from_slice(value)),
                Found::Here(value) => {
                    let at = start + (block.len() - rest.len() - value.len()) as u64;
                    let long = Long::new(value.len() as u64, hash(value), Place::Stored(newest.clone(), at));
                    Held::Long(Arc::new(long))
                }
                Found::There { number, at, length, hash } => {
                    let stored = match state.files.get(&number) {
                        Some(stored) => stored.clone(),
                        None => state.files.entry(number).or_insert(open(disk, number)?).clone(),
                    };
                    if at.checked_add(length).is_none_or(|end| end > stored.length) {
                        return Err(corrupt(format_args!("{} is shorter than it was", name(number))));
                    }
                    Held::Long(Arc::new(Long::new(length, hash, Place::Stored(stored, at))))
                }
            };
            state.pairs.push((key, Some(held)));
        }
    }
    if reader.at == reader.stored.length { Ok(state) } else { Err(reader.damaged()) }
}

fn open(disk: &dyn Disk, number: u64) -> Result<Arc<Stored>> {
    let name = name(number);
    let opened = disk.open(&name).and_then(|file| file.length().map(|length| Stored { number, file, length }));
    match opened {
        Ok(stored) => Ok(Arc::new(stored)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(corrupt(format_args!("{name} is missing"))),
        Err(error) => Err(explain(&format!("reading {name}"), error)),
    }
}

struct Reader {
    stored: Arc<Stored>,
    at: u64,
    blocks: u64,
}

impl Reader {
    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        // Looked at before memory is asked for: a damaged length is any number.
        if self.stored.length - self.at < length as u64 {
            return Err(self.damaged());
        }
        let read = self.stored.file.read(self.at, length);
        let bytes = read.map_err(|error| explain(&format!("reading {}", name(self.stored.number)), error))?;
        self.at += length as u64;
        Ok(bytes)
    }

    fn block(&mut self) -> Result<Vec<u8>> {
        let header = self.take(HEADER)?;
        let mut rest = &*header;
        let (Some(length), Some(hash)) = (length(&mut rest), number(&mut rest)) else { return Err(self.damaged()) };
        let block = self.take(length)?;
        if xxh3_64_with_seed(&block, self.blocks) != hash {
            return Err(self.damaged());
        }
        self.blocks += 1;
        Ok(block)
    }

    fn damaged(&self) -> larder_core::Error {
        corrupt(format_args!("{} is not what was written, from about byte {} on", name(self.stored.number), self.at))
    }
}

/// Where a value was found.
enum Found<'a> {
    Here(&'a [u8]),
    There { number: u64, at: u64, length: u64, hash: u64 },
}

/// The pair that `rest` begins with, which is then what comes behind it.
fn pair<'a>(rest: &mut &'a [u8]) -> Option<(Bytes, Found<'a>)> {
    let (kind, behind) = rest.split_first()?;
    *rest = behind;
    let key = Bytes::copy_from_slice(text(rest)?);
    let found = match *kind {
        HERE => Found::Here(text(rest)?),
        THERE => Found::There { number: number(rest)?, at: number(rest)?, length: number(rest)?, hash: number(rest)? },
        _ => return None,
    };
    Some((key, found))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = length(rest)?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (length, behind) = rest.split_first_chunk()?;
    *rest = behind;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_le_bytes(*number))
}
