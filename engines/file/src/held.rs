//! What is held in memory of a value: all of it, or where it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use larder_core::Result;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    disk::File,
    error::{corrupt, explain},
};

/// A value of the map.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// All of it.
    Short(Bytes),
    /// One that leaves memory once it is in a state.
    Long(Arc<Long>),
}

/// A long value.
#[derive(Debug)]
pub(crate) struct Long {
    pub(crate) length: u64,
    /// What it hashes to.
    pub(crate) hash: u64,
    place: Mutex<Place>,
}

/// Where a long value is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Here.
    Memory(Bytes),
    /// In a state, from a byte on.
    Stored(Arc<Stored>, u64),
}

/// A file of the state: written once, never changed, and there as long as anybody has it open.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn File>,
    /// How long it is.
    pub(crate) length: u64,
}

/// What bytes hash to.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

impl Held {
    /// `value`, which is in memory alone; more than `small` bytes are long.
    pub(crate) fn new(value: Bytes, small: usize) -> Self {
        if value.len() <= small {
            Self::Short(value)
        } else {
            let (length, hash) = (value.len() as u64, hash(&value));
            Self::Long(Arc::new(Long::new(length, hash, Place::Memory(value))))
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        match self {
            Self::Short(value) => hash(value),
            Self::Long(long) => long.hash,
        }
    }

    /// The value, if it is in memory.
    pub(crate) fn at_hand(&self) -> Option<Bytes> {
        match self {
            Self::Short(value) => Some(value.clone()),
            Self::Long(long) => match &*long.lock() {
                Place::Memory(value) => Some(value.clone()),
                Place::Stored(..) => None,
            },
        }
    }

    /// The value, wherever it is.
    ///
    /// # Errors
    /// `Corrupt` when it is not what was written.
    pub(crate) fn value(&self) -> Result<Bytes> {
        match self {
            Self::Short(value) => Ok(value.clone()),
            Self::Long(long) => long.value(),
        }
    }
}

impl Long {
    pub(crate) fn new(length: u64, hash: u64, place: Place) -> Self {
        Self { length, hash, place: Mutex::new(place) }
    }

    pub(crate) fn place(&self) -> Place {
        self.lock().clone()
    }

    /// It can be read at `place` from now on, and leaves memory.
    pub(crate) fn settle(&self, place: Place) {
        *self.lock() = place;
    }

    fn value(&self) -> Result<Bytes> {
        let (stored, at) = match self.place() {
            Place::Memory(value) => return Ok(value),
            Place::Stored(stored, at) => (stored, at),
        };
        let name = crate::state::name(stored.number);
        let length = usize::try_from(self.length).map_err(|_| corrupt("a value is longer than memory"))?;
        let value = stored.file.read(at, length).map_err(|error| explain(&format!("reading a value from {name}"), error))?;
        if hash(&value) != self.hash {
            return Err(corrupt(format_args!("{name} does not hold what was written there from byte {at} on")));
        }
        Ok(value.into())
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
