//! Watching in a world whose clock stands still: waits that move the clock, and what a watch must have told.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use larder_core::{Address, Batch, Change, Result, Revision, Watch};

use crate::{Factory, TestWorld, cases::watches, ground::Ground};

/// How many histories are watched in one place.
const IN_ONE_PLACE: u64 = 50;

/// After this time a change is taken for lost; it has nothing to do with how soon one is told.
const PATIENCE: Duration = Duration::from_secs(60);
/// By how much the clock moves while somebody waits: far enough for whoever probes now and then.
const MOVE: Duration = Duration::from_millis(20);

/// Lets threads write through two handles while watches of every kind run on both, `count` times over, beginning with
/// `seed`.
///
/// # Panics
/// When a watch tells something else than what happened, having said with which seed.
pub fn histories(factory: &dyn Factory, seed: u64, count: u64) -> u64 {
    for first in (0..count).step_by(IN_ONE_PLACE as usize) {
        let ground = Ground::new(factory, seed.wrapping_add(first));
        let seam = ground.open();
        let stores = [seam.store(), ground.store()];
        for number in first..count.min(first + IN_ONE_PLACE) {
            let seed = seed.wrapping_add(number);
            let _told = Told(seed);
            watches::history(&seam, &stores, seed);
        }
    }
    count
}

/// Says which seed it was when something is wrong.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("in the history that comes again with LARDER_SEED={}", self.0);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for `future`, and moves the clock of `world` for as long as it is not ready.
pub(crate) fn wait<T>(world: &TestWorld, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let begun = Instant::now();
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        assert!(begun.elapsed() < PATIENCE, "what was waited for never came");
        world.step(MOVE);
        // Woken by whoever has something; else the clock moves on.
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Lets whoever waits around this move the clock once.
pub(crate) async fn a_while() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// The next batch, which has to be whole.
pub(crate) fn next(world: &TestWorld, watch: &mut Watch) -> Result<Batch> {
    let batch = wait(world, watch.next())?;
    assert!(!batch.changes.is_empty(), "a batch holds something");
    for change in &batch.changes {
        assert_eq!((change.revision, change.at), (batch.revision, batch.at), "a batch is of one commit");
    }
    Ok(batch)
}

/// Every batch up to the commit `last`, which the watch has to be told of; each later than the one before.
pub(crate) fn until(world: &TestWorld, watch: &mut Watch, last: Revision) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    while batches.last().is_none_or(|batch| batch.revision < last) {
        let batch = next(world, watch).expect("the log reaches back to where the watch is");
        assert!(batches.last().is_none_or(|before| before.revision < batch.revision), "in order, and each commit once");
        assert!(batch.revision <= last, "the last commit is told of too");
        batches.push(batch);
    }
    batches
}

/// The changes of `log` that are `wanted`, commit by commit: what a watch of them has to tell.
pub(crate) fn batches(log: &[Change], wanted: impl Fn(&Address) -> bool) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for change in log.iter().filter(|change| wanted(&change.address)) {
        match batches.last_mut() {
            Some(batch) if batch.revision == change.revision => batch.changes.push(change.clone()),
            _ => batches.push(Batch { revision: change.revision, at: change.at, changes: vec![change.clone()] }),
        }
    }
    batches
}

/// That a watch told what it had to, with few words about where it did not.
pub(crate) fn told(what: &str, found: &[Batch], expected: &[Batch]) {
    let revisions = |batches: &[Batch]| batches.iter().map(|batch| batch.revision).collect::<BTreeSet<_>>();
    let (told, wanted) = (revisions(found), revisions(expected));
    let lost: Vec<_> = wanted.difference(&told).collect();
    let made_up: Vec<_> = told.difference(&wanted).collect();
    assert!(lost.is_empty() && made_up.is_empty(), "{what}: lost the commits {lost:?}, and made up {made_up:?}");
    assert_eq!(found.len(), expected.len(), "{what}: a commit was told twice");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
}
