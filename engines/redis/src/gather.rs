//! The first trip of a group: everything its commits look at, in one question.
//!
//! What has happened in ranges takes further questions. They are of the same moment as long as the state is the same.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use larder_core::{Address, Check, Commit, CommitId, Namespace, Range, Result, Revision, Timestamp, decide};

use crate::{
    entry,
    error::Attempt,
    group::{Group, Kept, Past, Slot, Stored},
    head::{Head, read_usage},
    holders::Holders,
    keeper::Keeper,
    kept,
    layout::{self, Place, address_like, bounds, member},
    line::Line,
    log::{Floors, PAGE_ROWS},
    receipt,
    session::{Answers, Call, Session},
};

/// What the commits of a group look at.
struct Wanted<'a> {
    ids: Vec<CommitId>,
    /// With when the value is looked at, too.
    addresses: Vec<(&'a Address, Whole)>,
    namespaces: Vec<&'a Namespace>,
    unchanged: Vec<Unchanged<'a>>,
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

    /// As the function at the server takes it.
    fn arg(self) -> &'static str {
        match self {
            Self::Never => "0",
            Self::Always => "1",
            Self::WhereIndexed => "2",
        }
    }
}

/// A question about the past of a range.
struct Unchanged<'a> {
    commit: usize,
    check: usize,
    range: &'a Range,
    since: Revision,
    earlier: Timestamp,
    later: Timestamp,
}

/// What was found, and the state that it was found in.
pub(crate) struct Gathered {
    pub(crate) group: Group,
    pub(crate) state: bytes::Bytes,
}

/// Reads what `commits` look at; `None` when something was changed between two questions.
pub(crate) async fn gather(session: &Session, keeper: &Keeper, commits: &[&Commit]) -> Attempt<Option<Gathered>> {
    let wanted = Wanted::of(commits);
    let mut answers = session.ask(&wanted.call(session)).await?;
    let state = answers.some_bytes()?;
    let head = keeper.head(Some(&state))?;
    let (mut receipts, mut entries, mut usages) = (answers.list()?, answers.list()?, answers.list()?);
    let mut group = Group {
        head,
        floors: Floors::default(),
        ids: HashMap::with_capacity(wanted.ids.len()),
        slots: HashMap::with_capacity(wanted.addresses.len()),
        usages: Default::default(),
        pasts: HashMap::with_capacity(wanted.unchanged.len()),
        indexes: Default::default(),
        holders: Holders::default(),
        rows: Default::default(),
        changes: Vec::new(),
        receipts: Vec::new(),
    };
    for id in &wanted.ids {
        if let Some(receipt) = receipts.bytes()? {
            group.ids.insert(*id, receipt::read(&receipt)?);
        }
    }
    for (address, _) in &wanted.addresses {
        group.slots.insert((*address).clone(), slot(address, &mut entries)?);
    }
    for namespace in wanted.namespaces {
        let usage = usages.bytes()?.map_or(Ok(Default::default()), |usage| read_usage(&usage))?;
        group.usages.insert(namespace.clone(), (usage, usage));
    }
    group.floors = Floors::read(answers.list()?)?;
    let mut indexes = Kept::new();
    for status in kept::read_all(answers.list()?)? {
        indexes.entry(status.namespace.clone()).or_default().push(status);
    }
    group.indexes = indexes.into();
    let eye = Eye { session, state: &state };
    let pasts = join_all(wanted.unchanged.iter().map(|one| eye.past(one, &group.head, &group.floors))).await;
    for (one, past) in wanted.unchanged.iter().zip(pasts) {
        let Some(past) = past? else { return Ok(None) };
        group.pasts.insert((one.commit, one.check), past);
    }
    Ok(Some(Gathered { group, state }))
}

fn slot(address: &Address, entries: &mut Answers) -> Result<Slot> {
    let (found, size) = (entries.bytes()?, entries.number()?);
    let Some(bytes) = found else { return Ok(Slot::default()) };
    let entry = entry::read(address.clone(), bytes)?;
    let bytes = entry::counted(&entry, usize::try_from(size).unwrap_or(usize::MAX));
    let stood_expiring = entry.expires_at.is_some();
    Ok(Slot { stored: Some(Stored { entry, bytes, stands: true }), stood: true, stood_expiring, changed: false })
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
            addresses: addresses.into_iter().collect(),
            namespaces: namespaces.into_iter().collect(),
            unchanged,
        }
    }

    fn call(&self, session: &Session) -> Call {
        let mut call = session.function("gather").number(self.ids.len());
        self.ids.iter().for_each(|id| call.push(id.as_bytes()));
        call = call.number(self.addresses.len());
        for (address, whole) in &self.addresses {
            call = call.arg(whole.arg()).arg(member(address));
        }
        call = call.number(self.namespaces.len());
        self.namespaces.iter().for_each(|namespace| call.push(namespace.as_str()));
        call
    }
}

/// Looks at the past as of one state.
struct Eye<'a> {
    session: &'a Session,
    state: &'a [u8],
}

impl Eye<'_> {
    /// What a function answers; `None` when the state is no longer the same.
    async fn ask(&self, call: Call) -> Attempt<Option<Answers>> {
        let mut answers = self.session.ask(&call).await?;
        let same = answers.some_bytes()? == self.state;
        Ok(same.then_some(answers))
    }

    async fn past(&self, one: &Unchanged<'_>, head: &Head, floors: &Floors) -> Attempt<Option<Past>> {
        let oldest = floors.oldest_of(head.oldest, std::slice::from_ref(one.range));
        // Where the answer is clear without looking, nobody looks.
        if one.range.is_empty() || one.since < oldest {
            return Ok(Some(Past::default()));
        }
        // Those before it in the group may yet make the revision that it names.
        let changed = match one.since >= head.revision {
            true => None,
            false => match self.changed(one.range, one.since).await? {
                Some(changed) => changed,
                None => return Ok(None),
            },
        };
        let Some(expiring) = self.expiring(one).await? else { return Ok(None) };
        Ok(Some(Past { changed, expiring }))
    }

    /// The first revision after `since` that changed something in `range`.
    async fn changed(&self, range: &Range, since: Revision) -> Attempt<Option<Option<Revision>>> {
        let (from, to) = bounds(range);
        let (log_from, log_to) = (layout::after(since), b"+".to_vec());
        if range.is_one_key() {
            let member = &from[1..];
            let first = layout::row(member, Place { revision: since.next(), ordinal: 0 });
            let from = [b"[", &*first].concat();
            return self.in_history(from, &to, since, 1).await;
        }
        let call = self.session.function("measure").arg(&log_from).arg(&log_to).arg(&from).arg(&to);
        let Some(mut counts) = self.ask(call).await? else { return Ok(None) };
        let (in_log, in_history) = (counts.number()?, counts.number()?);
        match in_log <= in_history {
            true => self.in_log(log_from, &(from, to)).await,
            false => self.in_history(from, &to, since, PAGE_ROWS).await,
        }
    }

    async fn in_log(&self, mut log_from: Vec<u8>, (from, to): &(Vec<u8>, Vec<u8>)) -> Attempt<Option<Option<Revision>>> {
        loop {
            let call = self.session.function("records").arg(&log_from).arg("+").flag(false).number(PAGE_ROWS);
            let Some(mut answers) = self.ask(call).await? else { return Ok(None) };
            answers.list()?;
            let rows = answers.list()?.all_bytes()?;
            for row in &rows {
                let line = Line::read(row)?;
                if line.member >= &from[1..] && (to == b"+" || line.member < &to[1..]) {
                    return Ok(Some(Some(line.place.revision)));
                }
            }
            match rows.last().filter(|_| rows.len() >= PAGE_ROWS) {
                Some(last) => log_from = [b"(", &**last].concat(),
                None => return Ok(Some(None)),
            }
        }
    }

    async fn in_history(
        &self,
        mut from: Vec<u8>,
        to: &[u8],
        since: Revision,
        limit: usize,
    ) -> Attempt<Option<Option<Revision>>> {
        let mut first: Option<Revision> = None;
        loop {
            let call = self.session.function("history").arg(&from).arg(to).flag(false).number(limit);
            let Some(mut answers) = self.ask(call).await? else { return Ok(None) };
            answers.list()?;
            let rows = answers.list()?.all_bytes()?;
            for row in &rows {
                let (_, Place { revision, .. }) = layout::read_row(row)?;
                if revision > since && first.is_none_or(|first| revision < first) {
                    first = Some(revision);
                }
            }
            match rows.last().filter(|_| rows.len() >= limit && limit > 1) {
                Some(last) => from = [b"(", &**last].concat(),
                None => return Ok(Some(first)),
            }
        }
    }

    /// The addresses of a range that expire between the two moments.
    async fn expiring(&self, one: &Unchanged<'_>) -> Attempt<Option<Vec<Address>>> {
        let (mut found, mut passed, mut namespace) = (Vec::new(), 0, None);
        if one.earlier >= one.later {
            return Ok(Some(found));
        }
        loop {
            let call = self.session.function("expiring").arg(format!("({}", one.earlier.as_millis()));
            let call = call.number(one.later.as_millis()).number(passed).number(PAGE_ROWS);
            let Some(mut answers) = self.ask(call).await? else { return Ok(None) };
            let members = answers.list()?.all_bytes()?;
            passed += members.len();
            for member in &members {
                let address = address_like(member, &mut namespace)?;
                if one.range.contains(&address) {
                    found.push(address);
                }
            }
            if members.len() < PAGE_ROWS {
                return Ok(Some(found));
            }
        }
    }
}
