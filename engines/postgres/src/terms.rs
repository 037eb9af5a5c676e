//! The rows of indexes, as a group meets them and as it leaves them.
//!
//! Most commits never look at them: what an entry had is known from the entry. Only who claims what has to be unique asks
//! who has it, and all that a group asks is asked at once: its commits are decided on trial first, as if nobody had anything.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::try_join_all;
use larder_core::{
    Address, Commit, Key, Namespace, Outcome, Result, Timestamp,
    index::{Holder, IndexId, IndexStatus, Term, Work},
};

use crate::{
    error::{Attempt, corrupt},
    group::{Group, Slot},
    kept::number,
    row::{self, cell},
    session::Session,
};

/// Takes rows away.
pub(crate) const REMOVE: &str = "DELETE FROM terms USING unnest($1::bigint[], $2::bytea[], $3::text[]) AS gone (gone_index, gone_term, gone_key) \
    WHERE index_id = gone_index AND term = gone_term AND key = gone_key";

/// Adds rows; those that are there already are fine.
pub(crate) const ADD: &str =
    "INSERT INTO terms SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[]) ON CONFLICT DO NOTHING";

const HOLDERS: &str = "SELECT place, terms.key, expires_at \
    FROM unnest($1::bigint[], $2::bytea[], $3::text[]) WITH ORDINALITY AS asked (asked_index, asked_term, asked_namespace, place) \
    JOIN terms ON index_id = asked_index AND term = asked_term \
    JOIN entries ON namespace = asked_namespace AND entries.key = terms.key";

/// How many rows a statement is given at most.
const CHUNK: usize = 8192;

/// What an index may hold.
type At = (IndexId, Term);

/// What is known of the rows, and what the group makes of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// The rows that are there, or not there any more, whatever the table says.
    moved: BTreeMap<At, BTreeMap<Key, bool>>,
    /// Who has what in the table.
    known: HashMap<At, Vec<Holder>>,
    /// What nobody has looked up yet, each with its namespace.
    unknown: BTreeMap<At, Namespace>,
    /// Whether this is a trial, in which nobody has what is unknown.
    trial: bool,
}

impl Terms {
    /// Who has `term` in an index, as the commits before have left it.
    pub(crate) fn holders(&mut self, slots: &HashMap<Address, Slot>, status: &IndexStatus, term: &Term) -> Vec<Holder> {
        let at = (status.id, term.clone());
        let mut keys: BTreeMap<Key, Option<Timestamp>> = match self.known.get(&at) {
            Some(holders) => holders.iter().map(|holder| (holder.key.clone(), holder.expires_at)).collect(),
            None => {
                self.unknown.insert(at.clone(), status.namespace.clone());
                BTreeMap::new()
            }
        };
        for (key, there) in self.moved.get(&at).into_iter().flatten() {
            if *there {
                keys.entry(key.clone()).or_default();
            } else {
                keys.remove(key);
            }
        }
        let holder = |(key, expires_at): (Key, Option<Timestamp>)| {
            let slot = slots.get(&Address::new(status.namespace.clone(), key.clone())).filter(|slot| slot.changed);
            let expires_at = slot.map_or(expires_at, |slot| slot.stored.as_ref().and_then(|stored| stored.entry.expires_at));
            Holder { key, expires_at }
        };
        keys.into_iter().map(holder).collect()
    }

    /// Whether the commit that is being decided has to wait until somebody has asked.
    pub(crate) fn is_to_be_asked(&self) -> bool {
        !self.trial && !self.unknown.is_empty()
    }

    pub(crate) fn apply(&mut self, works: &[Work<'_>]) {
        for work in works {
            for (terms, there) in [(&work.removed, false), (&work.added, true)] {
                for term in terms {
                    let keys = self.moved.entry((work.index, term.clone())).or_default();
                    keys.insert(work.address.key.clone(), there);
                }
            }
        }
    }

    /// Writes what has become of the rows.
    pub(crate) async fn write(&self, session: &Session) -> Attempt<()> {
        let rows = |wanted: bool| {
            let rows = self
                .moved
                .iter()
                .flat_map(|((id, term), keys)| keys.iter().map(move |(key, there)| (*id, term, key, *there)));
            rows.filter(move |(.., there)| *there == wanted).map(|(id, term, key, _)| (id, term, key))
        };
        let (gone, come): (Vec<_>, Vec<_>) = (rows(false).collect(), rows(true).collect());
        let written = gone.chunks(CHUNK).map(|rows| (REMOVE, rows)).chain(come.chunks(CHUNK).map(|rows| (ADD, rows)));
        try_join_all(written.map(|(sql, rows)| each(session, sql, rows))).await.map(|_| ())
    }
}

/// Adds rows to one index.
pub(crate) async fn add(session: &Session, id: IndexId, rows: &[(Term, Key)]) -> Attempt<()> {
    let rows: Vec<_> = rows.iter().map(|(term, key)| (id, term, key)).collect();
    try_join_all(rows.chunks(CHUNK).map(|rows| each(session, ADD, rows))).await.map(|_| ())
}

async fn each(session: &Session, sql: &str, rows: &[(IndexId, &Term, &Key)]) -> Attempt<u64> {
    let ids: Vec<i64> = rows.iter().map(|(id, ..)| number(*id)).collect();
    let terms: Vec<&[u8]> = rows.iter().map(|(_, term, _)| term.as_bytes()).collect();
    let keys: Vec<&str> = rows.iter().map(|(.., key)| key.as_str()).collect();
    session.execute(sql, &[&ids, &terms, &keys]).await
}

/// Who has what is `asked`, each with the namespace of the index; what nobody has is there, too.
pub(crate) async fn holders(session: &Session, asked: &BTreeMap<At, Namespace>) -> Attempt<HashMap<At, Vec<Holder>>> {
    let mut found: HashMap<At, Vec<Holder>> = asked.keys().map(|at| (at.clone(), Vec::new())).collect();
    let asked: Vec<(&At, &Namespace)> = asked.iter().collect();
    for asked in asked.chunks(CHUNK) {
        let ids: Vec<i64> = asked.iter().map(|((id, _), _)| number(*id)).collect();
        let terms: Vec<&[u8]> = asked.iter().map(|((_, term), _)| term.as_bytes()).collect();
        let namespaces: Vec<&str> = asked.iter().map(|(_, namespace)| namespace.as_str()).collect();
        for row in &session.query(HOLDERS, &[&ids, &terms, &namespaces]).await? {
            let index = usize::try_from(row::number(row, 0)? - 1).ok().and_then(|index| asked.get(index));
            let (at, _) = index.ok_or_else(|| corrupt("an answer is to no question"))?;
            let key = Key::new(cell::<&str>(row, 1)?)?;
            let expires_at = cell::<Option<i64>>(row, 2)?.map(Timestamp::from_millis_saturating);
            found.entry((*at).clone()).or_default().push(Holder { key, expires_at });
        }
    }
    Ok(found)
}

/// Decides `commits`, one after the other, and asks for what they have to know of indexes.
pub(crate) async fn decide(session: &Session, group: &mut Group, commits: &[&Commit]) -> Attempt<Vec<Result<Outcome>>> {
    let mut answers = Vec::with_capacity(commits.len());
    while let Some(commit) = commits.get(answers.len()) {
        if let Some(answer) = group.commit(answers.len(), commit).transpose() {
            answers.push(answer);
            continue;
        }
        // What those behind it will have to know is asked along with it. Where the trial was wrong they ask again.
        let mut trial = group.clone();
        trial.terms.trial = true;
        for (index, commit) in commits.iter().enumerate().skip(answers.len()) {
            let _ = trial.commit(index, commit);
        }
        group.terms.known.extend(holders(session, &trial.terms.unknown).await?);
        group.terms.unknown.clear();
    }
    Ok(answers)
}
