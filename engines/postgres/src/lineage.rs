//! Lineage: noticing when the past of a store may be another than it was.
//!
//! A server that ends may take commits with it: those that it acknowledged before they were synced, when it crashes; those
//! that no standby was waited for, when another server is promoted in its place; and everything since, when an older copy is
//! restored elsewhere. So the row of the store names the life of the server that its latest commits hang on, as far as they
//! do, and who connects in another life draws a new lineage before anything is committed in it.

use larder_core::{Durability, Result};

use crate::{
    error::{Attempt, Failure, corrupt},
    session::Session,
    write::SYNC,
};

/// The life of a server, as it is told apart from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Drawn when its data was created; a copy of the data keeps it, a dump does not.
    system: String,
    /// Another one after each promotion.
    timeline: String,
    /// When it began to count anew, which is what it does after a crash.
    crashed: String,
}

impl Life {
    /// The life of the server at the other end.
    pub(crate) async fn read(session: &Session) -> Attempt<Self> {
        const SQL: &str = "SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), \
            extract(epoch FROM stats_reset) FROM pg_control_system(), pg_stat_bgwriter";
        match session.ask(SQL).await?.as_deref() {
            Some([Some(system), Some(timeline), crashed]) => {
                let crashed = crashed.clone().unwrap_or_default();
                Ok(Self { system: system.clone(), timeline: timeline.clone(), crashed })
            }
            _ => Err(corrupt("the server does not say who it is").into()),
        }
    }

    /// What commits of this durability hang on; with a standby that was waited for, promoting it takes nothing.
    pub(crate) fn mark(&self, durability: Durability, has_standby: bool) -> String {
        let Self { system, timeline, crashed } = self;
        match (durability, has_standby) {
            (Durability::Full, true) => system.clone(),
            (Durability::Full, false) => format!("{system}/{timeline}"),
            (Durability::Relaxed | Durability::Volatile, _) => format!("{system}/{timeline}/{crashed}"),
        }
    }

    /// Whether everything that hangs on `mark` is still there.
    fn keeps(&self, mark: &str) -> bool {
        let own = [&self.system, &self.timeline, &self.crashed];
        mark.split('/').zip(own).all(|(marked, own)| marked == own)
    }
}

/// Draws a new lineage when the latest commits hang on another life than that of the server as it is now.
pub(crate) async fn notice_lost_past(session: &Session) -> Result<Life> {
    let life = Life::read(session).await.map_err(Failure::into_error)?;
    let mark = mark(session, "SELECT life FROM store").await?;
    if life.keeps(&mark) {
        return Ok(life);
    }
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(Failure::into_error)?;
    // Somebody else may have been faster, and what came after that is of the new past already.
    if !life.keeps(&self::mark(session, "SELECT life FROM store FOR UPDATE").await?) {
        let mark = life.mark(Durability::Full, false);
        let draw = format!("UPDATE store SET lineage = floor(random() * 9007199254740992)::bigint, life = '{mark}'");
        session.run(&format!("{SYNC}; {draw}")).await.map_err(Failure::into_error)?;
    }
    session.run("COMMIT").await.map_err(Failure::into_error)?;
    Ok(life)
}

async fn mark(session: &Session, sql: &str) -> Result<String> {
    let found = session.ask(sql).await.map_err(Failure::into_error)?.and_then(|row| row.into_iter().next().flatten());
    found.ok_or_else(|| corrupt("the table store is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_keeps_what_hangs_on_nothing_that_has_ended() {
        let life = |system: &str, timeline: &str, crashed: &str| Life {
            system: system.to_owned(),
            timeline: timeline.to_owned(),
            crashed: crashed.to_owned(),
        };
        let first = life("1", "1", "5");
        let marks = [(Durability::Full, true), (Durability::Full, false), (Durability::Relaxed, true)];
        let marks = marks.map(|(durability, has_standby)| first.mark(durability, has_standby));
        let kept = |life: &Life| marks.clone().map(|mark| life.keeps(&mark));
        assert_eq!(kept(&first), [true, true, true]);
        assert_eq!(kept(&life("1", "1", "9")), [true, true, false], "after a crash");
        assert_eq!(kept(&life("1", "2", "5")), [true, false, false], "after a promotion");
        assert_eq!(kept(&life("2", "1", "5")), [false, false, false], "somewhere else");
    }
}
