//! What a store counts of itself: read when a transaction begins, written back once when it ends.
//!
//! However many commits share a transaction, the row of the store and those of the namespaces they touch are written once.

use std::collections::{BTreeMap, HashSet};

use larder_core::{CommitId, Namespace, Range, Result, Revision, Snapshot, Usage};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::{
    error::{corrupt, explain},
    file::still_known,
    row,
};

/// The table `store`, and those rows of `namespaces` that somebody has asked for.
#[derive(Debug)]
pub(crate) struct Head {
    before: Totals,
    now: Totals,
    /// What each takes, as it is in the file and as it will be.
    namespaces: BTreeMap<Namespace, (Usage, Usage)>,
    ids: Option<Ids>,
}

/// What is known of the ids of commits without looking for each of them: they sort by age, and most are new.
#[derive(Debug)]
struct Ids {
    /// The newest one that was remembered when the transaction began.
    newest: Option<CommitId>,
    /// Those that the transaction has added.
    added: HashSet<CommitId>,
}

/// The row of the table `store`, as far as commits change it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Totals {
    revision: i64,
    changes: i64,
    usage: Usage,
    oldest: i64,
    ids_from: i64,
    relaxed_boot: Option<String>,
    /// Changes whenever there are other indexes to be kept.
    indexes: i64,
}

impl Head {
    /// # Errors
    /// `Unsupported` when the file has become one of a version that we do not know.
    pub(crate) fn read(connection: &Connection) -> Result<Self> {
        const SQL: &str = "SELECT revision, entries, bytes, log_bytes, changes, oldest, ids_from, relaxed_boot, format, indexes \
            FROM store";
        let mut statement = connection.prepare_cached(SQL).map_err(explain)?;
        let mut rows = statement.query([]).map_err(explain)?;
        let row = rows.next().map_err(explain)?.ok_or_else(|| corrupt("the table store is empty"))?;
        still_known(row::number(row, 8)?)?;
        let totals = Totals {
            revision: row::number(row, 0)?,
            usage: usage_at(row, 1)?,
            changes: row::number(row, 4)?,
            oldest: row::number(row, 5)?,
            ids_from: row::number(row, 6)?,
            relaxed_boot: row.get(7).map_err(explain)?,
            indexes: row::number(row, 9)?,
        };
        Ok(Self { before: totals.clone(), now: totals, namespaces: BTreeMap::new(), ids: None })
    }

    pub(crate) fn revision(&self) -> i64 {
        self.now.revision
    }

    pub(crate) fn oldest(&self) -> i64 {
        self.now.oldest
    }

    pub(crate) fn ids_from(&self) -> i64 {
        self.now.ids_from
    }

    /// Which indexes are to be kept, as a number that is another whenever there are others.
    pub(crate) fn indexes(&self) -> i64 {
        self.now.indexes
    }

    /// From here on there are other indexes to be kept.
    pub(crate) fn change_indexes(&mut self) {
        self.now.indexes += 1;
    }

    /// What `namespace` takes, with what this transaction has done so far.
    pub(crate) fn usage(&mut self, connection: &Connection, namespace: &Namespace) -> Result<Usage> {
        if let Some((_, now)) = self.namespaces.get(namespace) {
            return Ok(*now);
        }
        const SQL: &str = "SELECT entries, bytes, log_bytes FROM namespaces WHERE namespace = ?1";
        let mut statement = connection.prepare_cached(SQL).map_err(explain)?;
        let mut rows = statement.query([namespace.as_str()]).map_err(explain)?;
        let usage = rows.next().map_err(explain)?.map_or(Ok(Usage::default()), |row| usage_at(row, 0))?;
        self.namespaces.insert(namespace.clone(), (usage, usage));
        Ok(usage)
    }

    /// Whether nothing can be remembered of `id`, because it is newer than whatever is.
    pub(crate) fn is_new(&mut self, connection: &Connection, id: CommitId) -> Result<bool> {
        let ids = match &mut self.ids {
            Some(ids) => ids,
            None => {
                const NEWEST: &str = "SELECT id FROM commits ORDER BY id DESC LIMIT 1";
                let mut statement = connection.prepare_cached(NEWEST).map_err(explain)?;
                let newest = statement.query_row([], |row| row.get(0)).optional().map_err(explain)?;
                self.ids.insert(Ids { newest: newest.map(CommitId::from_bytes), added: HashSet::new() })
            }
        };
        Ok(ids.newest.is_none_or(|newest| id > newest) && !ids.added.contains(&id))
    }

    /// From here on `id` is remembered.
    pub(crate) fn remember(&mut self, id: CommitId) {
        if let Some(ids) = &mut self.ids {
            ids.added.insert(id);
        }
    }

    /// From here on `namespace`, whose usage somebody has asked for, takes so much.
    pub(crate) fn count(&mut self, namespace: &Namespace, usage: Usage) {
        let (_, now) = self.namespaces.get_mut(namespace).expect("what a namespace takes is counted on from what it took");
        let total = &mut self.now.usage;
        total.entries = (total.entries + usage.entries).saturating_sub(now.entries);
        total.bytes = (total.bytes + usage.bytes).saturating_sub(now.bytes);
        total.log_bytes = (total.log_bytes + usage.log_bytes).saturating_sub(now.log_bytes);
        *now = usage;
    }

    /// A commit has taken `revision` and made so many changes.
    pub(crate) fn advance(&mut self, revision: Revision, changes: i64) {
        self.now.revision = revision.get().cast_signed();
        self.now.changes += changes;
    }

    /// Writes back what has changed. `boot` is named by commits that a power cut may take.
    pub(crate) fn write(&self, connection: &Connection, boot: Option<&str>) -> Result<()> {
        const NAMESPACE: &str = "INSERT INTO namespaces VALUES (?1, ?2, ?3, ?4, 0) \
            ON CONFLICT (namespace) DO UPDATE SET entries = ?2, bytes = ?3, log_bytes = ?4";
        const STORE: &str = "UPDATE store SET revision = ?1, entries = ?2, bytes = ?3, log_bytes = ?4, changes = ?5, relaxed_boot = ?6, \
            indexes = ?7";
        let Self { before, now, namespaces, .. } = self;
        let changed = namespaces.iter().filter(|(_, (before, now))| before != now);
        let mut written = now != before;
        for (namespace, (_, usage)) in changed {
            let (entries, bytes, log_bytes) = signed(*usage);
            run(connection, NAMESPACE, (namespace.as_str(), entries, bytes, log_bytes))?;
            written = true;
        }
        if written {
            let (entries, bytes, log_bytes) = signed(now.usage);
            let boot = boot.or(now.relaxed_boot.as_deref());
            run(connection, STORE, (now.revision, entries, bytes, log_bytes, now.changes, boot, now.indexes))?;
        }
        Ok(())
    }
}

/// From which revision on the log tells everything about `ranges`, of which none means all; `store` is from where on it
/// tells everything about namespaces that were not trimmed by themselves.
pub(crate) fn oldest_of(connection: &Connection, store: i64, ranges: &[Range]) -> Result<i64> {
    const LATEST: &str = "SELECT max(oldest) FROM namespaces WHERE oldest > 0";
    let mut statement = connection.prepare_cached(LATEST).map_err(explain)?;
    let latest: Option<i64> = statement.query_row([], |row| row.get(0)).map_err(explain)?;
    let Some(latest) = latest.filter(|latest| *latest > store) else { return Ok(store) };
    if ranges.is_empty() {
        return Ok(latest);
    }
    const TRIMMED: &str = "SELECT namespace, oldest FROM namespaces WHERE oldest > 0 AND oldest > ?1 ORDER BY oldest DESC";
    let mut statement = connection.prepare_cached(TRIMMED).map_err(explain)?;
    let mut rows = statement.query([store]).map_err(explain)?;
    while let Some(row) = rows.next().map_err(explain)? {
        let namespace = row::namespace(row, 0)?;
        if ranges.iter().any(|range| range.meets(&namespace)) {
            return row::number(row, 1);
        }
    }
    Ok(store)
}

/// What `namespace` takes.
pub(crate) fn usage(connection: &Connection, namespace: &Namespace) -> Result<Snapshot<Usage>> {
    const SQL: &str = "SELECT revision, coalesce(namespaces.entries, 0), coalesce(namespaces.bytes, 0), \
        coalesce(namespaces.log_bytes, 0) FROM store LEFT JOIN namespaces ON namespace = ?1";
    let mut statement = connection.prepare_cached(SQL).map_err(explain)?;
    let found = statement.query_row([namespace.as_str()], |row| Ok((row.get::<_, i64>(0)?, usage_at(row, 1))));
    let (revision, usage) = found.optional().map_err(explain)?.ok_or_else(|| corrupt("the table store is empty"))?;
    Ok(Snapshot { revision: Revision::new(revision.cast_unsigned()), value: usage? })
}

fn usage_at(row: &Row<'_>, first: usize) -> Result<Usage> {
    let unsigned = |column| row::number(row, column).map(i64::cast_unsigned);
    Ok(Usage { entries: unsigned(first)?, bytes: unsigned(first + 1)?, log_bytes: unsigned(first + 2)? })
}

fn signed(usage: Usage) -> (i64, i64, i64) {
    (usage.entries.cast_signed(), usage.bytes.cast_signed(), usage.log_bytes.cast_signed())
}

fn run(connection: &Connection, sql: &str, parameters: impl Params) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map(|_| ()).map_err(explain)
}

#[cfg(test)]
mod tests {
    use larder_core::Timestamp;

    use super::*;

    #[test]
    fn an_id_is_new_only_beyond_all_that_are_remembered() {
        let file = Connection::open_in_memory().expect("opens");
        file.execute_batch(crate::SCHEMA).expect("the schema is good SQL");
        let row = "INSERT INTO store VALUES (1, 'a', 0, 0, 0, 0, 0, 0, 0, 0, NULL, 3, 0)";
        file.execute(row, []).expect("writes");
        let id = |n: i64| CommitId::new(Timestamp::from_millis_saturating(n), 0);
        let head = || Head::read(&file).expect("reads");
        assert!(head().is_new(&file, id(1)).expect("asks"), "nothing is remembered");
        file.execute("INSERT INTO commits (id, revision) VALUES (?1, 0)", [id(5).as_bytes()]).expect("writes");

        let mut head = head();
        let new = |head: &mut Head, n| head.is_new(&file, id(n)).expect("asks");
        // An older one may stand among those that are remembered, or not: somebody has to look.
        assert_eq!([4, 5, 6, 7].map(|n| new(&mut head, n)), [false, false, true, true]);
        head.remember(id(7));
        assert_eq!([6, 7, 8].map(|n| new(&mut head, n)), [true, false, true], "what the same group has added counts");
    }
}
