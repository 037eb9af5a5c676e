//! The store that things are moved out of: what is read of it, and the hold that keeps its log meanwhile.

use std::time::Duration;

use larder_core::{ChangesQuery, Key, Position, Result, Revision, Store, Timestamp};

/// For how long the log stays held after a move that died: so long there is to go on with it.
pub(crate) const HELD_FOR: Duration = Duration::from_secs(6 * 60 * 60);
/// How often the hold is renewed.
const RENEWED_MS: i64 = 5 * 60 * 1000;

/// A hold on the log of the source, renewed while something is read from it.
#[derive(Debug)]
pub(crate) struct Holding<'a> {
    store: &'a Store,
    name: Key,
    renewed: Timestamp,
}

impl<'a> Holding<'a> {
    /// Holds what comes after `position`; a hold under the same name, of a run that was killed, is taken over.
    pub(crate) async fn begin(store: &'a Store, name: String, position: Position) -> Result<Self> {
        let name = Key::new(name)?;
        let renewed = store.world().now();
        store.hold(&name, position, HELD_FOR).await?;
        Ok(Self { store, name, renewed })
    }

    /// Renews the hold when it is time to, and moves it to `position`.
    pub(crate) async fn renew(&mut self, position: Position) -> Result<()> {
        let now = self.store.world().now();
        if now.as_millis().abs_diff(self.renewed.as_millis()) >= RENEWED_MS.unsigned_abs() {
            self.store.hold(&self.name, position, HELD_FOR).await?;
            self.renewed = now;
        }
        Ok(())
    }

    /// Lets go of the log. It goes by itself where that fails.
    pub(crate) async fn end(self) {
        self.store.release_hold(&self.name).await.ok();
    }
}

/// The first moment from which on the log of `store` tells everything, and its clock.
pub(crate) async fn oldest(store: &Store) -> Result<(Position, Timestamp)> {
    let status = store.engine().status(store.world().now()).await?;
    let mut revision = status.oldest;
    loop {
        let query = ChangesQuery { limit: 1, ..ChangesQuery::after(status.lineage, revision) };
        match store.engine().changes(query).await {
            Ok(_) => break,
            // A namespace that was trimmed by itself: from there on all of them are told.
            Err(error) if error.oldest().is_some_and(|later| later > revision) => {
                revision = error.oldest().unwrap_or(revision);
            }
            Err(error) => return Err(error),
        }
    }
    let position = Position { lineage: status.lineage, revision };
    Ok((position, store.view_at(revision).await?.time()))
}

/// The head of the log of `store`.
pub(crate) async fn head(store: &Store) -> Result<Revision> {
    Ok(store.engine().status(store.world().now()).await?.revision)
}
