//! The follower: one look at the log for all watchers of a process.
//!
//! It runs while there are watchers. When the head has moved it reads the new part of the log once and marks the
//! watchers whom it concerns; they read what is theirs themselves, so a slow one costs nobody anything. Commits of this
//! process wake the follower at once, those of others are found by a cheap probe; where the engine sends signals it is made
//! less often.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use super::interest::{Interest, Interests};
use crate::{
    address::Range,
    change::ChangesQuery,
    engine::{Engine, Scan},
    error::{ErrorKind, Result},
    id::{Lineage, Revision},
    world::World,
};

/// How long an idle follower waits before it probes again.
const PROBE_EVERY: Duration = Duration::from_millis(13);
/// The same where the engine sends signals, any of which may be lost.
const PROBE_DESPITE_SIGNALS: Duration = Duration::from_millis(250);
/// How many changes it reads at once.
const CHANGES_AT_ONCE: usize = 512;

#[derive(Debug)]
pub(in crate::store) struct Follower {
    engine: Arc<dyn Engine>,
    world: Arc<dyn World>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watchers: HashMap<u64, Watcher>,
    interests: Interests,
    next: u64,
    /// Everything up to here has been looked at, and whoever it concerns is marked.
    through: Revision,
    /// Whether somebody is following; whoever watches first begins.
    following: bool,
    /// Whether a commit of this process has moved the head since the follower looked last.
    nudged: bool,
    sleeper: Option<Waker>,
}

#[derive(Debug)]
struct Watcher {
    interest: Interest,
    /// Whether there may be something to read.
    marked: bool,
    waker: Option<Waker>,
}

impl Follower {
    pub(in crate::store) fn new(engine: Arc<dyn Engine>, world: Arc<dyn World>) -> Arc<Self> {
        Arc::new(Self { engine, world, state: Mutex::default() })
    }

    /// Tells that a commit of this process may have moved the head.
    pub(in crate::store) fn nudge(&self) {
        let sleeper = {
            let mut state = self.state();
            if !state.following {
                return;
            }
            state.nudged = true;
            state.sleeper.take()
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Begins to look after a watcher, who is to read first of all.
    pub(super) fn watch(self: &Arc<Self>, interest: Interest) -> u64 {
        let mut state = self.state();
        let watcher = state.next;
        state.next += 1;
        state.interests.add(watcher, &interest);
        state.watchers.insert(watcher, Watcher { interest, marked: true, waker: None });
        if !std::mem::replace(&mut state.following, true) {
            drop(state);
            self.world.spawn(Box::pin(self.clone().follow()));
        }
        watcher
    }

    pub(super) fn forget(&self, watcher: u64) {
        let mut state = self.state();
        if let Some(Watcher { interest, .. }) = state.watchers.remove(&watcher) {
            state.interests.remove(watcher, &interest);
        }
        if state.watchers.is_empty() {
            drop(state);
            // Nobody is left to follow for, and the follower notices at once.
            self.nudge();
        }
    }

    /// Waits until there may be something to read for `watcher`.
    pub(super) async fn marked(&self, watcher: u64) {
        poll_fn(|context| {
            let mut state = self.state();
            let Some(watcher) = state.watchers.get_mut(&watcher) else { return Poll::Ready(()) };
            if std::mem::take(&mut watcher.marked) {
                return Poll::Ready(());
            }
            watcher.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Makes the next [`Follower::marked`] of `watcher` return at once: it has not read to the end.
    pub(super) fn mark(&self, watcher: u64) {
        if let Some(watcher) = self.state().watchers.get_mut(&watcher) {
            watcher.marked = true;
        }
    }

    /// Up to where a watcher that is not marked has seen everything; `None` while it is marked.
    pub(super) fn seen(&self, watcher: u64) -> Option<Revision> {
        let state = self.state();
        state.watchers.get(&watcher).filter(|watcher| !watcher.marked).map(|_| state.through)
    }

    async fn follow(self: Arc<Self>) {
        let abandoned = Abandoned(&self);
        let (mut lineage, mut heard) = (None, 0);
        while self.is_needed() {
            let looked = match lineage {
                None => self.begin().await.map(|began| lineage = Some(began)),
                Some(lineage) => self.look(lineage).await,
            };
            match looked.map_err(|error| error.kind()) {
                Ok(()) => {}
                // Whoever reads is told the same; dropping the guard lets everybody look.
                Err(ErrorKind::Closed) => return,
                // Somebody trimmed faster than we read, or the past is another: everybody looks for themselves.
                Err(ErrorKind::Trimmed) => lineage = None,
                // Not reachable for now; it is asked again, and whoever reads meanwhile is told.
                Err(_) => self.mark_all(|_| ()),
            }
            self.pause(&mut heard).await;
        }
        std::mem::forget(abandoned);
    }

    /// Takes the present as the beginning. What came before is everybody's own to read.
    async fn begin(&self) -> Result<Lineage> {
        let status = self.engine.status(self.world.now()).await?;
        // In one step, or somebody could believe that they have seen what they have yet to read.
        self.mark_all(|state| state.through = status.revision);
        Ok(status.lineage)
    }

    /// Reads what is new, if anything is, and marks whom it concerns.
    async fn look(&self, lineage: Lineage) -> Result<()> {
        loop {
            let after = self.state().through;
            let probe = Scan { range: Range::reserved(), reverse: false, limit: 0, now: self.world.now() };
            if self.engine.list(probe).await?.revision == after {
                return Ok(());
            }
            let query = ChangesQuery { limit: CHANGES_AT_ONCE, ..ChangesQuery::after(lineage, after) };
            let found = self.engine.changes(query).await?;
            let mut wakers = Vec::new();
            {
                let mut state = self.state();
                let State { watchers, interests, .. } = &mut *state;
                for change in &found.changes {
                    for concerned in interests.concerned(&change.address) {
                        if let Some(watcher) = watchers.get_mut(&concerned) {
                            watcher.marked = true;
                            wakers.extend(watcher.waker.take());
                        }
                    }
                }
                state.through = found.through;
            }
            wakers.into_iter().for_each(Waker::wake);
            if found.through == found.head {
                return Ok(());
            }
        }
    }

    /// Lets every watcher look for itself, after a change of the state in the same step.
    fn mark_all(&self, change: impl FnOnce(&mut State)) {
        let wakers: Vec<Waker> = {
            let mut state = self.state();
            change(&mut state);
            let mark = |watcher: &mut Watcher| {
                watcher.marked = true;
                watcher.waker.take()
            };
            state.watchers.values_mut().filter_map(mark).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether anybody watches; if nobody does, nobody follows any more, in the same step.
    fn is_needed(&self) -> bool {
        let mut state = self.state();
        state.following = !state.watchers.is_empty();
        state.following
    }

    /// Waits for a nudge, for a signal after that with the number `heard`, or for the time of the next probe.
    async fn pause(&self, heard: &mut u64) {
        let mut signal = self.engine.signals().map(|signals| signals.after(*heard));
        let every = if signal.is_some() { PROBE_DESPITE_SIGNALS } else { PROBE_EVERY };
        let mut asleep = self.world.sleep(every);
        poll_fn(|context| {
            {
                let mut state = self.state();
                if std::mem::take(&mut state.nudged) {
                    return Poll::Ready(());
                }
                state.sleeper = Some(context.waker().clone());
            }
            match signal.as_mut().map(|signal| signal.as_mut().poll(context)) {
                Some(Poll::Ready(Ok(number))) => {
                    *heard = number;
                    return Poll::Ready(());
                }
                // Without signals it is as if there had never been any.
                Some(Poll::Ready(Err(_))) => {
                    signal = None;
                    asleep = self.world.sleep(PROBE_EVERY);
                }
                Some(Poll::Pending) | None => {}
            }
            asleep.as_mut().poll(context)
        })
        .await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When following ends before its time, because the store was closed or a runtime ends, everybody looks for themselves,
/// and the next watcher begins anew.
struct Abandoned<'a>(&'a Follower);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.0.mark_all(|state| state.following = false);
    }
}
