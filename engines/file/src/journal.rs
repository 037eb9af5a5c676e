//! The journal: every batch, in order, safe before it is acknowledged.
//!
//! It is made of files `journal-N`, one after the other; each begins with [`TITLE`] and has frames behind that. A file that
//! was ended says so, and only then is there anything in the next one.

use std::{io, sync::Arc};

use larder_core::{Error, ErrorKind, Result};

use crate::{
    disk::{Disk, File, read_all},
    error::{corrupt, explain},
    frame::{self, Body, Frame, HEADER, MAGIC},
};

/// What a file of the journal begins with.
pub(crate) const TITLE: &[u8; 32] = b"a journal of Larder, version 1\n\n";

/// How much may wait for a sync where nobody asks for one.
const WAITING_MAX: usize = 1 << 20;

/// The name of the file `number`.
pub(crate) fn name(number: u64) -> String {
    format!("journal-{number}")
}

/// The file that is written to.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    file: Arc<dyn File>,
    number: u64,
    /// Up to here are whole frames that were not refused.
    end: u64,
    /// What stands between what was synced and the end.
    waiting: Vec<u8>,
    /// Whether there may be something else behind the end, or something missing before it.
    torn: bool,
}

/// Why something was not written.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is not there, and never will be.
    Refused(Error),
    /// It may be there, or be found there after a crash; it goes as soon as the disk does what it is told.
    Unknown(Error),
}

impl Journal {
    /// Begins the file `number`, safe and empty.
    pub(crate) fn create(disk: Arc<dyn Disk>, number: u64) -> Result<Self> {
        let made = || {
            let file = disk.create(&name(number))?;
            file.write(0, TITLE)?;
            file.sync()?;
            disk.sync_directory("")?;
            Ok(file)
        };
        let file = made().map_err(|error| explain("beginning a new file of the journal", error))?;
        Ok(Self { disk: disk.clone(), file, number, end: TITLE.len() as u64, waiting: Vec::new(), torn: false })
    }

    /// Goes on in the file `number`, of which everything up to `end` is good. That is made safe first: a process that was
    /// killed may have left it in the hands of the system.
    pub(crate) fn resume(disk: Arc<dyn Disk>, number: u64, end: u64) -> Result<Self> {
        let resumed = || {
            let file = disk.open(&name(number))?;
            if file.length()? != end {
                file.truncate(end)?;
            }
            file.sync()?;
            Ok(file)
        };
        let file = resumed().map_err(|error| explain("going on with the journal", error))?;
        Ok(Self { disk, file, number, end, waiting: Vec::new(), torn: false })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn length(&self) -> u64 {
        self.end
    }

    /// How much of the file is safe.
    pub(crate) fn synced(&self) -> u64 {
        self.end - self.waiting.len() as u64
    }

    /// Writes what `frames` puts, and makes it safe where `sync` says so.
    ///
    /// What fails is taken back: only when that is safe is it refused.
    pub(crate) fn append(&mut self, sync: bool, frames: impl FnOnce(&mut Vec<u8>, u64, u64)) -> Result<(), Failure> {
        self.mend().map_err(Failure::Refused)?;
        let mut bytes = Vec::new();
        frames(&mut bytes, self.number, self.synced());
        if let Err(error) = self.write(&bytes, sync) {
            self.torn = true;
            let error = explain("writing to the journal", error);
            return Err(match self.mend() {
                Ok(()) => Failure::Refused(error),
                Err(_) => Failure::Unknown(error),
            });
        }
        self.end += bytes.len() as u64;
        if sync || self.waiting.len() + bytes.len() > WAITING_MAX {
            self.waiting.clear();
        } else {
            self.waiting.extend(bytes);
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.file.write(self.end, bytes)?;
        if sync || self.waiting.len() + bytes.len() > WAITING_MAX { self.file.sync() } else { Ok(()) }
    }

    /// Makes safe what waits for it.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.mend()?;
        if !self.waiting.is_empty() {
            if let Err(error) = self.file.sync() {
                self.torn = true;
                return Err(explain("syncing the journal", error));
            }
            self.waiting.clear();
        }
        Ok(())
    }

    /// Makes the file what it has to be after something failed.
    ///
    /// A sync that failed may have lost anything since the one before it, and a later one does not tell. So what has waited
    /// is written once more.
    fn mend(&mut self) -> Result<()> {
        if !self.torn {
            return Ok(());
        }
        let mended = || {
            if !self.waiting.is_empty() {
                self.file.write(self.synced(), &self.waiting)?;
            }
            self.file.truncate(self.end)?;
            self.file.sync()
        };
        mended().map_err(|error| explain("taking back what could not be written to the journal", error))?;
        self.waiting.clear();
        self.torn = false;
        Ok(())
    }

    /// Ends this file and begins the next one.
    pub(crate) fn roll(&mut self, moment: u64) -> Result<()> {
        self.mend()?;
        let next = Self::create(self.disk.clone(), self.number + 1)?;
        match self.append(true, |out, number, synced| frame::end(out, number, moment, synced)) {
            Ok(()) => *self = next,
            // The file that was begun is empty and is begun once more when it is needed.
            Err(Failure::Refused(error) | Failure::Unknown(error)) => return Err(error),
        }
        Ok(())
    }
}

/// What a file of the journal holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) frames: Vec<Frame>,
    /// Where the last good frame ends.
    pub(crate) end: u64,
    /// Whether the journal goes on in the next file.
    pub(crate) ended: bool,
}

/// Reads the file `number`.
///
/// What a crash has left of frames that nobody was told of is passed over.
///
/// # Errors
/// `Corrupt` when a frame is damaged that was safe once: one behind it says so.
pub(crate) fn read(disk: &dyn Disk, number: u64) -> Result<Contents> {
    let name = name(number);
    let failed = |error| explain(&format!("reading {name}"), error);
    let bytes = disk.open(&name).and_then(|file| read_all(&*file)).map_err(failed)?;
    if bytes.get(..TITLE.len()) != Some(TITLE) {
        // The title was made safe before anything was written behind it.
        return match last_good(&bytes, 0, number) {
            None if bytes.len() <= TITLE.len() => Ok(Contents { frames: Vec::new(), end: 0, ended: false }),
            _ => Err(corrupt(format_args!("{name} does not begin as a journal does"))),
        };
    }
    let mut contents = Contents { frames: Vec::new(), end: TITLE.len() as u64, ended: false };
    let mut at = TITLE.len();
    while let Some(frame) = frame::read(&bytes[at..], number) {
        at += frame.length;
        contents.ended = frame.body == Body::End;
        contents.frames.push(frame);
        if contents.ended {
            break;
        }
    }
    contents.end = at as u64;
    if let Some(frame) = last_good(&bytes, at, number).filter(|frame| frame.synced > contents.end || contents.ended) {
        let (end, synced) = (contents.end, frame.synced);
        return Err(corrupt(format_args!("{name} is good up to byte {end}, and was safe up to byte {synced}")));
    }
    Ok(contents)
}

/// The good frame behind byte `at` that knows most of what was synced.
fn last_good(bytes: &[u8], at: usize, number: u64) -> Option<Frame> {
    let behind = bytes.get(at + 1..)?;
    let starts = behind.windows(HEADER).enumerate().filter(|(_, start)| start[..4] == MAGIC);
    starts.filter_map(|(start, _)| frame::read(&behind[start..], number)).max_by_key(|frame| frame.synced)
}

/// What is said when a disk cannot be written to for good.
pub(crate) fn refused(failure: Failure) -> Error {
    match failure {
        Failure::Refused(error) => error,
        Failure::Unknown(error) => error.as_kind(ErrorKind::Unavailable, "the journal cannot be written to"),
    }
}
