//! The seam: what an engine has to do.
//!
//! # Contract
//!
//! * Entries are ordered by namespace, then key, both bytewise.
//! * A commit is decided before it is applied: [`Limits::verify`], then every check against the state before, then
//!   [`decide::write`](crate::decide::write) for every write; only then is anything changed. A refused or conflicting
//!   commit leaves no trace, not even its id.
//! * A commit that changes something takes a revision greater than every one before it, and appends its changes to the
//!   log in the order of its writes. One that changes nothing takes none; to remove what has expired is a change.
//! * What is acknowledged with [`Durability::Full`] survives the death of the process, and a power cut where the medium can.
//! * Under a known id nothing happens twice: the first receipt is the answer.
//! * The log reaches back to one revision for the whole store, and less far for namespaces that were trimmed by themselves.
//!   Who asks about a range of which it does not tell everything is told `Trimmed`, never a part.
//! * The engine's own clock decides nothing: `now` comes with every call.
//! * Dropping a future of `commit` undoes nothing. The commit may still happen, whole.

use std::{fmt::Debug, path::Path};

use crate::{
    address::{Address, Range},
    change::{Changes, ChangesQuery, Trim, Trimmed, Undo, Undone},
    commit::{Commit, Outcome, Receipt},
    entry::Entry,
    error::Result,
    id::{CommitId, Lineage, Revision, StoreId},
    index::{Index, IndexId, IndexStatus, Span, Term},
    key::Key,
    limits::Limits,
    namespace::Namespace,
    query::{Condition, Filter, Fit},
    send::{BoxFuture, Shared},
    time::Timestamp,
};

/// What keeps the bytes.
///
/// Object-safe; futures are boxed and arguments owned, so that a call can cross threads, processes and machines.
pub trait Engine: Debug + Shared + 'static {
    /// What differs between engines without weakening any promise.
    fn capabilities(&self) -> Capabilities;

    /// Reads `addresses` as of one moment; the answer is in the same order.
    ///
    /// A missing or expired entry is `None`. Asking for an address twice is fine.
    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>>;

    /// The first entries of a range that have not expired, as of one moment.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>>;

    /// As [`Engine::scan`], but the addresses alone.
    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>>;

    /// How many entries of a range have not expired, as of one moment.
    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>>;

    /// Decides and applies each commit by itself, in order, and answers each in the same order.
    ///
    /// The group shares one durable write where the engine can. What happens to one commit does not touch another.
    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>>;

    /// What became of the commit `id`.
    ///
    /// One that was never seen is fenced durably before the answer: should it arrive later, it is refused.
    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>>;

    /// A part of the log.
    ///
    /// # Errors
    /// `Trimmed` when the log of what is asked about does not reach back to `after`, when `after` is beyond the head, and in
    /// another lineage; `Limit` as [`ChangesQuery::verify`] says.
    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>>;

    /// The addresses of a range that have changed since a revision, each with what it was at that revision, in order and as
    /// of one moment. What is not among them is as it was.
    ///
    /// # Errors
    /// As [`Engine::changes`].
    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>>;

    /// What `namespace` takes, as of one moment.
    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>>;

    /// Forgets old changes and old ids, and gives the space back where the engine can.
    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>>;

    /// Entries that are stored although they have expired, those that did so first in front; at most `limit`.
    ///
    /// They are absent to everyone; this is for whoever sweeps them up, with commits like any other.
    fn expired(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>>;

    /// How the store is.
    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>>;

    /// Ends all work and releases files and connections; every later call answers `Closed`. Closing twice is fine.
    fn close(&self) -> BoxFuture<'_, Result<()>>;

    /// The ability to write a copy of the store into a file while others work on it, for engines that live in one.
    fn backup(&self) -> Option<&dyn Backup> {
        None
    }

    /// The ability to sort out by itself, where the entries are, what a filter does not let through.
    fn pushdown(&self) -> Option<&dyn Pushdown> {
        None
    }

    /// The ability to keep indexes.
    fn indexes(&self) -> Option<&dyn Indexes> {
        None
    }

    /// The ability to tell when somebody else may have committed, for engines that would have to be asked all the time.
    fn signals(&self) -> Option<&dyn Signals> {
        None
    }
}

/// Wakes those who wait for commits of others.
///
/// A signal may be late, doubled, about nothing, or lost: nothing hangs on it but how soon somebody looks, and whoever waits
/// for one also looks now and then without.
pub trait Signals: Shared {
    /// Waits until a signal has come after that with the number `heard`, and answers the number of the latest; 0 is before all
    /// of them. What was committed before the first call may never be told.
    ///
    /// # Errors
    /// When there are no signals at the moment: until it is asked again, nobody will be woken.
    fn after(&self, heard: u64) -> BoxFuture<'_, Result<u64>>;
}

/// Keeps indexes: rows of (index, term, key), which change in the same commit as the entries that they are of.
///
/// What the rows are is said by [`index`](crate::index). An engine gives what it stores and what will be there to a
/// [`Keeping`](crate::index::Keeping) for every write that it decides; asks it for conflicts after all writes are decided; and
/// does its works when it applies the commit. An index that was created is kept from then on, in every process.
pub trait Indexes: Shared {
    /// The indexes of `namespace`, or of all, by their numbers; those that were dropped as long as something of them is left.
    fn list(&self, namespace: Option<Namespace>) -> BoxFuture<'_, Result<Vec<IndexStatus>>>;

    /// Creates an index, which is then being built. When there is the same already, that is the answer.
    ///
    /// # Errors
    /// `AlreadyExists` when the namespace has an index on the same paths that is unique where this one is not, or the other way
    /// round; `Limit` beyond [`Index::PER_NAMESPACE`].
    fn create(&self, namespace: Namespace, index: Index) -> BoxFuture<'_, Result<IndexStatus>>;

    /// Drops an index: it is no longer kept, and its rows are removed by and by. Whether there was one.
    fn drop(&self, id: IndexId) -> BoxFuture<'_, Result<bool>>;

    /// Looks at the next entries of an index that is being built, or removes the next rows of one that was dropped; at most
    /// about `limit` of them. Answers how far it is then; `None` where there is no such index any more.
    ///
    /// Several may call this at once, and whoever comes last goes on from where the others are.
    ///
    /// # Errors
    /// `InvalidState` when two entries have what has to be unique, and `Limit` when one has too many terms or a longer one than
    /// can be told apart; the index is then dropped.
    fn advance(&self, id: IndexId, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Option<IndexStatus>>>;

    /// A page of the entries in a part of an index, as of one moment; `None` where the index is not there, or not ready.
    fn walk(&self, walk: IndexWalk) -> BoxFuture<'_, Result<Option<Snapshot<Walked>>>>;

    /// How many rows there are in `spans` of an index, counted up to `most`.
    fn estimate(&self, id: IndexId, spans: Vec<Span>, most: usize) -> BoxFuture<'_, Result<usize>>;
}

/// One bounded page of a part of an index.
#[derive(Clone, Debug)]
pub struct IndexWalk {
    /// Which index.
    pub index: IndexId,
    /// The parts, in the order in which they are walked; no two overlap.
    pub spans: Vec<Span>,
    /// Each span from the last term to the first. The entries of one term are in the order of their keys all the same.
    pub reverse: bool,
    /// Only what comes behind this place, which is in the first of the spans.
    pub after: Option<Place>,
    /// Only what has its address in here.
    pub range: Range,
    /// Only what has each of these terms in another index, too; those that are not ready, or not there, are passed over.
    pub also: Vec<(IndexId, Term)>,
    /// How many at most; an engine may stop earlier, and says so.
    pub limit: usize,
    /// What has expired by then is not there.
    pub now: Timestamp,
}

/// A row of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the entry has.
    pub term: Term,
    /// Its key.
    pub key: Key,
}

/// A page of the entries in a part of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// In the order asked for, each with its term. An entry with several terms is there for each of them.
    pub items: Vec<(Term, Entry)>,
    /// The last row that was looked at, where there may be more behind it: at or behind that of the last item.
    pub through: Option<Place>,
}

/// Answers filters where the entries are, so that what they do not let through never leaves the engine.
///
/// What a filter means is said by [`query`](crate::query); an engine that answers it by itself has to answer the same, or
/// say of which conditions it knows less.
pub trait Pushdown: Shared {
    /// How well the engine answers `condition` by itself; always the same for the same condition.
    fn fit(&self, condition: &Condition) -> Fit;

    /// As [`Engine::scan`], but of what `filter` lets through alone; the limit is one on that.
    ///
    /// `filter` is the native part of a [`Plan`](crate::query::Plan) that was made with [`Pushdown::fit`]. What it lets
    /// through is there, and nothing is there beside it but what a condition with [`Fit::Loose`] lets through. A call may
    /// end early with few items or none, so that it never looks at more than a bounded number of entries.
    fn filter(&self, scan: Scan, filter: Filter) -> BoxFuture<'_, Result<Snapshot<Filtered>>>;
}

/// What a filter let through of a part of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// In the order asked for.
    pub items: Vec<Entry>,
    /// How many entries were looked at.
    pub examined: u64,
    /// The last address that was looked at, where there may be more behind it: at or after that of the last item. `None`
    /// is the end of the range.
    pub through: Option<Address>,
}

/// Writes copies of a store into files.
pub trait Backup: Shared {
    /// Writes a copy, as of one moment, to the new file `path`, durable before the answer.
    ///
    /// # Errors
    /// `AlreadyExists` when there is something at `path`; what fails half-way leaves nothing there.
    fn backup<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Revision>>;
}

/// An answer, and the revision of the state it describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot<T> {
    /// Everything up to this revision is in the answer, nothing after it.
    pub revision: Revision,
    /// The answer.
    pub value: T,
}

/// One bounded page of a range.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Which addresses.
    pub range: Range,
    /// From the end towards the start.
    pub reverse: bool,
    /// How many at most; an engine may stop earlier, and says so.
    pub limit: usize,
    /// What has expired by then is not there.
    pub now: Timestamp,
}

/// Part of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In the order asked for.
    pub items: Vec<T>,
    /// Whether there may be more behind the last item. When there are no items, there is no more.
    pub more: bool,
}

/// What a namespace takes: what is bounded by a [`Quota`](crate::Quota).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Stored entries. What has expired counts until it is swept up.
    pub entries: u64,
    /// Their bytes: keys, values, metadata.
    pub bytes: u64,
    /// The bytes of its changes in the log: keys, and the values and metadata from before.
    pub log_bytes: u64,
}

/// What became of a commit, asked by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It happened; this is what it answered or would have.
    Committed(Receipt),
    /// It did not happen and never will.
    Never,
    /// The id is older than what the store remembers.
    Forgotten,
}

/// When an acknowledged commit is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Never: it lives as long as the process.
    Volatile,
    /// It survives the death of the process; a power cut may take the last commits, never a part of one.
    Relaxed,
    /// It survives a power cut, where the medium keeps its word.
    #[default]
    Full,
}

impl Durability {
    /// The name that stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Volatile => "volatile",
            Self::Relaxed => "relaxed",
            Self::Full => "full",
        }
    }
}

/// Who can share a store at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Handles of one process.
    Process,
    /// Processes of one host.
    Host,
    /// Hosts of a cluster.
    Cluster,
}

/// What differs between engines without weakening any promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The engine's name, as in its URL.
    pub engine: &'static str,
    /// What it takes at most; at least [`Limits::FLOOR`].
    pub limits: Limits,
    /// When an acknowledged commit is safe.
    pub durability: Durability,
    /// Who can share it.
    pub reach: Reach,
}

/// How a store is, as its engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// Which store this is.
    pub store: StoreId,
    /// Which of its pasts.
    pub lineage: Lineage,
    /// The latest revision.
    pub revision: Revision,
    /// Entries that have not expired.
    pub entries: u64,
    /// Their bytes: keys, values, metadata.
    pub bytes: u64,
    /// What the store takes on its medium, in bytes, where the engine can tell.
    pub size: Option<u64>,
    /// The log holds what came after this revision.
    pub oldest: Revision,
    /// How many changes the log holds.
    pub changes: u64,
    /// Their bytes: keys, and the values and metadata from before.
    pub log_bytes: u64,
}
