//! Running a transaction to its end: again after a conflict, and to the truth after an unknown outcome.

use std::{sync::PoisonError, time::Duration};

use super::{Home, Isolation, Transaction};
use crate::{
    commit::{Conflict, Expected},
    error::{Error, ErrorKind, Result},
    store::{
        Scope,
        once::{DEADLINE, Patience},
    },
};

impl Scope {
    /// Runs `body` as a transaction and commits it: again from the beginning when something that it had read was changed
    /// by others, for up to 10 seconds.
    ///
    /// `body` may run several times and happens once. When it fails, or calls [`Transaction::rollback`], nothing is
    /// written.
    ///
    /// ```
    /// # use larder_core::{Error, Result, Store};
    /// # async fn example(store: Store) -> Result<()> {
    /// let left = store.transact(async |mut t| {
    ///     let from: i64 = t.get_json("accounts/ann").await?.unwrap_or(0);
    ///     if from < 10 {
    ///         t.rollback();
    ///         return Ok(from);
    ///     }
    ///     t.set_json("accounts/ann", &(from - 10))?;
    ///     t.add("accounts/bob", 10, 0..=i64::MAX).await?;
    ///     Ok(from - 10)
    /// }).await?;
    /// # let _ = left;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `body` fails with; `Conflict` when others come in between until the deadline; what the engine meets.
    pub async fn transact<T, F>(&self, body: impl FnMut(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.transact_for(DEADLINE, body).await
    }

    /// As [`Scope::transact`], but tries again for as long as `deadline`.
    ///
    /// # Errors
    /// As [`Scope::transact`].
    pub async fn transact_for<T, F>(&self, deadline: Duration, mut body: impl FnMut(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut patience = Patience::new(self, deadline);
        loop {
            let home = Home::default();
            let mut transaction = self.begin(Isolation::Serializable);
            transaction.home = Some(home.clone());
            let answered = body(transaction).await;
            let returned = home.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(transaction) = returned else {
                return Err(Error::new(ErrorKind::InvalidState, "the transaction outlived the body that it was given to"));
            };
            let answer = match answered {
                Ok(answer) if transaction.ended => return Ok(answer),
                Ok(answer) => answer,
                // What it saw may not even have been there at the end.
                Err(error) if is_worth_another(&error, transaction.stale) => {
                    patience.pause(error).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let id = transaction.id;
            match transaction.commit().await {
                Ok(_) => return Ok(answer),
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                    if self.resolved(id, &mut patience, error).await?.is_some() {
                        return Ok(answer);
                    }
                }
                Err(error) if is_worth_another(&error, true) => patience.pause(error).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_worth_another(error: &Error, stale: bool) -> bool {
    match error.kind() {
        ErrorKind::Trimmed | ErrorKind::Unavailable => true,
        // What a unique index does not allow has nothing to do with what was read.
        ErrorKind::Conflict => stale && !matches!(error.as_conflict(), Some(Conflict { expected: Expected::Unique(_), .. })),
        _ => false,
    }
}
