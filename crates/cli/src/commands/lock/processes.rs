//! The processes below this one: found, told to end, killed, and buried.
//!
//! A command may start others, which outlive it and have other parents then. Who has called himself their *subreaper* is
//! that parent, so nobody gets away.

use std::{collections::HashSet, fs, io, time::Duration};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait},
};

/// Makes this process the parent of all orphans below it.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// What was found when those who had ended were buried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Burial {
    /// The exit status of the command, if it was among them.
    pub(super) status: Option<u8>,
    /// Whether nobody is left: orphans being adopted, who has no children has no grandchildren.
    pub(super) was_last: bool,
}

/// Buries every child that has ended.
pub(super) fn bury(command: Option<Pid>) -> Burial {
    let mut burial = Burial::default();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((child, ended))) if Some(child) == command => {
                // A process was ended by a signal if not by itself.
                let code = ended.exit_status().unwrap_or_else(|| 128 + ended.terminating_signal().unwrap_or_default());
                burial.status = Some(u8::try_from(code).unwrap_or(u8::MAX));
            }
            Ok(Some(_)) => {}
            Ok(None) => return burial,
            Err(error) => return Burial { was_last: error == Errno::CHILD, ..burial },
        }
    }
}

/// Every process below this one that has not ended.
fn below() -> io::Result<Vec<Pid>> {
    let mut running = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        // Whoever cannot be read has ended meanwhile.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        running.extend(parent(&String::from_utf8_lossy(&stat)).map(|parent| (pid, parent)));
    }
    let mut found: Vec<Pid> = Vec::new();
    let mut family = HashSet::from([getpid()]);
    loop {
        let children = running.extract_if(.., |(_, parent)| family.contains(parent));
        let children: Vec<Pid> = children.map(|(child, _)| child).collect();
        if children.is_empty() {
            return Ok(found);
        }
        family.extend(&children);
        found.extend(children);
    }
}

/// The parent of a process that has not ended, from its line in `/proc`.
fn parent(stat: &str) -> Option<Pid> {
    // The name stands in parentheses and may hold anything, parentheses included.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

/// Sends `signal` to every process below this one.
pub(super) fn tell_all(signal: Signal) -> io::Result<()> {
    for pid in below()? {
        // It may have ended by itself, or belong to another user.
        let _ = kill_process(pid, signal);
    }
    Ok(())
}

/// Kills every process below this one, and returns when there is none.
///
/// Those of other users cannot be killed; they are left, and their number is the answer.
pub(super) async fn kill_all() -> io::Result<usize> {
    let mut beyond = HashSet::new();
    loop {
        if bury(None).was_last {
            return Ok(0);
        }
        let mut left = below()?;
        left.retain(|pid| !beyond.contains(pid));
        if left.is_empty() && !beyond.is_empty() {
            return Ok(beyond.len());
        }
        for pid in left {
            if kill_process(pid, Signal::KILL) == Err(Errno::PERM) {
                beyond.insert(pid);
            }
        }
        // A process that was killed needs a moment to be gone, and there is nothing to wait on for those of others.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_hide_the_parent() {
        for (stat, expected) in [
            ("12 (sh) S 7 12 12", Pid::from_raw(7)),
            ("12 (a) R 1 (b c) D 9 12 12", Pid::from_raw(9)),
            ("12 (dead) Z 7 12 12", None),
            ("12 (kernel) S 0 0 0", None),
            ("", None),
        ] {
            assert_eq!(parent(stat), expected, "{stat}");
        }
    }
}
