//! Undoing: what the addresses of a range were at a past revision, where they have changed since.

use std::collections::BTreeMap;

use bytes::Bytes;
use larder_core::{Result, Revision, Snapshot, Undo, Undone, engine::Page};

use crate::{
    keeper::Keeper,
    layout::{self, HISTORY, Place, bounds},
    line::Line,
    log::{lines, reaches},
    map::{Pair, Part, View},
    past::is_inside,
    read::{PAGE_BYTES_MAX, ask, whole},
    record::Record,
    setup::PAGE_ROWS,
};

pub(crate) async fn undo(keeper: &Keeper, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
    let view = keeper.view().await?;
    let (head, _) = ask(keeper, &*view, Vec::new()).await?;
    let range = std::slice::from_ref(&undo.range);
    reaches(keeper, &*view, &head, (undo.lineage, undo.after), Some(range)).await?;
    let mut page = Page { items: Vec::new(), more: false };
    if undo.limit == 0 || undo.range.is_empty() || undo.after == head.revision {
        return Ok(Snapshot { revision: head.revision, value: page });
    }
    let mut firsts = firsts(&*view, &undo).await?;
    page.more = firsts.len() > undo.limit;
    firsts.truncate(undo.limit);
    // Some at a time, so that what is read for one page has a bound.
    let (mut bytes, mut namespace) = (0, None);
    for some in firsts.chunks(PAGE_ROWS) {
        if bytes >= PAGE_BYTES_MAX {
            page.more = true;
            break;
        }
        let (mut found, mut were) = (Vec::new(), Vec::new());
        for (_, line) in lines(&*view, some.iter().map(|(_, place)| *place).collect()).await? {
            if bytes >= PAGE_BYTES_MAX {
                page.more = true;
                break;
            }
            let address = layout::address(&line.member, &mut namespace)?;
            let record = line.before.as_ref().map(Record::read).transpose()?;
            bytes += record.as_ref().map_or(0, |record| record.value.len() + record.metadata.len());
            were.push((address.clone(), record.is_some()));
            found.extend(record.map(|record| (address, record)));
        }
        let mut entries = whole(&*view, found).await?.into_iter();
        let undone = were.into_iter().map(|(address, was)| Undone { address, entry: was.then(|| entries.next()).flatten() });
        page.items.extend(undone);
    }
    Ok(Snapshot { revision: head.revision, value: page })
}

/// The first change of each address after the revision that is gone back to, in the order asked for: as many as asked for and
/// one more, where there are.
async fn firsts(view: &dyn View, undo: &Undo) -> Result<Vec<(Bytes, Place)>> {
    let most = undo.limit.saturating_add(1);
    let mut log = layout::part(layout::log_from(Revision::new(undo.after.get().saturating_add(1))), PAGE_ROWS);
    let mut history = Part { reverse: undo.reverse, ..layout::part(bounds(HISTORY, &undo.range), PAGE_ROWS) };
    let (from, to) = bounds(0, &undo.range);
    let mut in_log: BTreeMap<Bytes, Place> = BTreeMap::new();
    let mut in_history: Vec<(Bytes, Place)> = Vec::new();
    // Along the log, and along the range: whichever ends first.
    loop {
        let pairs = view.scan(vec![log.clone()]).await?.pop().unwrap_or_default();
        for (key, line) in &pairs {
            let member = Line::read(line)?.member;
            if is_inside(&member, &from, &to) {
                in_log.entry(member).or_insert(layout::read_log(key)?);
            }
        }
        match pairs.last().filter(|_| pairs.len() >= log.limit) {
            Some((last, _)) => log.from = layout::next(last),
            None if undo.reverse => return Ok(in_log.into_iter().rev().take(most).collect()),
            None => return Ok(in_log.into_iter().take(most).collect()),
        }
        let pairs: Vec<Pair> = view.scan(vec![history.clone()]).await?.pop().unwrap_or_default();
        for (key, _) in &pairs {
            let (member, place) = layout::read_history(key)?;
            if place.revision <= undo.after {
                continue;
            }
            let count = in_history.len();
            match in_history.last_mut().filter(|(last, _)| *last == member) {
                // Backwards the first change of an address comes last.
                Some((_, first)) => *first = place.min(*first),
                None if count > undo.limit => return Ok(in_history),
                None => in_history.push((member, place)),
            }
        }
        match pairs.last().filter(|_| pairs.len() >= history.limit) {
            Some((last, _)) if undo.reverse => history.to = last.clone(),
            Some((last, _)) => history.from = layout::next(last),
            None => return Ok(in_history),
        }
    }
}
