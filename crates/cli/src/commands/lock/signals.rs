//! The signals that ask a program to end: caught, so that it can end in order.

use std::{
    fs::{self, File},
    future::poll_fn,
    io,
    task::Poll,
};

use rustix::{process::getpgrp, termios::tcgetpgrp};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that do not end this process any more, but are told.
#[derive(Debug)]
pub(super) struct Signals(Vec<(i32, Signal)>);

impl Signals {
    /// Catches those that are not ignored: who starts a program with `nohup` means the command too.
    pub(super) fn caught() -> io::Result<Self> {
        let ignored = ignored()?;
        let kinds = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
        kinds
            .into_iter()
            .map(|kind| kind.as_raw_value())
            .filter(|number| ignored >> (number - 1) & 1 == 0)
            .map(|number| Ok((number, signal(SignalKind::from_raw(number))?)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The next one. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> i32 {
        poll_fn(|context| {
            let mut came =
                self.0.iter_mut().filter_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            came.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// A bit for each signal that is ignored, the first for signal 1.
fn ignored() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether `signal` comes from a key that was pressed, as far as one can know: then the terminal has sent it to the command
/// as well, and a second one would mean more than the first.
pub(super) fn is_typed(signal: i32) -> bool {
    let by_key = [SignalKind::interrupt(), SignalKind::quit()].map(|kind| kind.as_raw_value()).contains(&signal);
    let in_front = || tcgetpgrp(File::open("/dev/tty").ok()?).ok();
    by_key && in_front() == Some(getpgrp())
}
