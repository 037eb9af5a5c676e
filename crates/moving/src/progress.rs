//! How far a copy is: an entry in the target, written in the same commit as what it tells of.
//!
//! So there is never a doubt about what arrived: after a kill whoever goes on reads this and nothing else. The entry's version
//! is checked by every commit, so of two that move into one store the second stops.

use std::sync::LazyLock;

use larder_core::{
    Action, Address, Check, Condition, Entry, Error, ErrorKind, Gate, Key, Lineage, MetadataChange, Namespace, Position,
    Result, Revision, Store, StoreId, Timestamp, Value, Version, Write,
};
use serde::{Deserialize, Serialize};

static MOVING: LazyLock<Namespace> = LazyLock::new(|| Namespace::new("larder:moving").expect("a valid name"));

/// Where a store keeps how far it is behind the one that it is copied from.
pub(crate) fn address() -> Address {
    Address::new(MOVING.clone(), Key::new("from").expect("a valid key"))
}

/// What a copy comes to, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The entries of one moment arrive.
    Entries,
    /// The log since then is repeated, commit by commit.
    Commits,
    /// Indexes are built.
    Indexes,
    /// It is a copy, and a store like any other.
    Done,
}

impl Step {
    /// Its name in sentences and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Commits => "commits",
            Self::Indexes => "indexes",
            Self::Done => "done",
        }
    }
}

/// How far a copy is, as it stands in the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    #[serde(with = "identity")]
    source: StoreId,
    lineage: u64,
    /// What it comes to next.
    pub step: Step,
    base: u64,
    base_time: i64,
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    through: Option<(String, String)>,
    /// How many entries arrived as they were at one moment.
    pub entries: u64,
    /// The bytes of their keys, values and metadata.
    pub bytes: u64,
    /// How many commits were repeated since.
    pub commits: u64,
    /// Whether the log was to be kept.
    pub history: bool,
    /// The commit that was too large to carry this with it, and was on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent: Option<Sent>,
}

/// A commit that could not carry the progress with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// The id under which it was sent; asked for, it tells whether it arrived.
    pub(crate) id: String,
    /// Its revision in the source.
    pub(crate) revision: u64,
}

impl Progress {
    pub(crate) fn begin(source: StoreId, base: Position, time: Timestamp, history: bool) -> Self {
        Self {
            source,
            lineage: base.lineage.get(),
            step: Step::Entries,
            base: base.revision.get(),
            base_time: time.as_millis(),
            revision: base.revision.get(),
            through: None,
            entries: 0,
            bytes: 0,
            commits: 0,
            history,
            sent: None,
        }
    }

    /// Which store is copied.
    pub fn source(&self) -> StoreId {
        self.source
    }

    /// The moment whose entries were taken.
    pub fn base(&self) -> Position {
        Position { lineage: Lineage::new(self.lineage), revision: Revision::new(self.base) }
    }

    /// The clock of that moment.
    pub fn base_time(&self) -> Timestamp {
        Timestamp::from_millis_saturating(self.base_time)
    }

    /// How far the log of the source has arrived.
    pub fn position(&self) -> Position {
        Position { lineage: Lineage::new(self.lineage), revision: Revision::new(self.revision) }
    }

    pub(crate) fn at(mut self, revision: Revision) -> Self {
        self.revision = revision.get();
        self
    }

    /// The last entry that has arrived of those of the base.
    pub(crate) fn through(&self) -> Result<Option<Address>> {
        let parse = |(namespace, key): &(String, String)| {
            Ok(Address::new(Namespace::new(namespace.as_str())?, Key::new(key.as_str())?))
        };
        self.through.as_ref().map(parse).transpose()
    }

    pub(crate) fn arrived(&mut self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        self.through = Some((last.address.namespace.as_str().to_owned(), last.address.key.as_str().to_owned()));
        self.entries += entries.len() as u64;
        self.bytes += entries.iter().map(Entry::bytes).sum::<u64>();
    }

    /// The same with one more commit, that of `revision`, repeated.
    pub(crate) fn repeated(mut self, revision: Revision) -> Self {
        self.commits += 1;
        self.sent = None;
        self.at(revision)
    }

    /// The same with a commit on its way, or none.
    pub(crate) fn sending(mut self, sent: Option<Sent>) -> Self {
        self.sent = sent;
        self
    }

    pub(crate) fn on(mut self, step: Step) -> Self {
        self.step = step;
        self.through = None;
        self
    }

    /// The check that the progress is still the one with this version, and the write that makes it this.
    pub(crate) fn written(&self, before: Version) -> Result<(Check, Write)> {
        let json = serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorKind::Internal, "progress cannot be written as JSON").caused_by(error))?;
        let put = Action::Put { value: Value::json(json)?, expires_at: None, metadata: MetadataChange::Keep };
        let check = Check::Key { address: address(), condition: Condition::Version(before) };
        Ok((check, Write { address: address(), action: put }))
    }

    /// What stands in `entry`.
    pub(crate) fn of(entry: &Entry) -> Result<Self> {
        serde_json::from_slice(entry.value.bytes()).map_err(|error| {
            let message = "what the store tells of a copy into it was written by another version of larder";
            Error::new(ErrorKind::Unsupported, message).caused_by(error)
        })
    }

    /// How far the copy into `store` is, and the version of what tells that; `None` when nobody began one.
    pub(crate) async fn load(store: &Store) -> Result<(Option<Self>, Version)> {
        let found = store.engine().get(vec![address()], store.world().now()).await?.value.pop().flatten();
        let version = found.as_ref().map_or(Version::ZERO, |entry| entry.version);
        Ok((found.as_ref().map(Self::of).transpose()?, version))
    }
}

/// How far the copy into `store` is, or was when it was done; `None` when it is no copy.
///
/// # Errors
/// What the engine meets; `Unsupported` when another version of larder made the copy.
pub async fn progress(store: &Store) -> Result<Option<Progress>> {
    Ok(Progress::load(store).await?.0)
}

/// Whether the entry at `address` is taken along: what is about a store and not in it is not.
pub(crate) fn is_taken(address: &Address) -> bool {
    let namespace = &address.namespace;
    let about = || matches!(namespace.as_str(), "larder:moving" | "larder:holds") || address == Gate::address();
    !namespace.is_reserved() || !about()
}

mod identity {
    //! A store's id as its hex digits.

    use larder_core::StoreId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(id: &StoreId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StoreId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
