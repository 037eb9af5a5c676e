//! The head: what a store is and what it counts, in one record.
//!
//! It guards every batch. Whoever changes anything replaces it by one with a later tick, and only if it still is what the change
//! was decided on. So no two heads are ever the same, and nothing has changed where the head has not.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | `larder`, 00, and the version of the layout |
//! | 8..24 | the identity of the store |
//! | 24..112 | tick, lineage, revision, oldest, ids_since, changes, entries, bytes, log_bytes, setup, indexes |
//! | 112.. | the life of the machine that the latest commits hang on, if they do |

use bytes::{BufMut as _, Bytes};
use larder_core::{Error, ErrorKind, Lineage, Result, Revision, StoreId, Timestamp, Usage};

use crate::error::corrupt;

const MARK: &[u8; 7] = b"larder\0";

/// What is told about a map that holds something else.
pub(crate) fn foreign() -> Error {
    Error::invalid("what is there belongs to another program, not to a Larder store; it was left as it is")
}

/// The version of the layout that we know.
pub(crate) const VERSION: u8 = 1;

/// The head of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) store: StoreId,
    /// One more with every change, also with those that take no revision.
    pub(crate) tick: u64,
    pub(crate) lineage: Lineage,
    pub(crate) revision: Revision,
    /// The log holds what came after this revision, but for namespaces that say otherwise.
    pub(crate) oldest: Revision,
    /// Ids made before this moment are forgotten.
    pub(crate) ids_since: Timestamp,
    /// How many changes the log holds.
    pub(crate) changes: u64,
    /// What all namespaces take together.
    pub(crate) usage: Usage,
    /// The tick in which the indexes, or how far back namespaces reach, changed last.
    pub(crate) setup: u64,
    /// The number of the latest index.
    pub(crate) indexes: u64,
    /// See `lineage.rs`; empty where nothing can be lost.
    pub(crate) life: String,
}

impl Head {
    /// The head of a store in which nothing has happened.
    pub(crate) fn new(store: StoreId) -> Self {
        Self {
            store,
            tick: 0,
            lineage: Lineage::ZERO,
            revision: Revision::ZERO,
            oldest: Revision::ZERO,
            ids_since: Timestamp::EPOCH,
            changes: 0,
            usage: Usage::default(),
            setup: 0,
            indexes: 0,
            life: String::new(),
        }
    }

    pub(crate) fn write(&self) -> Bytes {
        let Usage { entries, bytes, log_bytes } = self.usage;
        let mut state = Vec::with_capacity(112 + self.life.len());
        state.put_slice(MARK);
        state.put_u8(VERSION);
        state.put_slice(self.store.as_bytes());
        let since = self.ids_since.as_millis().cast_unsigned();
        let (lineage, revision, oldest) = (self.lineage.get(), self.revision.get(), self.oldest.get());
        let counted = [since, self.changes, entries, bytes, log_bytes, self.setup, self.indexes];
        for number in [self.tick, lineage, revision, oldest].into_iter().chain(counted) {
            state.put_u64(number);
        }
        state.put_slice(self.life.as_bytes());
        state.into()
    }

    /// The head written as `state`.
    ///
    /// # Errors
    /// `Invalid` when this is nothing of ours, `Unsupported` when it is of a newer version.
    pub(crate) fn read(state: &[u8]) -> Result<Self> {
        let Some((version, rest)) = state.strip_prefix(MARK).and_then(<[u8]>::split_first) else {
            return Err(foreign());
        };
        if *version > VERSION {
            let message = format!(
                "the store was written by a newer Larder: its version is {version}, this one knows {VERSION}; update Larder"
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Self::parse(rest).ok_or_else(|| corrupt("its head cannot be read"))
    }

    fn parse(rest: &[u8]) -> Option<Self> {
        let (store, mut rest) = rest.split_first_chunk()?;
        let mut number = || {
            let (number, more) = rest.split_first_chunk()?;
            rest = more;
            Some(u64::from_be_bytes(*number))
        };
        Some(Self {
            store: StoreId::from_bytes(*store),
            tick: number()?,
            lineage: Lineage::new(number()?),
            revision: Revision::new(number()?),
            oldest: Revision::new(number()?),
            ids_since: Timestamp::from_millis_saturating(number()?.cast_signed()),
            changes: number()?,
            usage: Usage { entries: number()?, bytes: number()?, log_bytes: number()? },
            setup: number()?,
            indexes: number()?,
            life: String::from_utf8(rest.to_vec()).ok()?,
        })
    }

    /// From here on a namespace that took `before` takes `after`.
    pub(crate) fn count(&mut self, before: Usage, after: Usage) {
        let total = &mut self.usage;
        total.entries = (total.entries + after.entries).saturating_sub(before.entries);
        total.bytes = (total.bytes + after.bytes).saturating_sub(before.bytes);
        total.log_bytes = (total.log_bytes + after.log_bytes).saturating_sub(before.log_bytes);
    }
}

/// What a namespace takes, as it is stored.
pub(crate) fn write_usage(usage: Usage) -> Bytes {
    [usage.entries, usage.bytes, usage.log_bytes].map(u64::to_be_bytes).concat().into()
}

/// What a namespace takes; of one that takes nothing, nothing is stored.
pub(crate) fn read_usage(bytes: &[u8]) -> Result<Usage> {
    let number = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|number| u64::from_be_bytes(*number));
    match (number(0), number(8), number(16)) {
        (Some(entries), Some(bytes), Some(log_bytes)) => Ok(Usage { entries, bytes, log_bytes }),
        _ => Err(corrupt("what a namespace takes cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            tick: 1,
            lineage: Lineage::new(2),
            revision: Revision::new(3),
            oldest: Revision::new(1 << 60),
            ids_since: Timestamp::from_millis_saturating(5),
            changes: 6,
            usage: Usage { entries: 7, bytes: 8, log_bytes: 9 },
            setup: 10,
            indexes: 11,
            life: "ab".to_owned(),
            ..Head::new(StoreId::from_bytes([0xee; 16]))
        }
    }

    #[test]
    fn a_head_reads_back_and_its_form_stays() {
        let bytes = head().write();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = "0000000000000001000000000000000200000000000000031000000000000000000000000000000500000000000000060000000000000007\
                       00000000000000080000000000000009000000000000000a000000000000000b";
        assert_eq!(hex, format!("6c617264657200{VERSION:02x}{}{numbers}6162", "ee".repeat(16)));
        assert_eq!(Head::read(&bytes).ok(), Some(head()));
    }

    #[test]
    fn what_is_newer_foreign_or_cut_off_is_told_apart() {
        let kind = |bytes: &[u8]| Head::read(bytes).map_err(|error| error.kind()).err();
        let bytes = head().write();
        let mut newer = bytes.to_vec();
        newer[7] += 1;
        assert_eq!(kind(&newer), Some(ErrorKind::Unsupported));
        assert_eq!(kind(&bytes[..111]), Some(ErrorKind::Corrupt));
        for foreign in [&b""[..], b"larder", b"somebody"] {
            assert_eq!(kind(foreign), Some(ErrorKind::Invalid), "{foreign:?}");
        }
    }

    #[test]
    fn a_usage_reads_back_and_its_form_stays() {
        let usage = Usage { entries: 1, bytes: 2, log_bytes: 1 << 60 };
        let bytes = write_usage(usage);
        assert_eq!(&*bytes, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 16, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read_usage(&bytes).ok(), Some(usage));
        assert!(read_usage(&bytes[..23]).is_err());
    }
}
