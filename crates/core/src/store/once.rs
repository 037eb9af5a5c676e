//! Unknown outcomes, brought to an end: a commit that is known to have happened once, or not at all.

use std::time::Duration;

use super::{CommitBuilder, Scope, Set, Stamp};
use crate::{
    commit::{Outcome, Receipt},
    engine::Resolution,
    error::{Error, ErrorKind, Result},
    id::CommitId,
    time::Timestamp,
};

/// For how long is tried again, unless said otherwise.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// The longest pause before the second attempt; it doubles with each one.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(100);

impl CommitBuilder<'_> {
    /// Sends the commit until it is known what became of it, for up to 10 seconds, and makes it happen once.
    ///
    /// Where the store cannot be reached it is sent again; where nobody heard what became of it, its id is asked, and when
    /// it never happened it is sent again under another one.
    ///
    /// # Errors
    /// What awaiting it would answer; `OutcomeUnknown` when there is no answer within that time.
    pub async fn once(self) -> Result<Receipt> {
        let scope = self.scope();
        let (mut commit, answers) = self.prepare()?;
        let mut patience = Patience::new(scope, DEADLINE);
        loop {
            let id = commit.id;
            match scope.shared.committer.commit(commit.clone()).await {
                Ok(outcome) => match answers.told(scope, id, outcome).await {
                    // A store that is being moved takes writes again in a moment, or says where it is. The pause ends by the
                    // commit's clock; the commit has not happened, so it may have another.
                    Err(error) if error.is_retryable() => {
                        patience.pause(error).await?;
                        commit.now = scope.world().now();
                    }
                    answer => return answer,
                },
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                    match scope.resolved(id, &mut patience, error).await? {
                        Some(receipt) => return answers.told(scope, id, Outcome::Committed(receipt)).await,
                        // That id never happens any more.
                        None => commit.id = scope.world().commit_id(),
                    }
                }
                Err(error) if error.is_retryable() => patience.pause(error).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Set<'_> {
    /// As [`CommitBuilder::once`].
    ///
    /// # Errors
    /// As [`CommitBuilder::once`].
    pub async fn once(self) -> Result<Stamp> {
        super::set::stamp(self.commit()?.once().await)
    }
}

impl Scope {
    /// What became of the commit `id`, asked until there is an answer; `None` is that it never happens.
    pub(super) async fn resolved(
        &self,
        id: CommitId,
        patience: &mut Patience<'_>,
        unknown: Error,
    ) -> Result<Option<Receipt>> {
        let mut unknown = Some(unknown);
        loop {
            match self.resolve(id).await {
                Ok(Resolution::Committed(receipt)) => return Ok(Some(receipt)),
                Ok(Resolution::Never) => return Ok(None),
                Ok(Resolution::Forgotten) => return Err(Error::forgotten(id)),
                // Nobody can say; with the patience at its end that is what is told.
                Err(error) if error.is_retryable() => {
                    let told = unknown.take().unwrap_or_else(|| Error::outcome_unknown(id, "the store did not answer"));
                    patience.pause(told).await?;
                }
                Err(error) => return Err(Error::outcome_unknown(id, error)),
            }
        }
    }
}

/// Pauses that grow, with chance in them so that those who met do not meet again, until a deadline.
pub(super) struct Patience<'a> {
    scope: &'a Scope,
    until: Timestamp,
    pause: Duration,
}

impl<'a> Patience<'a> {
    pub(super) fn new(scope: &'a Scope, deadline: Duration) -> Self {
        Self { scope, until: scope.world().now().after(deadline), pause: PAUSE_FIRST }
    }

    /// Waits a moment, or ends with `error` when there is no time left.
    pub(super) async fn pause(&mut self, error: Error) -> Result<()> {
        if self.scope.world().now() >= self.until {
            return Err(error);
        }
        let most = u64::try_from(self.pause.as_micros()).unwrap_or(u64::MAX);
        let share = u64::try_from(self.scope.world().random() % u128::from(most + 1)).unwrap_or(0);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.scope.world().sleep(Duration::from_micros(share)).await;
        Ok(())
    }
}
