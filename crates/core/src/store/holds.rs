//! Holds: what keeps the log from being trimmed while somebody still needs it.
//!
//! A hold is an expiring entry of the reserved namespace `larder:holds`, so it survives whoever set it by no more than its
//! time to live, and every process that trims sees it.

use std::{sync::LazyLock, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Position, Select, Store, read, write};
use crate::{
    address::Address,
    change::ChangesQuery,
    commit::{Action, MetadataChange},
    entry::Entry,
    error::{Error, ErrorKind, Result},
    id::{Lineage, Revision},
    key::{IntoKey, Key},
    namespace::Namespace,
    time::Timestamp,
};

static HOLDS: LazyLock<Namespace> = LazyLock::new(|| Namespace::new("larder:holds").expect("a valid name"));

/// Something that still needs the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name.
    pub name: Key,
    /// Changes after this place stay.
    pub position: Position,
    /// When it was set or renewed.
    pub renewed_at: Timestamp,
    /// From then on it holds nothing.
    pub expires_at: Timestamp,
}

/// What is stored of a hold.
#[derive(Serialize, Deserialize)]
struct Stored {
    lineage: u64,
    revision: u64,
}

impl Hold {
    fn of(entry: &Entry) -> Result<Self> {
        let Stored { lineage, revision } = read::parse(entry)?;
        let position = Position { lineage: Lineage::new(lineage), revision: Revision::new(revision) };
        let expires_at = entry.expires_at.unwrap_or(Timestamp::MAX);
        Ok(Self { name: entry.address.key.clone(), position, renewed_at: entry.updated_at, expires_at })
    }
}

impl Store {
    /// Keeps the changes after `position` in the log for as long as `ttl`, unless the log outgrows
    /// [`Retention::held_bytes`](super::Retention::held_bytes). Holding again under the same name renews it, or moves it.
    ///
    /// # Errors
    /// `Trimmed` when the log does not reach back to `position` any more; what was held under the name before stays held.
    pub async fn hold(&self, name: impl IntoKey, position: Position, ttl: Duration) -> Result<Hold> {
        let name = name.into_key()?;
        let expires_at = write::expiry_in(self, ttl)?;
        let stored = Stored { lineage: position.lineage.get(), revision: position.revision.get() };
        let value = write::json(&stored)?;
        let put = Action::Put { value, expires_at: Some(expires_at), metadata: MetadataChange::Keep };
        let renewed_at = self.world().now();
        let address = Address::new(HOLDS.clone(), name.clone());
        let before = self.engine().get(vec![address.clone()], renewed_at).await?.value.pop().flatten();
        self.reaches(position).await?;
        self.commit().ungated().at(address.clone(), put).send().await?;
        // Asked again after it was set: a trim that had looked for holds before may have come in between.
        if let Err(error) = self.reaches(position).await {
            let undo = before.map_or(Action::Delete, |Entry { value, expires_at, .. }| Action::Put {
                value,
                expires_at,
                metadata: MetadataChange::Keep,
            });
            self.commit().ungated().at(address, undo).send().await?;
            return Err(error);
        }
        Ok(Hold { name, position, renewed_at, expires_at })
    }

    /// Whether the log of the store reaches back to `position`.
    async fn reaches(&self, position: Position) -> Result<()> {
        let query = ChangesQuery { limit: 1, gaps: true, ..ChangesQuery::after(position.lineage, position.revision) };
        self.engine().changes(query).await.map(drop)
    }

    /// Every hold that has not expired, by name.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn holds(&self) -> Result<Vec<Hold>> {
        let found = self.moved(&HOLDS).scan(Select::all()).await?;
        found.items.iter().map(Hold::of).collect()
    }

    /// Lets go of what is held under `name`.
    ///
    /// # Errors
    /// `NotFound` when there is no such hold.
    pub async fn release_hold(&self, name: impl IntoKey) -> Result<()> {
        let name = name.into_key()?;
        let receipt = self.commit().ungated().at(Address::new(HOLDS.clone(), name.clone()), Action::Delete).send().await?;
        match receipt.writes.first() {
            Some(written) if written.existed => Ok(()),
            _ => Err(Error::new(ErrorKind::NotFound, format!("there is no hold {name:?}"))),
        }
    }
}
