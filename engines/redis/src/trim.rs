//! Trimming: old changes and old ids go, step by step.

use std::collections::BTreeMap;

use bytes::Bytes;
use larder_core::{CommitId, Namespace, Range, Revision, Timestamp, Trim, Trimmed, Usage};

use crate::{
    error::Attempt,
    head::{Head, read_usage},
    layout::{self, bounds},
    line::Line,
    log::Floors,
    session::{Answers, Call, Session},
    write::Change,
    writer::{Seat, Tried},
};

/// How many changes, and how many ids, one step forgets at most, so that commits get their turn in between.
const TRIM_ROWS: usize = 1000;

/// What is left to do of a trim.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    trim: Trim,
    /// Behind which row of its log by key to go on with a namespace.
    from: Vec<u8>,
}

impl Task {
    pub(crate) fn new(trim: Trim) -> Self {
        let from = trim.namespace.as_ref().map(|namespace| bounds(&Range::namespace(namespace)).0).unwrap_or_default();
        Self { trim, from }
    }
}

/// One step of a trim.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) trimmed: Trimmed,
    /// Until there is nothing left to do.
    pub(crate) next: Option<Task>,
}

/// Forgets some of what `task` says.
pub(crate) async fn step(seat: &Seat, task: &Task) -> Attempt<Tried<Step>> {
    match &task.trim.namespace {
        None => everywhere(seat, task).await,
        Some(namespace) => in_namespace(seat, task, namespace).await,
    }
}

/// Asks as of one state.
struct Eye<'a> {
    session: &'a Session,
    state: Option<Bytes>,
}

impl Eye<'_> {
    /// What a function answers behind the state; `None` when the state is another than before.
    async fn ask(&mut self, call: Call) -> Attempt<Option<Answers>> {
        // What is asked first is asked with the state watched, so that what comes of it happens only in this one.
        let mut answers = match self.state {
            None => self.session.ask_watched(call).await?,
            Some(_) => self.session.ask(&call).await?,
        };
        let state = answers.some_bytes()?;
        let same = self.state.as_ref().is_none_or(|before| *before == state);
        self.state = Some(state);
        Ok(same.then_some(answers))
    }
}

/// Forgets some changes of every namespace, and some ids.
async fn everywhere(seat: &Seat, task: &Task) -> Attempt<Tried<Step>> {
    let trim = &task.trim;
    let (session, keeper) = (&seat.session, &seat.keeper);
    let mut eye = Eye { session, state: None };
    let call = session.function("records").arg("-").arg(layout::through(trim.through)).flag(false).number(TRIM_ROWS);
    let Some(mut answers) = eye.ask(call).await? else { return Ok(Tried::Moved) };
    let head = keeper.head(eye.state.as_deref())?;
    let (floors, rows) = (Floors::read(answers.list()?)?, answers.list()?.all_bytes()?);

    // Ids made later than any that is known here are never forgotten, or a clock that ran ahead could lock everyone out.
    let bound = |moment| CommitId::new(moment, 0).as_bytes().to_vec();
    let call = session.function("ids").arg(bound(trim.ids_before)).number(TRIM_ROWS);
    let Some(mut answers) = eye.ask(call).await? else { return Ok(Tried::Moved) };
    let newest = Timestamp::from_millis_saturating(answers.number()?.cast_signed());
    let (before, more_ids) = (trim.ids_before.min(newest), answers.number()? == 1);
    let groups = answers.list()?.all_bytes()?;

    let mut change = Change::new(&keeper.keys);
    let oldest = head.oldest.max(trim.through.min(head.revision));
    let mut anew = Head { oldest, ids_since: head.ids_since.max(before), ..head.clone() };
    // A namespace that was trimmed by itself less far than all is one like the others again.
    floors.through(oldest).for_each(|namespace| change.no_field("floors", namespace.as_str()));
    let Some(usages) = forget(&mut eye, &mut change, &mut anew, &rows).await? else { return Ok(Tried::Moved) };
    usages.iter().for_each(|(namespace, usage)| change.usage(namespace, *usage));
    let ids = groups.iter().map(|group| change.forget_ids(group, before)).sum();
    let trimmed = Trimmed { oldest, changes: rows.len() as u64, ids };
    // Where a clock ran ahead, what is left begins before the bound and is not old.
    let ended = rows.len() < TRIM_ROWS && (!more_ids || ids == 0);
    // What was the head at the first step stays the end, whatever is committed meanwhile.
    let next = Task { trim: Trim { through: trim.through.min(oldest), ..trim.clone() }, from: Vec::new() };
    let done = Step { trimmed, next: (!ended).then_some(next) };
    if anew == head && rows.is_empty() && ids == 0 {
        return Ok(Tried::Done(done));
    }
    seat.apply(change, anew, done).await
}

/// Looks at some changes of `namespace` in the order of keys, the only one in which they stand together, and forgets those
/// that are old.
async fn in_namespace(seat: &Seat, task: &Task, namespace: &Namespace) -> Attempt<Tried<Step>> {
    let (session, keeper) = (&seat.session, &seat.keeper);
    let mut eye = Eye { session, state: None };
    let (_, to) = bounds(&Range::namespace(namespace));
    let call = session.function("history").arg(&task.from).arg(to).flag(false).number(TRIM_ROWS);
    let Some(mut answers) = eye.ask(call).await? else { return Ok(Tried::Moved) };
    let head = keeper.head(eye.state.as_deref())?;
    let (floors, here) = (Floors::read(answers.list()?)?, answers.list()?.all_bytes()?);
    let through = task.trim.through.min(head.revision);
    let own = floors.of(namespace).unwrap_or(Revision::ZERO).max(through);
    let oldest = own.max(head.oldest);

    let mut old = Vec::new();
    for row in &here {
        let (_, place) = layout::read_row(row)?;
        old.extend((place.revision <= through).then_some(place));
    }
    let mut call = session.function("rows");
    old.iter().for_each(|place| call.push(place.bytes()));
    let Some(mut answers) = eye.ask(call).await? else { return Ok(Tried::Moved) };
    let rows = answers.list()?.all_bytes()?;

    let mut change = Change::new(&keeper.keys);
    let mut anew = head.clone();
    let raised = through > head.oldest && floors.of(namespace) != Some(own);
    if raised {
        change.field("floors", namespace.as_str(), own.get().to_be_bytes());
    }
    let Some(usages) = forget(&mut eye, &mut change, &mut anew, &rows).await? else { return Ok(Tried::Moved) };
    usages.iter().for_each(|(namespace, usage)| change.usage(namespace, *usage));
    let next = here.last().filter(|_| here.len() >= TRIM_ROWS).map(|last| {
        // What was the head at the first step stays the end, whatever is committed meanwhile.
        let trim = Trim { through, ..task.trim.clone() };
        Task { trim, from: [b"(", &**last].concat() }
    });
    let done = Step { trimmed: Trimmed { oldest, changes: rows.len() as u64, ids: 0 }, next };
    if !raised && rows.is_empty() {
        return Ok(Tried::Done(done));
    }
    seat.apply(change, anew, done).await
}

/// Takes `rows` out of the log, and counts them off what the store and its namespaces take; `None` when the state is no
/// longer the same.
async fn forget(
    eye: &mut Eye<'_>,
    change: &mut Change<'_>,
    head: &mut Head,
    rows: &[Bytes],
) -> Attempt<Option<BTreeMap<Vec<u8>, Usage>>> {
    let mut bytes: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for row in rows {
        let line = Line::read(row)?;
        let namespace = line.member.split(|byte| *byte == 0).next().unwrap_or_default();
        *bytes.entry(namespace.to_vec()).or_default() += line.bytes;
        change.remove("log", row);
        change.remove("history", layout::row(line.member, line.place));
        if line.has_before {
            change.forget(line.place);
        }
        head.changes = head.changes.saturating_sub(1);
    }
    let mut call = eye.session.function("usage");
    bytes.keys().for_each(|namespace| call.push(namespace));
    let Some(mut answers) = eye.ask(call).await? else { return Ok(None) };
    let mut usages = answers.list()?;
    let mut counted = BTreeMap::new();
    for (namespace, bytes) in bytes {
        let before = usages.bytes()?.map_or(Ok(Usage::default()), |usage| read_usage(&usage))?;
        let after = Usage { log_bytes: before.log_bytes.saturating_sub(bytes), ..before };
        head.count(before, after);
        counted.insert(namespace, after);
    }
    Ok(Some(counted))
}
