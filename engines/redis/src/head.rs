//! The state: what a store is and what it counts, in one string.
//!
//! Whoever changes anything replaces it by one with a later tick, and only if nobody has since the change was decided on.
//! So no two states are ever the same, and nothing has changed where the state has not.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | `larder`, 00, and the version of the layout |
//! | 8..24 | the identity of the store |
//! | 24..96 | tick, lineage, revision, oldest, ids_since, changes, entries, bytes, log_bytes |
//! | 96.. | the life of the server that the latest commits hang on, if they do |

use bytes::BufMut as _;
use larder_core::{Error, ErrorKind, Lineage, Result, Revision, StoreId, Timestamp, Usage};

use crate::error::corrupt;

const MARK: &[u8; 7] = b"larder\0";

/// The version of the layout that we know.
pub(crate) const VERSION: u8 = 1;

/// The state of a store.
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
    /// See `lineage.rs`; empty where nothing can be lost.
    pub(crate) life: String,
}

impl Head {
    /// The state of a store in which nothing has happened.
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
            life: String::new(),
        }
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let Usage { entries, bytes, log_bytes } = self.usage;
        let mut state = Vec::with_capacity(96 + self.life.len());
        state.put_slice(MARK);
        state.put_u8(VERSION);
        state.put_slice(self.store.as_bytes());
        let since = self.ids_since.as_millis().cast_unsigned();
        let (lineage, revision, oldest) = (self.lineage.get(), self.revision.get(), self.oldest.get());
        for number in [self.tick, lineage, revision, oldest, since, self.changes, entries, bytes, log_bytes] {
            state.put_u64(number);
        }
        state.put_slice(self.life.as_bytes());
        state
    }

    /// The state written as `state`.
    ///
    /// # Errors
    /// `Invalid` when this is nothing of ours, `Unsupported` when it is of a newer version.
    pub(crate) fn read(state: &[u8]) -> Result<Self> {
        let Some((version, rest)) = state.strip_prefix(MARK).and_then(<[u8]>::split_first) else {
            let message =
                "what stands under the prefix belongs to another program, not to a Larder store; it was left as it is";
            return Err(Error::invalid(message).engine("redis"));
        };
        if *version > VERSION {
            let message = format!(
                "what stands under the prefix was written by a newer Larder: its version is {version}, this one knows {VERSION}; \
                 update Larder"
            );
            return Err(Error::new(ErrorKind::Unsupported, message).engine("redis"));
        }
        Self::parse(rest).ok_or_else(|| corrupt("its state cannot be read"))
    }

    /// The revision in `state`, if it is the state of `store`; what is asked most often is answered without reading the rest.
    pub(crate) fn revision_of(state: &[u8], store: StoreId) -> Option<Revision> {
        let rest = state.strip_prefix(MARK)?.strip_prefix(&[VERSION])?.strip_prefix(store.as_bytes())?;
        // Behind tick and lineage; as long as a state is.
        let revision = rest.get(16..72)?.first_chunk()?;
        Some(Revision::new(u64::from_be_bytes(*revision)))
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
pub(crate) fn write_usage(usage: Usage) -> Vec<u8> {
    [usage.entries, usage.bytes, usage.log_bytes].iter().flat_map(|number| number.to_be_bytes()).collect()
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
            life: "ab".to_owned(),
            ..Head::new(StoreId::from_bytes([0xee; 16]))
        }
    }

    #[test]
    fn a_state_reads_back_and_its_form_stays() {
        let bytes = head().write();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = [1, 2, 3, 1 << 60, 5, 6, 7, 8, 9].map(|number: u64| format!("{number:016x}")).concat();
        assert_eq!(hex, format!("6c617264657200{:02x}{}{numbers}6162", 1, "ee".repeat(16)));
        assert_eq!(Head::read(&bytes).ok(), Some(head()));
        assert_eq!(Head::revision_of(&bytes, head().store), Some(head().revision));
        assert_eq!(Head::revision_of(&bytes, StoreId::from_bytes([1; 16])), None);
        assert_eq!(Head::revision_of(&bytes[..95], head().store), None);
        assert_eq!(read_usage(&write_usage(head().usage)).ok(), Some(head().usage));
        assert!(read_usage(&[0; 23]).is_err());
    }

    #[test]
    fn what_is_not_ours_and_what_is_newer_is_told_apart() {
        let kind = |bytes: &[u8]| Head::read(bytes).map_err(|error| error.kind());
        let mut newer = head().write();
        newer[7] = VERSION + 1;
        assert_eq!(kind(&newer), Err(ErrorKind::Unsupported));
        assert_eq!(kind(b"something else"), Err(ErrorKind::Invalid));
        assert_eq!(kind(b""), Err(ErrorKind::Invalid));
        assert_eq!(kind(&head().write()[..95]), Err(ErrorKind::Corrupt));
    }
}
