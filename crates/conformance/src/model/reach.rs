//! The oracle's log: how far it reaches, what it undoes, what is forgotten, and what a namespace takes.

use std::collections::BTreeMap;

use larder_core::{
    Address, Entry, Expected, Found, Lineage, Namespace, Quota, Range, Resource, Revision, Timestamp, Trim, Trimmed, Undone,
    Usage,
};

use super::oracle::Oracle;

impl Oracle {
    /// The log of these ranges, none meaning all, holds everything that came after this revision.
    pub(super) fn reaches(&self, ranges: &[Range]) -> Revision {
        let asked = |space: &Namespace| ranges.is_empty() || ranges.iter().any(|range| lies_in(space, range));
        let floors = self.floors.iter().filter(|(space, _)| asked(space)).map(|(_, floor)| *floor);
        floors.fold(self.oldest, Revision::max)
    }

    /// Where the log of these ranges cannot be read from, the revision from which it can.
    pub(super) fn unreachable(&self, lineage: Lineage, after: Revision, oldest: Revision) -> Option<Revision> {
        (lineage != self.lineage || after < oldest || after > self.head).then_some(oldest)
    }

    /// Forgets, and says how much.
    pub(super) fn trim(&mut self, trim: &Trim) -> Trimmed {
        let (changes, ids) = (self.log.len(), self.ids.len());
        let through = trim.through.min(self.head);
        let oldest = match &trim.namespace {
            Some(space) => {
                let floor = self.floors.entry(space.clone()).or_default();
                *floor = through.max(*floor);
                self.log.retain(|change| change.address.namespace != *space || change.revision > through);
                self.oldest.max(*floor)
            }
            None => {
                self.oldest = self.oldest.max(through);
                self.log.retain(|change| change.revision > self.oldest);
                self.forget_ids(trim.ids_before);
                self.oldest
            }
        };
        Trimmed { oldest, changes: (changes - self.log.len()) as u64, ids: (ids - self.ids.len()) as u64 }
    }

    fn forget_ids(&mut self, before: Timestamp) {
        if let Some(newest) = self.ids.keys().map(|id| id.made_at()).max() {
            self.ids_since = self.ids_since.max(before.min(newest));
            self.ids.retain(|id, _| id.made_at() >= self.ids_since);
        }
    }

    /// What has changed in `range` after a revision, with what it was at that revision.
    pub(super) fn undone(&self, range: &Range, after: Revision) -> Vec<Undone> {
        let mut first: BTreeMap<&Address, Option<&Entry>> = BTreeMap::new();
        for change in self.log.iter().filter(|change| change.revision > after && range.contains(&change.address)) {
            first.entry(&change.address).or_insert(change.before.as_ref());
        }
        first.into_iter().map(|(address, entry)| Undone { address: address.clone(), entry: entry.cloned() }).collect()
    }

    /// What a namespace takes.
    pub(super) fn usage(&self, space: &Namespace) -> Usage {
        let entries = self.entries.values().filter(|entry| entry.address.namespace == *space);
        let (entries, bytes) = entries.fold((0, 0), |(entries, bytes), entry| (entries + 1, bytes + size(entry)));
        let own = self.log.iter().filter(|change| change.address.namespace == *space);
        Usage { entries, bytes, log_bytes: own.map(|change| logged(&change.address, change.before.as_ref())).sum() }
    }
}

/// The first bound that a commit breaks by making `after` of what a namespace takes.
pub(super) fn broken(quota: &Quota, before: Usage, after: Usage) -> Option<(Expected, Found)> {
    let bounds = [
        (Resource::Entries, quota.entries, before.entries, after.entries),
        (Resource::Bytes, quota.bytes, before.bytes, after.bytes),
        (Resource::LogBytes, quota.log_bytes, before.log_bytes, after.log_bytes),
    ];
    bounds.into_iter().find_map(|(resource, most, before, after)| {
        let most = most.filter(|most| after > before && after > *most)?;
        Some((Expected::AtMost(resource, most), Found::Usage(after)))
    })
}

/// Whether a key of `space` can be in `range`.
fn lies_in(space: &Namespace, range: &Range) -> bool {
    let ends_before = range.end().is_some_and(|end| {
        end.namespace.as_str() < space.as_str() || (end.namespace == space.as_str() && end.key.is_empty())
    });
    !range.is_empty() && range.start().namespace.as_str() <= space.as_str() && !ends_before
}

/// What an entry counts for: the bytes of key, value and metadata.
pub(super) fn size(entry: &Entry) -> u64 {
    // An empty object of metadata takes no room.
    let metadata = if entry.metadata.is_empty() { 0 } else { entry.metadata.as_str().len() };
    (entry.address.key.len() + entry.value.bytes().len() + metadata) as u64
}

/// What a change counts for: the entry as it was, or the key where nothing was.
pub(super) fn logged(address: &Address, before: Option<&Entry>) -> u64 {
    before.map_or(address.key.len() as u64, size)
}
