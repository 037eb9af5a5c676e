//! What has happened in a range since it was read.

use bytes::Bytes;
use larder_core::{Found, Range, Result, Revision, Timestamp};

use crate::{
    group::Group,
    layout::{self, HISTORY, Place, bounds},
    line::Line,
    map::{Pair, Part},
    setup::PAGE_ROWS,
    sheet::Sheet,
};

/// How many rows are asked for at first: mostly little has happened.
const FEW: usize = 64;

fn behind(revision: Revision) -> Revision {
    Revision::new(revision.get().saturating_add(1))
}

/// What a range check looks at first.
pub(crate) fn first_look(range: &Range, since: Revision, moments: (Timestamp, Timestamp)) -> Vec<Part> {
    if range.is_empty() {
        return Vec::new();
    }
    let mut parts = vec![match of_one_key(range, since) {
        Some(part) => part,
        None => layout::part(layout::log_from(behind(since)), FEW),
    }];
    parts.extend(expiring(moments));
    parts
}

/// The first change of the only key of `range`, if it has only one.
fn of_one_key(range: &Range, since: Revision) -> Option<Part> {
    let start = range.start();
    let member = [start.namespace.as_bytes(), b"\0", start.key.as_bytes()].concat();
    range.is_one_key().then(|| layout::part(layout::history_from(&member, Place::first(behind(since))), 1))
}

fn expiring((now, read_at): (Timestamp, Timestamp)) -> Option<Part> {
    let (earlier, later) = (now.min(read_at), now.max(read_at));
    (earlier < later).then(|| layout::part(layout::expiring(Some(earlier), later), FEW))
}

/// What has changed in `range` after `since`, or expires between the two moments.
pub(crate) async fn changed(
    group: &mut Group<'_>,
    range: &Range,
    since: Revision,
    moments: (Timestamp, Timestamp),
) -> Result<Option<Found>> {
    if since > group.head.revision {
        return Ok(Some(Found::Head(group.head.revision)));
    }
    let oldest = group.setup.oldest_of(group.head.oldest, std::slice::from_ref(range));
    if since < oldest {
        return Ok(Some(Found::Trimmed(oldest)));
    }
    if range.is_empty() {
        return Ok(None);
    }
    if let Some(revision) = first_change(&mut group.sheet, range, since).await? {
        return Ok(Some(Found::Changed(revision)));
    }
    let Some(part) = expiring(moments) else { return Ok(None) };
    let mut pages = Pages::new(part);
    let (from, to) = bounds(0, range);
    while let Some(page) = pages.next(&mut group.sheet).await? {
        if page.iter().any(|(_, member)| is_inside(member, &from, &to)) {
            return Ok(Some(Found::Expired));
        }
    }
    Ok(None)
}

/// Whether `member` lies between bounds of the tag 0.
pub(crate) fn is_inside(member: &[u8], from: &[u8], to: &[u8]) -> bool {
    member >= &from[1..] && (to == [1] || member < &to[1..])
}

/// The first revision after `since` that changed something in `range`.
async fn first_change(sheet: &mut Sheet<'_>, range: &Range, since: Revision) -> Result<Option<Revision>> {
    if let Some(part) = of_one_key(range, since) {
        let found = sheet.scan(&part).await?;
        return found.first().map(|(key, _)| Ok(layout::read_history(key)?.1.revision)).transpose();
    }
    let (from, to) = bounds(0, range);
    let mut log = Pages::new(layout::part(layout::log_from(behind(since)), FEW));
    let mut history = Pages::new(layout::part(bounds(HISTORY, range), PAGE_ROWS));
    let mut first: Option<Revision> = None;
    // Along the log, and along the range: whichever ends first.
    loop {
        let Some(page) = log.next(sheet).await? else { return Ok(None) };
        for (key, line) in &page {
            if is_inside(&Line::read(line)?.member, &from, &to) {
                return layout::read_log(key).map(|place| Some(place.revision));
            }
        }
        if log.ended {
            return Ok(None);
        }
        let Some(page) = history.next(sheet).await? else { return Ok(first) };
        for (key, _) in &page {
            let (_, Place { revision, .. }) = layout::read_history(key)?;
            if revision > since && first.is_none_or(|first| revision < first) {
                first = Some(revision);
            }
        }
        if history.ended {
            return Ok(first);
        }
    }
}

/// A part of a sheet, page by page.
struct Pages {
    part: Part,
    ended: bool,
}

impl Pages {
    fn new(part: Part) -> Self {
        Self { part, ended: false }
    }

    async fn next(&mut self, sheet: &mut Sheet<'_>) -> Result<Option<Vec<Pair>>> {
        if self.ended {
            return Ok(None);
        }
        let page = sheet.scan(&self.part).await?;
        match page.last() {
            Some((last, _)) if page.len() >= self.part.limit => {
                let from: Bytes = layout::next(last);
                self.part = Part { from, limit: PAGE_ROWS, ..self.part.clone() };
            }
            _ => self.ended = true,
        }
        Ok(Some(page))
    }
}
