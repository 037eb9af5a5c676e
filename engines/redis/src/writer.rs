//! The writer: one task, one session, one group at a time.
//!
//! What a caller has handed over is done whether the caller waits for it or not.
//!
//! A group is read, decided, and written if the state is still the one that it was read in; else all of that is done again.
//! The same heals a lost answer. An attempt of which nobody knows can only still happen in the very state that it was
//! decided in, and then the next one decides the same; in any later state its ids are remembered, or it never happens.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use futures_channel::oneshot;
use larder_core::{Commit, CommitId, Error, Outcome, Result, commit_bytes, engine::Resolution, index::IndexStatus};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    build::{Advancing, Creating, Dropping},
    engine::LIMITS,
    error::{Attempt, Failure, again, unavailable},
    gather::{Unmet, gather},
    head::Head,
    keeper::Keeper,
    kept::Guess,
    lineage::Life,
    receipt, runtime,
    session::Session,
    trim::{self, Step, Task},
    write::{self, Change},
};

/// How much one step writes at most, if it is of several commits: the server does nothing else meanwhile.
const STEP_BYTES_MAX: usize = 8 << 20;
const STEP_COMMITS_MAX: usize = 1024;

/// How many words one step has at most: a command may have about a million, and all of it waits at the server for its end.
const WORDS_MAX: usize = 900_000;

/// What the writer is asked to do, and where to answer.
#[derive(Debug)]
pub(crate) enum Job {
    Commit(Vec<Commit>, oneshot::Sender<Vec<Result<Outcome>>>),
    Resolve(CommitId, oneshot::Sender<Result<Resolution>>),
    Trim(Task, oneshot::Sender<Result<Step>>),
    CreateIndex(Creating, oneshot::Sender<Result<IndexStatus>>),
    DropIndex(Dropping, oneshot::Sender<Result<bool>>),
    AdvanceIndex(Advancing, oneshot::Sender<Result<Option<IndexStatus>>>),
    Close(oneshot::Sender<()>),
}

/// The way to the writer; when the last one is dropped, it ends.
#[derive(Clone, Debug)]
pub(crate) struct Writer(mpsc::UnboundedSender<Job>);

/// Why there is no answer.
pub(crate) enum Gone {
    /// The writer had ended before it was asked: nothing was done.
    Before,
    /// The writer ended or failed at work: nobody knows.
    Meanwhile,
}

impl Writer {
    /// Connects and begins to wait for work.
    pub(crate) async fn start(keeper: Arc<Keeper>) -> Result<Self> {
        let (sender, jobs) = mpsc::unbounded_channel();
        let mut desk = Desk { keeper, seat: None };
        desk.seat().await?;
        drop(runtime::begin(desk.work(jobs))?);
        Ok(Self(sender))
    }

    /// Hands over a job and waits for its answer.
    pub(crate) async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        self.0.send(job(answer)).map_err(|_| Gone::Before)?;
        answered.await.map_err(|_| Gone::Meanwhile)
    }
}

/// What the task works with.
struct Desk {
    keeper: Arc<Keeper>,
    seat: Option<Arc<Seat>>,
}

/// From where work is done: a session, in one life of the server.
pub(crate) struct Seat {
    pub(crate) session: Session,
    life: Life,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) indexed: Guess,
    pub(crate) unmet: Unmet,
}

/// Something that is read, decided and written.
pub(crate) trait Work: Sync {
    type Answer: Send;

    /// Tries it once, from the beginning.
    fn attempt(&self, seat: &Seat) -> impl Future<Output = Attempt<Tried<Self::Answer>>> + Send;
}

/// How an attempt ended.
pub(crate) enum Tried<T> {
    Done(T),
    /// Somebody else was faster.
    Moved,
    /// It is not known whether it was written.
    Unknown(Error),
}

impl Desk {
    async fn work(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = jobs.recv().await {
            // Whoever asked may have gone; the work is done all the same.
            match job {
                Job::Commit(group, answer) => drop(answer.send(self.commit(&group).await)),
                Job::Resolve(id, answer) => drop(answer.send(self.resolve(id).await)),
                Job::Trim(task, answer) => drop(answer.send(self.patiently(&task).await.map_err(Error::from))),
                Job::CreateIndex(work, answer) => drop(answer.send(self.index(&work).await)),
                Job::DropIndex(work, answer) => drop(answer.send(self.patiently(&work).await.map_err(Error::from))),
                Job::AdvanceIndex(work, answer) => drop(answer.send(self.index(&work).await)),
                Job::Close(answer) => {
                    jobs.close();
                    self.seat = None;
                    let _ = answer.send(());
                    return;
                }
            }
        }
    }

    /// The seat, with a new session if the last one is gone; what the server has lost is noticed before anything else.
    async fn seat(&mut self) -> Result<Arc<Seat>> {
        if let Some(seat) = self.seat.as_ref().filter(|seat| !seat.session.is_gone()) {
            return Ok(seat.clone());
        }
        let keeper = self.keeper.clone();
        let (session, life) = keeper.session().await?;
        Ok(self
            .seat
            .insert(Arc::new(Seat { session, life, keeper, indexed: Guess::default(), unmet: Unmet::default() }))
            .clone())
    }

    /// Decides and applies each commit; together with the others if that goes well, else each on its own, so that what
    /// is too much for the server does not take its neighbours with it.
    async fn commit(&mut self, group: &[Commit]) -> Vec<Result<Outcome>> {
        let mut answers: Vec<_> = group.iter().map(|commit| LIMITS.verify(commit).err().map(Err)).collect();
        let mut rest: Vec<usize> = (0..group.len()).filter(|index| answers[*index].is_none()).collect();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |index: &&usize| {
                bytes += commit_bytes(&group[**index]);
                bytes <= STEP_BYTES_MAX
            };
            let count = rest.iter().take(STEP_COMMITS_MAX).take_while(fits).count().max(1);
            let step: Vec<usize> = rest.drain(..count).collect();
            if !self.together(group, &step, &mut answers).await {
                for index in step {
                    self.together(group, &[index], &mut answers).await;
                }
            }
        }
        answers.into_iter().map(|answer| answer.expect("every commit that was handed over is answered")).collect()
    }

    /// Decides and applies the commits of `group` with these indices in one step. `false` when they were refused as a whole,
    /// and should be tried one by one.
    async fn together(&mut self, group: &[Commit], indices: &[usize], answers: &mut [Option<Result<Outcome>>]) -> bool {
        let commits: Vec<&Commit> = indices.iter().map(|index| &group[*index]).collect();
        let decided = self.patiently(&Committing(&commits)).await;
        match decided {
            Ok(decided) => {
                for (index, answer) in indices.iter().zip(decided) {
                    answers[*index] = Some(answer);
                }
            }
            Err(Ended::Nothing(Failure::Refused(_))) if commits.len() > 1 => return false,
            Err(Ended::Nothing(failure)) => {
                let error = Error::from(failure);
                indices.iter().for_each(|index| answers[*index] = Some(Err(again(&error))));
            }
            Err(Ended::Unknown(error)) => {
                for index in indices {
                    answers[*index] = Some(Err(Error::outcome_unknown(group[*index].id, &error).engine("redis")));
                }
            }
        }
        true
    }

    async fn resolve(&mut self, id: CommitId) -> Result<Resolution> {
        self.patiently(&Resolving(id)).await.map_err(Error::from)
    }

    async fn index<T: Send>(&mut self, work: &impl Work<Answer = Result<T>>) -> Result<T> {
        self.patiently(work).await.map_err(Error::from)?
    }

    /// Tries until it is done: again when somebody else was faster, and again when an answer was lost, for as long as the
    /// patience lasts. What was not sent yet is tried twice over a lost connection and no more.
    async fn patiently<W: Work>(&mut self, work: &W) -> Result<W::Answer, Ended> {
        let until = Instant::now() + self.keeper.config().patience;
        let (mut unknown, mut lost, mut moved) = (None, 0, 0);
        loop {
            let tried = match self.seat().await {
                Ok(seat) => work.attempt(&seat).await,
                // Whether the server lets us in again shows when it is asked again, if there is something to ask for.
                Err(error) => Err(Failure::Refused(error)),
            };
            let late = Instant::now() >= until;
            let failure = match tried {
                Ok(Tried::Done(done)) => return Ok(done),
                Ok(Tried::Moved) if !late => {
                    moved += 1;
                    tokio::time::sleep(pause(moved)).await;
                    continue;
                }
                Ok(Tried::Moved) => {
                    Failure::Refused(unavailable("others have been committing faster for too long; nothing was written"))
                }
                // To do again what was done by half would do that half twice.
                Err(Failure::Torn(error)) => return Err(Ended::Unknown(error)),
                Ok(Tried::Unknown(error)) => {
                    unknown = Some(again(&error));
                    Failure::Lost(error)
                }
                Err(failure) => failure,
            };
            self.seat = None;
            match (unknown.take(), failure) {
                (Some(error), _) if late => return Err(Ended::Unknown(error)),
                (Some(error), _) => {
                    unknown = Some(error);
                    lost += 1;
                    tokio::time::sleep(pause(lost + 4)).await;
                }
                (None, Failure::Lost(_)) if lost == 0 => lost = 1,
                (None, failure) => return Err(Ended::Nothing(failure)),
            }
        }
    }
}

/// Why nothing came of it.
enum Ended {
    /// Nothing was written.
    Nothing(Failure),
    /// It may have been written.
    Unknown(Error),
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Nothing(failure) => failure.into(),
            Ended::Unknown(error) => error,
        }
    }
}

/// How often a pause gets longer: up to 6 ms, in which some commits of others fit.
const LONGER_MAX: u32 = 7;

/// How long to wait before trying again: longer every time, and by chance, so that those who meet do not meet again.
fn pause(times: u32) -> Duration {
    // As good as any chance: nothing depends on it but who goes first.
    let chance = RandomState::new().hash_one(times);
    let most = 50_u64 << times.min(LONGER_MAX);
    Duration::from_micros(chance % most)
}

impl Seat {
    /// Makes `change` if nobody has touched the state since it was watched, and answers `done` if it was made.
    pub(crate) async fn apply<T>(&self, change: Change<'_>, head: Head, done: T) -> Attempt<Tried<T>> {
        let head = Head { tick: head.tick + 1, life: self.life.mark(), ..head };
        match self.session.write(change.trip(&self.session, &head)).await {
            Ok(true) => Ok(Tried::Done(done)),
            Ok(false) => Ok(Tried::Moved),
            Err(Failure::Lost(error)) => Ok(Tried::Unknown(error)),
            Err(other) => Err(other),
        }
    }
}

struct Committing<'a>(&'a [&'a Commit]);

impl Work for Committing<'_> {
    type Answer = Vec<Result<Outcome>>;

    async fn attempt(&self, seat: &Seat) -> Attempt<Tried<Self::Answer>> {
        let Self(commits) = self;
        let Some(gathered) = gather(seat, commits).await? else { return Ok(Tried::Moved) };
        let (mut group, state) = (gathered.group, gathered.state);
        let mut before = group.can_claim().then(|| group.clone());
        let answers = loop {
            let answers = commits.iter().enumerate().map(|(index, commit)| group.commit(index, commit)).collect();
            let missing = group.holders.missing();
            let Some(before) = before.as_mut().filter(|_| !missing.is_empty()) else { break answers };
            if !before.holders.learn(&seat.session, &state, missing).await? {
                return Ok(Tried::Moved);
            }
            group = before.clone();
        };
        if group.receipts.is_empty() {
            return Ok(Tried::Done(answers));
        }
        let change = write::change(&seat.keeper, &group);
        if change.words() > WORDS_MAX {
            return Err(Failure::Refused(Error::limit("it changes more rows of indexes than the server takes at once")));
        }
        seat.apply(change, group.head, answers).await
    }
}

/// What became of an id; of one that nothing is remembered of it is made sure that it never happens.
struct Resolving(CommitId);

impl Work for Resolving {
    type Answer = Resolution;

    async fn attempt(&self, seat: &Seat) -> Attempt<Tried<Resolution>> {
        let Self(id) = self;
        let mut trip = seat.session.watch();
        trip.command("GET").arg(seat.session.state());
        trip.command("HGET").arg(seat.keeper.keys.named("receipts")).arg(id.as_bytes());
        let mut answers = seat.session.ask_all(&trip).await?;
        let head = seat.keeper.head(answers.bytes()?.as_deref())?;
        if let Some(receipt) = answers.bytes()? {
            return Ok(Tried::Done(receipt::read(&receipt)?));
        }
        if id.made_at() < head.ids_since {
            return Ok(Tried::Done(Resolution::Forgotten));
        }
        let mut change = Change::new(&seat.keeper.keys);
        change.remember(*id, None);
        seat.apply(change, head, Resolution::Never).await
    }
}

impl Work for Task {
    type Answer = Step;

    async fn attempt(&self, seat: &Seat) -> Attempt<Tried<Step>> {
        trim::step(seat, self).await
    }
}
