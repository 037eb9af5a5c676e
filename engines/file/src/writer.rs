//! The writer: one thread that has the journal, and puts every batch there before anybody sees it.
//!
//! Batches that wait together share one sync. What a caller has handed over is done whether the caller waits for it or not.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use bytes::Bytes;
use futures_channel::oneshot;
use larder_core::{Error, ErrorKind, Result};
use larder_ordered::{Applied, Batch};

use crate::{
    core::{Core, Look},
    error::{again, explain},
    frame,
    held::Held,
    journal::{Failure, Journal, refused},
    keeper::Bell,
    pairs::Dirty,
};

/// How many batches share a sync at most.
const TOGETHER: usize = 256;

/// What the writer is asked to do, and where to answer.
pub(crate) enum Job {
    Apply(Request),
    /// The files of entries are safe as of a moment.
    Settle(u64, oneshot::Sender<Result<()>>),
    /// Begins a new file of the journal.
    Roll(oneshot::Sender<Result<Rolled>>),
    /// Makes safe what waits for it.
    Sync(oneshot::Sender<Result<()>>),
    Close(oneshot::Sender<Result<()>>),
}

/// A batch to be written.
pub(crate) struct Request {
    pub(crate) batch: Batch,
    /// The moment on which it was decided.
    pub(crate) decided: u64,
    /// Whether it has to be safe before it is acknowledged.
    pub(crate) sync: bool,
    pub(crate) answer: oneshot::Sender<Result<Applied>>,
}

/// A new file of the journal was begun.
pub(crate) struct Rolled {
    /// Its number.
    pub(crate) number: u64,
    /// The moment that is behind everything in the files before it.
    pub(crate) look: Look,
    pub(crate) dirty: Dirty,
    /// What the journal had until then.
    pub(crate) journal_bytes: u64,
}

/// Who asks the writer.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Sender<Job>);

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(core: Arc<Core>, journal: Journal, is_told: bool, bell: Arc<Bell>) -> Result<Self> {
        let (sender, jobs) = channel();
        let mut desk = Desk { core, journal, is_told, bell };
        thread::Builder::new()
            .name("larder-file".into())
            .spawn(move || desk.work(&jobs))
            .map_err(|error| explain("starting the thread that writes", error))?;
        Ok(Self(sender))
    }

    /// Asks, and tells whether the question arrived.
    pub(crate) fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<oneshot::Receiver<T>> {
        let (sender, answer) = oneshot::channel();
        self.0.send(job(sender)).ok().map(|()| answer)
    }

    /// As [`Writer::ask`], for threads that have the time.
    pub(crate) fn wait<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let gone = || Error::new(ErrorKind::Closed, "the store was closed").engine("file");
        let answer = self.ask(job).ok_or_else(gone)?;
        futures_lite::future::block_on(answer).unwrap_or_else(|_| Err(gone()))
    }
}

/// What the thread works with.
struct Desk {
    core: Arc<Core>,
    journal: Journal,
    /// Whether the journal ends with a frame that knows that all before it was synced.
    is_told: bool,
    bell: Arc<Bell>,
}

impl Desk {
    fn work(&mut self, jobs: &Receiver<Job>) {
        let mut next = jobs.recv().ok();
        while let Some(job) = next.take() {
            match job {
                Job::Apply(request) => {
                    let mut group = vec![request];
                    while group.len() < TOGETHER {
                        match jobs.try_recv() {
                            Ok(Job::Apply(request)) => group.push(request),
                            other => {
                                next = other.ok();
                                break;
                            }
                        }
                    }
                    self.group(group);
                }
                // Whoever asked may have gone; the work is done all the same.
                Job::Settle(moment, answer) => drop(answer.send(self.settle(moment))),
                Job::Roll(answer) => drop(answer.send(self.roll())),
                Job::Sync(answer) => drop(answer.send(self.journal.sync())),
                Job::Close(answer) => {
                    let _ = answer.send(self.close());
                    return;
                }
            }
            next = next.or_else(|| jobs.recv().ok());
        }
    }

    /// Writes each batch whose guard nobody has changed; together if that goes well, else each on its own, so that what is
    /// too much for the disk does not take its neighbours with it.
    fn group(&mut self, group: Vec<Request>) {
        let mut guards = BTreeSet::new();
        let (winners, losers): (Vec<Request>, Vec<Request>) = {
            let pairs = self.core.pairs();
            group.into_iter().partition(|request| {
                let guard = &request.batch.guard.0;
                pairs.is_unchanged(guard, request.decided) && guards.insert(guard.clone())
            })
        };
        if !winners.is_empty() {
            match self.write(&winners) {
                Ok(()) => self.publish(winners),
                Err(Failure::Refused(_)) if winners.len() > 1 => {
                    winners.into_iter().for_each(|request| self.group(vec![request]));
                }
                Err(Failure::Refused(error)) => {
                    winners.into_iter().for_each(|request| drop(request.answer.send(Err(again(&error)))));
                }
                Err(Failure::Unknown(error)) => {
                    let unknown = || Ok(Applied::Unknown(again(&error)));
                    winners.into_iter().for_each(|request| drop(request.answer.send(unknown())));
                }
            }
        }
        // Told last, so that who looks again finds what was faster.
        losers.into_iter().for_each(|request| drop(request.answer.send(Ok(Applied::Raced))));
    }

    fn write(&mut self, group: &[Request]) -> Result<(), Failure> {
        let sync = group.iter().any(|request| request.sync);
        let now = self.core.pairs().now();
        let before = self.journal.length();
        self.journal.append(sync, |out, number, synced| {
            for (request, moment) in group.iter().zip(now + 1..) {
                frame::batch(out, number, moment, synced, &request.batch);
            }
        })?;
        self.core.journal_grew(self.journal.length() - before);
        self.is_told = false;
        Ok(())
    }

    fn publish(&mut self, group: Vec<Request>) {
        let small = self.core.tuning.small_bytes;
        let mut answers = Vec::with_capacity(group.len());
        let mut all = Vec::with_capacity(group.len());
        for Request { batch: Batch { guard, puts, deletes }, answer, .. } in group {
            let puts =
                std::iter::once(guard).chain(puts).map(|(key, value)| (own(&key), Some(Held::new(own(&value), small))));
            all.push(puts.chain(deletes.into_iter().map(|key| (key, None))).collect());
            answers.push(answer);
        }
        let mut pairs = self.core.pairs_mut();
        all.into_iter().for_each(|writes| pairs.apply(writes));
        let dirty = !pairs.dirty.is_empty();
        drop(pairs);
        answers.into_iter().for_each(|answer| drop(answer.send(Ok(Applied::Done))));
        self.bell.ring(dirty, self.core.is_journal_long());
    }

    fn settle(&mut self, moment: u64) -> Result<()> {
        let written = |out: &mut Vec<u8>, number, synced| frame::settled(out, number, moment, synced);
        let before = self.journal.length();
        self.journal.append(false, written).map_err(refused)?;
        self.core.journal_grew(self.journal.length() - before);
        Ok(())
    }

    /// Everything is safe, and a frame behind it knows, so that damage is told from what a crash leaves.
    fn close(&mut self) -> Result<()> {
        self.journal.sync()?;
        if self.is_told {
            return Ok(());
        }
        let moment = self.core.pairs().now();
        // Without it everything is as safe.
        let _ = self.journal.append(true, |out, number, synced| frame::synced(out, number, moment, synced));
        Ok(())
    }

    fn roll(&mut self) -> Result<Rolled> {
        self.journal.roll(self.core.pairs().now())?;
        let mut pairs = self.core.pairs_mut();
        let look = Look::at(&self.core, &mut pairs);
        let dirty = std::mem::take(&mut pairs.dirty);
        drop(pairs);
        Ok(Rolled { number: self.journal.number(), look, dirty, journal_bytes: self.core.journal_bytes() })
    }
}

/// The same bytes in memory of their own: those of a batch may be a part of something larger that would stay with them.
fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
