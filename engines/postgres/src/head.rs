//! What a store counts of itself: the one row that everybody who commits locks.

use std::collections::BTreeMap;

use larder_core::{Lineage, Namespace, Result, Revision, Usage};
use tokio_postgres::Row;

use crate::{
    read::usage_at,
    row::{cell, number, unsigned},
};

/// Reads the row, and keeps everybody else who would write from it until the transaction ends.
pub(crate) const LOCK: &str = "SELECT revision, oldest, ids_since, changes, entries, bytes, log_bytes, \
     CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN '' ELSE current_setting('synchronous_standby_names') END, \
     life, indexes, lineage FROM store FOR UPDATE";

/// The row of the table `store`, as far as commits change it, and what the namespaces take that they touch.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) revision: Revision,
    pub(crate) oldest: i64,
    pub(crate) ids_since: i64,
    pub(crate) changes: i64,
    pub(crate) usage: Usage,
    /// The standbys that the server waits for before it acknowledges, as its setting names them.
    pub(crate) standbys: String,
    /// The life of the server that the latest commits hang on.
    pub(crate) life: String,
    /// What the store calls the indexes that are to be kept.
    pub(crate) indexes: i64,
    /// Which of its pasts this is.
    pub(crate) lineage: Lineage,
    /// What each takes, as it is in the table and as it will be.
    namespaces: BTreeMap<Namespace, (Usage, Usage)>,
}

impl Head {
    pub(crate) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            revision: crate::row::revision(row, 0)?,
            oldest: number(row, 1)?,
            ids_since: number(row, 2)?,
            changes: number(row, 3)?,
            usage: usage_at(row, 4)?,
            standbys: cell(row, 7)?,
            life: cell(row, 8)?,
            indexes: number(row, 9)?,
            lineage: Lineage::new(unsigned(row, 10)?),
            namespaces: BTreeMap::new(),
        })
    }

    /// In the table `namespace` takes so much.
    pub(crate) fn stored(&mut self, namespace: Namespace, usage: Usage) {
        self.namespaces.insert(namespace, (usage, usage));
    }

    /// What `namespace` takes, with what this group has done so far.
    pub(crate) fn usage(&self, namespace: &Namespace) -> Usage {
        self.namespaces.get(namespace).map_or_else(Usage::default, |(_, now)| *now)
    }

    /// From here on `namespace` takes so much.
    pub(crate) fn count(&mut self, namespace: &Namespace, usage: Usage) {
        let (_, now) = self.namespaces.entry(namespace.clone()).or_default();
        let total = &mut self.usage;
        total.entries = (total.entries + usage.entries).saturating_sub(now.entries);
        total.bytes = (total.bytes + usage.bytes).saturating_sub(now.bytes);
        total.log_bytes = (total.log_bytes + usage.log_bytes).saturating_sub(now.log_bytes);
        *now = usage;
    }

    /// The namespaces that take another amount than the table says.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&Namespace, Usage)> {
        self.namespaces.iter().filter(|(_, (before, now))| before != now).map(|(namespace, (_, now))| (namespace, *now))
    }
}
