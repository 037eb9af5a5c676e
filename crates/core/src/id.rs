//! Numbers and names that identify: versions, revisions, stores, lineages, commits.

use std::{fmt, str::FromStr};

use crate::{
    error::{Error, Result},
    time::Timestamp,
};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Before the first one.
            pub const ZERO: Self = Self(0);

            /// The number `n`.
            pub const fn new(n: u64) -> Self {
                Self(n)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The next one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<u64> for $name {
            fn from(n: u64) -> Self {
                Self(n)
            }
        }
    };
}

counter! {
    /// How often an entry was written since it was created: 1 on creation, 0 means absent.
    Version
}
counter! {
    /// The number of a commit in its store: later commits have larger ones, with gaps.
    Revision
}
counter! {
    /// Which of its pasts a store has: it becomes another number when history may have changed, as in a copy or after a
    /// restore.
    ///
    /// Revisions of different lineages must not be compared. The numbers have no order.
    Lineage
}

fn hex(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

/// The identity of a store, drawn once when it is created. Printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId([u8; 16]);

/// The identity of one attempt to commit, known to the caller before it is sent. Printed as 32 hex digits.
///
/// The first 48 bits are the milliseconds at which it was made, as in a UUID of version 7 (RFC 9562), the rest is
/// random. So ids sort by age, and whether a store can still remember an id is seen by looking at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId([u8; 16]);

impl CommitId {
    /// An id made at `now` from random bits, of which 80 are used.
    pub fn new(now: Timestamp, random: u128) -> Self {
        let time = (now.as_millis() as u128) << 80;
        Self((time | (random >> 48)).to_be_bytes())
    }

    /// When the id was made.
    pub fn made_at(self) -> Timestamp {
        let millis = u128::from_be_bytes(self.0) >> 80;
        Timestamp::from_millis_saturating(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

macro_rules! identity {
    ($name:ident, $what:literal) => {
        impl $name {
            /// The identity with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                parse_hex(text).map(Self).ok_or_else(|| Error::invalid(concat!("a ", $what, " id is 32 hex digits")))
            }
        }
    };
}

identity!(StoreId, "store");
identity!(CommitId, "commit");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_id_sorts_by_its_time_and_reads_back() {
        let early = CommitId::new(Timestamp::from_millis_saturating(1_000), u128::MAX);
        let late = CommitId::new(Timestamp::from_millis_saturating(1_001), 0);
        assert!(early < late);
        assert_eq!(early.made_at().as_millis(), 1_000);
        assert_eq!(early.to_string().parse::<CommitId>().ok(), Some(early));
        assert!("x".repeat(32).parse::<CommitId>().is_err() && "+1".parse::<CommitId>().is_err());
    }
}
