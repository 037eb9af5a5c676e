//! Group commit, once, for every engine.
//!
//! Commits that arrive while the engine is busy wait together and are handed over as one group, which shares one
//! durable write. A commit that finds the engine idle waits for nobody. What is not urgent goes along with the next group,
//! so that nobody finds the engine busy with that alone. The work belongs to the committer and not to
//! the caller who happened to start it, so a caller that goes away takes nothing with it.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use futures_channel::oneshot;

use super::watch::Follower;
use crate::{
    commit::{Commit, Outcome},
    engine::Engine,
    error::{Error, Result},
    id::CommitId,
    limits::commit_bytes,
    send::BoxFuture,
    world::World,
};

/// How many commits share one durable write at most.
const GROUP_COMMITS_MAX: usize = 1024;
/// How many bytes a group may weigh, unless a single commit weighs more.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// How long what is not urgent waits for somebody to go along with.
const ALONG_WITHIN: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Committer {
    engine: Arc<dyn Engine>,
    world: Arc<dyn World>,
    follower: Arc<Follower>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// What is not urgent, until somebody goes first.
    along: VecDeque<Waiting>,
    /// Whether somebody is at work; whoever finds nobody begins.
    busy: bool,
}

#[derive(Debug)]
struct Waiting {
    commit: Commit,
    bytes: usize,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Outcome>>;

impl Committer {
    pub(super) fn new(engine: Arc<dyn Engine>, world: Arc<dyn World>, follower: Arc<Follower>) -> Self {
        Self { engine, world, follower, queue: Mutex::default() }
    }

    /// Hands `commit` to the engine, together with whatever else is waiting.
    pub(super) async fn commit(self: &Arc<Self>, commit: Commit) -> Result<Outcome> {
        let id = commit.id;
        let (answer, answered) = oneshot::channel();
        let idle = {
            let mut queue = self.queue();
            queue.waiting.push_back(Waiting { bytes: commit_bytes(&commit), commit, answer });
            !std::mem::replace(&mut queue.busy, true)
        };
        if idle {
            self.work().await;
        }
        answered.await.unwrap_or_else(|_| Err(abandoned(id)))
    }

    /// As [`Self::commit`], but with the group of somebody else, unless nobody comes for a while.
    pub(super) async fn commit_along(self: &Arc<Self>, commit: Commit) -> Result<Outcome> {
        let id = commit.id;
        let (answer, mut answered) = oneshot::channel();
        self.queue().along.push_back(Waiting { bytes: commit_bytes(&commit), commit, answer });
        let mut waited = self.world.sleep(ALONG_WITHIN);
        let early = poll_fn(|context| match pin!(&mut answered).poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => waited.as_mut().poll(context).map(|()| None),
        });
        if let Some(answer) = early.await {
            return answer.unwrap_or_else(|_| Err(abandoned(id)));
        }
        let idle = {
            let mut queue = self.queue();
            let Queue { waiting, along, busy } = &mut *queue;
            waiting.append(along);
            !waiting.is_empty() && !std::mem::replace(busy, true)
        };
        if idle {
            self.work().await;
        }
        answered.await.unwrap_or_else(|_| Err(abandoned(id)))
    }

    /// Begins to work off the queue. Engines that answer at once are served right here; for the others the work goes
    /// on beside the caller, in a task of its own.
    async fn work(self: &Arc<Self>) {
        let mut work: BoxFuture<'static, ()> = Box::pin(Self::drain(self.clone()));
        let done = poll_fn(|context| Poll::Ready(Pin::new(&mut work).poll(context).is_ready())).await;
        // That was one poll, and it was ready: a caller cannot be cancelled between it and here.
        if !done {
            self.world.spawn(work);
        }
    }

    async fn drain(self: Arc<Self>) {
        let rest = Abandon(&self);
        while let Some((group, answers)) = self.next_group() {
            let concern = self.follower.concern(&group);
            let mut committing = self.engine.commit(group);
            let mut waited = false;
            let outcomes = poll_fn(|context| {
                let polled = committing.as_mut().poll(context);
                waited |= polled.is_pending();
                polled
            })
            .await;
            debug_assert_eq!(outcomes.len(), answers.len(), "an engine answers every commit of a group");
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // The caller may have gone; the commit has happened all the same.
                let _ = answer.send(outcome);
            }
            self.follower.committed(concern);
            // Whoever was answered just now may have more: the next group is larger for waiting a turn. Behind an
            // engine that answers at once there is nothing to gain, unless somebody came meanwhile; then the turn of
            // the caller who works for everybody ends here.
            if waited || !self.queue().waiting.is_empty() {
                yield_now().await;
            }
        }
        std::mem::forget(rest);
    }

    /// The next commits to hand over; with none, nobody is at work any more, in the same step.
    fn next_group(&self) -> Option<(Vec<Commit>, Vec<Answer>)> {
        let mut queue = self.queue();
        if !queue.waiting.is_empty() {
            let Queue { waiting, along, .. } = &mut *queue;
            waiting.append(along);
        }
        let mut bytes = 0;
        let mut fits = |waiting: &Waiting| {
            bytes += waiting.bytes;
            bytes <= GROUP_BYTES_MAX
        };
        let count = queue.waiting.iter().take(GROUP_COMMITS_MAX).take_while(|waiting| fits(waiting)).count();
        let count = count.max(1).min(queue.waiting.len());
        if count == 0 {
            queue.busy = false;
            return None;
        }
        Some(queue.waiting.drain(..count).map(|waiting| (waiting.commit, waiting.answer)).unzip())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between any two statements, so a panic elsewhere has not broken it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn abandoned(id: CommitId) -> Error {
    Error::outcome_unknown(id, "the commit was abandoned on its way")
}

/// When the work is dropped half-way, because a runtime ends or an engine panics, whoever waits is told, and the next
/// commit begins anew.
struct Abandon<'a>(&'a Committer);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        let abandoned = std::mem::take(&mut *self.0.queue());
        // Only now that the lock is free: a sender that is dropped wakes somebody, who may want to commit right there.
        drop(abandoned);
    }
}

/// Lets others run.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Wake, Waker},
        time::Duration,
    };

    use super::*;
    use crate::{
        id::{CommitId, StoreId},
        memory::MemoryEngine,
        time::Timestamp,
        world::still::Still,
    };

    /// A world in which no task runs, and all time has passed.
    #[derive(Debug)]
    struct Hurried;
    impl World for Hurried {
        fn now(&self) -> Timestamp {
            Still.now()
        }
        fn random(&self) -> u128 {
            Still.random()
        }
        fn spawn(&self, task: BoxFuture<'static, ()>) {
            Still.spawn(task);
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    fn committer(world: impl World) -> Arc<Committer> {
        let engine = Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16])));
        let world = Arc::new(world);
        Arc::new(Committer::new(engine.clone(), world.clone(), Follower::new(engine, world)))
    }

    fn nothing(n: u64) -> Commit {
        let id = CommitId::new(Timestamp::EPOCH, u128::from(n) << 48);
        Commit { id, now: Timestamp::EPOCH, checks: vec![], writes: vec![] }
    }

    /// An executor that goes on with a task right where it is woken, and the task commits again.
    struct Eager {
        committer: Arc<Committer>,
        woken_free: AtomicUsize,
    }
    impl Wake for Eager {
        fn wake(self: Arc<Self>) {
            if self.committer.queue.try_lock().is_ok() {
                self.woken_free.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    #[test]
    fn what_is_not_urgent_waits_for_somebody_to_go_along_with_but_not_for_ever() {
        let mut context = Context::from_waker(Waker::noop());
        let patient = committer(Still);
        let mut along = pin!(patient.commit_along(nothing(1)));
        assert!(along.as_mut().poll(&mut context).is_pending(), "nobody has come");
        assert!(!patient.queue().busy, "and whoever does finds nobody at work");
        assert!(pin!(patient.commit(nothing(2))).poll(&mut context).is_ready());
        assert!(along.poll(&mut context).is_ready(), "both went at once");

        let alone = committer(Hurried);
        assert!(pin!(alone.commit_along(nothing(1))).poll(&mut context).is_ready());
    }

    /// Senders that are dropped wake whoever waits. Dropped under the lock of the queue, they would deadlock with a task
    /// that is polled right there and wants to commit.
    #[test]
    fn work_that_is_abandoned_wakes_nobody_under_its_lock() {
        let committer = committer(Still);
        let eager = Arc::new(Eager { committer: committer.clone(), woken_free: AtomicUsize::new(0) });
        let waker = Waker::from(eager.clone());
        committer.queue().busy = true;
        let mut waiting: Vec<_> = (0..3u64)
            .map(|n| {
                let committer = committer.clone();
                Box::pin(async move { committer.commit(nothing(n)).await })
            })
            .collect();
        for future in &mut waiting {
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "somebody else is at work");
        }
        drop(Abandon(&committer));
        assert_eq!(eager.woken_free.load(Ordering::SeqCst), 3, "everybody is woken, and the queue is free");
        for future in &mut waiting {
            let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) else { panic!("was woken") };
            assert_eq!(answer.map_err(|error| error.kind()), Err(crate::error::ErrorKind::OutcomeUnknown));
        }
    }
}
