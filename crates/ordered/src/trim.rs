//! Trimming: old changes and old ids go, step by step.

use std::collections::BTreeMap;

use bytes::Bytes;
use larder_core::{BoxFuture, Namespace, Range, Result, Revision, Timestamp, Trim, Trimmed};

use crate::{
    head::{Head, read_usage},
    keeper::Keeper,
    lane::{Tried, Work, apply},
    layout::{self, HISTORY, Place, bounds},
    line::Line,
    map::{Part, Size, View},
    record::Record,
    sheet::Sheet,
    write::put_usage,
};

/// How many changes, and how many ids, one step forgets at most, so that commits get their turn in between.
const TRIM_ROWS: usize = 1000;

/// What is left to do of a trim.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    trim: Trim,
    /// From which row of its log by address to go on with a namespace.
    from: Option<Bytes>,
}

impl Task {
    pub(crate) fn new(trim: Trim) -> Self {
        Self { trim, from: None }
    }
}

/// One step of a trim.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) trimmed: Trimmed,
    /// Until there is nothing left to do.
    pub(crate) next: Option<Task>,
}

impl Work for Task {
    type Answer = Step;

    fn attempt<'a>(&'a self, keeper: &'a Keeper, view: &'a dyn View) -> BoxFuture<'a, Result<Tried<Step>>> {
        Box::pin(async move {
            match &self.trim.namespace {
                None => everywhere(keeper, view, self).await,
                Some(namespace) => in_namespace(keeper, view, self, namespace).await,
            }
        })
    }
}

/// How much of a batch a step takes: what is removed with a change is known before it is, within these bounds.
fn room(most: Size) -> Size {
    Size { operations: most.operations / 2, bytes: most.bytes / 2 }
}

fn is_full(sheet: &Sheet<'_>, room: Size) -> bool {
    let size = sheet.size();
    size.operations >= room.operations || size.bytes >= room.bytes
}

/// Forgets some changes of every namespace, and some ids.
async fn everywhere(keeper: &Keeper, view: &dyn View, task: &Task) -> Result<Tried<Step>> {
    let trim = &task.trim;
    let mut sheet = Sheet::new(view);
    let end = Revision::new(trim.through.get().saturating_add(1));
    let log = layout::part(layout::log_between(Revision::ZERO, end), TRIM_ROWS);
    let newest = Part { reverse: true, ..layout::part(layout::receipts(), 1) };
    // The newest id is read by itself: a sheet reads forwards.
    let mut found = view.scan(vec![layout::only(&layout::head()), newest, log]).await?.into_iter();
    let mut pairs = || found.next().unwrap_or_default();
    let (head, newest, rows) = (pairs().pop(), pairs().pop(), pairs());
    let head = keeper.head(head.map(|(_, head)| head).as_ref())?;
    let setup = keeper.setup(view, &head).await?;

    // Ids made later than any that is known here are never forgotten, or a clock that ran ahead could lock everyone out.
    let newest = newest.map(|(key, _)| layout::read_receipt(&key)).transpose()?;
    let before = newest.map_or(Timestamp::EPOCH, |newest| trim.ids_before.min(newest.made_at()));
    let oldest = head.oldest.max(trim.through.min(head.revision));
    let mut anew = Head { oldest, ids_since: head.ids_since.max(before), ..head.clone() };
    // A namespace that was trimmed by itself less far than all is one like the others again.
    for namespace in setup.floors_through(oldest) {
        sheet.delete(layout::floor(namespace));
        anew.setup = head.tick + 1;
    }
    let count = forget(&mut sheet, &mut anew, &rows, room(keeper.map.most())).await?;
    let mut ids = 0;
    let part = layout::part(layout::receipts_before(before), TRIM_ROWS);
    let old = sheet.scan(&part).await?;
    for (key, _) in &old {
        if is_full(&sheet, room(keeper.map.most())) {
            break;
        }
        sheet.delete(key.clone());
        ids += 1;
    }
    let trimmed = Trimmed { oldest, changes: count as u64, ids: ids as u64 };
    let ended = rows.len() < TRIM_ROWS && count == rows.len() && old.len() < TRIM_ROWS && ids == old.len();
    // What was the head at the first step stays the end, whatever is committed meanwhile.
    let next = Task { trim: Trim { through: trim.through.min(oldest), ..trim.clone() }, from: None };
    let done = Step { trimmed, next: (!ended).then_some(next) };
    if anew == head && sheet.is_clean() {
        return Ok(Tried::Done(done));
    }
    apply(keeper, view, sheet, anew, done).await
}

/// Looks at some changes of `namespace` in the order of keys, the only one in which they stand together, and forgets those
/// that are old.
async fn in_namespace(keeper: &Keeper, view: &dyn View, task: &Task, namespace: &Namespace) -> Result<Tried<Step>> {
    let mut sheet = Sheet::new(view);
    let (from, to) = bounds(HISTORY, &Range::namespace(namespace));
    let part = layout::part((task.from.clone().unwrap_or(from), to), TRIM_ROWS);
    sheet.fetch(vec![layout::head()], vec![part.clone()]).await?;
    let head = keeper.head(sheet.get(&layout::head()).await?.as_ref())?;
    let setup = keeper.setup(view, &head).await?;
    let here = sheet.scan(&part).await?;
    let through = task.trim.through.min(head.revision);
    let own = setup.floor(namespace).unwrap_or(Revision::ZERO).max(through);
    let oldest = own.max(head.oldest);

    let places = here.iter().map(|(key, _)| layout::read_history(key).map(|(_, place)| place));
    let places = places.collect::<Result<Vec<Place>>>()?;
    let old: Vec<(usize, Bytes)> = places
        .iter()
        .enumerate()
        .filter(|(_, place)| place.revision <= through)
        .map(|(at, place)| (at, layout::log(*place)))
        .collect();
    let keys: Vec<Bytes> = old.iter().map(|(_, key)| key.clone()).collect();
    sheet.fetch(keys.clone(), Vec::new()).await?;
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        let line = sheet.get(&key).await?.ok_or_else(|| crate::error::corrupt("a line of the log is gone"))?;
        rows.push((key, line));
    }
    let mut anew = head.clone();
    if through > head.oldest && setup.floor(namespace) != Some(own) {
        sheet.put(layout::floor(namespace), Bytes::copy_from_slice(&own.get().to_be_bytes()));
        anew.setup = head.tick + 1;
    }
    let count = forget(&mut sheet, &mut anew, &rows, room(keeper.map.most())).await?;
    // What did not fit is looked at again.
    let next = match old.get(count) {
        Some((at, _)) => Some(here[*at].0.clone()),
        None => here.last().filter(|_| here.len() >= TRIM_ROWS).map(|(last, _)| layout::next(last)),
    };
    // What was the head at the first step stays the end, whatever is committed meanwhile.
    let next = next.map(|from| Task { trim: Trim { through, ..task.trim.clone() }, from: Some(from) });
    let done = Step { trimmed: Trimmed { oldest, changes: count as u64, ids: 0 }, next };
    if sheet.is_clean() {
        return Ok(Tried::Done(done));
    }
    apply(keeper, view, sheet, anew, done).await
}

/// Takes the first of `rows` out of the log, as many as there is room for, with what nobody else has; counts them off what the
/// store and its namespaces take, and answers how many they are.
async fn forget(sheet: &mut Sheet<'_>, head: &mut Head, rows: &[(Bytes, Bytes)], room: Size) -> Result<usize> {
    let mut bytes: BTreeMap<Bytes, u64> = BTreeMap::new();
    let mut count = 0;
    for (key, line) in rows {
        if is_full(sheet, room) {
            break;
        }
        let line = Line::read(line)?;
        let end = line.member.iter().position(|byte| *byte == 0).unwrap_or(line.member.len());
        *bytes.entry(line.member.slice(..end)).or_default() += line.bytes;
        sheet.delete(key.clone());
        sheet.delete(layout::history(&line.member, layout::read_log(key)?));
        if let Some(before) = &line.before {
            let record = Record::read(before)?;
            let value = record.value.body().filter(|_| !line.leaves_value);
            let metadata = record.metadata.body().filter(|_| !line.leaves_metadata);
            value.into_iter().chain(metadata).for_each(|body| sheet.delete(layout::body(body)));
        }
        count += 1;
    }
    head.changes = head.changes.saturating_sub(count as u64);
    sheet.fetch(bytes.keys().map(|name| layout::usage(name)).collect(), Vec::new()).await?;
    for (name, bytes) in bytes {
        let before = sheet.get(&layout::usage(&name)).await?.map_or(Ok(Default::default()), |usage| read_usage(&usage))?;
        let mut after = before;
        after.log_bytes = before.log_bytes.saturating_sub(bytes);
        head.count(before, after);
        let (key, value) = put_usage(&name, after);
        match value {
            Some(value) => sheet.put(key, value),
            None => sheet.delete(key),
        }
    }
    Ok(count)
}
