//! Commits: checks and writes, all or nothing; and what becomes of them.

use std::fmt;

use bytes::Bytes;

use crate::{
    address::{Address, Range},
    id::{CommitId, Revision, Version},
    index::Index,
    metadata::Metadata,
    namespace::Namespace,
    time::Timestamp,
    value::Value,
};

/// One atomic step of a store: every check holds and every write happens, or nothing does.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Known before the commit is sent: sent again under the same id it happens once and answers the same.
    pub id: CommitId,
    /// The caller's clock. It decides what is expired, and stands in `created_at` and `updated_at`.
    pub now: Timestamp,
    /// Conditions on the state before.
    pub checks: Vec<Check>,
    /// What to change; no address twice.
    pub writes: Vec<Write>,
}

/// A condition on the state before a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// On one entry.
    Key {
        /// Whose.
        address: Address,
        /// What must hold.
        condition: Condition,
    },
    /// Nothing in `range` has changed after revision `since`, and no entry of it expires between `read_at` and the
    /// commit's `now`, whichever of the two is earlier: what the one sees is what the other saw.
    ///
    /// When the log no longer reaches back to `since`, that is a conflict: nobody can know.
    Unchanged {
        /// Which addresses.
        range: Range,
        /// The revision at which they were read.
        since: Revision,
        /// The `now` with which they were read.
        read_at: Timestamp,
    },
    /// What `namespace` takes does not grow beyond `quota` by this commit: the only check that looks at the state after.
    ///
    /// What does not grow passes, also where there is too much of it already.
    Quota {
        /// Whose.
        namespace: Namespace,
        /// How much.
        quota: Quota,
    },
}

/// How much a namespace may take; `None` is without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Stored entries.
    pub entries: Option<u64>,
    /// Their bytes: keys, values and metadata.
    pub bytes: Option<u64>,
    /// The bytes of its changes in the log. Deleting adds to them, too.
    pub log_bytes: Option<u64>,
}

/// What must hold for one entry; an expired one is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is not there.
    Absent,
    /// It is there.
    Exists,
    /// It has this version; version 0 is the same as absent.
    Version(Version),
    /// It was written last at this revision.
    Revision(Revision),
    /// It is there and its value has these bytes.
    Value(Bytes),
}

/// A change to one entry.
#[derive(Clone, Debug)]
pub struct Write {
    /// Whose.
    pub address: Address,
    /// What to do.
    pub action: Action,
}

/// What a write does to its entry.
#[derive(Clone, Debug)]
pub enum Action {
    /// Makes the entry hold `value`.
    Put {
        /// The new value.
        value: Value,
        /// When it expires; `None` is never, whatever was there before.
        expires_at: Option<Timestamp>,
        /// What becomes of the metadata.
        metadata: MetadataChange,
    },
    /// Makes the entry absent; absent already is fine. What has expired and is still stored is removed for every clock,
    /// and the log says `Expired`.
    Delete,
    /// Changes metadata or expiry of an entry that must be there, and keeps its value.
    Annotate {
        /// What becomes of the metadata.
        metadata: MetadataChange,
        /// What becomes of the expiry.
        expiry: ExpiryChange,
    },
    /// Adds to a JSON integer; an absent entry counts as 0 and is created.
    Add {
        /// What to add.
        delta: i64,
        /// The result may not be below this.
        floor: i64,
        /// The result may not be above this.
        ceiling: i64,
    },
    /// Creates an absent entry with given version and times; for import and restore only.
    Restore {
        /// The value.
        value: Value,
        /// The version it had.
        version: Version,
        /// When it was created.
        created_at: Timestamp,
        /// When it was written last.
        updated_at: Timestamp,
        /// When it expires.
        expires_at: Option<Timestamp>,
        /// Its metadata.
        metadata: Metadata,
    },
    /// Replaces the stored bytes of an entry still at `revision` by another encoding of the same plain bytes; for
    /// rotation and compression only. No new version, no revision, no change in the log.
    Recode {
        /// The same plain bytes in another encoding.
        value: Value,
        /// The revision of the entry that was read.
        revision: Revision,
    },
}

/// What becomes of an entry's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetadataChange {
    /// It stays.
    #[default]
    Keep,
    /// It becomes this.
    Replace(Metadata),
    /// These fields are laid over it.
    Merge(Metadata),
}

impl MetadataChange {
    /// What came with the change.
    pub fn given(&self) -> Option<&Metadata> {
        match self {
            Self::Keep => None,
            Self::Replace(metadata) | Self::Merge(metadata) => Some(metadata),
        }
    }
}

/// What becomes of an entry's expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiryChange {
    /// It stays.
    #[default]
    Keep,
    /// It becomes this; `None` is never.
    Set(Option<Timestamp>),
}

/// What became of a commit that the engine decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Committed(Receipt),
    /// A condition did not hold; nothing happened.
    Conflicted(Conflict),
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The commit's revision; when it changed nothing, the revision of the state it saw.
    pub revision: Revision,
    /// One answer for each write, in order.
    pub writes: Vec<Written>,
}

/// What a write did to its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The version afterwards; 0 when the entry is absent.
    pub version: Version,
    /// Whether the entry was there before.
    pub existed: bool,
    /// The number an `Add` arrived at.
    pub number: Option<i64>,
}

/// The condition that did not hold, and what was met instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which part of the commit it was.
    pub part: Part,
    /// The entry it was about; `None` for a range.
    pub address: Option<Address>,
    /// What should have been.
    pub expected: Expected,
    /// What was.
    pub found: Found,
}

/// A part of a commit, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The check with this index.
    Check(usize),
    /// The write with this index.
    Write(usize),
}

/// What a condition asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing there.
    Absent,
    /// Something there.
    Exists,
    /// This version.
    Version(Version),
    /// This revision.
    Revision(Revision),
    /// The same bytes.
    SameValue,
    /// No change after this revision.
    Unchanged(Revision),
    /// A sum within these bounds.
    Within {
        /// The least.
        floor: i64,
        /// The most.
        ceiling: i64,
    },
    /// At most so much of a resource.
    AtMost(Resource, u64),
    /// What no other entry has in this index.
    Unique(Index),
}

/// What a namespace takes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Entries.
    Entries,
    /// Bytes of entries.
    Bytes,
    /// Bytes of the log.
    LogBytes,
}

/// What a condition met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// An entry.
    Entry {
        /// Its version.
        version: Version,
        /// Its revision.
        revision: Revision,
    },
    /// A change in the range, at this revision.
    Changed(Revision),
    /// An entry of the range that is there at one of two moments and expired at the other: that of reading and that of
    /// the commit.
    Expired,
    /// A log that holds only what came after this revision.
    Trimmed(Revision),
    /// A past that is not this store's: its head is at this revision.
    Head(Revision),
    /// This number, to which the delta could not be added.
    Number(i64),
    /// So much of a resource.
    Usage(u64),
    /// Another entry that has it.
    Taken,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = &self.address {
            write!(f, "the key {address}: ")?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("it to be absent"),
            Self::Exists => f.write_str("it to exist"),
            Self::Version(version) => write!(f, "version {version}"),
            Self::Revision(revision) => write!(f, "revision {revision}"),
            Self::SameValue => f.write_str("another value"),
            Self::Unchanged(since) => write!(f, "a range unchanged since revision {since}"),
            Self::Within { floor: i64::MIN, ceiling: i64::MAX } => f.write_str("a sum that an i64 holds"),
            Self::Within { floor, ceiling: i64::MAX } => write!(f, "a sum of at least {floor}"),
            Self::Within { floor: i64::MIN, ceiling } => write!(f, "a sum of at most {ceiling}"),
            Self::Within { floor, ceiling } => write!(f, "a sum between {floor} and {ceiling}"),
            Self::AtMost(resource, most) => write!(f, "at most {most} {resource}"),
            Self::Unique(index) => write!(f, "what no other entry has in the {index:#}"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no entry"),
            Self::Entry { version, revision } => write!(f, "version {version} (revision {revision})"),
            Self::Changed(revision) => write!(f, "a change at revision {revision}"),
            Self::Expired => f.write_str("an entry that expires between the reader's time and the commit's"),
            Self::Trimmed(oldest) => write!(f, "a log that reaches back to revision {oldest} only"),
            Self::Head(head) => write!(f, "a store at revision {head}"),
            Self::Number(number) => write!(f, "{number} to add to"),
            Self::Usage(number) => number.fmt(f),
            Self::Taken => f.write_str("an entry that has it"),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entries => "entries",
            Self::Bytes => "bytes of entries",
            Self::LogBytes => "bytes in the log",
        })
    }
}
