//! Lineage: noticing when the past of a store may be another than it was.
//!
//! A server that ends may take commits with it: those that it acknowledged before they were synced, when it crashes; those
//! that no standby was waited for, when another server is promoted in its place; and everything since, when an older copy is
//! restored elsewhere. So the row of the store names the life of the server that its latest commits hang on, as far as they
//! do, and who connects in another life draws a new lineage before anything is committed in it.
//!
//! A promoted standby keeps the lineage when it can be shown to have everything: the latest commits waited for all the
//! standbys that the primary was told to wait for, this server bears the name of one of them, and it was following a primary
//! until it was promoted, once. What cannot be shown has not happened. And whoever lives through it all looks for the last
//! commit that was acknowledged to itself: where that is gone the past is another one, whatever else speaks against it.

use larder_core::{CommitId, Durability, Lineage, Result};

use crate::{
    error::{Attempt, Failure, corrupt},
    session::Session,
    write::SYNC,
};

/// The life of a server, as it is told apart from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// Drawn when its data was created; a copy of the data keeps it, a dump does not.
    system: String,
    /// Another one after each promotion: eight hexadecimal digits.
    timeline: String,
    /// When it began to count anew, which is what it does after a crash.
    crashed: String,
    /// The name by which a primary knew it that it followed to the end; empty for any other, and where nobody tells us.
    followed_as: String,
}

/// The last commit that was acknowledged to this process, and in which past.
pub(crate) type Acknowledged = Option<(CommitId, Lineage)>;

impl Life {
    /// The life of the server at the other end.
    ///
    /// The view of settings is silent where the function for one of them would fail for want of a right.
    pub(crate) async fn read(session: &Session) -> Attempt<Self> {
        const SQL: &str = "SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), \
            extract(epoch FROM stats_reset), \
            (SELECT coalesce(substring(setting FROM 'application_name *= *''?([^'' ]+)'), \
                nullif(current_setting('cluster_name'), ''), 'walreceiver') \
             FROM pg_settings WHERE name = 'primary_conninfo' AND setting <> '' AND pg_last_wal_receive_lsn() IS NOT NULL) \
            FROM pg_control_system(), pg_stat_bgwriter";
        match session.ask(SQL).await?.as_deref() {
            Some([Some(system), Some(timeline), crashed, followed_as]) => Ok(Self {
                system: system.clone(),
                timeline: timeline.clone(),
                crashed: crashed.clone().unwrap_or_default(),
                followed_as: followed_as.clone().unwrap_or_default(),
            }),
            _ => Err(corrupt("the server does not say who it is").into()),
        }
    }

    /// What commits of this durability hang on. `standbys` are those that the server waits for, as it was told to.
    pub(crate) fn mark(&self, durability: Durability, standbys: &str) -> String {
        let Self { system, timeline, crashed, .. } = self;
        match (durability, &all_of(standbys)[..]) {
            (Durability::Full, []) => format!("{system}/{timeline}"),
            (Durability::Full, all) => format!("{system}/{timeline}//{}", all.join("/")),
            (Durability::Relaxed | Durability::Volatile, _) => format!("{system}/{timeline}/{crashed}"),
        }
    }

    /// Whether everything that hangs on `mark` is still there.
    fn keeps(&self, mark: &str) -> bool {
        let parts: Vec<&str> = mark.split('/').collect();
        let [system, timeline, rest @ ..] = &parts[..] else { return false };
        let number = |timeline: &str| u32::from_str_radix(timeline, 16).ok();
        let crashed = rest.first().copied().unwrap_or_default();
        if *system != self.system {
            false
        } else if *timeline == self.timeline {
            crashed.is_empty() || crashed == self.crashed
        } else {
            let once = number(timeline).and_then(|number| number.checked_add(1)) == number(&self.timeline);
            once && rest.iter().skip(1).any(|name| !name.is_empty() && *name == self.followed_as)
        }
    }
}

/// The standbys that have everything that a server has acknowledged, by its setting `synchronous_standby_names`: all that it
/// names, when it waits for each of them. When some of them are enough, nobody can say of one whether it was among them.
fn all_of(setting: &str) -> Vec<String> {
    let setting = setting.trim();
    let (count, names) = match setting.split_once('(') {
        None => ("1", setting),
        Some((count, names)) => (count, names.trim_end_matches(')')),
    };
    let count = count.split_whitespace().last().unwrap_or_default();
    let names: Vec<String> = names.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
    // A name that is not plain is one that we might read otherwise than the server does.
    let plain =
        |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if count.parse() == Ok(names.len()) && names.iter().all(plain) { names } else { Vec::new() }
}

/// Draws a new lineage when the latest commits hang on another life than that of the server as it is now.
pub(crate) async fn notice_lost_past(session: &Session, last: Acknowledged) -> Result<Life> {
    let life = Life::read(session).await.map_err(Failure::into_error)?;
    if is_kept(session, &life, last, "").await? {
        return Ok(life);
    }
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(Failure::into_error)?;
    // Somebody else may have been faster, and what came after that is of the new past already.
    if !is_kept(session, &life, last, "FOR UPDATE").await? {
        let mark = life.mark(Durability::Full, "");
        let draw = format!("UPDATE store SET lineage = floor(random() * 9007199254740992)::bigint, life = '{mark}'");
        session.run(&format!("{SYNC}; {draw}")).await.map_err(Failure::into_error)?;
    }
    session.run("COMMIT").await.map_err(Failure::into_error)?;
    Ok(life)
}

/// Whether the past is what it was, as far as anybody can tell.
async fn is_kept(session: &Session, life: &Life, last: Acknowledged, lock: &str) -> Result<bool> {
    let sql = format!("SELECT life, lineage, ids_since FROM store {lock}");
    let found = session.ask(&sql).await.map_err(Failure::into_error)?;
    let Some([Some(mark), Some(lineage), Some(ids_since)]) = found.as_deref() else {
        return Err(corrupt("the table store is empty"));
    };
    if !life.keeps(mark) {
        return Ok(false);
    }
    // One of another lineage was lost with its past, and that is known.
    let Some((id, _)) = last.filter(|(_, past)| *lineage == past.to_string()) else { return Ok(true) };
    if ids_since.parse().is_ok_and(|since: i64| id.made_at().as_millis() < since) {
        return Ok(true);
    }
    let bytes = &id.as_bytes()[..];
    let found = session.query("SELECT 1 FROM commits WHERE id = $1", &[&bytes]).await.map_err(Failure::into_error)?;
    Ok(!found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(system: &str, timeline: &str, crashed: &str, followed_as: &str) -> Life {
        let [system, timeline, crashed, followed_as] = [system, timeline, crashed, followed_as].map(str::to_owned);
        Life { system, timeline, crashed, followed_as }
    }

    #[test]
    fn a_life_keeps_what_hangs_on_nothing_that_has_ended() {
        let first = life("7", "00000001", "5", "");
        let marks = [(Durability::Full, "s"), (Durability::Full, ""), (Durability::Relaxed, "s")];
        let marks = marks.map(|(durability, standbys)| first.mark(durability, standbys));
        let kept =
            |system, timeline, crashed, name| marks.clone().map(|mark| life(system, timeline, crashed, name).keeps(&mark));
        assert_eq!(kept("7", "00000001", "5", ""), [true, true, true]);
        assert_eq!(kept("7", "00000001", "9", ""), [true, true, false], "after a crash");
        assert_eq!(kept("7", "00000002", "5", "s"), [true, false, false], "after the promotion of who was waited for");
        assert_eq!(kept("7", "00000002", "5", "t"), [false, false, false], "after that of another");
        assert_eq!(kept("7", "00000002", "5", ""), [false, false, false], "after that of nobody knows who");
        assert_eq!(kept("7", "00000003", "5", "s"), [false, false, false], "after two of them");
        assert_eq!(kept("8", "00000001", "5", ""), [false, false, false], "somewhere else");
    }

    #[test]
    fn who_is_waited_for_in_any_case_has_everything() {
        let all = |setting: &str| all_of(setting).join(" ");
        for (setting, expected) in [
            ("s", "s"),
            ("\"s-1\"", "s-1"),
            ("2 (a, b)", "a b"),
            ("FIRST 1 (a)", "a"),
            ("ANY 2 (a, \"b\")", "a b"),
            // Here some are enough, and nobody knows which it was.
            ("a, b", ""),
            ("FIRST 1 (a, b)", ""),
            ("ANY 1 (a, b)", ""),
            ("*", ""),
            ("FIRST 1 (*)", ""),
            ("\"a/b\"", ""),
            ("", ""),
        ] {
            assert_eq!(all(setting), expected, "{setting}");
        }
    }
}
