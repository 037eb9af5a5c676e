//! The first trip of a group: everything its commits look at.
//!
//! The state is asked for first and last. Where it is the same, everything between was read of one moment; and it is watched,
//! so what is written afterwards is written of that moment, or not at all.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use futures_util::future::join_all;
use larder_core::{Address, Check, Commit, CommitId, Namespace, Result, decide, index::IndexId};

use crate::{
    entry,
    error::Attempt,
    group::{Group, Kept, Slot, Stored},
    head::read_usage,
    holders::Holders,
    kept,
    layout::Keys,
    log::Floors,
    past::{Eye, Unchanged},
    receipt,
    session::{Answers, Session, Trip},
    writer::Seat,
};

/// Enough of most entries to hold all but the value.
const GLANCE: usize = 256;

/// What the commits of a group look at.
struct Wanted<'a> {
    ids: Vec<CommitId>,
    looks: Vec<Look<'a>>,
    namespaces: Vec<&'a Namespace>,
    unchanged: Vec<Unchanged<'a>>,
}

/// An entry that is looked at.
struct Look<'a> {
    address: &'a Address,
    whole: Whole,
    /// Whether it was asked for with its value.
    is_whole: bool,
    found: Option<Bytes>,
}

/// When the value of an entry is looked at: every reason for it is greater than those that are less.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Whole {
    #[default]
    Never,
    /// What it had in indexes has to go when it is written.
    WhereIndexed,
    Always,
}

impl Whole {
    fn when(is_looked_at: bool) -> Self {
        if is_looked_at { Self::Always } else { Self::Never }
    }

    fn is_needed(self, is_indexed: bool) -> bool {
        self == Self::Always || (self == Self::WhereIndexed && is_indexed)
    }
}

/// The indexes that namespaces have.
type Beside = HashMap<Namespace, Vec<IndexId>>;

/// What was found, and the state that it was found in.
pub(crate) struct Gathered {
    pub(crate) group: Group,
    pub(crate) state: Bytes,
}

/// Reads what `commits` look at; `None` when something was changed between two questions.
pub(crate) async fn gather(seat: &Seat, commits: &[&Commit]) -> Attempt<Option<Gathered>> {
    let Seat { session, keeper, .. } = seat;
    let keys = &keeper.keys;
    let mut wanted = Wanted::of(commits);
    let guess = seat.indexed.of(&wanted.namespaces);
    let mut trip = wanted.trip(session, keys, &guess);
    trip.command("GET").arg(session.state());
    let mut answers = session.ask_all(&trip).await?;

    let state = answers.bytes()?;
    let head = keeper.head(state.as_deref())?;
    let state = state.unwrap_or_default();
    let mut group = Group {
        head,
        floors: Floors::read(answers.list()?)?,
        ids: HashMap::with_capacity(wanted.ids.len()),
        slots: HashMap::with_capacity(wanted.looks.len()),
        usages: Default::default(),
        pasts: HashMap::with_capacity(wanted.unchanged.len()),
        indexes: Default::default(),
        holders: Holders::default(),
        rows: Default::default(),
        changes: Vec::new(),
        receipts: Vec::new(),
    };
    let mut receipts = answers.list()?;
    for id in &wanted.ids {
        if let Some(receipt) = receipts.bytes()? {
            group.ids.insert(*id, receipt::read(&receipt)?);
        }
    }
    let mut beside = Beside::new();
    if !wanted.namespaces.is_empty() {
        let (mut usages, mut indexed) = (answers.list()?, answers.list()?);
        for namespace in &wanted.namespaces {
            let usage = usages.bytes()?.map_or(Ok(Default::default()), |usage| read_usage(&usage))?;
            group.usages.insert((*namespace).clone(), (usage, usage));
            if let Some(ids) = indexed.bytes()? {
                beside.insert((*namespace).clone(), kept::numbers(&ids));
            }
        }
    }
    let mut records = if guess.is_empty() { None } else { Some(answers.list()?) };
    for look in &mut wanted.looks {
        look.found = answers.bytes()?;
    }
    if answers.some_bytes()? != state {
        return Ok(None);
    }

    let mut rest = session.trip();
    let is_right = beside == guess;
    if !is_right {
        seat.indexed.learn(&wanted.namespaces, &beside);
        records = None;
        ask_for(&mut rest, keys, &beside);
    }
    let more = wanted.rest(&mut rest, keys, &beside)?;
    if !rest.is_empty() {
        rest.command("GET").arg(session.state());
        let mut answers = session.ask_all(&rest).await?;
        if !is_right && !beside.is_empty() {
            records = Some(answers.list()?);
        }
        for index in more {
            wanted.looks[index].found = answers.bytes()?;
        }
        if answers.some_bytes()? != state {
            return Ok(None);
        }
    }
    if let Some(records) = records {
        group.indexes = read_records(beside, records)?.into();
    }
    for look in &wanted.looks {
        group.slots.insert(look.address.clone(), look.slot()?);
    }
    let eye = Eye { session, state: &state };
    let pasts = join_all(wanted.unchanged.iter().map(|one| eye.past(one, &group.head, &group.floors))).await;
    for (one, past) in wanted.unchanged.iter().zip(pasts) {
        let Some(past) = past? else { return Ok(None) };
        group.pasts.insert((one.commit, one.check), past);
    }
    Ok(Some(Gathered { group, state }))
}

/// Asks for the records of indexes, if there are some.
fn ask_for(trip: &mut Trip, keys: &Keys, beside: &Beside) {
    if !beside.is_empty() {
        let command = trip.command("HMGET").arg(keys.named("indexes"));
        for id in beside.values().flatten() {
            command.arg(kept::number(*id));
        }
    }
}

fn read_records(beside: Beside, mut records: Answers) -> Result<Kept> {
    let mut read = |id: &IndexId| kept::read(*id, &records.some_bytes()?);
    let mut kept = Kept::new();
    for (namespace, ids) in beside {
        kept.insert(namespace, ids.iter().map(&mut read).collect::<Result<_>>()?);
    }
    Ok(kept)
}

impl Look<'_> {
    fn slot(&self) -> Result<Slot> {
        let Some(bytes) = &self.found else { return Ok(Slot::default()) };
        let read = if self.is_whole { entry::read } else { entry::glance };
        let entry = read(self.address.clone(), bytes.clone())?;
        let bytes = entry::counted(self.address, bytes)?;
        let stood_expiring = entry.expires_at.is_some();
        Ok(Slot { stored: Some(Stored { entry, bytes, stands: true }), stood: true, stood_expiring, changed: false })
    }
}

impl<'a> Wanted<'a> {
    fn of(commits: &[&'a Commit]) -> Self {
        let mut addresses: HashMap<&Address, Whole> = HashMap::new();
        let mut namespaces: BTreeSet<&Namespace> = BTreeSet::new();
        let mut unchanged = Vec::new();
        for (index, commit) in commits.iter().enumerate() {
            for (place, check) in commit.checks.iter().enumerate() {
                match check {
                    Check::Key { address, condition } => {
                        let whole = addresses.entry(address).or_default();
                        *whole = Whole::when(decide::check_needs_value(condition)).max(*whole);
                    }
                    Check::Unchanged { range, since, read_at } => {
                        let (earlier, later) = (commit.now.min(*read_at), commit.now.max(*read_at));
                        unchanged.push(Unchanged { commit: index, check: place, range, since: *since, earlier, later });
                    }
                    // What a commit does not write to does not grow by it.
                    Check::Quota { .. } => {}
                }
            }
            for write in &commit.writes {
                let whole = addresses.entry(&write.address).or_default();
                let needed = Whole::when(decide::write_needs_value(&write.action));
                *whole = needed.max(Whole::WhereIndexed).max(*whole);
                namespaces.insert(&write.address.namespace);
            }
        }
        Self {
            ids: commits.iter().map(|commit| commit.id).collect(),
            looks: addresses
                .into_iter()
                .map(|(address, whole)| Look { address, whole, is_whole: false, found: None })
                .collect(),
            namespaces: namespaces.into_iter().collect(),
            unchanged,
        }
    }

    /// Asks for all of it, and for the records of the indexes that are thought to be there.
    fn trip(&mut self, session: &Session, keys: &Keys, guess: &Beside) -> Trip {
        let mut trip = session.watch();
        trip.command("GET").arg(session.state());
        trip.command("HGETALL").arg(keys.named("floors"));
        let receipts = trip.command("HMGET").arg(keys.named("receipts"));
        for id in &self.ids {
            receipts.arg(id.as_bytes());
        }
        if !self.namespaces.is_empty() {
            for hash in ["usage", "indexed"] {
                let fields = trip.command("HMGET").arg(keys.named(hash));
                for namespace in &self.namespaces {
                    fields.arg(namespace.as_str());
                }
            }
        }
        ask_for(&mut trip, keys, guess);
        for look in &mut self.looks {
            look.is_whole = look.whole.is_needed(guess.contains_key(&look.address.namespace));
            let entry = keys.entry_at(look.address);
            match look.is_whole {
                true => trip.command("GET").arg(entry),
                false => trip.command("GETRANGE").arg(entry).arg(0).arg(GLANCE - 1),
            };
        }
        trip
    }

    /// Asks for what there is more of than was asked for at first; for which of the looks.
    fn rest(&mut self, trip: &mut Trip, keys: &Keys, beside: &Beside) -> Result<Vec<usize>> {
        let mut more = Vec::new();
        for (index, look) in self.looks.iter_mut().enumerate() {
            // A part of what is not there is nothing, but not none.
            if !look.is_whole {
                look.found = look.found.take().filter(|found| !found.is_empty());
            }
            let Some(found) = look.found.as_ref().filter(|_| !look.is_whole) else { continue };
            let ahead = entry::ahead(found)?;
            if look.whole.is_needed(beside.contains_key(&look.address.namespace)) {
                look.is_whole = true;
                trip.command("GET").arg(keys.entry_at(look.address));
            } else if ahead > found.len() {
                trip.command("GETRANGE").arg(keys.entry_at(look.address)).arg(0).arg(ahead - 1);
            } else {
                continue;
            }
            more.push(index);
        }
        Ok(more)
    }
}
