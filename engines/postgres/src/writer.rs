//! The writer: one task, one session, one transaction at a time.
//!
//! What a caller has handed over is done whether the caller waits for it or not.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_channel::oneshot;
use larder_core::{
    Commit, CommitId, Durability, Error, Index, Namespace, Outcome, Result, Timestamp,
    engine::Resolution,
    index::{IndexId, IndexStatus},
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    build,
    engine::LIMITS,
    error::{Attempt, Failure, again, unavailable},
    gather::gather,
    head::{Head, LOCK},
    keeper::Keeper,
    kept::Kept,
    lineage::{Acknowledged, Life, notice_lost_past},
    receipt, runtime,
    session::Session,
    signals::notify,
    terms::decide,
    trim::{self, Step, Task},
    write::{SYNC, write},
};

/// How long a server may say nothing, beyond the wait for the lock, before its connection is given up.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// What the writer is asked to do, and where to answer.
#[derive(Debug)]
pub(crate) enum Job {
    Commit(Vec<Commit>, oneshot::Sender<Vec<Result<Outcome>>>),
    Resolve(CommitId, oneshot::Sender<Result<Resolution>>),
    Trim(Task, oneshot::Sender<Result<Step>>),
    CreateIndex(Namespace, Index, oneshot::Sender<Result<IndexStatus>>),
    DropIndex(IndexId, oneshot::Sender<Result<bool>>),
    AdvanceIndex(IndexId, usize, Timestamp, oneshot::Sender<Result<Option<IndexStatus>>>),
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
    /// Begins to wait for work, which it does over this session.
    pub(crate) async fn start(keeper: Arc<Keeper>, durability: Durability, session: Session) -> Result<Self> {
        let (sender, jobs) = mpsc::unbounded_channel();
        keeper.adopt(&session).await?;
        let mut desk = Desk { keeper, durability, session: None, last: None, kept: Arc::default() };
        desk.begin(session).await?;
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
    durability: Durability,
    session: Option<(Arc<Session>, Arc<Life>)>,
    last: Acknowledged,
    /// The indexes that commits keep, as this session last saw them.
    kept: Arc<Kept>,
}

impl Desk {
    async fn work(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = jobs.recv().await {
            // Whoever asked may have gone; the work is done all the same.
            match job {
                Job::Commit(group, answer) => drop(answer.send(self.commit(&group).await)),
                Job::Resolve(id, answer) => drop(answer.send(self.resolve(id).await)),
                Job::Trim(task, answer) => drop(answer.send(self.trim(task).await)),
                Job::CreateIndex(namespace, index, answer) => {
                    let create = |session, _| build::create(session, namespace.clone(), index.clone());
                    drop(answer.send(self.twice(create).await.flatten()));
                }
                Job::DropIndex(id, answer) => drop(answer.send(self.drop_index(id).await)),
                Job::AdvanceIndex(id, limit, now, answer) => {
                    // What cannot be built was dropped, and that stays.
                    let advance = |session, _| build::advance(session, id, limit, now);
                    drop(answer.send(self.twice(advance).await.flatten()));
                }
                Job::Close(answer) => {
                    jobs.close();
                    self.session = None;
                    let _ = answer.send(());
                    return;
                }
            }
        }
    }

    /// The session, connected again if the last one is gone; what the server has lost is noticed before anything else.
    async fn session(&mut self) -> Result<(Arc<Session>, Arc<Life>)> {
        if let Some((session, life)) = self.session.as_ref().filter(|(session, _)| !session.is_gone()) {
            return Ok((session.clone(), life.clone()));
        }
        let session = self.keeper.session().await?;
        self.begin(session).await
    }

    /// Works over this session from now on.
    async fn begin(&mut self, session: Session) -> Result<(Arc<Session>, Arc<Life>)> {
        // Somebody may hold the lock for as long as anybody may.
        let life = runtime::within(self.patience(), notice_lost_past(&session, self.last)).await.ok_or_else(silent)??;
        // In another past the same number may stand for other indexes.
        self.kept = Arc::default();
        Ok(self.session.insert((Arc::new(session), Arc::new(life))).clone())
    }

    /// Decides and applies each commit; together with the others if that goes well, else each on its own, so that what
    /// is too much for the server does not take its neighbours with it.
    async fn commit(&mut self, group: &[Commit]) -> Vec<Result<Outcome>> {
        let mut answers = verify(group);
        let all: Vec<usize> = (0..group.len()).filter(|index| answers[*index].is_none()).collect();
        if let Ended::Apart = self.together(group, &all, &mut answers).await {
            for index in all {
                self.together(group, &[index], &mut answers).await;
            }
        }
        answers.into_iter().map(|answer| answer.expect("every commit that was handed over is answered")).collect()
    }

    /// Decides and applies the commits of `group` with these indices in one transaction.
    ///
    /// When the session is lost all of it is tried once more. Nothing happens twice: who commits holds the lock, so once we
    /// have it again the first attempt has ended, and its ids are known or never will be.
    async fn together(&mut self, group: &[Commit], indices: &[usize], answers: &mut [Option<Result<Outcome>>]) -> Ended {
        let commits: Vec<&Commit> = indices.iter().map(|index| &group[*index]).collect();
        if commits.is_empty() {
            return Ended::Together;
        }
        let mut unknown = None;
        for _ in 0..2 {
            let failure = match self.attempt(&commits).await {
                Ok(decided) => {
                    for (index, answer) in indices.iter().zip(decided) {
                        answers[*index] = Some(answer);
                    }
                    return Ended::Together;
                }
                Err(failure) => failure,
            };
            let is_lost = matches!(failure, Trouble::Lost(_));
            self.session = None;
            let error = match failure {
                Trouble::Unknown(error) => {
                    unknown = Some(error);
                    continue;
                }
                // The attempt before this one is in nobody's hands any more, and what became of it is not known.
                _ if unknown.is_some() => break,
                Trouble::Refused(_) if indices.len() > 1 => return Ended::Apart,
                Trouble::Lost(error) | Trouble::NotBegun(error) | Trouble::Refused(error) => error,
            };
            indices.iter().for_each(|index| answers[*index] = Some(Err(again(&error))));
            if !is_lost {
                return Ended::Together;
            }
        }
        if let Some(error) = unknown {
            for index in indices {
                answers[*index] = Some(Err(Error::outcome_unknown(group[*index].id, &error).engine("postgres")));
            }
        }
        Ended::Together
    }

    /// How long the server may take for one thing.
    fn patience(&self) -> Duration {
        self.keeper.config.patience + SILENCE
    }

    async fn attempt(&mut self, commits: &[&Commit]) -> Result<Vec<Result<Outcome>>, Trouble> {
        let (session, life) = self.session().await.map_err(Trouble::NotBegun)?;
        let patience = self.patience();
        let decided = timeout(patience, async {
            let mut group = gather(&session, commits, &self.kept).await?;
            let answers = decide(&session, &mut group, commits).await?;
            Ok((group, answers))
        });
        let decided = decided.await;
        let not_begun = |failure| match failure {
            Failure::Lost(error) => Trouble::Lost(error),
            // Nobody who waited for the same lock in vain should wait for it once more.
            Failure::Refused(error) => Trouble::NotBegun(error),
        };
        let (group, answers) = decided.unwrap_or_else(|_| Err(Failure::Lost(silent()))).map_err(not_begun)?;
        self.kept = group.kept.clone();
        if group.receipts.is_empty() {
            // What an attempt has written that was cut off while it waited for a standby is there for everybody to see, but
            // not at the standby: who answers with it waits for that, as the lock taken is something to be waited for.
            let end = if group.head.standbys.is_empty() { "ROLLBACK" } else { "COMMIT" };
            let ended = timeout(patience, session.run(end)).await;
            ended.unwrap_or_else(|_| Err(Failure::Lost(silent()))).map_err(not_begun)?;
            return Ok(answers);
        }
        let mark = life.mark(self.durability, &group.head.standbys);
        let relaxed = self.durability != Durability::Full;
        let written = timeout(patience, write(&session, &group, &mark, relaxed)).await;
        match written.unwrap_or_else(|_| Err(Failure::Lost(silent()))) {
            Ok(()) => {
                session.send(&notify(self.keeper.store)).await;
                self.last = group.receipts.last().map(|(id, _)| (*id, group.head.lineage));
                Ok(answers)
            }
            Err(Failure::Lost(error)) => Err(Trouble::Unknown(error)),
            Err(Failure::Refused(error)) => Err(Trouble::Refused(error)),
        }
    }

    async fn resolve(&mut self, id: CommitId) -> Result<Resolution> {
        let durability = self.durability;
        self.twice(move |session, life| resolve(session, id, durability, life)).await
    }

    async fn trim(&mut self, task: Task) -> Result<Step> {
        self.twice(move |session, _| trim::step(session, task.clone())).await
    }

    async fn drop_index(&mut self, id: IndexId) -> Result<bool> {
        // Whoever finds it dropped at the second time may have done so at the first.
        let there = Arc::new(AtomicBool::new(false));
        let seen = there.clone();
        let dropped = self.twice(move |session, _| build::drop(session, id, seen.clone())).await?;
        Ok(dropped || there.load(Ordering::Relaxed))
    }

    /// Does what can be done again without harm, once more when the session was lost.
    async fn twice<T, F>(&mut self, work: impl Fn(Arc<Session>, Arc<Life>) -> F) -> Result<T>
    where
        F: Future<Output = Attempt<T>>,
    {
        let mut lost = unavailable("the connection to the server was lost");
        for _ in 0..2 {
            let (session, life) = self.session().await?;
            let done = timeout(self.patience(), work(session, life)).await;
            let failure = match done.unwrap_or_else(|_| Err(Failure::Lost(silent()))) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            // With the session goes a transaction that did not end well.
            self.session = None;
            match failure {
                Failure::Refused(error) => return Err(error),
                Failure::Lost(error) => lost = error,
            }
        }
        Err(lost)
    }
}

fn silent() -> Error {
    unavailable("the server has fallen silent")
}

/// The answers to those commits that are too large.
fn verify(group: &[Commit]) -> Vec<Option<Result<Outcome>>> {
    group.iter().map(|commit| LIMITS.verify(commit).err().map(Err)).collect()
}

/// Whether commits were answered together.
enum Ended {
    Together,
    /// They were refused as a whole, and should be tried one by one.
    Apart,
}

/// Why an attempt did not end well.
enum Trouble {
    /// The lock could not be had, or not even a session: nothing of it was looked at.
    NotBegun(Error),
    /// The session was lost before anything was written.
    Lost(Error),
    /// Nothing of it was written.
    Refused(Error),
    /// It may have been written.
    Unknown(Error),
}

/// What became of `id`; of one that nothing is remembered of it is made sure that it never happens.
async fn resolve(session: Arc<Session>, id: CommitId, durability: Durability, life: Arc<Life>) -> Attempt<Resolution> {
    const KNOWN: &str = "SELECT revision, receipt FROM commits WHERE id = $1";
    const FENCE: &str = "INSERT INTO commits VALUES ($1, $2, NULL)";
    const MARK: &str = "UPDATE store SET life = $1";
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let head = Head::read(&session.row(LOCK, &[]).await?)?;
    let bytes = &id.as_bytes()[..];
    let found = match session.query(KNOWN, &[&bytes]).await?.first() {
        Some(row) => receipt::read(row, 0)?,
        None if id.made_at().as_millis() < head.ids_since => Resolution::Forgotten,
        None => {
            let mark = life.mark(durability, &head.standbys);
            if durability != Durability::Full && head.life != mark {
                session.run(SYNC).await?;
            }
            session.execute(FENCE, &[&bytes, &head.revision.get().cast_signed()]).await?;
            session.execute(MARK, &[&mark]).await?;
            Resolution::Never
        }
    };
    session.run("COMMIT").await?;
    Ok(found)
}
