//! The log of the memory engine: read with both sides, undone, trimmed.

use std::ops::Bound;

use super::{Before, Record, Slot, State};
use crate::{
    address::{Address, Range},
    change::{Change, Changes, ChangesQuery, LogOrder, Trim, Trimmed, Undo, Undone},
    commit::Found,
    engine::Page,
    error::{Error, Result},
    id::{CommitId, Lineage, Revision},
    key::Key,
    namespace::Namespace,
    time::Timestamp,
};

impl State {
    /// What has changed in `range` after `since`, or expires between the two moments.
    pub(super) fn changed(&self, range: &Range, since: Revision, read_at: Timestamp, now: Timestamp) -> Option<Found> {
        if since > self.head {
            return Some(Found::Head(self.head));
        }
        let oldest = self.oldest_of(std::slice::from_ref(range));
        if since < oldest {
            return Some(Found::Trimmed(oldest));
        }
        let later = self.log.range(self.log.partition_point(|record| record.revision <= since)..);
        for record in later {
            if record.changes.iter().flatten().any(|change| range.contains(&change.address)) {
                return Some(Found::Changed(record.revision));
            }
        }
        let (earlier, later) = (now.min(read_at), now.max(read_at));
        let between = self.expiries.range((Bound::Excluded(earlier), Bound::Included(later)));
        between.flat_map(|(_, addresses)| addresses).any(|address| range.contains(address)).then_some(Found::Expired)
    }

    pub(in crate::memory) fn changes(&self, query: &ChangesQuery) -> Result<Changes> {
        query.verify().map_err(|error| error.engine("memory"))?;
        self.reaches(query.lineage, query.after, (!query.gaps).then_some(&*query.ranges))?;
        let wanted = |address: &Address| query.ranges.is_empty() || query.ranges.iter().any(|range| range.contains(address));
        let place = |revision: Revision| self.log.partition_point(|record| record.revision <= revision);
        let first = place(query.after);
        let (newest_first, end) = match query.order {
            LogOrder::OldestFirst => (false, self.log.len()),
            LogOrder::NewestFirst { before: None } => (true, self.log.len()),
            LogOrder::NewestFirst { before: Some(before) } => {
                (true, self.log.partition_point(|record| record.revision < before).max(first))
            }
        };
        let mut changes = Vec::new();
        let mut through = if newest_first { query.after } else { self.head };
        for index in first..end {
            let record = &self.log[if newest_first { first + end - 1 - index } else { index }];
            let told = changes.len();
            let kept = record.changes.iter().enumerate().filter_map(|(ordinal, before)| Some((ordinal, before.as_ref()?)));
            for (ordinal, before) in kept.filter(|(_, before)| wanted(&before.address)) {
                changes.push(self.both_sides(record, ordinal, before));
            }
            if newest_first {
                changes[told..].reverse();
            }
            if changes.len() >= query.limit.max(1) {
                through = record.revision;
                break;
            }
        }
        Ok(Changes { changes, through, head: self.head })
    }

    fn both_sides(&self, record: &Record, ordinal: usize, before: &Before) -> Change {
        let slot = self.slot(&before.address).expect("an address in the log has a slot");
        let next = slot.past.partition_point(|place| *place <= (record.revision, ordinal));
        let after = match slot.past.get(next) {
            Some(place) => self.logged(*place).entry.clone(),
            None => slot.entry.clone(),
        };
        Change {
            revision: record.revision,
            at: record.at,
            kind: before.kind,
            address: before.address.clone(),
            before: before.entry.clone(),
            after,
        }
    }

    /// The change at a place that a slot names.
    fn logged(&self, (revision, ordinal): (Revision, usize)) -> &Before {
        let at = self.log.partition_point(|record| record.revision < revision);
        self.log[at].changes[ordinal].as_ref().expect("a slot names what the log still holds")
    }

    /// From which revision on the log tells everything about `ranges`; none means all.
    fn oldest_of(&self, ranges: &[Range]) -> Revision {
        let asked = |namespace| ranges.is_empty() || ranges.iter().any(|range: &Range| range.meets(namespace));
        let rooms = self.namespaces.iter().filter(|(namespace, room)| room.oldest > self.oldest && asked(namespace));
        rooms.map(|(_, room)| room.oldest).fold(self.oldest, Revision::max)
    }

    /// Whether the log tells everything about `ranges` after the revision `after` of `lineage`, but for gaps when no ranges
    /// are given.
    fn reaches(&self, lineage: Lineage, after: Revision, ranges: Option<&[Range]>) -> Result<()> {
        let oldest = ranges.map_or(self.oldest, |ranges| self.oldest_of(ranges));
        if after < oldest || after > self.head || lineage != Lineage::ZERO {
            return Err(Error::trimmed(oldest).engine("memory"));
        }
        Ok(())
    }

    pub(in crate::memory) fn undo(&self, undo: &Undo) -> Result<Page<Undone>> {
        self.reaches(undo.lineage, undo.after, Some(std::slice::from_ref(&undo.range)))?;
        let changed = |(namespace, key, slot): (&Namespace, &Key, &Slot)| {
            let first = slot.past.partition_point(|(revision, _)| *revision <= undo.after);
            let entry = self.logged(*slot.past.get(first)?).entry.clone();
            Some(Undone { address: Address::new(namespace.clone(), key.clone()), entry })
        };
        let take = |changed: &mut dyn Iterator<Item = Undone>| {
            let items: Vec<Undone> = changed.take(undo.limit).collect();
            let more = !items.is_empty() && changed.next().is_some();
            Page { items, more }
        };
        let slots = self.slots(&undo.range);
        Ok(if undo.reverse { take(&mut slots.rev().filter_map(changed)) } else { take(&mut slots.filter_map(changed)) })
    }

    pub(in crate::memory) fn trim(&mut self, trim: &Trim) -> Trimmed {
        if let Some(namespace) = &trim.namespace {
            return self.trim_namespace(namespace, trim.through);
        }
        let mut changes = 0;
        while let Some(record) = self.log.pop_front_if(|record| record.revision <= trim.through) {
            for change in record.changes.into_iter().flatten() {
                changes += 1;
                let Address { namespace, key } = &change.address;
                let room = self.namespaces.get_mut(namespace).expect("an address in the log has a namespace");
                room.forget(key, change.bytes());
            }
        }
        self.changes -= changes;
        self.oldest = self.oldest.max(trim.through.min(self.head));
        let oldest = self.oldest;
        self.namespaces.retain(|_, room| !room.slots.is_empty() || room.oldest > oldest);
        Trimmed { oldest, changes, ids: self.forget(trim.ids_before) }
    }

    fn trim_namespace(&mut self, namespace: &Namespace, through: Revision) -> Trimmed {
        let through = through.min(self.head);
        let room = self.namespaces.entry(namespace.clone()).or_default();
        room.oldest = room.oldest.max(through);
        let oldest = room.oldest.max(self.oldest);
        let mut places = Vec::new();
        for (key, slot) in &room.slots {
            let outdated = slot.past.iter().take_while(|(revision, _)| *revision <= through);
            places.extend(outdated.map(|place| (key.clone(), *place)));
        }
        for (key, (revision, ordinal)) in &places {
            let at = self.log.partition_point(|record| record.revision < *revision);
            let change = self.log[at].changes[*ordinal].take().expect("a slot names what the log still holds");
            room.forget(key, change.bytes());
        }
        self.changes -= places.len() as u64;
        Trimmed { oldest, changes: places.len() as u64, ids: 0 }
    }

    /// Forgets the ids made before `moment`, but none that is yet to be made, and answers how many they were.
    fn forget(&mut self, moment: Timestamp) -> u64 {
        let Some((newest, _)) = self.ids.last_key_value() else { return 0 };
        let since = moment.min(newest.made_at());
        let kept = self.ids.split_off(&CommitId::new(since, 0));
        self.ids_since = self.ids_since.max(since);
        std::mem::replace(&mut self.ids, kept).len() as u64
    }
}
