//! The log: read with both sides of every change, as of one moment.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use larder_core::{Address, Change, Changes, ChangesQuery, Entry, Error, Lineage, LogOrder, Range, Result, Revision};

use crate::{
    error::corrupt,
    head::Head,
    keeper::Keeper,
    layout::{self, HISTORY, Place, bounds},
    line::Line,
    map::{Pair, Part, View},
    past::is_inside,
    read::{PAGE_BYTES_MAX, ask, whole},
    record::Record,
    setup::PAGE_ROWS,
};

/// How many rows of the log a look takes that finds little of what it is after.
const ROWS_MAX: usize = 32 * PAGE_ROWS;

/// Whether the log still tells everything about `ranges`, or of all where gaps will do, after a revision of a lineage.
pub(crate) async fn reaches(
    keeper: &Keeper,
    view: &dyn View,
    head: &Head,
    (lineage, after): (Lineage, Revision),
    ranges: Option<&[Range]>,
) -> Result<()> {
    let oldest = match ranges {
        Some(ranges) => keeper.setup(view, head).await?.oldest_of(head.oldest, ranges),
        None => head.oldest,
    };
    if lineage != head.lineage || after < oldest || after > head.revision {
        return Err(Error::trimmed(oldest));
    }
    Ok(())
}

/// A change and where it stands.
pub(crate) type Logged = (Place, Line);

/// What a look is about, and how far it has come.
struct Look<'a> {
    view: &'a dyn View,
    ranges: Vec<(Bytes, Bytes)>,
    newest_first: bool,
    limit: usize,
}

/// Changes that are to be told, whole commits.
struct Picked {
    lines: Vec<Logged>,
    /// How far the log was looked at; `None` is to its end.
    through: Option<Revision>,
}

pub(crate) async fn changes(keeper: &Keeper, query: ChangesQuery) -> Result<Changes> {
    query.verify()?;
    let view = keeper.view().await?;
    let (head, _) = ask(keeper, &*view, Vec::new()).await?;
    reaches(keeper, &*view, &head, (query.lineage, query.after), (!query.gaps).then_some(&*query.ranges)).await?;
    let newest_first = query.order != LogOrder::OldestFirst;
    let mut page = Changes { changes: Vec::new(), through: head.revision, head: head.revision };
    if newest_first {
        page.through = query.after;
    }
    let end = match query.order {
        LogOrder::NewestFirst { before: Some(before) } => before.min(head.revision.next()),
        _ => head.revision.next(),
    };
    let (first, limit) = (query.after.next(), query.limit.clamp(1, PAGE_ROWS));
    if first >= end {
        return Ok(page);
    }
    let look =
        Look { view: &*view, ranges: query.ranges.iter().map(|range| bounds(0, range)).collect(), newest_first, limit };
    let picked = look.pick(&query.ranges, first, end).await?;
    if let Some(through) = picked.through {
        page.through = through;
    }
    let (changes, cut) = both_sides(&*view, picked.lines).await?;
    page.changes = changes;
    if let Some(cut) = cut {
        page.through = cut;
    }
    Ok(page)
}

impl Look<'_> {
    fn wants(&self, member: &[u8]) -> bool {
        self.ranges.is_empty() || self.ranges.iter().any(|(from, to)| is_inside(member, from, to))
    }

    /// Walks the log from the revision `first` on and before `end`, and picks what is asked for.
    async fn pick(&self, ranges: &[Range], first: Revision, end: Revision) -> Result<Picked> {
        let asked = if self.ranges.is_empty() { self.limit + 1 } else { PAGE_ROWS };
        let mut part = Part { reverse: self.newest_first, ..layout::part(layout::log_between(first, end), asked) };
        let mut picked = Picked { lines: Vec::new(), through: None };
        let mut rows = 0;
        loop {
            let pairs = self.view.scan(vec![part.clone()]).await?.pop().unwrap_or_default();
            rows += pairs.len();
            let mut last = None;
            for (key, line) in &pairs {
                let (place, line) = (layout::read_log(key)?, Line::read(line)?);
                if picked.lines.len() >= self.limit
                    && let Some(last) = last.filter(|last| *last != place.revision)
                {
                    picked.through = Some(last);
                    return Ok(picked);
                }
                last = Some(place.revision);
                if self.wants(&line.member) {
                    picked.lines.push((place, line));
                }
            }
            let Some((key, _)) = pairs.last().filter(|_| pairs.len() >= part.limit) else { return Ok(picked) };
            match self.newest_first {
                true => part.to = key.clone(),
                false => part.from = layout::next(key),
            }
            let Some(last) = last else { return Ok(picked) };
            if picked.lines.len() >= self.limit || rows >= ROWS_MAX {
                // The rest of the last commit.
                picked.lines.extend(self.rest(last, &part).await?);
                picked.through = Some(last);
                return Ok(picked);
            }
            // What lies in few places is found there, where the log is long.
            if rows == pairs.len()
                && let Some(few) = self.few(ranges, first, end).await?
            {
                return Ok(few);
            }
        }
    }

    /// What is left of the commit at `revision`, of which the log was read up to the beginning of `part`.
    async fn rest(&self, revision: Revision, part: &Part) -> Result<Vec<Logged>> {
        let (from, to) = layout::log_between(revision, revision.next());
        let part = Part { from: from.max(part.from.clone()), to: to.min(part.to.clone()), ..part.clone() };
        let mut pairs = Vec::new();
        if part.from < part.to {
            let mut part = Part { limit: usize::from(u16::MAX) + 1, ..part };
            part.reverse = self.newest_first;
            pairs = self.view.scan(vec![part]).await?.pop().unwrap_or_default();
        }
        let line = |(key, line): &Pair| Ok((layout::read_log(key)?, Line::read(line)?));
        let lines = pairs.iter().map(line).collect::<Result<Vec<Logged>>>()?;
        Ok(lines.into_iter().filter(|(_, line)| self.wants(&line.member)).collect())
    }

    /// The changes in `ranges`, where there are few of them at all.
    async fn few(&self, ranges: &[Range], first: Revision, end: Revision) -> Result<Option<Picked>> {
        if ranges.is_empty() {
            return Ok(None);
        }
        let parts = ranges.iter().map(|range| layout::part(bounds(HISTORY, range), PAGE_ROWS)).collect();
        let found = self.view.scan(parts).await?;
        if found.iter().any(|pairs| pairs.len() >= PAGE_ROWS) {
            return Ok(None);
        }
        let mut places = Vec::new();
        for (key, _) in found.iter().flatten() {
            let (_, place) = layout::read_history(key)?;
            places.extend((first <= place.revision && place.revision < end).then_some(place));
        }
        // Ranges may overlap; what is in two of them is told once.
        places.sort_unstable();
        places.dedup();
        if self.newest_first {
            places.reverse();
        }
        let mut picked = Picked { lines: Vec::new(), through: None };
        // A commit is told whole.
        let cut = (self.limit..places.len()).find(|at| places[*at].revision != places[*at - 1].revision);
        if let Some(cut) = cut {
            picked.through = Some(places[cut - 1].revision);
            places.truncate(cut);
        }
        picked.lines = lines(self.view, places).await?;
        Ok(Some(picked))
    }
}

/// The changes at `places`.
pub(crate) async fn lines(view: &dyn View, places: Vec<Place>) -> Result<Vec<Logged>> {
    let found = view.get(places.iter().map(|place| layout::log(*place)).collect()).await?;
    let line = |(place, line): (Place, Option<Bytes>)| {
        Ok((place, Line::read(&line.ok_or_else(|| corrupt("a line of the log is gone"))?)?))
    };
    places.into_iter().zip(found).map(line).collect()
}

/// The records after changes.
async fn afters(view: &dyn View, picked: &[Logged]) -> Result<Vec<Option<Bytes>>> {
    // What an entry became is what the next change of its address met, which may be among them, or what it is now.
    let mut own: HashMap<&Bytes, BTreeMap<Place, &Line>> = HashMap::new();
    for (place, line) in picked {
        own.entry(&line.member).or_default().insert(*place, line);
    }
    let mut parts = Vec::with_capacity(2 * own.len());
    for (member, places) in &own {
        let last = places.keys().next_back().copied().unwrap_or(Place::first(Revision::ZERO));
        // Those between changes that were picked may have been passed over by nobody: the same ranges hold for all of them.
        let (from, to) = layout::history_from(member, last);
        parts.push(layout::part((layout::next(&from), to), 1));
        parts.push(layout::only(&layout::entry(member)));
    }
    let mut found = view.scan(parts).await?.into_iter();
    let (mut now, mut later) = (HashMap::new(), Vec::new());
    for member in own.keys() {
        let (next, entry) = (found.next().unwrap_or_default().pop(), found.next().unwrap_or_default().pop());
        match next {
            Some((key, _)) => later.push((*member, layout::read_history(&key)?.1)),
            None => drop(now.insert(*member, entry.map(|(_, record)| record))),
        }
    }
    let places = later.iter().map(|(_, place)| *place).collect::<Vec<_>>();
    if !places.is_empty() {
        for ((member, _), (_, line)) in later.iter().zip(lines(view, places).await?) {
            now.insert(*member, line.before);
        }
    }
    let after = |(place, line): &Logged| {
        let next = own[&line.member].range(behind(*place)..).next();
        match next {
            Some((_, next)) => next.before.clone(),
            None => now.get(&line.member).cloned().flatten(),
        }
    };
    Ok(picked.iter().map(after).collect())
}

fn behind(place: Place) -> Place {
    match place.ordinal.checked_add(1) {
        Some(ordinal) => Place { ordinal, ..place },
        None => Place::first(place.revision.next()),
    }
}

/// Changes with both sides; where they are too many bytes only the first commits, and the last of these.
async fn both_sides(view: &dyn View, mut picked: Vec<Logged>) -> Result<(Vec<Change>, Option<Revision>)> {
    let mut afters = if picked.is_empty() { Vec::new() } else { afters(view, &picked).await? };
    let mut records: Vec<[Option<Record>; 2]> = Vec::with_capacity(picked.len());
    let (mut bytes, mut cut) = (0, None);
    for (at, ((place, line), after)) in picked.iter().zip(&afters).enumerate() {
        let last = at.checked_sub(1).map(|last| picked[last].0.revision);
        if let Some(last) = last.filter(|last| *last != place.revision && bytes >= PAGE_BYTES_MAX) {
            cut = Some((at, last));
            break;
        }
        let sides = [&line.before, after].map(|record| record.as_ref().map(Record::read).transpose());
        let [before, after] = sides;
        let sides = [before?, after?];
        bytes += sides.iter().flatten().map(|record| record.value.len() + record.metadata.len()).sum::<usize>();
        records.push(sides);
    }
    if let Some((at, _)) = cut {
        picked.truncate(at);
        afters.truncate(at);
    }
    let (mut found, mut namespace) = (Vec::new(), None);
    let mut addresses: Vec<Address> = Vec::with_capacity(picked.len());
    for ((_, line), sides) in picked.iter().zip(&records) {
        let address = layout::address(&line.member, &mut namespace)?;
        found.extend(sides.iter().flatten().map(|record| (address.clone(), record.clone())));
        addresses.push(address);
    }
    let mut entries = whole(view, found).await?.into_iter();
    let mut changes = Vec::with_capacity(picked.len());
    for (((place, line), sides), address) in picked.into_iter().zip(records).zip(addresses) {
        let mut side = |record: &Option<Record>| -> Option<Entry> { record.as_ref().and_then(|_| entries.next()) };
        let [before, after] = &sides;
        let (before, after) = (side(before), side(after));
        changes.push(Change { revision: place.revision, at: line.at, kind: line.kind, address, before, after });
    }
    Ok((changes, cut.map(|(_, last)| last)))
}
