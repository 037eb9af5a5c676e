//! The follower: one look at the log for all watchers of a process.
//!
//! It runs while there are watchers. When the head has moved it reads the new part of the log once and marks the
//! watchers whom it concerns; they read what is theirs themselves, so a slow one costs nobody anything. Commits of this
//! process that concern somebody wake the follower at once, all others are found by a cheap probe; where the engine sends
//! signals it is made less often. What a commit writes says only how urgent it is: whom it concerns is read from the log.

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
    commit::Commit,
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
    /// Whether a commit of this process that concerns somebody has moved the head since the follower looked last.
    nudged: bool,
    sleeper: Option<Waker>,
}

/// Whether a group concerns anybody, as far as could be told before it was committed.
pub(in crate::store) struct Concern {
    urgent: bool,
    /// How many watchers there had been; whoever came since may be concerned.
    watchers: u64,
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

    /// Whether what `group` writes concerns anybody.
    pub(in crate::store) fn concern(&self, group: &[Commit]) -> Concern {
        let state = self.state();
        let mut addresses = group.iter().flat_map(|commit| &commit.writes).map(|write| &write.address);
        let urgent = state.following && addresses.any(|address| state.interests.concerned(address).next().is_some());
        Concern { urgent, watchers: state.next }
    }

    /// Tells that a group of which this was said may have moved the head.
    pub(in crate::store) fn committed(&self, concern: Concern) {
        let Concern { urgent, watchers } = concern;
        let state = self.state();
        if urgent || state.next != watchers {
            Self::nudge(state);
        }
    }

    fn nudge(mut state: MutexGuard<'_, State>) {
        if !state.following {
            return;
        }
        state.nudged = true;
        let sleeper = state.sleeper.take();
        drop(state);
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
            // Nobody is left to follow for, and the follower notices at once.
            Self::nudge(state);
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
        let (mut lineage, mut heard, mut nudged) = (None, 0, false);
        while self.is_needed() {
            let looked = match lineage {
                None => self.begin().await.map(|began| lineage = Some(began)),
                Some(lineage) => self.look(lineage, nudged).await,
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
            nudged = self.pause(&mut heard).await;
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

    /// Reads what is new, if anything is, and marks whom it concerns. Whoever was nudged need not ask first whether anything is.
    async fn look(&self, lineage: Lineage, mut nudged: bool) -> Result<()> {
        loop {
            let after = self.state().through;
            if !std::mem::take(&mut nudged) {
                let probe = Scan { range: Range::reserved(), reverse: false, limit: 0, now: self.world.now() };
                if self.engine.list(probe).await?.revision == after {
                    return Ok(());
                }
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

    /// Waits for a nudge, for a signal after that with the number `heard`, or for the time of the next probe; whether it was
    /// a nudge.
    async fn pause(&self, heard: &mut u64) -> bool {
        let mut signal = self.engine.signals().map(|signals| signals.after(*heard));
        let every = if signal.is_some() { PROBE_DESPITE_SIGNALS } else { PROBE_EVERY };
        let mut asleep = self.world.sleep(every);
        poll_fn(|context| {
            {
                let mut state = self.state();
                if std::mem::take(&mut state.nudged) {
                    return Poll::Ready(true);
                }
                state.sleeper = Some(context.waker().clone());
            }
            match signal.as_mut().map(|signal| signal.as_mut().poll(context)) {
                Some(Poll::Ready(Ok(number))) => {
                    *heard = number;
                    return Poll::Ready(false);
                }
                // Without signals it is as if there had never been any.
                Some(Poll::Ready(Err(_))) => {
                    signal = None;
                    asleep = self.world.sleep(PROBE_EVERY);
                }
                Some(Poll::Pending) | None => {}
            }
            asleep.as_mut().poll(context).map(|()| false)
        })
        .await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::Address,
        commit::{Action, Write},
        id::{CommitId, StoreId},
        key::Key,
        memory::MemoryEngine,
        namespace::Namespace,
        time::Timestamp,
        world::still::Still,
    };

    fn at(key: &str) -> Address {
        Address::new(Namespace::default(), Key::new(key).expect("valid"))
    }

    fn writing(key: &str) -> Vec<Commit> {
        let writes = vec![Write { address: at(key), action: Action::Delete }];
        vec![Commit { id: CommitId::new(Timestamp::EPOCH, 0), now: Timestamp::EPOCH, checks: vec![], writes }]
    }

    #[test]
    fn commits_that_concern_somebody_are_looked_at_at_once() {
        let follower = Follower::new(Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16]))), Arc::new(Still));
        let nudged = || std::mem::take(&mut follower.state().nudged);
        let commit = |key: &str| {
            follower.committed(follower.concern(&writing(key)));
            nudged()
        };
        assert!(!commit("a"), "nobody watches");
        let watcher = follower.watch(Interest::Key(at("a")));
        assert!(commit("a") && !commit("b"));
        // Somebody who comes while a commit is under way has read the log before it, perhaps.
        let under_way = follower.concern(&writing("b"));
        follower.watch(Interest::Key(at("b")));
        follower.committed(under_way);
        assert!(nudged() && commit("b"));
        follower.forget(watcher);
        assert!(!commit("a"));
    }
}
