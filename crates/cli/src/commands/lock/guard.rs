//! The guard: a process between `lock` and its command, which ends the command before the lease has ended.
//!
//! It does not ask how things are, it has to be told that they are well: when nobody has told it in time that the lease
//! lasts longer, it acts. It knows no store.

use std::{
    ffi::OsString, io, os::unix::net::UnixStream as Socket, os::unix::process::CommandExt, process::Command, time::Duration,
};

use clap::Subcommand;
use rustix::{
    process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal},
    stdio::stdin,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    signal::unix::{SignalKind, signal},
};

use super::{
    moment::{Alarm, Moment},
    orders::{self, Frame, ORDER_BYTES, Order},
    processes, signals, system,
};
use crate::failure::Failure;

/// Told to the holder when the command did not end by itself.
pub(super) const STOPPED: u8 = b'!';
/// The longest time between telling a command to end and killing it: others may hold the lock already.
const GRACE: Duration = Duration::from_secs(10);
/// The program that this process runs, also when its file has been replaced.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

/// The two steps between `lock` and its command.
#[derive(Debug, Subcommand)]
pub(crate) enum GuardCommand {
    /// Start the command and stay with it
    Watch {
        /// A sixth of the lease: the time between telling the command to end and killing it, and between that and the end
        #[arg(long, value_name = "MILLISECONDS")]
        margin: u64,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Become the command, and end with the guard
    Become {
        /// The process that has to be the parent
        #[arg(long)]
        guard: i32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

pub(crate) async fn guard(command: GuardCommand) -> Result<(), Failure> {
    match command {
        GuardCommand::Watch { margin, command } => {
            let status =
                watch(Duration::from_millis(margin), &command).await.map_err(system("a command cannot be guarded"))?;
            if status == 0 { Ok(()) } else { Err(Failure::Answered(status)) }
        }
        GuardCommand::Become { guard, command } => Err(become_command(guard, &command)),
    }
}

/// Answers only if it did not work.
fn become_command(guard: i32, command: &[OsString]) -> Failure {
    // Should the guard be killed together with the holder, nobody would be left to end the command.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return system("the command cannot be tied to its guard")(error.into());
    }
    // It may have died before it was known that this matters.
    if getppid() != Pid::from_raw(guard) {
        return Failure::Answered(128 + 9);
    }
    let error = Command::new(&command[0]).args(&command[1..]).exec();
    eprintln!("error: the command {:?} cannot be run: {error}", command[0]);
    // As shells have it.
    Failure::Answered(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

/// Runs `command` as long as the holder says that it may; answers its exit status.
async fn watch(margin: Duration, command: &[OsString]) -> io::Result<u8> {
    // Who kills by the name of the program kills the holder, and leaves this one to do its duty.
    rustix::thread::set_name(c"lock-guard")?;
    // They are meant for the command, and the holder passes them on. This process ends after it.
    let _deaf = signals::Signals::caught()?;
    processes::adopt_orphans()?;
    let (first, input) = orders::receive_first(stdin())?;
    let Order::Until(end) = first else { return Err(io::ErrorKind::InvalidData.into()) };
    let socket = Socket::from(stdin().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let mut guard = Guard {
        holder: UnixStream::from_std(socket)?,
        is_held: true,
        children: signal(SignalKind::child())?,
        alarm: Alarm::at(end.earlier(2 * margin))?,
        margin,
        end,
        is_stopping: false,
    };
    let child = Command::new(THIS_PROGRAM)
        .args(["lock-guard", "become", "--guard", &getpid().to_string(), "--"])
        .args(command)
        .stdin(input)
        .spawn()?;
    // What it leaves running when it ends by itself has no part in the lock.
    let stayed = guard.stay(Pid::from_child(&child)).await;
    if let Ok(Some(status)) = stayed {
        return Ok(status);
    }
    // Also after a failure: who cannot guard any more lets nobody run.
    let beyond = processes::kill_all().await?;
    if beyond > 0 {
        eprintln!("warning: {beyond} processes of other users, started under the lock, could not be killed");
    }
    // When the holder is gone, nobody has to be told.
    let _ = guard.holder.write_all(&[STOPPED]).await;
    stayed.map(|_| 128 + 15)
}

struct Guard {
    holder: UnixStream,
    /// Whether the holder is there.
    is_held: bool,
    children: tokio::signal::unix::Signal,
    alarm: Alarm,
    margin: Duration,
    /// When the lease ends, as far as we were told.
    end: Moment,
    /// Whether the command was told to end.
    is_stopping: bool,
}

impl Guard {
    /// Stays with the command `child`: its exit status if it ended by itself, `None` if it had to end and what may be left
    /// of it has to be killed.
    async fn stay(&mut self, child: Pid) -> io::Result<Option<u8>> {
        loop {
            let mut frame: Frame = [0; ORDER_BYTES];
            // In this order: what the holder has said counts more than how late it is by what he said before.
            let order = tokio::select! {
                biased;
                read = self.holder.read(&mut frame), if self.is_held => {
                    let bytes = read.unwrap_or_default();
                    // Nothing to read: the holder is gone, and nobody renews the lease.
                    self.is_held = bytes > 0;
                    Some(Order::from_frame(&frame[..bytes]))
                }
                _ = self.children.recv() => None,
                rung = self.alarm.ring() => {
                    rung?;
                    if self.is_stopping {
                        return Ok(None);
                    }
                    Some(Order::Stop)
                }
            };
            // Who has ended cannot be told anything, and its number may be another's after it was buried.
            let burial = processes::bury(Some(child));
            match burial.status {
                Some(status) if !self.is_stopping => return Ok(Some(status)),
                _ if burial.was_last => return Ok(None),
                _ => {}
            }
            match order {
                Some(Order::Until(end)) if !self.is_stopping => {
                    self.end = end;
                    self.alarm.set(end.earlier(2 * self.margin))?;
                }
                Some(Order::Signal(signal)) if !self.is_stopping => {
                    if let Some(signal) = Signal::from_named_raw(signal) {
                        kill_process(child, signal)?;
                    }
                }
                Some(Order::Stop) if !self.is_stopping => {
                    self.is_stopping = true;
                    let soon = Moment::now().later(self.margin.min(GRACE));
                    self.alarm.set(self.end.earlier(self.margin).or_before(soon))?;
                    processes::tell_all(Signal::TERM)?;
                    // One that is stopped would not hear it.
                    processes::tell_all(Signal::CONT)?;
                }
                _ => {}
            }
        }
    }
}
