//! The state: all pairs as of one moment, in a file that is written once and never changed.
//!
//! A file `state-N` begins with [`TITLE`], and the journal from its file `N` on follows on what it says. Behind the title stand
//! blocks, all numbers with the lowest byte first: the length of the body (4 bytes), XXH3 of the body with the number of the
//! block as its seed (8 bytes), the body. The body of the first has the moment of the map (8 bytes); that of the last is empty,
//! and nothing comes behind it. The others have pairs in the order of their keys, each beginning with a byte:
//!
//! * 0: length and bytes of the key, length and bytes of the value;
//! * 1: length and bytes of the key; then where the value is, which is long: the number of an older file of the state, from
//!   which byte of that on, how many bytes, and their XXH3 (8 bytes each).
//!
//! Lengths have 4 bytes. An older file stays as long as half of it is still asked for.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Error, Result};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    disk::{Disk, File},
    error::explain,
    held::{Held, Long, Place, Stored},
};

/// What a file of the state begins with.
pub(crate) const TITLE: &[u8; 32] = b"the state of Larder, version 1\n\n";

/// The bytes before the body of a block.
pub(crate) const HEADER: usize = 12;

/// How long a block gets before it ends.
const BLOCK: usize = 64 << 10;

/// A pair with its value.
pub(crate) const HERE: u8 = 0;

/// A pair whose value is in an older file.
pub(crate) const THERE: u8 = 1;

/// The name of the file `number`.
pub(crate) fn name(number: u64) -> String {
    format!("state-{number}")
}

/// The name of the file `number` until it is finished.
pub(crate) fn unfinished(number: u64) -> String {
    format!("{}.new", name(number))
}

/// Writes a state, pair by pair.
#[derive(Debug)]
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    file: Arc<dyn File>,
    number: u64,
    /// What the file has.
    written: u64,
    blocks: u64,
    block: Vec<u8>,
    /// Values that can leave memory once all of it is safe, and where they are.
    settled: Vec<(Arc<Long>, u64)>,
}

impl Writer {
    /// Begins the file `number`, which has another name until it is finished.
    pub(crate) fn create(disk: Arc<dyn Disk>, number: u64, moment: u64) -> Result<Self> {
        let made = disk.create(&unfinished(number)).and_then(|file| file.write(0, TITLE).map(|()| file));
        let file = made.map_err(failed)?;
        let block = moment.to_le_bytes().to_vec();
        let written = TITLE.len() as u64;
        let mut writer = Self { disk, file, number, written, blocks: 0, block, settled: Vec::new() };
        writer.flush()?;
        Ok(writer)
    }

    /// Writes a pair; keys come in order. A long value that is in a file that `stays` says is left there.
    pub(crate) fn pair(&mut self, key: &Bytes, held: &Held, stays: impl Fn(u64) -> bool) -> Result<()> {
        if let Held::Long(long) = held
            && let Place::Stored(stored, at) = long.place()
            && stays(stored.number)
        {
            self.block.push(THERE);
            self.text(key);
            for number in [stored.number, at, long.length, long.hash] {
                self.block.extend(number.to_le_bytes());
            }
        } else {
            let value = held.value()?;
            self.block.push(HERE);
            self.text(key);
            self.text(&value);
            if let Held::Long(long) = held {
                let at = self.written + (HEADER + self.block.len() - value.len()) as u64;
                self.settled.push((long.clone(), at));
            }
        }
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    fn text(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("a batch keeps to the most that the map takes");
        self.block.extend(length.to_le_bytes());
        self.block.extend_from_slice(bytes);
    }

    fn flush(&mut self) -> Result<()> {
        let mut bytes = Vec::with_capacity(HEADER + self.block.len());
        let length = u32::try_from(self.block.len()).expect("a block ends before it is that long");
        bytes.extend(length.to_le_bytes());
        bytes.extend(xxh3_64_with_seed(&self.block, self.blocks).to_le_bytes());
        bytes.append(&mut self.block);
        self.file.write(self.written, &bytes).map_err(failed)?;
        self.written += bytes.len() as u64;
        self.blocks += 1;
        Ok(())
    }

    /// Makes the state safe, and the one that is found from now on. Answers its file.
    pub(crate) fn finish(mut self) -> Result<Arc<Stored>> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        self.flush()?;
        let finished = || {
            self.file.sync()?;
            self.disk.rename(&unfinished(self.number), &name(self.number))?;
            self.disk.sync_directory("")
        };
        finished().map_err(failed)?;
        let stored = Arc::new(Stored { number: self.number, file: self.file, length: self.written });
        for (long, at) in self.settled {
            long.settle(Place::Stored(stored.clone(), at));
        }
        Ok(stored)
    }
}

fn failed(error: std::io::Error) -> Error {
    explain("writing the state", error)
}
