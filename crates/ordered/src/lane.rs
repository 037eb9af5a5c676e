//! The lane: one thread, one group at a time.
//!
//! What a caller has handed over is done whether the caller waits for it or not.
//!
//! A group is read, decided, and written if the head is still the one that it was read with; else all of that is done again.
//! The same heals a lost answer. A batch of which nobody knows can only still happen over the very head that it was decided
//! on, and then the next attempt decides the same; over any later head its ids are remembered, or it never happens.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use futures_channel::oneshot;
use futures_lite::future::block_on;
use larder_core::{
    BoxFuture, Commit, CommitId, Error, ErrorKind, Outcome, Result, commit_bytes, engine::Resolution, index::IndexStatus,
};

use crate::{
    build::{Advancing, Creating, Dropping},
    error::{again, closed, unavailable},
    group::{Decided, Group},
    head::Head,
    keeper::Keeper,
    layout,
    map::{Applied, View},
    receipt,
    sheet::Sheet,
    trim::{Step, Task},
};

/// What a write takes of a batch beside its own bytes, roughly: it is enough to guess how many commits fit.
const WRITE_BYTES: usize = 512;
const WRITE_OPERATIONS: usize = 5;

/// What the lane is asked to do, and where to answer.
pub(crate) enum Job {
    Commit(Vec<Commit>, oneshot::Sender<Vec<Result<Outcome>>>),
    Resolve(CommitId, oneshot::Sender<Result<Resolution>>),
    Trim(Task, oneshot::Sender<Result<Step>>),
    CreateIndex(Creating, oneshot::Sender<Result<IndexStatus>>),
    DropIndex(Dropping, oneshot::Sender<Result<bool>>),
    AdvanceIndex(Advancing, oneshot::Sender<Result<Option<IndexStatus>>>),
    Close(oneshot::Sender<Result<()>>),
}

/// The way to the lane. When it is dropped, the lane does what it was handed, and has let go of the map before that ends.
#[derive(Debug)]
pub(crate) struct Lane {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.jobs = None;
        // One that has panicked has told so.
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

/// Why there is no answer.
pub(crate) enum Gone {
    /// The lane had ended before it was asked: nothing was done.
    Before,
    /// The lane failed at work: nobody knows.
    Meanwhile,
}

impl From<Gone> for Error {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Before => closed(),
            Gone::Meanwhile => Keeper::failed(),
        }
    }
}

impl Lane {
    pub(crate) fn start(keeper: Arc<Keeper>) -> Result<Self> {
        let (sender, jobs) = mpsc::channel();
        let name = format!("larder-{}", keeper.map.capabilities().engine);
        let started = thread::Builder::new().name(name).spawn(move || Desk { keeper }.work(&jobs));
        let failed = |error| unavailable("the system cannot start the thread that writes").caused_by(error);
        Ok(Self { thread: Some(started.map_err(failed)?), jobs: Some(sender) })
    }

    /// Hands over a job and waits for its answer.
    pub(crate) async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Gone::Before)?;
        jobs.send(job(answer)).map_err(|_| Gone::Before)?;
        answered.await.map_err(|_| Gone::Meanwhile)
    }
}

/// What the thread works with.
struct Desk {
    keeper: Arc<Keeper>,
}

/// Something that is read, decided and written.
pub(crate) trait Work: Send + Sync {
    type Answer: Send;

    /// Tries it once, from the beginning, on a view that nobody has read from yet.
    fn attempt<'a>(&'a self, keeper: &'a Keeper, view: &'a dyn View) -> BoxFuture<'a, Result<Tried<Self::Answer>>>;
}

/// How an attempt ended.
pub(crate) enum Tried<T> {
    Done(T),
    /// Somebody else was faster.
    Raced,
    /// It is not known whether it was written.
    Unknown(Error),
}

/// Why nothing came of it.
enum Ended {
    /// Nothing was written.
    Nothing(Error),
    /// It may have been written.
    Unknown(Error),
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Nothing(error) | Ended::Unknown(error) => error,
        }
    }
}

/// Makes what stands in `sheet` happen, with `head` as the next one, and answers `done`.
pub(crate) async fn apply<T>(keeper: &Keeper, view: &dyn View, sheet: Sheet<'_>, head: Head, done: T) -> Result<Tried<T>> {
    let head = Head { tick: head.tick + 1, life: keeper.map.life().unwrap_or_default(), ..head };
    Ok(match keeper.map.apply(view, sheet.into_batch(head.write())).await? {
        Applied::Done => Tried::Done(done),
        Applied::Raced => Tried::Raced,
        Applied::Unknown(error) => Tried::Unknown(error),
    })
}

impl Desk {
    fn work(&self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            // Whoever asked may have gone; the work is done all the same.
            match job {
                Job::Commit(group, answer) => drop(answer.send(self.commit(&group))),
                Job::Resolve(id, answer) => drop(answer.send(self.patiently(&Resolving(id)).map_err(Error::from))),
                Job::Trim(task, answer) => drop(answer.send(self.patiently(&task).map_err(Error::from))),
                Job::CreateIndex(work, answer) => drop(answer.send(self.index(&work))),
                Job::DropIndex(work, answer) => drop(answer.send(self.patiently(&work).map_err(Error::from))),
                Job::AdvanceIndex(work, answer) => drop(answer.send(self.index(&work))),
                Job::Close(answer) => return drop(answer.send(block_on(crate::lineage::end(&self.keeper)))),
            }
        }
        // The last handle was dropped, and nobody has closed the store.
        drop(block_on(crate::lineage::end(&self.keeper)));
    }

    /// Decides and applies each commit; as many of them together as fit into one batch.
    fn commit(&self, group: &[Commit]) -> Vec<Result<Outcome>> {
        let mut answers = Vec::with_capacity(group.len());
        let mut together = usize::MAX;
        while answers.len() < group.len() {
            let rest: Vec<&Commit> = group[answers.len()..].iter().take(together).collect();
            let count = self.fitting(&rest);
            match self.patiently(&Committing(&rest[..count])) {
                Ok(decided) => answers.extend(decided),
                // What is too much for the map must not take its neighbours with it.
                Err(Ended::Nothing(error)) if error.kind() == ErrorKind::Limit && count > 1 => together = count / 2,
                Err(Ended::Nothing(error)) => answers.extend(rest[..count].iter().map(|_| Err(again(&error)))),
                Err(Ended::Unknown(error)) => {
                    answers.extend(rest[..count].iter().map(|commit| Err(Error::outcome_unknown(commit.id, &error))));
                }
            }
        }
        answers
    }

    /// How many of `commits` are read together; all of them may yet be too much for one batch.
    fn fitting(&self, commits: &[&Commit]) -> usize {
        let most = self.keeper.map.most();
        let (mut bytes, mut operations) = (0, 0);
        let fits = |commit: &&&Commit| {
            bytes += commit_bytes(commit) + WRITE_BYTES * (1 + commit.writes.len());
            operations += 1 + WRITE_OPERATIONS * commit.writes.len();
            bytes <= most.bytes && operations < most.operations
        };
        commits.iter().take_while(fits).count().max(1)
    }

    fn index<T: Send>(&self, work: &impl Work<Answer = Result<T>>) -> Result<T> {
        self.patiently(work).map_err(Error::from)?
    }

    /// Tries until it is done: again when somebody else was faster, and again when an answer was lost, for as long as the
    /// patience lasts.
    fn patiently<W: Work>(&self, work: &W) -> Result<W::Answer, Ended> {
        let until = Instant::now() + self.keeper.patience;
        let (mut unknown, mut raced, mut lost) = (None, 0, 0);
        loop {
            let tried = block_on(async {
                let view = self.keeper.map.view().await?;
                work.attempt(&self.keeper, &*view).await
            });
            let late = Instant::now() >= until;
            let error = match tried {
                Ok(Tried::Done(done)) => return Ok(done),
                Ok(Tried::Raced) if !late => {
                    raced += 1;
                    thread::sleep(pause(raced));
                    continue;
                }
                Ok(Tried::Raced) => unavailable("others have been committing faster for too long"),
                Ok(Tried::Unknown(error)) => {
                    unknown = Some(again(&error));
                    error
                }
                Err(error) => error,
            };
            match unknown.take() {
                Some(error) if late => return Err(Ended::Unknown(error)),
                Some(error) => {
                    unknown = Some(error);
                    lost += 1;
                    thread::sleep(pause(lost + 4));
                }
                None => return Err(Ended::Nothing(error)),
            }
        }
    }
}

/// How often a pause gets longer: up to 6 ms, in which some commits of others fit.
const LONGER_MAX: u32 = 7;

/// How long to wait before trying again: longer every time, and by chance, so that those who meet do not meet again.
fn pause(times: u32) -> Duration {
    // As good as any chance: nothing depends on it but who goes first.
    let chance = RandomState::new().hash_one(times);
    Duration::from_micros(chance % (50 << times.min(LONGER_MAX)))
}

/// Commits that may fit into one batch; those at the end that do not are not answered.
struct Committing<'a>(&'a [&'a Commit]);

impl Work for Committing<'_> {
    type Answer = Vec<Result<Outcome>>;

    fn attempt<'a>(&'a self, keeper: &'a Keeper, view: &'a dyn View) -> BoxFuture<'a, Result<Tried<Self::Answer>>> {
        Box::pin(async move {
            let Self(commits) = self;
            let mut group = Group::gather(keeper, view, commits).await?;
            let mut answers = Vec::with_capacity(commits.len());
            for commit in *commits {
                match group.commit(commit).await? {
                    Decided::Answer(answer) => answers.push(answer),
                    Decided::Later => break,
                }
            }
            if group.sheet.is_clean() {
                return Ok(Tried::Done(answers));
            }
            apply(keeper, view, group.sheet, group.head, answers).await
        })
    }
}

/// What became of an id; of one that nothing is remembered of it is made sure that it never happens.
struct Resolving(CommitId);

impl Work for Resolving {
    type Answer = Resolution;

    fn attempt<'a>(&'a self, keeper: &'a Keeper, view: &'a dyn View) -> BoxFuture<'a, Result<Tried<Resolution>>> {
        Box::pin(async move {
            let key = layout::receipt(self.0);
            let mut sheet = Sheet::new(view);
            sheet.fetch(vec![layout::head(), key.clone()], Vec::new()).await?;
            let head = keeper.head(sheet.get(&layout::head()).await?.as_ref())?;
            if let Some(receipt) = sheet.get(&key).await? {
                return Ok(Tried::Done(receipt::read(&receipt)?));
            }
            if self.0.made_at() < head.ids_since {
                return Ok(Tried::Done(Resolution::Forgotten));
            }
            sheet.put(key, receipt::fence());
            apply(keeper, view, sheet, head, Resolution::Never).await
        })
    }
}
