//! The end of a lease on the clocks of this machine, and an alarm for it.
//!
//! Others judge a lease by the wall clock, which may be set; it lasts as long as was asked for on the clock that counts
//! from boot and goes on while the machine sleeps. Whichever says first that it is over is believed.

use std::{io, time::Duration};

use larder::Timestamp;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

/// A moment on both clocks, in milliseconds. It means the same to every process of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since the epoch.
    pub(super) wall: u64,
    /// Since boot.
    pub(super) boot: u64,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { wall: millis(ClockId::Realtime), boot: millis(ClockId::Boottime) }
    }

    /// When the wall clock shows `at`, but no later than it would if nobody set it.
    pub(super) fn at(at: Timestamp) -> Self {
        let now = Self::now();
        let wall = u64::try_from(at.as_millis()).unwrap_or_default();
        Self { wall, boot: now.boot.saturating_add(wall.saturating_sub(now.wall)) }
    }

    pub(super) fn later(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { wall: self.wall.saturating_add(millis), boot: self.boot.saturating_add(millis) }
    }

    pub(super) fn earlier(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { wall: self.wall.saturating_sub(millis), boot: self.boot.saturating_sub(millis) }
    }

    /// The first of the two, on each clock.
    pub(super) fn or_before(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), boot: self.boot.min(other.boot) }
    }
}

fn millis(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // A clock before the epoch was never set; the epoch is the nearest truth.
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or_default(), u64::try_from(time.tv_nsec).unwrap_or_default());
    seconds * 1_000 + nanos / 1_000_000
}

/// Rings at a moment: on time also when the wall clock was set, or the machine has slept.
///
/// A timer is a file from which eight bytes can be read once it has run out, so it is waited for as a pipe is.
#[derive(Debug)]
pub(super) struct Alarm {
    wall: Receiver,
    boot: Receiver,
}

impl Alarm {
    pub(super) fn at(moment: Moment) -> io::Result<Self> {
        let timer = |clock| {
            let timer = timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Receiver::from_owned_fd_unchecked(timer)
        };
        let alarm = Self { wall: timer(TimerfdClockId::Realtime)?, boot: timer(TimerfdClockId::Boottime)? };
        alarm.set(moment)?;
        Ok(alarm)
    }

    /// Rings at this moment instead.
    pub(super) fn set(&self, moment: Moment) -> io::Result<()> {
        for (timer, millis) in [(&self.wall, moment.wall), (&self.boot, moment.boot)] {
            // Zero would switch it off.
            let millis = i64::try_from(millis.max(1)).unwrap_or(i64::MAX);
            let it_value = Timespec { tv_sec: millis / 1_000, tv_nsec: millis % 1_000 * 1_000_000 };
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })?;
        }
        Ok(())
    }

    pub(super) async fn ring(&mut self) -> io::Result<()> {
        let (mut first, mut second) = ([0; 8], [0; 8]);
        tokio::select! {
            read = self.wall.read(&mut first) => read,
            read = self.boot.read(&mut second) => read,
        }
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_is_ahead_decides() {
        let moment = Moment { wall: 100, boot: 50 };
        let other = Moment { wall: 90, boot: 60 };
        for first in [moment.or_before(other), other.or_before(moment)] {
            assert_eq!(first, Moment { wall: 90, boot: 50 });
        }
        let far = Duration::MAX;
        assert_eq!(moment.later(far).earlier(far), Moment { wall: 0, boot: 0 });
    }

    /// Each clock by itself is enough: on the other the moment never comes.
    #[tokio::test]
    async fn an_alarm_rings_by_either_clock() {
        let (now, never) = (Moment::now(), Moment::now().later(Duration::from_secs(1 << 20)));
        for moment in [Moment { wall: now.wall, ..never }, Moment { boot: now.boot, ..never }] {
            let mut alarm = Alarm::at(moment).expect("there are timers");
            let rung = tokio::time::timeout(Duration::from_secs(30), alarm.ring()).await;
            rung.expect("it rings").expect("a timer can be read");
        }
        let mut alarm = Alarm::at(now).expect("there are timers");
        alarm.set(never).expect("a timer can be set");
        let early = tokio::time::timeout(Duration::from_millis(50), alarm.ring()).await;
        assert!(early.is_err(), "it rang for what was called off");
    }
}
