//! Commits batches, and counts what came of them.

use larder::{Action, Condition, Error, ErrorKind, Expected, Index, Key, Metadata, Namespace, Result, Revision, Store};

use super::batch::{Batch, Existing, weight};

/// How many keys are looked up at once: an answer brings the values along.
const LOOKUP_KEYS: usize = 64;

/// What an import has done so far.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Entries that were created.
    pub(super) created: u64,
    /// Entries that stand where others stood before.
    pub(super) overwritten: u64,
    /// Records that were left out because their key was there.
    pub(super) existing: u64,
    /// Records that a later one of the same key and commit has replaced.
    pub(super) repeated: u64,
    /// The bytes of keys, values and metadata.
    pub(super) bytes: u64,
    pub(super) namespaces: u64,
    /// Indexes that were created.
    pub(super) indexes: u64,
    pub(super) revision: Option<Revision>,
    /// One of the entries, to try.
    pub(super) sample: Option<(Namespace, Key)>,
}

impl Totals {
    pub(super) fn entries(&self) -> u64 {
        self.created + self.overwritten
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    /// Up to the limits of its engine.
    pub(super) store: Store,
    pub(super) existing: Existing,
    pub(super) totals: Totals,
}

impl Writer {
    pub(super) async fn batch(&mut self, batch: Batch) -> Result<()> {
        let store = self.store.in_namespace(&batch.namespace)?;
        let Batch { namespace, mut records, repeated } = batch;
        let restores = matches!(records.first(), Some((_, Action::Restore { .. })));
        let before = records.len();
        // Somebody may write between a look and the commit; then it is refused whole, and the look is taken again.
        let mut replaced = 0;
        let overwritten = loop {
            let mut checked = false;
            match self.existing {
                Existing::Skip => {
                    let known = known(&store, &records).await?;
                    let mut known = known.into_iter();
                    records.retain(|_| !known.next().unwrap_or_default());
                    checked = true;
                }
                // An entry is restored where nothing is, so what is there has to go first.
                Existing::Overwrite if restores => replaced += clear(&store, &records).await?,
                Existing::Overwrite | Existing::Refuse => {}
            }
            if records.is_empty() {
                break 0;
            }
            match commit(&store, &records, checked).await {
                Ok((revision, existed)) => {
                    self.totals.revision = Some(revision);
                    break existed + replaced;
                }
                Err(error) if is_raced(&error) && self.existing != Existing::Refuse => {}
                Err(error) => return Err(refused(error)),
            }
        };
        let totals = &mut self.totals;
        let skipped = (before - records.len()) as u64;
        totals.overwritten += overwritten;
        totals.created += (records.len() as u64).saturating_sub(overwritten);
        match self.existing {
            Existing::Skip => totals.existing += skipped + repeated,
            Existing::Overwrite | Existing::Refuse => totals.repeated += repeated,
        }
        totals.bytes += records.iter().map(|(key, action)| (key.len() + weight(action)) as u64).sum::<u64>();
        if let Some((key, _)) = records.into_iter().next() {
            totals.sample.get_or_insert((namespace, key));
        }
        Ok(())
    }

    /// Creates a namespace by name. One that is there stays as it is, unless that is to be refused.
    pub(super) async fn namespace(&mut self, namespace: &Namespace, metadata: Metadata) -> Result<()> {
        match self.store.create_namespace(namespace, metadata).await {
            Ok(()) => self.totals.namespaces += 1,
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.existing != Existing::Refuse => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Creates an index. One on the same paths stays as it is, unless that is to be refused.
    pub(super) async fn index(&mut self, namespace: &Namespace, index: Index) -> Result<()> {
        let store = self.store.in_namespace(namespace)?;
        if store.indexes().await?.iter().any(|info| info.index == index && info.building.is_none()) {
            return Ok(());
        }
        match store.create_index(index).await {
            Ok(()) => self.totals.indexes += 1,
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.existing != Existing::Refuse => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// For each record whether its key is there.
async fn known(store: &Store, records: &[(Key, Action)]) -> Result<Vec<bool>> {
    let mut known = Vec::with_capacity(records.len());
    for some in records.chunks(LOOKUP_KEYS) {
        let found = store.get_many(some.iter().map(|(key, _)| key)).await?;
        known.extend(found.value.iter().map(Option::is_some));
    }
    Ok(known)
}

/// Deletes what stands where `records` are to go, and answers how much that was.
async fn clear(store: &Store, records: &[(Key, Action)]) -> Result<u64> {
    let mut commit = store.commit();
    for (key, _) in records {
        commit = commit.delete(key);
    }
    Ok(commit.await?.writes.iter().filter(|written| written.existed).count() as u64)
}

async fn commit(store: &Store, records: &[(Key, Action)], absent: bool) -> Result<(Revision, u64)> {
    let mut commit = store.commit();
    for (key, action) in records {
        if absent {
            commit = commit.check(key, Condition::Absent);
        }
        commit = commit.action(key, action.clone());
    }
    let receipt = commit.await?;
    Ok((receipt.revision, receipt.writes.iter().filter(|written| written.existed).count() as u64))
}

/// Whether it was somebody else who came in between. What a unique index does not allow it will not allow next time.
fn is_raced(error: &Error) -> bool {
    error.as_conflict().is_some_and(|conflict| !matches!(conflict.expected, Expected::Unique(_)))
}

fn refused(error: Error) -> Error {
    match error.as_conflict().filter(|_| is_raced(&error)).and_then(|conflict| conflict.address.as_ref()) {
        Some(address) => {
            let message = format!("the key {address} is there already, and an export does not overwrite unless told to");
            Error::new(ErrorKind::AlreadyExists, message)
        }
        None => error,
    }
}
