//! The first trip of a group: everything its commits look at.
//!
//! The state is asked for first and last. Where it is the same, everything between was read of one moment; and it is watched,
//! so what is written afterwards is written of that moment, or not at all.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use futures_util::future::join_all;
use larder_core::{Address, Check, Commit, CommitId, Namespace, Result, decide, index::IndexId};

use crate::{
    entry,
    error::Attempt,
    group::{Group, Kept, Slot, Stored},
    head::read_usage,
    holders::Holders,
    kept::{self, Beside},
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
    asked: Asked,
    found: Option<Bytes>,
}

/// What was asked of an entry so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Beginning,
    Everything,
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

/// What was found, and the state that it was found in.
pub(crate) struct Gathered {
    pub(crate) group: Group,
    pub(crate) state: Bytes,
}

/// How many groups in a row have met no entry at any of their addresses.
///
/// Those who only add entries are asked in one word whether there are any, which costs the server least. Somebody who does
/// not pays for it with one trip, once in a while.
#[derive(Debug, Default)]
pub(crate) struct Unmet(AtomicU32);

impl Unmet {
    /// With so many, the next is expected to meet none, either.
    const ENOUGH: u32 = 16;

    fn is_expected(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Self::ENOUGH
    }

    fn learn(&self, met: bool) {
        let unmet = if met { 0 } else { self.0.load(Ordering::Relaxed).saturating_add(1) };
        self.0.store(unmet, Ordering::Relaxed);
    }
}

/// Reads what `commits` look at; `None` when something was changed between two questions.
pub(crate) async fn gather(seat: &Seat, commits: &[&Commit]) -> Attempt<Option<Gathered>> {
    let Seat { session, keeper, .. } = seat;
    let keys = &keeper.keys;
    let mut wanted = Wanted::of(commits);
    let guess = seat.indexed.of(&wanted.namespaces);
    let mut trip = wanted.trip(session, keys, &guess);
    let only_whether = seat.unmet.is_expected() && !wanted.looks.is_empty();
    let asked = match only_whether {
        true => wanted.ask_whether_any(&mut trip, keys),
        false => wanted.ask(&mut trip, keys, &guess)?,
    };
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
    if only_whether && answers.number()? == 0 {
        wanted.looks.iter_mut().for_each(|look| look.asked = Asked::Everything);
    }
    wanted.hear(asked, &mut answers)?;
    if answers.some_bytes()? != state {
        return Ok(None);
    }

    let mut is_right = beside == guess;
    if !is_right {
        seat.indexed.learn(&wanted.namespaces, &beside);
        records = None;
    }
    loop {
        let mut trip = session.trip();
        let asks_for_records = !is_right && !beside.is_empty();
        if asks_for_records {
            ask_for(&mut trip, keys, &beside);
        }
        is_right = true;
        let asked = wanted.ask(&mut trip, keys, &beside)?;
        if trip.is_empty() {
            break;
        }
        trip.command("GET").arg(session.state());
        let mut answers = session.ask_all(&trip).await?;
        if asks_for_records {
            records = Some(answers.list()?);
        }
        wanted.hear(asked, &mut answers)?;
        if answers.some_bytes()? != state {
            return Ok(None);
        }
    }
    if !wanted.looks.is_empty() {
        seat.unmet.learn(wanted.looks.iter().any(|look| look.found.is_some()));
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
        let read = if self.asked == Asked::Everything { entry::read } else { entry::glance };
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
                .map(|(address, whole)| Look { address, whole, asked: Asked::Nothing, found: None })
                .collect(),
            namespaces: namespaces.into_iter().collect(),
            unchanged,
        }
    }

    /// Asks for all of it but the entries, and for the records of the indexes that are thought to be there.
    fn trip(&self, session: &Session, keys: &Keys, guess: &Beside) -> Trip {
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
        trip
    }

    /// Asks how many of the entries there are; of which of the looks that tells more: none.
    fn ask_whether_any(&self, trip: &mut Trip, keys: &Keys) -> Vec<usize> {
        let command = trip.command("EXISTS");
        for look in &self.looks {
            command.arg(keys.entry_at(look.address));
        }
        Vec::new()
    }

    /// Asks for as much of the entries as has to be known and is not known yet, as far as that shows; of which of the looks.
    fn ask(&mut self, trip: &mut Trip, keys: &Keys, beside: &Beside) -> Result<Vec<usize>> {
        let mut asked = Vec::new();
        for (index, look) in self.looks.iter_mut().enumerate() {
            let needs_value = look.whole.is_needed(!beside.is_empty() && beside.contains_key(&look.address.namespace));
            let bytes = match (look.asked, &look.found) {
                (Asked::Nothing, _) => GLANCE,
                (Asked::Beginning, Some(found)) if needs_value || entry::ahead(found)? > found.len() => entry::ahead(found)?,
                _ => continue,
            };
            let entry = keys.entry_at(look.address);
            if needs_value {
                look.asked = Asked::Everything;
                trip.command("GET").arg(entry);
            } else {
                look.asked = Asked::Beginning;
                trip.command("GETRANGE").arg(entry).arg(0).arg(bytes - 1);
            }
            asked.push(index);
        }
        Ok(asked)
    }

    /// Hears what was asked.
    fn hear(&mut self, asked: Vec<usize>, answers: &mut Answers) -> Result<()> {
        for index in asked {
            // The beginning of what is not there is empty, and no entry is.
            self.looks[index].found = answers.bytes()?.filter(|found| !found.is_empty());
        }
        Ok(())
    }
}
