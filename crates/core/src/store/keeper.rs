//! Keeping a store in bounds: expired entries are swept up, old parts of the log and old commit ids are forgotten.
//!
//! In small steps, with commits and trims like anybody's. What is swept was absent to everyone before; the log says
//! `Expired`.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Retention, Store};
use crate::{
    address::{Address, Range},
    change::{Change, ChangesQuery, Trim},
    commit::{Action, Check, Condition, Receipt},
    engine::{Engine, EngineStatus},
    entry::Entry,
    error::{ErrorKind, Result},
    id::Revision,
    namespace::Namespace,
    send::BoxFuture,
    time::Timestamp,
    world::World,
};

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
/// How many expired entries are looked for at once.
const FOUND_AT_ONCE: usize = 512;
/// How many of them share a commit at most.
const SWEEP_AT_ONCE: usize = 64;
/// How many are swept up for each commit of others, when there are some: they do not wait for much more than their own work,
/// and what they leave behind does not become more and more.
const SWEEP_FOR_EACH: u64 = 2;
/// How many changes are looked at at once to find out which are too old.
const CHANGES_AT_ONCE: usize = 256;

impl Store {
    /// Sweeps up every entry that has expired, forgets what `retention` does not keep, and goes on with indexes that somebody
    /// left half built.
    ///
    /// # Errors
    /// What the engine meets; what was done before stays done.
    pub async fn keep(&self, retention: Retention) -> Result<Kept> {
        let expired = self.sweep().await?;
        let now = self.world().now();
        let status = self.engine().status(now).await?;
        let held = self.holds().await?.into_iter().map(|hold| hold.position);
        let held = held.filter(|position| position.lineage == status.lineage).map(|position| position.revision).min();
        let held = match held {
            // Beyond the cap nothing is held.
            Some(held) => held.max(self.outdated(&status, None, None, retention.held_bytes, Revision::new(u64::MAX)).await?),
            None => Revision::new(u64::MAX),
        };

        let through = self.outdated(&status, None, Some(retention.age), retention.bytes, held).await?;
        let trimmed = self.engine().trim(Trim::new(through, now.before(retention.ids))).await?;
        let mut kept = Kept { expired, changes: trimmed.changes, ids: trimmed.ids };
        // Where the log of a namespace begins now, at the earliest.
        let status = EngineStatus { oldest: trimmed.oldest, ..status };
        for (namespace, bounds) in self.bounded_logs().await? {
            let bytes = bounds.bytes.unwrap_or(u64::MAX);
            let through = self.outdated(&status, Some(&namespace), bounds.age, bytes, held).await?;
            // Even to find nothing takes a walk through all that the log tells of the namespace.
            if through <= status.oldest {
                continue;
            }
            kept.changes += self.engine().trim(Trim::namespace(namespace, through)).await?.changes;
        }
        self.finish_indexes().await?;
        Ok(kept)
    }

    /// Keeps the store in bounds from now on, beside the caller, as long as any handle to it lives.
    pub fn keep_in_background(&self, retention: Retention) {
        let keeper = Keeper { engine: Arc::downgrade(self.engine()), world: self.world().clone(), retention };
        let task: BoxFuture<'static, ()> = Box::pin(keeper.run());
        self.world().spawn(task);
    }

    async fn sweep(&self) -> Result<u64> {
        let (mut swept, mut step, mut alone) = (0, SWEEP_AT_ONCE, true);
        let mut last: Option<Revision> = None;
        loop {
            let found = self.engine().expired(self.world().now(), FOUND_AT_ONCE).await?;
            let before = swept;
            let mut rest = &found[..];
            while !rest.is_empty() {
                let (some, others) = rest.split_at(step.min(rest.len()));
                let (gone, revision) = self.sweep_some(some, alone).await?;
                swept += gone;
                rest = others;
                // Where others had written to all of them, no commit of ours says how many there were in between.
                let Some(revision) = revision else { continue };
                let commits = last.map_or(0, |last| revision.get().saturating_sub(last.next().get()));
                alone = commits == 0;
                let most = if alone { step * 2 } else { usize::try_from(SWEEP_FOR_EACH * commits).unwrap_or(usize::MAX) };
                step = most.min(SWEEP_AT_ONCE);
                last = Some(revision);
            }
            if found.len() < FOUND_AT_ONCE || swept == before {
                return Ok(swept);
            }
        }
    }

    /// Removes those of `expired` that still are, and answers how many they were, and with which commit the last of them went;
    /// unless nobody else is at work, together with what others do.
    async fn sweep_some(&self, expired: &[Address], alone: bool) -> Result<(u64, Option<Revision>)> {
        match self.removal(expired, alone).await {
            Ok(receipt) => Ok((expired.len() as u64, Some(receipt.revision))),
            // One that was written again in the meantime is none of our business, and stands in nobody's way.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let (mut gone, mut last) = (0, None);
                for one in expired {
                    match self.removal(std::slice::from_ref(one), alone).await {
                        Ok(receipt) => (gone, last) = (gone + 1, Some(receipt.revision)),
                        Err(error) if error.kind() == ErrorKind::Conflict => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok((gone, last))
            }
            Err(error) => Err(error),
        }
    }

    async fn removal(&self, expired: &[Address], alone: bool) -> Result<Receipt> {
        let mut commit = self.commit().ungated();
        for address in expired {
            let check = Check::Key { address: address.clone(), condition: Condition::Absent };
            commit = commit.check_at(check).at(address.clone(), Action::Delete);
        }
        if alone { commit.send().await } else { commit.send_along().await }
    }

    /// The last revision of the log, or of that of one namespace, which is older than `age` or too much for `bytes`, but none
    /// beyond `held`.
    async fn outdated(
        &self,
        status: &EngineStatus,
        namespace: Option<&Namespace>,
        age: Option<Duration>,
        bytes: u64,
        held: Revision,
    ) -> Result<Revision> {
        let since = age.map_or(Timestamp::EPOCH, |age| self.world().now().before(age));
        let mut left = match namespace {
            Some(namespace) => self.engine().usage(namespace.clone()).await?.value.log_bytes,
            None => status.log_bytes,
        };
        let mut outdated = status.oldest;
        // However long the log is, it is not read where its size alone says that all of it stays, nor beyond what is held.
        while outdated < held && (age.is_some() || left > bytes) {
            let query = ChangesQuery {
                ranges: namespace.map(Range::namespace).into_iter().collect(),
                limit: CHANGES_AT_ONCE,
                gaps: true,
                ..ChangesQuery::after(status.lineage, outdated)
            };
            let found = match self.engine().changes(query).await {
                Ok(found) => found,
                // Somebody else has trimmed further already.
                Err(error) if error.kind() == ErrorKind::Trimmed => return Ok(outdated),
                Err(error) => return Err(error),
            };
            // A commit goes or stays whole.
            for commit in found.changes.chunk_by(|one, next| one.revision == next.revision) {
                let [change, ..] = commit else { continue };
                if change.revision > held || (change.at >= since && left <= bytes) {
                    return Ok(outdated);
                }
                let before = |change: &Change| change.before.as_ref().map_or(change.address.key.len() as u64, Entry::bytes);
                left = left.saturating_sub(commit.iter().map(before).sum());
                outdated = change.revision;
            }
            if found.through == found.head {
                break;
            }
        }
        Ok(outdated)
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
