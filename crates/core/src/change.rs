//! The log: what changed, in the order in which it did.

use crate::{
    address::{Address, Range},
    entry::Entry,
    error::{Error, Result},
    id::{Lineage, Revision},
    namespace::Namespace,
    time::Timestamp,
};

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It came into being.
    Created,
    /// It was written again, or its metadata or expiry was.
    Updated,
    /// It was deleted.
    Deleted,
    /// It was found to have expired, and removed.
    Expired,
}

impl ChangeKind {
    /// The name that stands in JSON and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Created, Self::Updated, Self::Deleted, Self::Expired].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One line of the log, with both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The commit's revision; changes of one commit share it and stand together, in order.
    pub revision: Revision,
    /// The commit's clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: ChangeKind,
    /// To which entry.
    pub address: Address,
    /// The entry before; `None` when it was absent.
    pub before: Option<Entry>,
    /// The entry after; `None` when it was absent.
    pub after: Option<Entry>,
}

/// Which part of the log to read.
#[derive(Clone, Debug)]
pub struct ChangesQuery {
    /// The lineage in which `after` was learned.
    pub lineage: Lineage,
    /// Only later changes.
    pub after: Revision,
    /// Only changes in these ranges; none means all. At most [`ChangesQuery::RANGES_MAX`].
    pub ranges: Vec<Range>,
    /// Stop after the commit that brings the number of changes to this many; at least 1. A commit is never cut. An engine
    /// may stop after an earlier commit, when it has read much, but not before the first.
    pub limit: usize,
    /// From which end.
    pub order: LogOrder,
    /// Whether what is left will do where a namespace was trimmed by itself; else the answer is `Trimmed`.
    pub gaps: bool,
}

/// From which end to read the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogOrder {
    /// In the order in which things happened.
    #[default]
    OldestFirst,
    /// In the other order, changes of one commit included.
    NewestFirst {
        /// Only changes of earlier revisions than this; `None` begins at the head.
        before: Option<Revision>,
    },
}

impl ChangesQuery {
    /// Everything after `after`, oldest first, without a limit.
    pub fn after(lineage: Lineage, after: Revision) -> Self {
        Self { lineage, after, ranges: Vec::new(), limit: usize::MAX, order: LogOrder::OldestFirst, gaps: false }
    }

    /// How many ranges a query has at most, on every engine.
    pub const RANGES_MAX: usize = 64;

    /// Whether the query is one that every engine answers; each asks here before anything else.
    ///
    /// # Errors
    /// `Limit` when it has too many ranges.
    pub fn verify(&self) -> Result<()> {
        let (count, most) = (self.ranges.len(), Self::RANGES_MAX);
        if count > most {
            return Err(Error::limit(format!("{count} ranges are too many for one look into the log: at most {most}")));
        }
        Ok(())
    }
}

/// A part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The changes, in order, both sides as of one moment.
    pub changes: Vec<Change>,
    /// Everything up to here has been looked at: the place to go on from, also when nothing matched. Read newest first,
    /// it is everything down to here, and the next [`LogOrder::NewestFirst::before`]; with nothing left it is the query's
    /// `after`.
    pub through: Revision,
    /// The revision of the store at that moment; nothing is left to read when `through` has reached it.
    pub head: Revision,
}

/// Which part of a past state to read: what has been undone since is laid over what is there now.
#[derive(Clone, Debug)]
pub struct Undo {
    /// The lineage in which `after` was learned.
    pub lineage: Lineage,
    /// The state to go back to: changes after this revision are undone.
    pub after: Revision,
    /// Of which addresses.
    pub range: Range,
    /// From the end towards the start.
    pub reverse: bool,
    /// How many addresses at most; an engine may stop earlier, and says so.
    pub limit: usize,
}

/// An address that has changed, with what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// What has changed.
    pub address: Address,
    /// What was stored there, expired or not; `None` when nothing was.
    pub entry: Option<Entry>,
}

/// What to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Changes up to and including this revision; what is beyond the head is the head.
    pub through: Revision,
    /// Only the changes of this namespace; ids stay. From then on its log reaches less far back than that of others.
    pub namespace: Option<Namespace>,
    /// Ids of commits made before this moment; a commit that arrives with such an id is refused from then on.
    ///
    /// Whatever stands here, the newest id that is remembered stays, and so does every id made in its millisecond or
    /// later; with none remembered nothing moves. A clock that is ahead must not make every commit to come look old.
    pub ids_before: Timestamp,
}

impl Trim {
    /// Forgets the changes of every namespace through `through`, and the ids made before `ids_before`.
    pub fn new(through: Revision, ids_before: Timestamp) -> Self {
        Self { through, namespace: None, ids_before }
    }

    /// Forgets the changes of `namespace` alone.
    pub fn namespace(namespace: Namespace, through: Revision) -> Self {
        Self { through, namespace: Some(namespace), ids_before: Timestamp::EPOCH }
    }
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The log now holds what came after this revision: that of the whole store, or of the namespace that was trimmed.
    pub oldest: Revision,
    /// How many changes went.
    pub changes: u64,
    /// How many ids went.
    pub ids: u64,
}
