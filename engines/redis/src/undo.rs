//! Undoing: what the addresses of a range were at a past revision, where they have changed since.

use std::collections::BTreeMap;

use larder_core::{Entry, Result, Revision, Snapshot, Undo, Undone, engine::Page};

use crate::{
    entry,
    layout::{self, Place, address_like, bounds},
    line::Line,
    log::{Look, PAGE_ROWS},
    read::{PAGE_BYTES_MAX, SMALL},
    readers::Readers,
};

/// A log that is no longer than this behind the revision is read as a whole.
const SHORT: u64 = 2 * PAGE_ROWS as u64;

/// The first change of an address after the revision that is gone back to.
type First = (Vec<u8>, Place);

pub(crate) async fn undo(readers: &Readers, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
    let look = Look { lineage: undo.lineage, after: undo.after, ranges: Some(std::slice::from_ref(&undo.range)) };
    let (from, to) = bounds(&undo.range);
    let nothing = readers.function("records").arg("+").arg("+").flag(false).number(0);
    let mut answers = readers.ask(true, nothing).await?;
    let head = look.reaches(readers, &mut answers)?.revision;
    let mut page = Page { items: Vec::new(), more: false };
    if undo.limit == 0 || undo.range.is_empty() || undo.after == head {
        return Ok(Snapshot { revision: head, value: page });
    }
    let past = Past { readers, look: &look, undo: &undo, head, from, to };
    let firsts = past.firsts().await?;

    let mut rest = &firsts[..firsts.len().min(undo.limit)];
    let (mut bytes, mut namespace) = (0, None);
    page.more = firsts.len() > undo.limit;
    while !rest.is_empty() {
        let mut call = readers.function("undone").number(PAGE_BYTES_MAX);
        rest.iter().for_each(|(_, place)| call.push(place.bytes()));
        let mut answers = readers.ask(undo.limit <= SMALL, call).await?;
        look.reaches(readers, &mut answers)?;
        let mut befores = answers.list()?;
        while befores.len() > 0 {
            if bytes >= PAGE_BYTES_MAX {
                page.more = true;
                return Ok(Snapshot { revision: head, value: page });
            }
            let address = address_like(&rest[0].0, &mut namespace)?;
            rest = &rest[1..];
            let entry = befores.bytes()?.map(|bytes| entry::read(address.clone(), bytes)).transpose()?;
            bytes += entry.as_ref().map_or(0, Entry::bytes);
            page.items.push(Undone { address, entry });
        }
    }
    Ok(Snapshot { revision: head, value: page })
}

/// What happened in a range after a revision, through the head.
struct Past<'a> {
    readers: &'a Readers,
    look: &'a Look<'a>,
    undo: &'a Undo,
    head: Revision,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Past<'_> {
    /// The first change of each address, in the order asked for: as many as asked for and one more, where there are.
    async fn firsts(&self) -> Result<Vec<First>> {
        let (log_from, log_to) = (layout::after(self.undo.after), layout::through(self.head));
        let call = self.readers.function("measure").arg(&log_from).arg(&log_to).arg(&self.from).arg(&self.to);
        let mut answers = self.readers.ask(true, call).await?;
        answers.bytes()?;
        let (in_log, in_history) = (answers.number()?, answers.number()?);
        match in_log <= in_history && in_log <= SHORT {
            true => self.in_log(log_from, &log_to).await,
            false => self.in_history().await,
        }
    }

    async fn in_log(&self, mut log_from: Vec<u8>, log_to: &[u8]) -> Result<Vec<First>> {
        let mut found: BTreeMap<Vec<u8>, Place> = BTreeMap::new();
        loop {
            let call = self.readers.function("records").arg(&log_from).arg(log_to).flag(false).number(PAGE_ROWS);
            let mut answers = self.readers.ask(false, call).await?;
            self.look.reaches(self.readers, &mut answers)?;
            let rows = answers.list()?.all_bytes()?;
            for row in &rows {
                let line = Line::read(row)?;
                if line.member >= &self.from[1..] && (self.to == b"+" || line.member < &self.to[1..]) {
                    found.entry(line.member.to_vec()).or_insert(line.place);
                }
            }
            match rows.last().filter(|_| rows.len() >= PAGE_ROWS) {
                Some(last) => log_from = [b"(", &**last].concat(),
                None => break,
            }
        }
        let most = self.undo.limit.saturating_add(1);
        Ok(match self.undo.reverse {
            true => found.into_iter().rev().take(most).collect(),
            false => found.into_iter().take(most).collect(),
        })
    }

    async fn in_history(&self) -> Result<Vec<First>> {
        let (mut from, mut to) = (self.from.clone(), self.to.clone());
        let mut found: Vec<First> = Vec::new();
        let wanted = |place: Place| self.undo.after < place.revision && place.revision <= self.head;
        loop {
            let (first, last) = if self.undo.reverse { (&to, &from) } else { (&from, &to) };
            let call = self.readers.function("history").arg(first).arg(last).flag(self.undo.reverse).number(PAGE_ROWS);
            let mut answers = self.readers.ask(false, call).await?;
            self.look.reaches(self.readers, &mut answers)?;
            let rows = answers.list()?.all_bytes()?;
            for row in &rows {
                let (member, place) = layout::read_row(row)?;
                if !wanted(place) {
                    continue;
                }
                let count = found.len();
                match found.last_mut().filter(|(last, _)| last == member) {
                    // Backwards the first change of an address comes last.
                    Some((_, first)) => *first = place.min(*first),
                    None if count > self.undo.limit => return Ok(found),
                    None => found.push((member.to_vec(), place)),
                }
            }
            let Some(last) = rows.last().filter(|_| rows.len() >= PAGE_ROWS) else { return Ok(found) };
            let edge = [b"(", &**last].concat();
            if self.undo.reverse { to = edge } else { from = edge }
        }
    }
}
