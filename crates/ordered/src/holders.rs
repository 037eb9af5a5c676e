//! Who has a term in an index, as far as it was asked.
//!
//! What a commit claims shows only when it is decided. So it is decided with what is known, and where something was missing,
//! that is asked and it is decided again.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use larder_core::{
    Address, Key, Namespace, Result,
    index::{Holder, IndexId, IndexStatus, Term},
};

use crate::{layout, record::Record, setup::PAGE_ROWS, sheet::Sheet};

/// A term in an index of this namespace.
type Asked = (Namespace, IndexId, Term);

#[derive(Debug, Default)]
pub(crate) struct Holders {
    known: HashMap<(IndexId, Term), Vec<Holder>>,
    missing: HashSet<Asked>,
}

impl Holders {
    /// Who has `term`; when that is not known, nobody, and it is to be asked.
    pub(crate) fn of(&mut self, status: &IndexStatus, term: &Term) -> Vec<Holder> {
        match self.known.get(&(status.id, term.clone())) {
            Some(holders) => holders.clone(),
            None => {
                self.missing.insert((status.namespace.clone(), status.id, term.clone()));
                Vec::new()
            }
        }
    }

    /// Asks for what was missing, and answers whether anything was.
    pub(crate) async fn learn(&mut self, sheet: &mut Sheet<'_>) -> Result<bool> {
        let missing: Vec<Asked> = std::mem::take(&mut self.missing).into_iter().collect();
        if missing.is_empty() {
            return Ok(false);
        }
        let part = |(_, id, term): &Asked| layout::part(layout::rows_of(*id, term.as_bytes()), PAGE_ROWS);
        sheet.fetch(Vec::new(), missing.iter().map(part).collect()).await?;
        let mut found: Vec<(Asked, Vec<Key>)> = Vec::with_capacity(missing.len());
        for asked in missing {
            let rows = sheet.scan(&part(&asked)).await?;
            let keys = rows.iter().map(|(row, _)| layout::read_row(row).map(|(_, key)| key)).collect::<Result<_>>()?;
            found.push((asked, keys));
        }
        let entry =
            |namespace: &Namespace, key: &Key| -> Bytes { layout::entry_at(&Address::new(namespace.clone(), key.clone())) };
        let entries = found.iter().flat_map(|((namespace, ..), keys)| keys.iter().map(|key| entry(namespace, key)));
        sheet.fetch(entries.collect(), Vec::new()).await?;
        for ((namespace, id, term), keys) in found {
            let mut holders = Vec::with_capacity(keys.len());
            for key in keys {
                let record = sheet.get(&entry(&namespace, &key)).await?.map(|record| Record::read(&record)).transpose()?;
                holders.push(Holder { expires_at: record.and_then(|record| record.expires_at), key });
            }
            self.known.insert((id, term), holders);
        }
        Ok(true)
    }
}
