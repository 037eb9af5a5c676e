//! Repeating a commit: what to write so that a target comes to where the source came, with its clock, versions and times.
//!
//! Pure: it is told what the target holds, and says which checks and writes lead on from there.

use std::collections::BTreeMap;

use larder_core::{
    Action, Address, Change, Check, Entry, Error, ErrorKind, MetadataChange, Result, Timestamp, Version, Write,
};

use crate::{
    progress::is_taken,
    target::{has_version, restore},
};

/// The checks and writes that repeat a commit.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) checks: Vec<Check>,
    pub(crate) writes: Vec<Write>,
    pub(crate) bytes: usize,
}

/// Whether `changes` touch anything that is taken along.
pub(crate) fn concerns(changes: &[Change]) -> bool {
    changes.iter().any(|change| is_taken(&change.address))
}

/// The addresses of what is taken along of `changes`, each once.
pub(crate) fn addresses(changes: &[Change]) -> Vec<Address> {
    sides(changes).into_iter().map(|(address, ..)| address.clone()).collect()
}

/// How `changes`, all of one commit made at `at`, are repeated on what a target holds: what the source held before, or what
/// `stored` says.
pub(crate) fn replay(changes: &[Change], at: Timestamp, stored: Option<&BTreeMap<Address, Entry>>) -> Result<Replay> {
    let mut replay = Replay::default();
    for (address, before, after) in sides(changes) {
        let found = stored.map_or(before, |stored| stored.get(address));
        let live = found.filter(|entry| !entry.is_expired(at));
        replay.checks.push(has_version(address.clone(), live.map_or(Version::ZERO, |entry| entry.version)));
        let write = match (live, after) {
            (_, None) => Write { address: address.clone(), action: Action::Delete },
            (Some(live), Some(after)) if follows(live, after, at) => put(after),
            (Some(live), Some(after)) => return Err(differs(live, after)),
            (None, Some(after)) if is_new(after, at) => put(after),
            (None, Some(after)) => restore(after.clone()),
        };
        replay.bytes += 2 * address.key.len() + after.map_or(0, |after| after.bytes() as usize);
        replay.writes.push(write);
    }
    Ok(replay)
}

/// Each address that is taken along, in the order in which they come first, with what it held before and after.
fn sides(changes: &[Change]) -> Vec<(&Address, Option<&Entry>, Option<&Entry>)> {
    let mut found: Vec<(&Address, Option<&Entry>, Option<&Entry>)> = Vec::with_capacity(changes.len());
    for change in changes.iter().filter(|change| is_taken(&change.address)) {
        // A write over what has expired is two changes, one behind the other.
        match found.last_mut().filter(|(address, ..)| **address == change.address) {
            Some((_, _, after)) => *after = change.after.as_ref(),
            None => found.push((&change.address, change.before.as_ref(), change.after.as_ref())),
        }
    }
    found
}

/// Whether to put `after` over `live` at `at` leads to it, with version and times.
fn follows(live: &Entry, after: &Entry, at: Timestamp) -> bool {
    after.version == live.version.next() && after.created_at == live.created_at && after.updated_at == at
}

/// Whether to put `after` where nothing is leads to it.
fn is_new(after: &Entry, at: Timestamp) -> bool {
    after.version == Version::ZERO.next() && after.created_at == at && after.updated_at == at
}

fn put(after: &Entry) -> Write {
    let Entry { address, value, expires_at, metadata, .. } = after.clone();
    Write { address, action: Action::Put { value, expires_at, metadata: MetadataChange::Replace(metadata) } }
}

fn differs(live: &Entry, after: &Entry) -> Error {
    let message = format!(
        "the key {} is at version {} in the target where the source comes to version {}: somebody else has written to the \
         target",
        after.address, live.version, after.version
    );
    Error::new(ErrorKind::InvalidState, message)
}
