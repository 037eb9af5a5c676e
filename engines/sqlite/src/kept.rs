//! Indexes as commits keep them: which there are, who has what, and what is to be done to their rows.

use std::collections::BTreeMap;

use larder_core::{
    Address, Key, Namespace, Result, Timestamp,
    index::{Holder, IndexId, IndexState, IndexStatus, Term, Work},
};
use rusqlite::{Connection, Row};

use crate::{
    error::{corrupt, explain},
    head::Head,
    row,
};

/// The indexes that commits keep, as they were when somebody last changed that.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What the file called that state. Where there never was an index it is 0, and nothing is ever asked.
    number: i64,
    namespaces: BTreeMap<Namespace, Vec<IndexStatus>>,
}

impl Kept {
    /// Reads them again if they are others than they were.
    pub(crate) fn refresh(&mut self, connection: &Connection, head: &Head) -> Result<()> {
        if self.number == head.indexes() {
            return Ok(());
        }
        self.namespaces.clear();
        for status in list(connection, None)?.into_iter().filter(|status| status.state != IndexState::Dropped) {
            self.namespaces.entry(status.namespace.clone()).or_default().push(status);
        }
        self.number = head.indexes();
        Ok(())
    }

    pub(crate) fn of(&self, namespace: &Namespace) -> &[IndexStatus] {
        self.namespaces.get(namespace).map_or(&[], Vec::as_slice)
    }
}

const STATUS: &str = "SELECT id, namespace, definition, state, through, entries FROM indexes";

/// The indexes of `namespace`, or of all, by their numbers.
pub(crate) fn list(connection: &Connection, namespace: Option<&Namespace>) -> Result<Vec<IndexStatus>> {
    let sql = format!("{STATUS} WHERE ?1 IS NULL OR namespace = ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
    let mut rows = statement.query([namespace.map(Namespace::as_str)]).map_err(explain)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(explain)? {
        found.push(status(row)?);
    }
    Ok(found)
}

pub(crate) fn find(connection: &Connection, id: IndexId) -> Result<Option<IndexStatus>> {
    let mut statement = connection.prepare_cached(&format!("{STATUS} WHERE id = ?1")).map_err(explain)?;
    let mut rows = statement.query([number(id)]).map_err(explain)?;
    rows.next().map_err(explain)?.map(status).transpose()
}

fn status(row: &Row<'_>) -> Result<IndexStatus> {
    let definition: String = row.get(2).map_err(explain)?;
    let index = serde_json::from_str(&definition);
    let through: Option<String> = row.get(4).map_err(explain)?;
    let state = match row.get::<_, String>(3).map_err(explain)?.as_str() {
        "building" => IndexState::Building {
            through: through.map(Key::new).transpose()?,
            entries: row::number(row, 5)?.cast_unsigned(),
        },
        "ready" => IndexState::Ready,
        "dropped" => IndexState::Dropped,
        _ => return Err(corrupt("an index is in no known state")),
    };
    Ok(IndexStatus {
        id: IndexId(row::number(row, 0)?.cast_unsigned()),
        namespace: row::namespace(row, 1)?,
        index: index.map_err(|error| corrupt("an index cannot be read").caused_by(error))?,
        state,
    })
}

/// The number of an index as it stands in the file; what nobody can have given is that of none.
pub(crate) fn number(id: IndexId) -> i64 {
    i64::try_from(id.0).unwrap_or(0)
}

/// Who has `term` in an index.
pub(crate) fn holders(connection: &Connection, id: IndexId, term: &Term) -> Result<Vec<Holder>> {
    const HOLDERS: &str = "SELECT terms.key, expires_at FROM terms JOIN entries ON entries.id = entry \
        WHERE index_id = ?1 AND term = ?2";
    let mut statement = connection.prepare_cached(HOLDERS).map_err(explain)?;
    let mut rows = statement.query((number(id), term.as_bytes())).map_err(explain)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(explain)? {
        let key = row::key(row, 0)?;
        found.push(Holder { key, expires_at: row::optional(row, 1)?.map(Timestamp::from_millis_saturating) });
    }
    Ok(found)
}

/// Does `works`, each with the id of its entry, which is needed only where something is added.
pub(crate) fn apply(connection: &Connection, works: &[Work<'_>], entries: &BTreeMap<&Address, i64>) -> Result<()> {
    for work in works {
        let key = work.address.key.as_str();
        if !work.removed.is_empty() {
            const REMOVE: &str = "DELETE FROM terms WHERE index_id = ?1 AND term = ?2 AND key = ?3";
            let mut remove = connection.prepare_cached(REMOVE).map_err(explain)?;
            for term in &work.removed {
                remove.execute((number(work.index), term.as_bytes(), key)).map_err(explain)?;
            }
        }
        if !work.added.is_empty() {
            let entry = entries.get(work.address).expect("what has terms was written just now");
            add(connection, work.index, &work.added, key, *entry)?;
        }
    }
    Ok(())
}

/// Adds rows; those that are there already are fine.
pub(crate) fn add(connection: &Connection, id: IndexId, terms: &[Term], key: &str, entry: i64) -> Result<()> {
    const ADD: &str = "INSERT OR REPLACE INTO terms (index_id, term, key, entry) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = connection.prepare_cached(ADD).map_err(explain)?;
    for term in terms {
        statement.execute((number(id), term.as_bytes(), key, entry)).map_err(explain)?;
    }
    Ok(())
}
