//! Indexes as commits keep them: which there are, and how far each is.

use std::collections::BTreeMap;

use larder_core::{
    Key, Namespace, Result,
    index::{IndexId, IndexState, IndexStatus},
};
use tokio_postgres::Row;

use crate::{
    error::{Attempt, corrupt},
    head::Head,
    row::{self, cell, unsigned},
    session::Session,
};

/// The indexes that commits keep, as they were when somebody last changed that.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What the store called that state. Where there never was an index it is 0, and nothing is ever asked.
    number: i64,
    namespaces: BTreeMap<Namespace, Vec<IndexStatus>>,
}

impl Kept {
    /// Reads them again if they are others than they were; to be asked by whoever holds the lock.
    pub(crate) async fn refreshed(&self, session: &Session, head: &Head) -> Attempt<Option<Self>> {
        if self.number == head.indexes {
            return Ok(None);
        }
        let mut namespaces: BTreeMap<Namespace, Vec<IndexStatus>> = BTreeMap::new();
        for row in &session.query(ALL, &[]).await? {
            let status = status(row)?;
            if status.state != IndexState::Dropped {
                namespaces.entry(status.namespace.clone()).or_default().push(status);
            }
        }
        Ok(Some(Self { number: head.indexes, namespaces }))
    }

    pub(crate) fn of(&self, namespace: &Namespace) -> &[IndexStatus] {
        self.namespaces.get(namespace).map_or(&[], Vec::as_slice)
    }
}

/// Every index, by its number.
pub(crate) const ALL: &str = "SELECT id, namespace, definition, state, through, entries FROM indexes ORDER BY id";

/// Those of a namespace.
pub(crate) const OF_NAMESPACE: &str =
    "SELECT id, namespace, definition, state, through, entries FROM indexes WHERE namespace = $1 ORDER BY id";

/// The one with this number.
pub(crate) const ONE: &str = "SELECT id, namespace, definition, state, through, entries FROM indexes WHERE id = $1";

/// An index as it stands in one of these rows.
pub(crate) fn status(row: &Row) -> Result<IndexStatus> {
    let index = serde_json::from_str(cell(row, 2)?);
    let state = match cell::<&str>(row, 3)? {
        "building" => IndexState::Building {
            through: cell::<Option<&str>>(row, 4)?.map(Key::new).transpose()?,
            entries: unsigned(row, 5)?,
        },
        "ready" => IndexState::Ready,
        "dropped" => IndexState::Dropped,
        _ => return Err(corrupt("an index is in no known state")),
    };
    Ok(IndexStatus {
        id: IndexId(unsigned(row, 0)?),
        namespace: row::namespace(row, 1)?,
        index: index.map_err(|error| corrupt("an index cannot be read").caused_by(error))?,
        state,
    })
}

/// The number of an index as it stands in the tables; what nobody can have given is that of none.
pub(crate) fn number(id: IndexId) -> i64 {
    i64::try_from(id.0).unwrap_or(0)
}
