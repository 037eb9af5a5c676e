//! The log: read with both sides of every change.
//!
//! A look into the log takes several questions, each bounded. What it tells is all the same of one moment: it ends at the
//! head of the first answer, and what was before a change stands still until it is trimmed, which every answer would say.

use bytes::Bytes;
use larder_core::{Change, Changes, ChangesQuery, Entry, Error, Lineage, LogOrder, Namespace, Range, Result, Revision};

use crate::{
    entry,
    error::corrupt,
    head::Head,
    layout::{self, Place, address_like, bounds},
    line::Line,
    read::{PAGE_BYTES_MAX, SMALL, head},
    readers::Readers,
    session::Answers,
};

/// How many rows of the log one question looks at.
pub(crate) const PAGE_ROWS: usize = 1000;

/// How far the log reaches back for namespaces that were trimmed by themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floors(Vec<(Namespace, Revision)>);

impl Floors {
    pub(crate) fn read(mut answers: Answers) -> Result<Self> {
        let mut floors = Vec::with_capacity(answers.len() / 2);
        while answers.len() > 0 {
            let (name, oldest) = (answers.some_bytes()?, answers.some_bytes()?);
            let name = std::str::from_utf8(&name).ok().and_then(|name| Namespace::new(name).ok());
            let oldest = oldest.first_chunk().map(|oldest| Revision::new(u64::from_be_bytes(*oldest)));
            floors.push(name.zip(oldest).ok_or_else(|| corrupt("how far a log reaches back cannot be read"))?);
        }
        Ok(Self(floors))
    }

    /// From which revision on the log tells everything about `ranges`, of which none means all; `store` is from where on it
    /// tells everything about namespaces that were not trimmed by themselves.
    pub(crate) fn oldest_of(&self, store: Revision, ranges: &[Range]) -> Revision {
        let asked = |namespace| ranges.is_empty() || ranges.iter().any(|range| range.meets(namespace));
        let floors = self.0.iter().filter(|(namespace, oldest)| *oldest > store && asked(namespace));
        floors.map(|(_, oldest)| *oldest).fold(store, Revision::max)
    }

    pub(crate) fn of(&self, namespace: &Namespace) -> Option<Revision> {
        self.0.iter().find(|(other, _)| other == namespace).map(|(_, oldest)| *oldest)
    }

    /// The namespaces that were trimmed no further than all.
    pub(crate) fn through(&self, store: Revision) -> impl Iterator<Item = &Namespace> {
        self.0.iter().filter(move |(_, oldest)| *oldest <= store).map(|(namespace, _)| namespace)
    }
}

/// What a look into the log is about: from where on, and of which ranges; none of them where gaps will do.
pub(crate) struct Look<'a> {
    pub(crate) lineage: Lineage,
    pub(crate) after: Revision,
    pub(crate) ranges: Option<&'a [Range]>,
}

impl Look<'_> {
    /// The state that comes first in `answers`, if the log still tells everything.
    pub(crate) fn reaches(&self, readers: &Readers, answers: &mut Answers) -> Result<Head> {
        let head = head(readers, answers)?;
        let floors = Floors::read(answers.list()?)?;
        let oldest = self.ranges.map_or(head.oldest, |ranges| floors.oldest_of(head.oldest, ranges));
        if self.lineage != head.lineage || self.after < oldest || self.after > head.revision {
            return Err(Error::trimmed(oldest).engine("redis"));
        }
        Ok(head)
    }
}

pub(crate) async fn changes(readers: &Readers, query: ChangesQuery) -> Result<Changes> {
    query.verify().map_err(|error| error.engine("redis"))?;
    let look = Look { lineage: query.lineage, after: query.after, ranges: (!query.gaps).then_some(&*query.ranges) };
    let small = query.limit <= SMALL;
    let mut answers = readers.ask(true, readers.function("records").arg("+").arg("+").flag(false).number(0)).await?;
    let head = look.reaches(readers, &mut answers)?.revision;
    let before = match query.order {
        LogOrder::NewestFirst { before: Some(before) } => before.get(),
        _ => u64::MAX,
    };
    // What was committed after the first answer is left for another time.
    let end = head.get().saturating_add(1).min(before);
    let window =
        Window { first: query.after.next(), end: Revision::new(end), newest_first: query.order != LogOrder::OldestFirst };
    let mut page = Changes { changes: Vec::new(), through: head, head };
    if window.newest_first {
        page.through = query.after;
    }
    if window.first >= window.end {
        return Ok(page);
    }
    let picked = match few(readers, &look, &query.ranges, &window).await? {
        Some(places) => pick_few(readers, &query, places).await?,
        None => pick(readers, &look, &query, &window, small).await?,
    };
    if let Some(through) = picked.through {
        page.through = through;
    }
    let mut rows = &*picked.rows;
    let (mut bytes, mut namespace) = (0, None);
    while !rows.is_empty() {
        let most = PAGE_BYTES_MAX.saturating_sub(bytes).max(1);
        let mut call = readers.function("sides").number(most);
        rows.iter().for_each(|row| call.push(row));
        let mut answers = readers.ask(small, call).await?;
        look.reaches(readers, &mut answers)?;
        let mut sides = answers.list()?;
        while sides.len() > 0 {
            let line = Line::read(&rows[0])?;
            if let Some(last) = page.changes.last().map(|last| last.revision)
                && bytes >= PAGE_BYTES_MAX
                && last != line.place.revision
            {
                page.through = last;
                return Ok(page);
            }
            rows = &rows[1..];
            let (there, before, after) = (sides.number()? == 1, sides.bytes()?, sides.bytes()?);
            // One that is gone was trimmed with its namespace; where that may not be, the answer has said so already.
            if !there {
                continue;
            }
            let address = address_like(line.member, &mut namespace)?;
            let entry = |bytes: Option<Bytes>| bytes.map(|bytes| entry::read(address.clone(), bytes)).transpose();
            let (before, after) = (entry(before)?, entry(after)?);
            bytes += before.as_ref().map_or(0, Entry::bytes) + after.as_ref().map_or(0, Entry::bytes);
            let (revision, at, kind) = (line.place.revision, line.at, line.kind);
            page.changes.push(Change { revision, at, kind, before, after, address });
        }
    }
    Ok(page)
}

/// The revisions that a look is about, from the first to the one before the end.
struct Window {
    first: Revision,
    end: Revision,
    newest_first: bool,
}

impl Window {
    /// The bounds in the log.
    fn bounds(&self) -> (Vec<u8>, Vec<u8>) {
        let first = [b"[", &self.first.get().to_be_bytes()[..]].concat();
        (first, [b"(", &self.end.get().to_be_bytes()[..]].concat())
    }

    fn contains(&self, revision: Revision) -> bool {
        self.first <= revision && revision < self.end
    }
}

/// Rows of the log that are to be told, whole commits.
struct Picked {
    rows: Vec<Bytes>,
    /// How far the log was looked at; `None` is to its end.
    through: Option<Revision>,
}

/// Walks the log and picks what lies in the ranges of `query`.
async fn pick(readers: &Readers, look: &Look<'_>, query: &ChangesQuery, window: &Window, small: bool) -> Result<Picked> {
    let limit = query.limit.clamp(1, PAGE_ROWS);
    let asked = if query.ranges.is_empty() { limit } else { PAGE_ROWS };
    let bounds: Vec<_> = query.ranges.iter().map(bounds).collect();
    let wanted = |member: &[u8]| {
        let inside = |(from, to): &(Vec<u8>, Vec<u8>)| member >= &from[1..] && (to == b"+" || member < &to[1..]);
        bounds.is_empty() || bounds.iter().any(inside)
    };
    let (mut first, mut end) = window.bounds();
    let mut picked = Picked { rows: Vec::new(), through: None };
    loop {
        let (from, to) = if window.newest_first { (&end, &first) } else { (&first, &end) };
        let call = readers.function("records").arg(from).arg(to).flag(window.newest_first).number(asked);
        let mut answers = readers.ask(small, call).await?;
        look.reaches(readers, &mut answers)?;
        let rows = answers.list()?.all_bytes()?;
        let mut last = None;
        for row in &rows {
            let line = Line::read(row)?;
            if picked.rows.len() >= limit
                && let Some(last) = last.filter(|last| *last != line.place.revision)
            {
                picked.through = Some(last);
                return Ok(picked);
            }
            last = Some(line.place.revision);
            if wanted(line.member) {
                picked.rows.push(row.clone());
            }
        }
        let Some(last) = last.filter(|_| rows.len() >= asked) else { return Ok(picked) };
        if picked.rows.len() >= limit {
            picked.through = Some(last);
            return Ok(picked);
        }
        match window.newest_first {
            true => end = [b"(", &last.get().to_be_bytes()[..]].concat(),
            false => first = layout::after(last),
        }
    }
}

/// The places of the changes in `ranges`, where they are few among those of everybody else.
async fn few(readers: &Readers, look: &Look<'_>, ranges: &[Range], window: &Window) -> Result<Option<Vec<Place>>> {
    if ranges.is_empty() {
        return Ok(None);
    }
    let (first, end) = window.bounds();
    let (mut in_log, mut in_ranges) = (0, 0);
    for range in ranges {
        let (from, to) = bounds(range);
        let call = readers.function("measure").arg(&first).arg(&end).arg(&from).arg(&to);
        let mut answers = readers.ask(true, call).await?;
        head(readers, &mut answers)?;
        in_log = answers.number()?;
        in_ranges += answers.number()?;
        if in_log <= PAGE_ROWS as u64 || in_ranges > PAGE_ROWS as u64 {
            return Ok(None);
        }
    }
    if in_ranges >= in_log {
        return Ok(None);
    }
    let mut places = Vec::new();
    for range in ranges {
        let (from, to) = bounds(range);
        let call = readers.function("history").arg(&from).arg(&to).flag(false).number(2 * PAGE_ROWS);
        let mut answers = readers.ask(true, call).await?;
        look.reaches(readers, &mut answers)?;
        let rows = answers.list()?.all_bytes()?;
        if rows.len() >= 2 * PAGE_ROWS {
            // So many have come meanwhile.
            return Ok(None);
        }
        for row in &rows {
            let (_, place) = layout::read_row(row)?;
            places.extend(window.contains(place.revision).then_some(place));
        }
    }
    // Ranges may overlap; what is in two of them is told once.
    places.sort_unstable();
    places.dedup();
    if window.newest_first {
        places.reverse();
    }
    Ok(Some(places))
}

async fn pick_few(readers: &Readers, query: &ChangesQuery, mut places: Vec<Place>) -> Result<Picked> {
    let limit = query.limit.clamp(1, PAGE_ROWS);
    let mut picked = Picked { rows: Vec::new(), through: None };
    // A commit is told whole.
    let cut = (limit..places.len()).find(|index| places[*index].revision != places[*index - 1].revision);
    if let Some(cut) = cut {
        picked.through = Some(places[cut - 1].revision);
        places.truncate(cut);
    }
    if places.is_empty() {
        return Ok(picked);
    }
    let mut call = readers.function("rows");
    places.iter().for_each(|place| call.push(place.bytes()));
    let mut answers = readers.ask(true, call).await?;
    head(readers, &mut answers)?;
    let mut rows = answers.list()?;
    while rows.len() > 0 {
        // One that is gone was trimmed, of which the next answer tells if it matters.
        picked.rows.extend(rows.bytes()?);
    }
    Ok(picked)
}
