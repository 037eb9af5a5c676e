//! Keeping a store in bounds: expired entries are swept up, old parts of the log and old commit ids are forgotten.
//!
//! In small steps, with commits and trims like anybody's. What is swept was absent to everyone before; the log says
//! `Expired`.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Store, write::join};
use crate::{
    change::{ChangesQuery, Trim},
    commit::{Action, Check, Condition},
    engine::Engine,
    error::{ErrorKind, Result},
    id::Revision,
    send::BoxFuture,
    world::World,
};

/// How long the log and commit ids are kept; whichever bound is met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Changes older than this are forgotten.
    pub age: Duration,
    /// When the log is larger than this, its oldest part is forgotten. In bytes of keys, values and metadata.
    pub bytes: u64,
    /// Commit ids older than this are forgotten.
    pub ids: Duration,
}

impl Default for Retention {
    /// A week of changes, at most a GiB of them, and a day of ids.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { age: 7 * day, bytes: 1 << 30, ids: day }
    }
}

/// What keeping a store in bounds has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many expired entries were swept up.
    pub expired: u64,
    /// How many changes were forgotten.
    pub changes: u64,
    /// How many commit ids were forgotten.
    pub ids: u64,
}

/// How often a store is looked after.
const EVERY: Duration = Duration::from_secs(10);
/// How many expired entries are swept up at once.
const SWEEP_AT_ONCE: usize = 64;
/// How many changes are looked at at once to find out which are too old.
const CHANGES_AT_ONCE: usize = 256;

impl Store {
    /// Sweeps up every entry that has expired, and forgets what `retention` does not keep.
    ///
    /// # Errors
    /// What the engine meets; what was done before stays done.
    pub async fn keep(&self, retention: Retention) -> Result<Kept> {
        let expired = self.sweep().await?;
        let now = self.world().now();
        let through = self.outdated(retention).await?;
        let trim = Trim::new(through, now.before(retention.ids));
        let trimmed = self.engine().trim(trim).await?;
        Ok(Kept { expired, changes: trimmed.changes, ids: trimmed.ids })
    }

    /// Keeps the store in bounds from now on, beside the caller, as long as any handle to it lives.
    pub fn keep_in_background(&self, retention: Retention) {
        let keeper = Keeper { engine: Arc::downgrade(self.engine()), world: self.world().clone(), retention };
        let task: BoxFuture<'static, ()> = Box::pin(keeper.run());
        self.world().spawn(task);
    }

    async fn sweep(&self) -> Result<u64> {
        let mut swept = 0;
        loop {
            let found = self.engine().expired(self.world().now(), SWEEP_AT_ONCE).await?;
            // Each by itself: one that was written again in the meantime is none of our business.
            let deletes = found.iter().map(|address| {
                let condition = Condition::Absent;
                let check = Check::Key { address: address.clone(), condition };
                Box::pin(self.commit().unguarded().check_at(check).at(address.clone(), Action::Delete).send())
            });
            let before = swept;
            for answer in join(deletes.collect()).await {
                match answer {
                    Ok(_) => swept += 1,
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) => return Err(error),
                }
            }
            if found.len() < SWEEP_AT_ONCE || swept == before {
                return Ok(swept);
            }
        }
    }

    /// The last revision that `retention` does not keep.
    async fn outdated(&self, retention: Retention) -> Result<Revision> {
        let now = self.world().now();
        let since = now.before(retention.age);
        let status = self.engine().status(now).await?;
        let (mut outdated, mut bytes) = (status.oldest, status.log_bytes);
        loop {
            let query = ChangesQuery { limit: CHANGES_AT_ONCE, gaps: true, ..ChangesQuery::after(status.lineage, outdated) };
            let found = match self.engine().changes(query).await {
                Ok(found) => found,
                // Somebody else has trimmed further already.
                Err(error) if error.kind() == ErrorKind::Trimmed => return Ok(outdated),
                Err(error) => return Err(error),
            };
            let mut rest = found.changes.iter().peekable();
            while let Some(change) = rest.next() {
                if change.at >= since && bytes <= retention.bytes {
                    return Ok(outdated);
                }
                let before = change.before.as_ref().map_or(change.address.key.len() as u64, crate::Entry::bytes);
                bytes = bytes.saturating_sub(before);
                if rest.peek().is_none_or(|next| next.revision != change.revision) {
                    outdated = change.revision;
                }
            }
            if found.through == found.head {
                return Ok(outdated);
            }
        }
    }
}

struct Keeper {
    engine: Weak<dyn Engine>,
    world: Arc<dyn World>,
    retention: Retention,
}

impl Keeper {
    async fn run(self) {
        loop {
            self.world.sleep(EVERY).await;
            let Some(engine) = self.engine.upgrade() else { return };
            // An engine out of reach is asked again next time; a closed one needs nobody any more.
            let kept = Store::new(engine, self.world.clone()).keep(self.retention).await;
            if kept.is_err_and(|error| error.kind() == ErrorKind::Closed) {
                return;
            }
        }
    }
}
