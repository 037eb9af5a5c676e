//! The gate: a store that is being moved elsewhere takes no writes, from no handle of no process.
//!
//! Every commit checks, with everything else it checks, that nothing stands at one address. To pause all writers is to write
//! there, and as that is a commit like any other, each of theirs comes before it or is refused. The address is that of the mark
//! which would say that `default` is being deleted, which it cannot be: so who writes to `default` checks no more than before.
//!
//! Sweeping goes on, and so do holds: neither changes what anybody can read.

use std::{sync::LazyLock, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Store, namespaces, read, write};
use crate::{
    address::{Address, Range},
    commit::{Action, Check, Condition, MetadataChange, Receipt},
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::Revision,
    namespace::Namespace,
    time::Timestamp,
};

static GATE: LazyLock<Address> = LazyLock::new(|| namespaces::marked(&Namespace::default()));

/// Whether a store takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Open,
    /// Not for a moment: it is being moved, and until then at the latest that has ended.
    Paused {
        /// When it takes writes again, unless it has moved by then.
        until: Timestamp,
    },
    /// Not any more: it has moved.
    Moved {
        /// Where to, in the words of whoever moved it.
        to: String,
    },
}

/// What is stored at the gate's address.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stored {
    Paused,
    Moved { to: String },
}

impl Gate {
    /// Where a store keeps its gate. Who copies a store leaves it out: it is about that store and not in it.
    pub fn address() -> &'static Address {
        &GATE
    }

    fn of(entry: Option<&Entry>) -> Result<Self> {
        let Some(entry) = entry else { return Ok(Self::Open) };
        Ok(match read::parse(entry)? {
            Stored::Paused => Self::Paused { until: entry.expires_at.unwrap_or(Timestamp::MAX) },
            Stored::Moved { to } => Self::Moved { to },
        })
    }
}

impl Store {
    /// Whether the store takes writes.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn gate(&self) -> Result<Gate> {
        Gate::of(self.engine().get(vec![GATE.clone()], self.world().now()).await?.value.pop().flatten().as_ref())
    }

    /// Refuses the writes of every handle and process from now on, for at most `ttl`: as `Unavailable`, so that who sends them
    /// again meets the store open, or moved. The revision from which on nothing is written.
    ///
    /// # Errors
    /// `InvalidState` when the store has moved.
    pub async fn pause_writes(&self, ttl: Duration) -> Result<Revision> {
        if let Gate::Moved { to } = self.gate().await? {
            return Err(moved(&to));
        }
        let expires_at = Some(write::expiry_in(self, ttl)?);
        let put = Action::Put { value: write::json(&Stored::Paused)?, expires_at, metadata: MetadataChange::Keep };
        Ok(self.commit().ungated().at(GATE.clone(), put).send().await?.revision)
    }

    /// Says that the store has moved to `to`, and takes no writes any more; if nothing but what it keeps about itself has changed
    /// after `since`.
    ///
    /// # Errors
    /// `Conflict` when something has.
    pub async fn close_gate(&self, to: &str, since: Revision) -> Result<Receipt> {
        let now = self.world().now();
        let put = Action::Put {
            value: write::json(&Stored::Moved { to: to.to_owned() })?,
            expires_at: None,
            metadata: MetadataChange::Keep,
        };
        let unchanged = Range::not_reserved().map(|range| Check::Unchanged { range, since, read_at: now });
        let commit = unchanged.into_iter().fold(self.commit().ungated(), super::CommitBuilder::check_at);
        commit.at(GATE.clone(), put).send().await
    }

    /// Takes writes again.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn open_gate(&self) -> Result<()> {
        self.commit().ungated().at(GATE.clone(), Action::Delete).send().await.map(drop)
    }

    /// Why a commit was refused that found something at the gate.
    pub(super) async fn closed(scope: &super::Scope) -> Error {
        let found = scope.engine().get(vec![GATE.clone()], scope.world().now()).await;
        match found.and_then(|found| Gate::of(found.value.first().and_then(Option::as_ref))) {
            Ok(Gate::Moved { to }) => moved(&to),
            Ok(_) => Error::new(ErrorKind::Unavailable, "the store is being moved and takes no writes for a moment"),
            Err(error) => error,
        }
    }
}

/// The check that the gate is open.
pub(super) fn is_open() -> Check {
    Check::Key { address: GATE.clone(), condition: Condition::Absent }
}

fn moved(to: &str) -> Error {
    Error::new(ErrorKind::InvalidState, format!("the store has moved to {to} and takes no writes here any more"))
}
