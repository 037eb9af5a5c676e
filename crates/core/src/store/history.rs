//! History: what a key was, newest first, as far as the log still tells.

use super::Store;
use crate::{
    address::Range,
    change::{Change, ChangesQuery, LogOrder},
    error::{ErrorKind, Result},
    id::Revision,
    key::IntoKey,
};

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Its changes with both sides, the newest first.
    pub changes: Vec<Change>,
    /// Where to go on, when there are older ones: changes of earlier revisions than this.
    pub next: Option<Revision>,
    /// What came before or with this revision is forgotten.
    pub oldest: Revision,
}

impl Store {
    /// The last changes of `key`, at most `limit` of them but for a commit that made two; before the revision `before`,
    /// if one is given.
    ///
    /// # Errors
    /// `Invalid` for a bad key; else what the engine meets.
    pub async fn history(&self, key: impl IntoKey, limit: usize, before: Option<Revision>) -> Result<History> {
        let address = self.address(key)?;
        loop {
            let status = self.engine.status(self.world.now()).await?;
            let query = ChangesQuery {
                ranges: vec![Range::key(&address)],
                limit,
                order: LogOrder::NewestFirst { before },
                ..ChangesQuery::after(status.lineage, status.oldest)
            };
            match self.engine.changes(query).await {
                Ok(found) => {
                    let next = (found.through > status.oldest).then_some(found.through);
                    return Ok(History { changes: found.changes, next, oldest: status.oldest });
                }
                // Trimmed since the status was read: the log now begins later, and is asked from there.
                Err(error) if error.kind() == ErrorKind::Trimmed => {}
                Err(error) => return Err(error),
            }
        }
    }
}
