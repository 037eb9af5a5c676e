//! The first trip of a group: the lock, and then everything its commits look at.
//!
//! Every question is a statement of its own behind the lock. At READ COMMITTED each sees what was committed before it began,
//! so what was waited for is seen; a statement that had waited for the lock itself would decide on what was there before.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::future::{join, join_all};
use larder_core::{Action, Address, Check, Commit, CommitId, Namespace, Result, Revision, Timestamp, decide};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    error::{Attempt, corrupt},
    group::{Group, Past, Slot, Stored},
    head::{Head, LOCK},
    kept::Kept,
    log::{FLOORS, Floors, PLACES, beside_the_index},
    range::within,
    read::{parameters, usage_at},
    receipt,
    row::{self, cell, number, signed, unsigned},
    session::Session,
    terms::Terms,
};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const IDS: &str = "SELECT id, revision, receipt FROM unnest($1::bytea[]) AS asked (asked_id) JOIN commits ON id = asked_id";

const STORED: &str = "SELECT place, version, revision, created_at, updated_at, expires_at, json, encodings, metadata, \
    CASE WHEN whole THEN value END, octet_length(value)::bigint \
    FROM unnest($1::text[], $2::text[], $3::boolean[]) WITH ORDINALITY AS asked (asked_namespace, asked_key, whole, place) \
    JOIN entries ON namespace = asked_namespace AND key = asked_key";

const TAKEN: &str = "SELECT EXISTS (SELECT FROM entries WHERE namespace = $1 AND key BETWEEN $2 AND $3)";

/// From how many addresses on a look at all that is between them is worth it.
const GAP_MIN: usize = 256;

const USAGES: &str = "SELECT namespace, entries, bytes, log_bytes FROM unnest($1::text[]) AS asked (asked_namespace) \
    JOIN namespaces ON namespace = asked_namespace";

/// An address that is looked at, and whether its value is, too.
type Look<'a> = (&'a Address, bool);

/// What the commits of a group look at.
struct Wanted<'a> {
    ids: Vec<&'a [u8]>,
    /// In the order of the index, so that neighbours are found together.
    addresses: Vec<Look<'a>>,
    /// The namespaces in which there is more to do than to restore.
    lively: BTreeSet<&'a Namespace>,
    namespaces: Vec<&'a str>,
    unchanged: Vec<Unchanged>,
}

/// A question about the past of a range.
struct Unchanged {
    commit: usize,
    check: usize,
    changed: String,
    expiring: String,
    edges: Vec<String>,
    first: i64,
    moments: (Timestamp, Timestamp),
}

/// Begins a transaction, takes the lock, and reads what `commits` look at. `kept` are the indexes as they were when
/// somebody last looked.
pub(crate) async fn gather(session: &Session, commits: &[&Commit], kept: &Arc<Kept>) -> Attempt<Group> {
    let mut wanted = Wanted::of(commits, kept);
    session.prepare(&wanted.statements()).await?;

    let ids: [&(dyn ToSql + Sync); 1] = [&wanted.ids];
    let usages: [&(dyn ToSql + Sync); 1] = [&wanted.namespaces];
    let (gaps, others) = wanted.parts();
    // In this order they are sent, and in this order they are done.
    let locked = join(session.run(BEGIN), session.row(LOCK, &[]));
    let looked = join(stored(session, &others), join_all(gaps.iter().map(|gap| is_taken(session, gap))));
    let read = join(join(session.query(IDS, &ids), looked), session.query(USAGES, &usages));
    let most = signed(wanted.addresses.len() as u64) + 1;
    let pasts = async {
        match wanted.unchanged.is_empty() {
            true => Ok((Vec::new(), Vec::new())),
            false => {
                let asked: Vec<_> = wanted.unchanged.iter().map(|one| one.ask(session, most)).collect();
                let asked = join_all(asked);
                let (floors, pasts) = join(session.query(FLOORS, &[]), asked).await;
                Attempt::Ok((floors?, pasts))
            }
        }
    };
    let ((began, head), (((ids, (stored, taken)), usages), pasts)) = join(locked, join(read, pasts)).await;
    began?;
    let mut head = Head::read(&head?)?;
    let (ids, usages, (floors, pasts)) = (ids?, usages?, pasts?);
    let mut found = vec![(others, stored?)];
    for (gap, taken) in gaps.into_iter().zip(taken) {
        if taken? {
            let rows = self::stored(session, &gap).await?;
            found.push((gap, rows));
        }
    }
    let kept = match Kept::refreshed(kept, session, &head).await? {
        None => kept.clone(),
        Some(kept) => {
            // With other indexes other values are looked at.
            let addresses = Wanted::of(commits, &kept).addresses;
            if addresses != wanted.addresses {
                found = vec![(addresses.clone(), self::stored(session, &addresses).await?)];
                wanted.addresses = addresses;
            }
            Arc::new(kept)
        }
    };
    for row in &usages {
        head.stored(row::namespace(row, 0)?, usage_at(row, 1)?);
    }
    let mut known = HashMap::with_capacity(ids.len());
    for row in &ids {
        let id = <[u8; 16]>::try_from(cell::<&[u8]>(row, 0)?).map_err(|_| corrupt("a commit id is not one"))?;
        known.insert(CommitId::from_bytes(id), receipt::read(row, 1)?);
    }
    let mut group = Group {
        head,
        floors: Floors::read(&floors)?,
        ids: known,
        slots: slots(&wanted.addresses, &found)?,
        pasts: HashMap::with_capacity(pasts.len()),
        lines: Vec::new(),
        receipts: Vec::new(),
        kept,
        terms: Terms::default(),
    };
    for (one, past) in wanted.unchanged.iter().zip(pasts) {
        group.pasts.insert((one.commit, one.check), past?);
    }
    Ok(group)
}

/// Whether anything is stored between the first and the last of `gap`, which are in one namespace and in order.
async fn is_taken(session: &Session, gap: &[Look<'_>]) -> Attempt<bool> {
    let [(first, _), .., (last, _)] = gap else { return Ok(true) };
    let (namespace, first, last) = (first.namespace.as_str(), first.key.as_str(), last.key.as_str());
    Ok(cell(&session.row(TAKEN, &[&namespace, &first, &last]).await?, 0)?)
}

/// What is stored at `addresses`.
async fn stored(session: &Session, addresses: &[Look<'_>]) -> Attempt<Vec<Row>> {
    let namespaces: Vec<&str> = addresses.iter().map(|(address, _)| address.namespace.as_str()).collect();
    let keys: Vec<&str> = addresses.iter().map(|(address, _)| address.key.as_str()).collect();
    let whole: Vec<bool> = addresses.iter().map(|(_, whole)| *whole).collect();
    session.query(STORED, &[&namespaces, &keys, &whole]).await
}

/// A slot for each of `addresses`, with what was found at some of them when it was asked for.
fn slots(addresses: &[Look<'_>], found: &[(Vec<Look<'_>>, Vec<Row>)]) -> Result<HashMap<Address, Slot>> {
    let mut slots: HashMap<Address, Slot> =
        addresses.iter().map(|(address, _)| ((*address).clone(), Slot::default())).collect();
    for (asked, rows) in found {
        for row in rows {
            let index = usize::try_from(number(row, 0)? - 1).ok().and_then(|index| asked.get(index));
            let (address, _) = *index.ok_or_else(|| corrupt("an answer is to no question"))?;
            let entry = row::entry(row, 1, || Ok(address.clone()))?.ok_or_else(|| corrupt("an entry has no version"))?;
            let bytes = unsigned(row, 10)? + (address.key.len() + entry.metadata.len()) as u64;
            let stored = Some(Stored { entry, bytes, in_table: true });
            slots.insert(address.clone(), Slot { stored, had_row: true, changed: false });
        }
    }
    Ok(slots)
}

impl<'a> Wanted<'a> {
    fn of(commits: &[&'a Commit], kept: &Kept) -> Self {
        let mut addresses: HashMap<&Address, bool> = HashMap::new();
        let mut namespaces: BTreeSet<&Namespace> = BTreeSet::new();
        let (mut unchanged, mut lively) = (Vec::new(), BTreeSet::new());
        for (index, commit) in commits.iter().enumerate() {
            for (place, check) in commit.checks.iter().enumerate() {
                match check {
                    Check::Key { address, condition } => {
                        *addresses.entry(address).or_default() |= decide::check_needs_value(condition);
                        lively.insert(&address.namespace);
                    }
                    Check::Unchanged { range, since, read_at } => {
                        let moments = (commit.now.min(*read_at), commit.now.max(*read_at));
                        unchanged.push(Unchanged::new((index, place), range, *since, moments));
                    }
                    // What a commit does not write to does not grow by it.
                    Check::Quota { .. } => {}
                }
            }
            for write in &commit.writes {
                // What it had in indexes has to go.
                let whole = decide::write_needs_value(&write.action) || !kept.of(&write.address.namespace).is_empty();
                *addresses.entry(&write.address).or_default() |= whole;
                namespaces.insert(&write.address.namespace);
                if !matches!(write.action, Action::Restore { .. }) {
                    lively.insert(&write.address.namespace);
                }
            }
        }
        let mut addresses: Vec<Look<'_>> = addresses.into_iter().collect();
        addresses.sort_unstable();
        Self {
            ids: commits.iter().map(|commit| &commit.id.as_bytes()[..]).collect(),
            addresses,
            lively,
            namespaces: namespaces.into_iter().map(Namespace::as_str).collect(),
            unchanged,
        }
    }

    /// The addresses, those apart that probably lie in a gap where nothing is: what is restored comes in order and where
    /// nothing was, so one look at all that is between them mostly spares a look at each.
    fn parts(&self) -> (Vec<Vec<Look<'a>>>, Vec<Look<'a>>) {
        let (mut gaps, mut others) = (Vec::new(), Vec::new());
        for part in self.addresses.chunk_by(|(one, _), (other, _)| one.namespace == other.namespace) {
            if part.len() < GAP_MIN || self.lively.contains(&part[0].0.namespace) {
                others.extend_from_slice(part);
            } else {
                gaps.push(part.to_vec());
            }
        }
        (gaps, others)
    }

    fn statements(&self) -> Vec<&str> {
        let mut statements = vec![LOCK, IDS, STORED, TAKEN, USAGES, FLOORS];
        statements.extend(self.unchanged.iter().flat_map(|one| [&*one.changed, &*one.expiring]));
        statements
    }
}

impl Unchanged {
    fn new(
        (commit, check): (usize, usize),
        range: &larder_core::Range,
        since: Revision,
        moments: (Timestamp, Timestamp),
    ) -> Self {
        let (condition, edges) = within(range, 2);
        let first = signed(since.get()).saturating_add(1).saturating_mul(PLACES);
        // One key has an index in the order of the log; of a wider range the log is read in its own order.
        let condition = if range.is_one_key() { condition } else { beside_the_index(&condition) };
        let changed = format!("SELECT place FROM log WHERE place >= $1 AND {condition} ORDER BY place LIMIT 1");
        let (condition, _) = within(range, 4);
        let expiring = format!(
            "SELECT namespace, key FROM entries WHERE expires_at > $1 AND expires_at <= $2 AND {condition} LIMIT $3"
        );
        Self { commit, check, changed, expiring, edges, first, moments }
    }

    async fn ask(&self, session: &Session, most: i64) -> Attempt<Past> {
        let (earlier, later) = (self.moments.0.as_millis(), self.moments.1.as_millis());
        let (one, two): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 3]) = ([&self.first], [&earlier, &later, &most]);
        let (one, two) = (parameters(&one, &self.edges), parameters(&two, &self.edges));
        let (changed, expiring) = join(session.query(&self.changed, &one), session.query(&self.expiring, &two)).await;
        let changed = match changed?.first() {
            Some(row) => Some(Revision::new((number(row, 0)? / PLACES).cast_unsigned())),
            None => None,
        };
        let mut namespace = None;
        let expiring = expiring?.iter().map(|row| row::address_like(row, 0, &mut namespace)).collect::<Result<_>>()?;
        Ok(Past { changed, expiring })
    }
}
