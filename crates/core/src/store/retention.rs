//! Retention: how long the log is kept, for the store and for namespaces that say so themselves.

use std::{sync::LazyLock, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Select, Store, read, refuse_reserved, write};
use crate::{
    address::Address,
    commit::{Action, MetadataChange},
    entry::Entry,
    error::{Error, Result},
    key::Key,
    namespace::Namespace,
};

static RETENTION: LazyLock<Namespace> = LazyLock::new(|| Namespace::new("larder:retention").expect("a valid name"));

/// How long the log and commit ids are kept; whichever bound is met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Changes older than this are forgotten.
    pub age: Duration,
    /// When the log is larger than this, its oldest part is forgotten. In bytes of keys, values and metadata.
    pub bytes: u64,
    /// What a [`Hold`](super::Hold) keeps beyond that is forgotten, too, when the log is larger than this.
    pub held_bytes: u64,
    /// Commit ids older than this are forgotten.
    pub ids: Duration,
}

impl Default for Retention {
    /// A week of changes, at most a GiB of them or 4 GiB while they are held, and a day of ids.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { age: 7 * day, bytes: 1 << 30, held_bytes: 4 << 30, ids: day }
    }
}

/// How much of its log a namespace keeps, where that is less than what the store keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogBounds {
    /// Changes older than this are forgotten.
    pub age: Option<Duration>,
    /// When its part of the log is larger than this, the oldest of it is forgotten.
    pub bytes: Option<u64>,
}

/// What is stored of bounds.
#[derive(Serialize, Deserialize)]
struct Stored {
    age_ms: Option<u64>,
    bytes: Option<u64>,
}

impl Store {
    /// Bounds the log of `namespace` by itself, in whichever process trims; bounds without either of the two end that. The
    /// log of a namespace never reaches further back than that of the store.
    ///
    /// # Errors
    /// `Denied` for reserved names, `Invalid` for an age of zero.
    pub async fn bound_log(&self, namespace: &Namespace, bounds: LogBounds) -> Result<()> {
        refuse_reserved(namespace)?;
        let action = if bounds == LogBounds::default() {
            Action::Delete
        } else {
            if bounds.age.is_some_and(|age| age.is_zero()) {
                return Err(Error::invalid("the log of a namespace is kept for longer than zero"));
            }
            let age_ms = bounds.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            let value = write::json(&Stored { age_ms, bytes: bounds.bytes })?;
            Action::Put { value, expires_at: None, metadata: MetadataChange::Keep }
        };
        self.commit().at(kept(namespace), action).send().await.map(drop)
    }

    /// How the log of `namespace` is bounded by itself.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn log_bounds(&self, namespace: &Namespace) -> Result<LogBounds> {
        let found = self.engine().get(vec![kept(namespace)], self.world().now()).await?;
        found.value.iter().flatten().next().map_or(Ok(LogBounds::default()), bounds)
    }

    /// Every namespace whose log is bounded by itself.
    pub(super) async fn bounded_logs(&self) -> Result<Vec<(Namespace, LogBounds)>> {
        let found = self.moved(&RETENTION).scan(Select::all()).await?;
        found.items.iter().map(|entry| Ok((Namespace::new(entry.address.key.as_str())?, bounds(entry)?))).collect()
    }
}

/// Where the bounds of `namespace` are kept.
pub(super) fn kept(namespace: &Namespace) -> Address {
    Address::new(RETENTION.clone(), Key::new(namespace.as_str()).expect("the name of a namespace is a valid key"))
}

fn bounds(entry: &Entry) -> Result<LogBounds> {
    let Stored { age_ms, bytes } = read::parse(entry)?;
    Ok(LogBounds { age: age_ms.map(Duration::from_millis), bytes })
}
