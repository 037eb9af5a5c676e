//! The holder's side of a running command: leases are renewed, signals passed on, and the lock is given back.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream as Socket,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    process::{Child, Command},
};

use larder::{Error, ErrorKind};
use rustix::stdio::stdin;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{
    guard::{STOPPED, THIS_PROGRAM},
    lease::Lease,
    orders::{self, Order},
    processes,
    signals::{Signals, is_typed},
    system,
};
use crate::{failure::Failure, text::shell};

/// Runs `command` while `lease` lasts, gives the lease back, and ends as the command did.
pub(super) async fn run(mut lease: Lease, command: &[OsString], signals: &mut Signals) -> Result<(), Failure> {
    let kept = keep(&mut lease, command, signals).await;
    // Also after a failure; nobody should have to wait for a command that is over. One try: after that it ends by itself.
    match timeout(lease.ttl(), lease.release()).await {
        Ok(Ok(())) => {}
        // Who has closed the stream cannot be told; the exit status is that of the command.
        Ok(Err(error)) => drop(writeln!(io::stderr(), "warning: the lock could not be given back: {error}")),
        Err(_) => drop(writeln!(io::stderr(), "warning: the lock could not be given back in time")),
    }
    match kept.map_err(system("the command cannot be run"))? {
        Ended { lost: None, status: 0 } => Ok(()),
        Ended { lost: None, status } => Err(Failure::Answered(status)),
        Ended { lost: Some(why), .. } => {
            let name = lease.name();
            let message = format!("the lock {name} was lost while the command ran, and the command was stopped: {why}");
            let hint = format!("look how far {} has come before you run it again", shell(&command[0].to_string_lossy()));
            Err(Failure::hinted(Error::new(ErrorKind::OutcomeUnknown, message), hint))
        }
    }
}

/// How a command ended.
struct Ended {
    /// What it said itself.
    status: u8,
    /// Why it had to end.
    lost: Option<String>,
}

async fn keep(lease: &mut Lease, command: &[OsString], signals: &mut Signals) -> io::Result<Ended> {
    // Should the guard be killed, what it has guarded comes to this process.
    processes::adopt_orphans()?;
    let (mut guard, socket) = start(lease, command)?;
    let (mut from_guard, mut to_guard) = socket.into_split();
    let (mut lost, mut stopped) = (None, false);
    loop {
        let mut answer = [0];
        let order = tokio::select! {
            read = from_guard.read(&mut answer) => {
                if read.unwrap_or_default() == 0 {
                    break;
                }
                stopped = answer == [STOPPED];
                continue;
            }
            signal = signals.next() => {
                if is_typed(signal) {
                    continue;
                }
                Order::Signal(signal)
            }
            kept = lease.kept(), if lost.is_none() => match kept {
                Ok(end) => Order::Until(end),
                Err(why) => {
                    lost = Some(why);
                    Order::Stop
                }
            },
        };
        // A guard that is gone is noticed when it is read from.
        let _ = to_guard.write_all(&order.to_frame()).await;
    }
    let ended = guard.wait()?;
    let status = match (ended.code(), ended.signal()) {
        (Some(code), _) => code,
        (None, signal) => {
            // It was killed, and has left the command to us.
            processes::kill_all().await?;
            lost.get_or_insert_with(|| "the process that guards the command was killed".to_owned());
            128 + signal.unwrap_or_default()
        }
    };
    if stopped {
        lost.get_or_insert_with(|| lease.trouble());
    }
    Ok(Ended { status: u8::try_from(status).unwrap_or(u8::MAX), lost })
}

/// Starts the guard, which starts the command.
fn start(lease: &Lease, command: &[OsString]) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = Socket::pair()?;
    let margin = (lease.ttl() / 6).as_millis().to_string();
    // The end that is handed over closes here with the builder, so that the guard alone has it.
    let guard = Command::new(THIS_PROGRAM)
        .arg0("lock-guard")
        .args(["lock-guard", "watch", "--margin", &margin, "--"])
        .args(command)
        .envs(lease.environment())
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    // A guard that is gone already is noticed when it is read from.
    let _ = orders::send_first(&ours, Order::Until(lease.end()), stdin());
    ours.set_nonblocking(true)?;
    Ok((guard, UnixStream::from_std(ours)?))
}
