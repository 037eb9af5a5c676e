//! Indexes come and go: created, built step by step beside commits that keep them already, dropped, and removed.
//!
//! Every step is a transaction of its own under the lock that commits take, and the table says how far the last one came. So
//! it does not matter who makes the next step, or how many try to. The inner results are answers to whoever asked: what is
//! refused was refused by us, in a transaction that ended well.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use larder_core::{
    Entry, Index, Key, Namespace, Result, Timestamp,
    index::{self, Holder, IndexId, IndexState, IndexStatus, Term},
};

use crate::{
    error::{Attempt, corrupt},
    head::LOCK,
    kept::{self, ONE, number},
    read::{BYTES, ENTRY, PAGE_BYTES_MAX},
    row::{self, cell, signed},
    session::Session,
    terms,
};

/// With so many new rows a step ends early: an entry can have many terms.
const STEP_ROWS: usize = 8192;

async fn begin(session: &Session) -> Attempt<()> {
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    session.row(LOCK, &[]).await.map(|_| ())
}

/// From here on commits look again which indexes there are.
async fn change(session: &Session) -> Attempt<()> {
    session.execute("UPDATE store SET indexes = indexes + 1", &[]).await.map(|_| ())
}

pub(crate) async fn create(session: Arc<Session>, namespace: Namespace, index: Index) -> Attempt<Result<IndexStatus>> {
    const CREATE: &str =
        "INSERT INTO indexes (namespace, definition, state, entries) VALUES ($1, $2, 'building', 0) RETURNING id";
    begin(&session).await?;
    let rows = session.query(kept::OF_NAMESPACE, &[&namespace.as_str()]).await?;
    let there = rows.iter().map(kept::status).collect::<Result<Vec<_>>>()?;
    let answer = match index::existing(&there, &index) {
        Ok(Some(there)) => Ok(there.clone()),
        Err(refusal) => Err(refusal.engine("postgres")),
        Ok(None) => {
            let definition = serde_json::to_string(&index).expect("a definition is plain JSON");
            let row = session.row(CREATE, &[&namespace.as_str(), &definition]).await?;
            change(&session).await?;
            let state = IndexState::Building { through: None, entries: 0 };
            Ok(IndexStatus { id: IndexId(row::unsigned(&row, 0)?), namespace, index, state })
        }
    };
    session.run("COMMIT").await?;
    Ok(answer)
}

/// From here on the index is no longer kept; whether it was. `seen` is set once it was found, however this ends.
pub(crate) async fn drop(session: Arc<Session>, id: IndexId, seen: Arc<AtomicBool>) -> Attempt<bool> {
    begin(&session).await?;
    let dropped = mark(&session, id).await?;
    if dropped {
        seen.store(true, Ordering::Relaxed);
    }
    session.run("COMMIT").await?;
    Ok(dropped)
}

async fn mark(session: &Session, id: IndexId) -> Attempt<bool> {
    const DROP: &str = "UPDATE indexes SET state = 'dropped', through = NULL WHERE id = $1 AND state <> 'dropped'";
    let dropped = session.execute(DROP, &[&number(id)]).await? > 0;
    if dropped {
        change(session).await?;
    }
    Ok(dropped)
}

/// The next step. The inner error says why the index could not be built; it is then dropped.
pub(crate) async fn advance(
    session: Arc<Session>,
    id: IndexId,
    limit: usize,
    now: Timestamp,
) -> Attempt<Result<Option<IndexStatus>>> {
    begin(&session).await?;
    let rows = session.query(ONE, &[&number(id)]).await?;
    let limit = limit.clamp(1, STEP_ROWS);
    let answer = match rows.first().map(kept::status).transpose()? {
        None => Ok(None),
        Some(status) => match &status.state {
            IndexState::Ready => Ok(Some(status)),
            IndexState::Building { through, entries } => match build(&session, &status, through.as_ref(), limit, now).await?
            {
                Ok((looked_at, last)) => Ok(Some(move_on(&session, &status, entries + looked_at, last).await?)),
                Err(refusal) => {
                    mark(&session, id).await?;
                    Err(refusal.engine("postgres"))
                }
            },
            IndexState::Dropped => Ok(remove(&session, id, limit).await?.then_some(status)),
        },
    };
    session.run("COMMIT").await?;
    Ok(answer)
}

/// Takes the entries behind the key `from` into the index, at most `limit` of them, and answers how many they were and the
/// last of them, if there may be more behind it.
async fn build(
    session: &Session,
    status: &IndexStatus,
    from: Option<&Key>,
    limit: usize,
    now: Timestamp,
) -> Attempt<Result<(u64, Option<Key>)>> {
    let entries = entries(session, &status.namespace, from, limit).await?;
    let mut holders = holders(session, status, &entries).await?;
    let (mut looked_at, mut bytes, mut rows, mut last) = (0, 0, Vec::new(), None);
    for entry in &entries {
        // One after the other, so that each meets those before it.
        let terms = match index::build(&status.index, entry, now, |term| Ok(holders.get(term).cloned().unwrap_or_default()))
        {
            Ok(terms) => terms,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let key = &entry.address.key;
        for term in terms {
            if status.index.is_unique() {
                let holder = Holder { key: key.clone(), expires_at: entry.expires_at };
                holders.entry(term.clone()).or_default().push(holder);
            }
            rows.push((term, key.clone()));
        }
        looked_at += 1;
        bytes += Entry::bytes(entry);
        if looked_at == limit as u64 || bytes >= PAGE_BYTES_MAX.cast_unsigned() || rows.len() >= STEP_ROWS {
            last = Some(key.clone());
            break;
        }
    }
    terms::add(session, status.id, &rows).await?;
    Ok(Ok((looked_at, last)))
}

/// The entries behind the key `from`, as many as make a step.
async fn entries(session: &Session, namespace: &Namespace, from: Option<&Key>, limit: usize) -> Attempt<Vec<Entry>> {
    let sql = format!(
        "SELECT namespace, key, {ENTRY} FROM (SELECT *, sum({BYTES}) OVER (ORDER BY namespace, key ROWS UNBOUNDED PRECEDING) \
         AS running, {BYTES} AS bytes FROM entries WHERE namespace = $1 AND key > $2 ORDER BY namespace, key LIMIT $3) AS found \
         WHERE running - bytes < {PAGE_BYTES_MAX}"
    );
    let from = from.map_or("", Key::as_str);
    let rows = session.query(&sql, &[&namespace.as_str(), &from, &signed(limit as u64)]).await?;
    let mut last = None;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let address = row::address_like(row, 0, &mut last)?;
        entries.push(row::entry(row, 2, || Ok(address))?.ok_or_else(|| corrupt("an entry has no version"))?);
    }
    Ok(entries)
}

/// Who has already what `entries` have, where that has to be unique.
async fn holders(session: &Session, status: &IndexStatus, entries: &[Entry]) -> Attempt<HashMap<Term, Vec<Holder>>> {
    if !status.index.is_unique() {
        return Ok(HashMap::new());
    }
    // An entry whose terms are too many is refused when it is its turn.
    let terms = entries.iter().flat_map(|entry| status.index.terms(entry).unwrap_or_default());
    let asked: BTreeMap<_, _> = terms.map(|term| ((status.id, term), status.namespace.clone())).collect();
    let found = terms::holders(session, &asked).await?;
    Ok(found.into_iter().map(|((_, term), holders)| (term, holders)).collect())
}

/// Writes down how far the building is; without a `last` entry it is done.
async fn move_on(session: &Session, status: &IndexStatus, entries: u64, last: Option<Key>) -> Attempt<IndexStatus> {
    const MOVE: &str = "UPDATE indexes SET state = $2, through = $3, entries = $4 WHERE id = $1";
    let name = if last.is_some() { "building" } else { "ready" };
    let through = last.as_ref().map(Key::as_str);
    session.execute(MOVE, &[&number(status.id), &name, &through, &entries.cast_signed()]).await?;
    let state = match last {
        Some(key) => IndexState::Building { through: Some(key), entries },
        None => IndexState::Ready,
    };
    Ok(IndexStatus { state, ..status.clone() })
}

/// Removes some rows of an index that was dropped, and at last the index; whether something of it is left.
async fn remove(session: &Session, id: IndexId, limit: usize) -> Attempt<bool> {
    // The first of those that stay.
    const EDGE: &str = "SELECT term, key FROM terms WHERE index_id = $1 ORDER BY index_id, term, key LIMIT 1 OFFSET $2";
    const SOME: &str = "DELETE FROM terms WHERE index_id = $1 AND (term, key) < ($2, $3)";
    let (id, limit) = (number(id), signed(limit as u64));
    if let Some(row) = session.query(EDGE, &[&id, &limit]).await?.first() {
        let (term, key): (&[u8], &str) = (cell(row, 0)?, cell(row, 1)?);
        session.execute(SOME, &[&id, &term, &key]).await?;
        return Ok(true);
    }
    session.execute("DELETE FROM terms WHERE index_id = $1", &[&id]).await?;
    session.execute("DELETE FROM indexes WHERE id = $1", &[&id]).await?;
    Ok(false)
}
