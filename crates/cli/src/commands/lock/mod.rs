//! `lock`: a command that runs while this process holds a lease, and never beyond it.
//!
//! Three processes stand in a row. This one owns the lease and renews it. It starts a *guard*, which has the command as its
//! child and is told again and again until when the lease lasts. When that time comes near, or this process is gone, the
//! guard ends the command with everything that it has started, while the lease still keeps others out. So it matters to
//! nobody whether this process ends, dies, hangs or is stopped.

mod guard;
mod lease;
mod moment;
mod orders;
mod processes;
mod running;
mod signals;

use std::{ffi::OsString, io, time::Duration};

use clap::Args;
use larder::{Error, ErrorKind, Key};

pub(crate) use guard::{GuardCommand, guard};
use lease::{Lease, Patience};

use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
};

/// The namespace of locks, unless another is named: a lock and an entry that happen to have one name do not meet.
const NAMESPACE: &str = "locks";
/// A lease that is shorter could not be renewed in time where a disk is slow.
const SHORTEST: Duration = Duration::from_secs(1);

/// Run a command while holding a lock: of all who ask for it, one at a time
#[derive(Args, Debug)]
#[command(after_help = "\
The lock is the entry NAME in the namespace \"locks\", or in the one given with --namespace. It expires after --ttl, and is \
renewed three times as often while the command runs. When the command ends, the lock is free at once. When larder, the \
whole machine or the way to the store dies, it is free when the lease ends. Whoever waits goes on then; of several, one.

Never two at once: a command whose lease cannot be renewed is told to end (SIGTERM) when a third of the lease is left, and \
killed when a sixth is left, together with the processes that it has started; the same when larder itself is killed or \
hangs. Should somebody delete the entry, it is told at once, and killed ten seconds later at the latest. That sixth is what the clocks of several machines may differ by. What nobody can promise is that a whole machine, or \
all of these processes, are not stopped for longer than the lease (Ctrl-Z, a sleeping laptop) and go on for a moment before \
they notice. Where that matters, hand LARDER_LOCK_REVISION to whatever the command changes, and let it refuse a \
number that is smaller than one it has seen: each holder's is larger than those of all before. Processes that the \
command makes run as another user (sudo) are told to end, but cannot be killed from here.

The command finds in its environment
  LARDER_LOCK_KEY         the name of the lock
  LARDER_LOCK_NAMESPACE   the namespace it stands in
  LARDER_LOCK_REVISION    the revision at which it was taken: the fencing token

SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on to the command, and the lock is free as soon as it has ended. The exit \
status is that of the command, 128 + N if signal N ended it, 127 if there is no such command, 126 if it cannot be run; 4 if \
the lock was not to be had, and nothing was run; 7 if the lease was lost and the command was stopped half-way.

Examples:
  larder lock deploy -- ./deploy.sh                      wait for it, however long that takes
  larder lock --no-wait nightly -- ./backup.sh           leave it to whoever is at it already
  larder lock --wait 30s --ttl 1m db -- ./migrate.sh     give up after half a minute
  larder get deploy -n locks                             who holds it
  larder delete deploy -n locks                          break it: its command is stopped")]
pub(crate) struct LockArguments {
    /// The name of the lock: a key
    name: String,

    /// How long the lease lasts when nobody renews it; at least a second
    #[arg(long, value_name = "DURATION", value_parser = ttl, default_value = "10s")]
    ttl: Duration,

    /// Wait no longer than this for the lock; without it, as long as it takes
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    wait: Option<Duration>,

    /// Do not wait at all
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn ttl(text: &str) -> Result<Duration, Error> {
    let ttl = input::duration(text)?;
    if ttl < SHORTEST {
        return Err(Error::invalid("a lease has to last a second at least, or it could not be renewed in time"));
    }
    Ok(ttl)
}

pub(crate) async fn run(session: &mut Session, arguments: LockArguments) -> Result<(), Failure> {
    let key = Key::new(arguments.name)?;
    let patience = match (arguments.no_wait, arguments.wait) {
        (true, _) => Patience::None,
        (_, Some(wait)) => Patience::For(wait),
        _ => Patience::Endless,
    };
    session.settings.namespace.get_or_insert_with(|| NAMESPACE.to_owned());
    // From here on a signal does not end this process, so that what it has taken it can give back.
    let mut signals = signals::Signals::caught().map_err(system("signals cannot be caught"))?;
    let store = session.open(Missing::Create).await?;
    let lease = Lease::acquire(session, store, key, arguments.ttl, patience, &mut signals).await?;
    running::run(lease, &arguments.command, &mut signals).await
}

/// The failure of something that the system does not let us do.
fn system(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Error::new(ErrorKind::Unavailable, what).caused_by(error).into()
}
