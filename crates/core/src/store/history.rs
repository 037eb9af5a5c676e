//! History: what a key was, newest first, as far as the log still tells.

use super::Scope;
use crate::{
    address::Range,
    change::{Change, ChangesQuery, LogOrder},
    error::Result,
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

impl Scope {
    /// The last changes of `key`, at most `limit` of them but for a commit that made two; before the revision `before`,
    /// if one is given.
    ///
    /// # Errors
    /// `Invalid` for a bad key; else what the engine meets.
    pub async fn history(&self, key: impl IntoKey, limit: usize, before: Option<Revision>) -> Result<History> {
        let address = self.address(key)?;
        let status = self.engine().status(self.world().now()).await?;
        let mut oldest = status.oldest;
        loop {
            let query = ChangesQuery {
                ranges: vec![Range::key(&address)],
                limit,
                order: LogOrder::NewestFirst { before },
                ..ChangesQuery::after(status.lineage, oldest)
            };
            match self.engine().changes(query).await {
                Ok(found) => {
                    let next = (found.through > oldest).then_some(found.through);
                    return Ok(History { changes: found.changes, next, oldest });
                }
                // The log of this namespace begins later than that of the store, or was trimmed since the status was read.
                Err(error) if error.oldest().is_some_and(|later| later > oldest) => {
                    oldest = error.oldest().unwrap_or(oldest);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
