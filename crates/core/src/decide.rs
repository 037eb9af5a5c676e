//! Deciding: what a check or a write means for the entry it meets.
//!
//! Pure, and the same for every engine: an engine fetches what is stored, asks here, and applies the answers only when
//! every one of them is good. So a commit is decided before it is applied, and applying cannot be refused.

use crate::{
    change::ChangeKind,
    commit::{
        Action, Commit, Condition, Conflict, Expected, ExpiryChange, Found, MetadataChange, Part, Quota, Resource, Write,
        Written,
    },
    engine::Usage,
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::{Revision, Version},
    metadata::Metadata,
    time::Timestamp,
    value::{ContentKind, Value},
};

/// What a write does to the store.
#[derive(Clone, Debug)]
pub struct Effect {
    /// What is stored has expired and goes: an `Expired` change of it comes first.
    pub expired: bool,
    /// The change to log with the entry as it was before; `None` when nothing changes, or nothing beyond the expiry.
    pub change: Option<ChangeKind>,
    /// What to do with the stored entry.
    pub store: Store,
    /// What to tell the caller.
    pub written: Written,
}

/// What to do with the stored entry.
#[derive(Clone, Debug)]
pub enum Store {
    /// Leave it.
    Keep,
    /// Replace or create it.
    Put(Box<Entry>),
    /// Remove it.
    Remove,
}

/// A decision: the effect, or the condition that did not hold.
pub type Verdict = std::result::Result<Effect, Conflict>;

/// Whether deciding `condition` needs the value of the entry, not only the rest of it.
pub fn check_needs_value(condition: &Condition) -> bool {
    matches!(condition, Condition::Value(_))
}

/// Whether deciding `action` needs the value of the entry, not only the rest of it.
pub fn write_needs_value(action: &Action) -> bool {
    matches!(action, Action::Add { .. } | Action::Annotate { .. })
}

/// Whether `condition` holds for what is `stored`, which may be expired.
///
/// # Errors
/// The expectation and what was found instead.
pub fn check(condition: &Condition, stored: Option<&Entry>, now: Timestamp) -> std::result::Result<(), (Expected, Found)> {
    let live = stored.filter(|entry| !entry.is_expired(now));
    let version = live.map_or(Version::ZERO, |entry| entry.version);
    let (holds, expected) = match condition {
        Condition::Absent => (live.is_none(), Expected::Absent),
        Condition::Exists => (live.is_some(), Expected::Exists),
        Condition::Version(expected) => (version == *expected, Expected::Version(*expected)),
        Condition::Revision(expected) => {
            (live.is_some_and(|entry| entry.revision == *expected), Expected::Revision(*expected))
        }
        Condition::Value(bytes) => (live.is_some_and(|entry| entry.value.bytes() == bytes), Expected::SameValue),
    };
    if holds { Ok(()) } else { Err((expected, found(live))) }
}

fn found(live: Option<&Entry>) -> Found {
    live.map_or(Found::Absent, |entry| Found::Entry { version: entry.version, revision: entry.revision })
}

/// What the write with this index in `commit` does to what is `stored`, which may be expired, if the commit takes
/// `revision`.
///
/// # Errors
/// `NotFound` for metadata or expiry of an absent entry, `InvalidState` for adding to what is no integer, `Limit` for
/// metadata that grows too large.
pub fn write(commit: &Commit, index: usize, stored: Option<&Entry>, revision: Revision) -> Result<Verdict> {
    let Write { address, action } = &commit.writes[index];
    let now = commit.now;
    let live = stored.filter(|entry| !entry.is_expired(now));
    let conflict =
        |expected| Conflict { part: Part::Write(index), address: Some(address.clone()), expected, found: found(live) };

    let entry = |value: Value, expires_at, metadata| Entry {
        address: address.clone(),
        value,
        version: live.map_or(Version::ZERO, |entry| entry.version).next(),
        revision,
        created_at: live.map_or(now, |entry| entry.created_at),
        updated_at: now,
        expires_at,
        metadata,
    };
    let put = |entry: Entry, number| Effect {
        expired: stored.is_some() && live.is_none(),
        change: Some(if live.is_some() { ChangeKind::Updated } else { ChangeKind::Created }),
        written: Written { version: entry.version, existed: live.is_some(), number },
        store: Store::Put(Box::new(entry)),
    };

    Ok(Ok(match action {
        Action::Put { value, expires_at, metadata } => {
            put(entry(value.clone(), *expires_at, changed(live, metadata)?), None)
        }
        // What has expired goes too: left there, it would be back for a clock that is behind this one.
        Action::Delete => Effect {
            expired: stored.is_some() && live.is_none(),
            change: live.map(|_| ChangeKind::Deleted),
            store: if stored.is_some() { Store::Remove } else { Store::Keep },
            written: Written { version: Version::ZERO, existed: live.is_some(), number: None },
        },
        Action::Annotate { metadata, expiry } => {
            let Some(current) = live else {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("the key {address} is absent, so its metadata and expiry cannot be changed"),
                ));
            };
            let expires_at = match expiry {
                ExpiryChange::Keep => current.expires_at,
                ExpiryChange::Set(at) => *at,
            };
            put(entry(current.value.clone(), expires_at, changed(live, metadata)?), None)
        }
        Action::Add { delta, floor, ceiling } => {
            let number = match live {
                None => 0,
                Some(current) => current.value.as_integer().ok_or_else(|| not_an_integer(commit, index, current))?,
            };
            let Some(sum) = number.checked_add(*delta).filter(|sum| (floor..=ceiling).contains(&sum)) else {
                let mut conflict = conflict(Expected::Within { floor: *floor, ceiling: *ceiling });
                conflict.found = Found::Number(number);
                return Ok(Err(conflict));
            };
            let expires_at = live.and_then(|entry| entry.expires_at);
            put(entry(Value::integer(sum), expires_at, changed(live, &MetadataChange::Keep)?), Some(sum))
        }
        Action::Restore { value, version, created_at, updated_at, expires_at, metadata } => {
            if live.is_some() {
                return Ok(Err(conflict(Expected::Absent)));
            }
            let restored = Entry {
                address: address.clone(),
                value: value.clone(),
                version: *version,
                revision,
                created_at: *created_at,
                updated_at: *updated_at,
                expires_at: *expires_at,
                metadata: metadata.clone(),
            };
            put(restored, None)
        }
        Action::Recode { value, revision } => match live {
            Some(current) if current.revision == *revision => Effect {
                expired: false,
                change: None,
                written: Written { version: current.version, existed: true, number: None },
                store: Store::Put(Box::new(Entry { value: value.clone(), ..current.clone() })),
            },
            _ => return Ok(Err(conflict(Expected::Revision(*revision)))),
        },
    }))
}

impl Effect {
    /// What this effect makes of what its namespace takes. The write is one of a key of `key_bytes`; what is stored takes
    /// `stored_bytes` with its key, if there is anything.
    pub fn count(&self, usage: &mut Usage, key_bytes: usize, stored_bytes: Option<u64>) {
        let (absent, before) = (key_bytes as u64, stored_bytes.unwrap_or(0));
        if self.expired {
            usage.log_bytes += before;
        }
        if self.change.is_some() {
            usage.log_bytes += if self.expired { absent } else { stored_bytes.unwrap_or(absent) };
        }
        match &self.store {
            Store::Keep => {}
            Store::Put(entry) => {
                usage.entries += u64::from(stored_bytes.is_none());
                usage.bytes = (usage.bytes + entry.bytes()).saturating_sub(before);
            }
            Store::Remove => {
                usage.entries = usage.entries.saturating_sub(u64::from(stored_bytes.is_some()));
                usage.bytes = usage.bytes.saturating_sub(before);
            }
        }
    }
}

/// Whether a commit that makes `after` of what a namespace takes `before` keeps to `quota`.
///
/// # Errors
/// The first bound that does not hold, and how much there would be.
pub fn quota(quota: &Quota, before: Usage, after: Usage) -> std::result::Result<(), (Expected, Found)> {
    let bounds = [
        (Resource::Entries, quota.entries, before.entries, after.entries),
        (Resource::Bytes, quota.bytes, before.bytes, after.bytes),
        (Resource::LogBytes, quota.log_bytes, before.log_bytes, after.log_bytes),
    ];
    for (resource, most, before, after) in bounds {
        if let Some(most) = most.filter(|most| after > *most && after > before) {
            return Err((Expected::AtMost(resource, most), Found::Usage(after)));
        }
    }
    Ok(())
}

fn changed(live: Option<&Entry>, change: &MetadataChange) -> Result<Metadata> {
    let current = live.map(|entry| &entry.metadata);
    match change {
        MetadataChange::Keep => Ok(current.cloned().unwrap_or_default()),
        MetadataChange::Replace(metadata) => Ok(metadata.clone()),
        MetadataChange::Merge(fields) => current.map_or_else(|| Ok(fields.clone()), |current| current.merge(fields)),
    }
}

fn not_an_integer(commit: &Commit, index: usize, current: &Entry) -> Error {
    let what = match current.value.kind() {
        ContentKind::Json => "JSON, but not a whole number that an i64 holds",
        ContentKind::Opaque => "not JSON",
    };
    let address = &commit.writes[index].address;
    Error::new(ErrorKind::InvalidState, format!("the key {address} cannot be added to: its value is {what}"))
}
