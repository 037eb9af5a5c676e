//! Moving a store while others write to it: copy, follow, verify, and change over in a moment in which nobody writes.
//!
//! The moment is made by the store's own gate: from one commit on all others are refused. What came before it is in the log, and
//! once that has arrived the gate is closed for good, by a commit which happens only if nothing has come behind. So there is no
//! point at which two stores take writes, and none at which a write that was acknowledged is in neither.

use std::{fmt, future::IntoFuture, time::Duration};

use futures_lite::future::zip;
use larder_core::{
    BoxFuture, Error, ErrorKind, Gate, Position, Result, Revision, Store, Timestamp, Write, engine::EngineStatus,
};

use crate::{
    copy::{Told, entries, hold_name, indexes, open},
    digest::{Digest, digests},
    follow::follow,
    mapping::place_of,
    progress::{Progress, Step},
    source::Holding,
    target::{Load, Target},
};

/// For how long writers are paused at most, should this die meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often the change over is tried: somebody's clock may be so far ahead that the pause is over for it.
const TRIES_MAX: usize = 5;
/// How often a store that is being followed back is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A migration being made ready; awaiting it does it.
#[must_use = "nothing is moved until this is awaited"]
pub struct Migrate<'a> {
    source: &'a Store,
    target: &'a Store,
    to: String,
    told: Box<dyn FnMut(&Told) + Send + 'a>,
}

/// What was moved.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// How far the target came: all of it.
    pub progress: Progress,
    /// Where the log of the source ends for good.
    pub source: Position,
    /// What that is in the target: whoever has seen everything in the source goes on here.
    pub target: Position,
    /// For how long nobody could write; `None` when that was in a run before this one.
    pub paused: Option<Duration>,
    /// What both held when they were compared, shortly before; empty when that was in a run before this one.
    pub verified: Vec<Digest>,
}

/// Moves `source` into `target`, which is empty, or was begun to be filled by the same migration or copy, while others write to
/// the source. `to` is what they are told from then on: where the store is now.
///
/// # Errors
/// When awaited: as [`copy`](crate::copy()); `AlreadyExists` when it has moved already; `InvalidState` when the two are found not
/// to hold the same; `Unavailable` when writers could not be paused. After a kill, and after any error that can be mended, the
/// same call goes on where it was; until it has ended well the source is the store, and never both.
pub fn migrate<'a>(source: &'a Store, target: &'a Store, to: impl Into<String>) -> Migrate<'a> {
    Migrate { source, target, to: to.into(), told: Box::new(|_| ()) }
}

impl<'a> Migrate<'a> {
    /// Tells `told` after every step how far it is.
    pub fn progress(mut self, told: impl FnMut(&Told) + Send + 'a) -> Self {
        self.told = Box::new(told);
        self
    }

    async fn run(mut self) -> Result<Migrated> {
        let status = status(self.source).await?;
        if let Gate::Moved { to } = self.source.gate().await? {
            return self.end(&status, to).await;
        }
        let mut target = open(self.source, &status, self.target, false, true).await?;
        let name = hold_name(&self::status(self.target).await?);
        let mut holding = Holding::begin(self.source, name, target.progress.position()).await?;
        entries(self.source, &status, &mut target, &mut holding, &mut self.told).await?;
        indexes(self.source, &target, &mut self.told).await?;
        if target.progress.step != Step::Commits {
            target.mark(target.progress.clone().on(Step::Commits)).await?;
        }
        self.follow(&mut target, &mut holding, None).await?;
        let verified = self.verify(&target).await?;
        indexes(self.source, &target, &mut self.told).await?;
        self.follow(&mut target, &mut holding, None).await?;
        let paused = self.change_over(&mut target, &mut holding).await?;
        holding.end().await;
        moved(target, Some(paused), verified).await
    }

    async fn follow(&mut self, target: &mut Target<'_>, holding: &mut Holding<'_>, until: Option<Revision>) -> Result<()> {
        let told = &mut self.told;
        let mut tell = |progress: &Progress, head| told(&Told { head: Some(head), ..Told::of(progress) });
        follow(self.source, target, holding, until, &mut tell).await.map(drop)
    }

    /// Compares both as of the same revision, while others go on writing to the source.
    async fn verify(&mut self, target: &Target<'_>) -> Result<Vec<Digest>> {
        let now = self.source.world().now();
        let place = Position { lineage: status(self.target).await?.lineage, revision: target.revision };
        let (told, progress) = (&mut self.told, &target.progress);
        let tell = |entries| told(&Told { verified: Some(entries), ..Told::of(progress) });
        let (source, copied) =
            zip(digests(self.source, progress.position(), now, tell), digests(self.target, place, now, |_| ())).await;
        let (source, copied) = (source?, copied?);
        if source == copied {
            return Ok(source);
        }
        let different = source.iter().find(|digest| !copied.contains(digest));
        let different = different.or_else(|| copied.iter().find(|digest| !source.contains(digest)));
        let namespace = different.map_or("default", |digest| digest.namespace.as_str());
        let message = format!(
            "source and target do not hold the same in namespace {namespace:?} at revision {} of the source: somebody else has \
             written to the target, or one of them is broken",
            progress.position().revision
        );
        Err(Error::new(ErrorKind::InvalidState, message))
    }

    /// Pauses all writers, brings over what they have written, and closes the source for good. For how long nobody could write.
    async fn change_over(&mut self, target: &mut Target<'_>, holding: &mut Holding<'_>) -> Result<Duration> {
        for _ in 0..TRIES_MAX {
            let began = self.source.world().now();
            self.source.pause_writes(PAUSE_MAX).await?;
            let closed = async {
                self.follow(target, holding, None).await?;
                self.source.close_gate(&self.to, target.progress.position().revision).await
            }
            .await;
            match closed {
                Ok(_) => {
                    done(self.source, target).await?;
                    return Ok(between(began, self.source.world().now()));
                }
                // Something came behind the pause after all: it is brought over, too.
                Err(error) if error.as_conflict().is_some() => {}
                Err(error) => {
                    // Nobody has to wait for the pause to end by itself. Where nobody heard whether the gate was closed, it is
                    // left as it is: to open it would be to lose what is written to the target meanwhile.
                    if error.kind() != ErrorKind::OutcomeUnknown {
                        self.source.open_gate().await.ok();
                    }
                    return Err(error);
                }
            }
        }
        self.source.open_gate().await.ok();
        let message = format!("writers could not be paused in {TRIES_MAX} tries: the source goes on taking writes");
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// Ends what a run before this one had begun to end: the source is closed.
    async fn end(mut self, status: &EngineStatus, to: String) -> Result<Migrated> {
        let mut target = match Progress::load(self.target).await? {
            (Some(progress), version)
                if progress.source() == status.store && progress.position().lineage == status.lineage =>
            {
                Target::resume(self.target, progress, version).await?
            }
            _ => {
                let message = format!("the store has moved to {to} already, and not to here");
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
        };
        if target.progress.step == Step::Done {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("the store has moved to {to} already")));
        }
        let mut holding =
            Holding::begin(self.source, hold_name(&self::status(self.target).await?), target.progress.position()).await?;
        self.follow(&mut target, &mut holding, None).await?;
        done(self.source, &mut target).await?;
        holding.end().await;
        moved(target, None, Vec::new()).await
    }
}

/// Follows a store that has moved from `old` to `new`, backwards: what is written to the new one is written to the old one, too,
/// so that one can return by migrating back. It goes on until it is dropped, and each call goes on where another one was.
///
/// # Errors
/// `InvalidState` when `new` is not where `old` has moved to; what the engines meet.
pub async fn follow_back(new: &Store, old: &Store, mut told: impl FnMut(&Told) + Send) -> Result<()> {
    let (status, own) = (status(new).await?, status(old).await?);
    let (found, version) = Progress::load(old).await?;
    let begun = found.filter(|progress| {
        progress.source() == status.store && progress.position().lineage == status.lineage && progress.step == Step::Commits
    });
    let mut target = match begun {
        Some(progress) => Target::resume(old, progress, version).await?,
        None => {
            let came = Progress::load(new).await?.0.filter(|progress| {
                progress.source() == own.store && progress.position().lineage == own.lineage && progress.step == Step::Done
            });
            let Some(came) = came else {
                let message = "the one store is not what the other one has moved to: there is nothing to follow back";
                return Err(Error::new(ErrorKind::InvalidState, message));
            };
            let base = place_of(new, came.position()).await?;
            let progress = Progress::begin(status.store, base, new.world().now(), false).on(Step::Commits);
            let mut target = Target::resume(old, progress.clone(), version).await?;
            target.mark(progress).await?;
            target
        }
    };
    let mut holding = Holding::begin(new, hold_name(&own), target.progress.position()).await?;
    loop {
        let mut tell = |progress: &Progress, head| told(&Told { head: Some(head), ..Told::of(progress) });
        follow(new, &mut target, &mut holding, None, &mut tell).await?;
        new.world().sleep(LOOK_EVERY).await;
    }
}

/// Says in the target that it is the store now.
async fn done(source: &Store, target: &mut Target<'_>) -> Result<()> {
    // What the source wrote about itself since is not taken along, and everything else is here.
    let head = status(source).await?.revision;
    let progress = target.progress.clone().at(head).on(Step::Done);
    // It may be one that had moved away, and takes writes again.
    let open = Write { address: Gate::address().clone(), action: larder_core::Action::Delete };
    let load = Load { now: target.store.world().now(), checks: vec![], writes: vec![open], progress };
    target.send(vec![load]).await.map(drop)
}

async fn moved(target: Target<'_>, paused: Option<Duration>, verified: Vec<Digest>) -> Result<Migrated> {
    let lineage = status(target.store).await?.lineage;
    let source = target.progress.position();
    let place = Position { lineage, revision: target.revision };
    Ok(Migrated { progress: target.progress, source, target: place, paused, verified })
}

async fn status(store: &Store) -> Result<EngineStatus> {
    store.engine().status(store.world().now()).await
}

fn between(began: Timestamp, ended: Timestamp) -> Duration {
    Duration::from_millis(ended.as_millis().saturating_sub(began.as_millis()).unsigned_abs())
}

impl fmt::Debug for Migrate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrate").field("source", self.source).field("target", self.target).finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for Migrate<'a> {
    type Output = Result<Migrated>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
