//! Copying a store into an empty one: entries of one moment, then indexes; with its log if that is asked for.

use std::{fmt, future::IntoFuture, time::Duration};

use futures_lite::future::zip;
use larder_core::{
    BoxFuture, Entry, Error, ErrorKind, Index, Namespace, Position, Range, Result, Revision, Store, Stored, Timestamp, Trim,
    engine::EngineStatus, index::IndexState,
};

use crate::{
    follow::follow,
    progress::{Progress, Step, is_taken},
    source::{Holding, head, oldest},
    target::{Load, PROGRESS_BYTES, Target, restore},
};

/// How many entries share a commit at most, and how many bytes; engines may take less.
const COMMIT_WRITES_MAX: usize = 1000;
const COMMIT_BYTES_MAX: usize = 4 << 20;
/// How many entries, and how many bytes, are read while as many are written.
const GROUP_ENTRIES: usize = 4000;
const GROUP_BYTES: u64 = 8 << 20;
/// How many entries an index looks at at once.
const INDEX_STEP: usize = 4096;
/// How often a store that is out of reach is asked again before the copy ends, which can then be gone on with.
const TRIES_MAX: usize = 8;
const PAUSE: Duration = Duration::from_millis(250);

/// A copy being made ready; awaiting it makes it.
#[must_use = "nothing is copied until this is awaited"]
pub struct Copy<'a> {
    source: &'a Store,
    target: &'a Store,
    history: bool,
    again: bool,
    told: Box<dyn FnMut(&Told) + Send + 'a>,
}

/// What is told while something is moved.
#[derive(Clone, Debug)]
pub struct Told {
    /// How far it is.
    pub progress: Progress,
    /// How many entries there are about, where that is known.
    pub entries: Option<u64>,
    /// The head of the source's log, where it is followed.
    pub head: Option<Revision>,
    /// While an index is built, how many entries are in it.
    pub indexed: Option<u64>,
    /// While source and target are compared, how many entries were looked at.
    pub verified: Option<u64>,
}

/// What was copied.
#[derive(Clone, Debug)]
pub struct Copied {
    /// How far it came.
    pub progress: Progress,
    /// Everything up to this place of the source is in the target,
    pub source: Position,
    /// when it is at this revision of its own.
    pub revision: Revision,
    /// How many indexes there are in it.
    pub indexes: u64,
}

/// Copies `source`, as it is now, into `target`, which is empty or was begun to be filled by the same copy.
///
/// ```
/// # use larder_core::{Result, Store};
/// # async fn example(source: Store, target: Store) -> Result<()> {
/// let copied = larder_moving::copy(&source, &target).await?;
/// println!("{} entries, as of revision {}", copied.progress.entries, copied.source.revision);
/// # Ok(()) }
/// ```
///
/// Others may write to the source meanwhile. Values with their kinds and encodings, versions, times, expiry and metadata come
/// along, and so do created namespaces with their metadata, bounds of logs, and indexes. Revisions are numbers of one store: the
/// target takes its own.
///
/// # Errors
/// When awaited: `NotEmpty` when the target holds something else, `AlreadyExists` when it is a finished copy and
/// [`Copy::again`] was not said, `InvalidState` when it is one of another store; `Limit` when something is too large for the
/// target; `Trimmed` when the source's log was trimmed since the copy was begun. After any other error, and after a kill, the
/// same call goes on where it was.
pub fn copy<'a>(source: &'a Store, target: &'a Store) -> Copy<'a> {
    Copy { source, target, history: false, again: false, told: Box::new(|_| ()) }
}

impl<'a> Copy<'a> {
    /// Also repeats the log from where it begins, so that history and the past are told alike by both.
    pub fn history(mut self, history: bool) -> Self {
        self.history = history;
        self
    }

    /// A finished copy is brought up to where the source is now, if nobody else has written what it would write.
    pub fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    /// Tells `told` after every step how far it is.
    pub fn progress(mut self, told: impl FnMut(&Told) + Send + 'a) -> Self {
        self.told = Box::new(told);
        self
    }

    async fn run(mut self) -> Result<Copied> {
        let mut begun = false;
        let mut tries = 0;
        loop {
            match self.once(begun).await {
                Ok(copied) => return Ok(copied),
                Err(error)
                    if tries < TRIES_MAX && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown) =>
                {
                    // To go on is to begin again: the target tells how far it is.
                    (begun, tries) = (true, tries + 1);
                    self.source.world().sleep(PAUSE * 2u32.pow(u32::try_from(tries).unwrap_or(0))).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn once(&mut self, begun: bool) -> Result<Copied> {
        let status = self.source.engine().status(self.source.world().now()).await?;
        let mut target = open(self.source, &status, self.target, self.history, self.again || begun).await?;
        let base = Position { revision: target.progress.position().revision, ..target.progress.base() };
        let name = hold_name(&self.target.engine().status(self.target.world().now()).await?);
        let mut holding = Holding::begin(self.source, name, base).await?;
        entries(self.source, &status, &mut target, &mut holding, &mut self.told).await?;
        if target.progress.step == Step::Commits {
            // As far as the log goes now, and not for ever.
            let until = head(self.source).await?;
            let told = &mut self.told;
            let mut tell = |progress: &Progress, head| told(&Told { head: Some(head), ..Told::of(progress) });
            follow(self.source, &mut target, &mut holding, Some(until), &mut tell).await?;
            target.mark(target.progress.clone().on(Step::Indexes)).await?;
        }
        let indexes = indexes(self.source, &target, &mut self.told).await?;
        if target.progress.step != Step::Done {
            target.mark(target.progress.clone().on(Step::Done)).await?;
        }
        holding.end().await;
        let source = target.progress.position();
        Ok(Copied { progress: target.progress, source, revision: target.revision, indexes })
    }
}

impl Told {
    pub(crate) fn of(progress: &Progress) -> Self {
        Self { progress: progress.clone(), entries: None, head: None, indexed: None, verified: None }
    }
}

/// The name under which a source holds its log for a target.
pub(crate) fn hold_name(target: &EngineStatus) -> String {
    format!("moving-to-{}", target.store)
}

/// The target, where it was left, or begun now.
pub(crate) async fn open<'a>(
    source: &Store,
    status: &EngineStatus,
    store: &'a Store,
    history: bool,
    again: bool,
) -> Result<Target<'a>> {
    let own = store.engine().status(store.world().now()).await?;
    if (own.store, own.lineage) == (status.store, status.lineage) {
        return Err(Error::invalid("source and target are the same store"));
    }
    let (progress, version) = Progress::load(store).await?;
    let Some(progress) = progress else {
        let (base, time) = if history {
            oldest(source).await?
        } else {
            (Position { lineage: status.lineage, revision: status.revision }, source.world().now())
        };
        return Target::begin(store, Progress::begin(status.store, base, time, history)).await;
    };
    if progress.source() != status.store {
        let message = format!("the target is a copy of another store, {}, and not of {}", progress.source(), status.store);
        return Err(Error::new(ErrorKind::InvalidState, message));
    }
    if progress.position().lineage != status.lineage {
        let message = "the source has another past than when the copy was begun: begin again with an empty target";
        return Err(Error::new(ErrorKind::InvalidState, message));
    }
    let mut target = Target::resume(store, progress, version).await?;
    if target.progress.step == Step::Done {
        if !again {
            let message = format!(
                "the target is a finished copy already, as of revision {} of the source",
                target.progress.position().revision
            );
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        target.progress = target.progress.on(Step::Commits);
    }
    Ok(target)
}

/// Brings the entries of the base into the target, unless they are there.
pub(crate) async fn entries(
    source: &Store,
    status: &EngineStatus,
    target: &mut Target<'_>,
    holding: &mut Holding<'_>,
    told: &mut (dyn FnMut(&Told) + Send),
) -> Result<()> {
    if target.progress.step != Step::Entries {
        return Ok(());
    }
    let base = target.progress.base();
    let range = match target.progress.through()? {
        Some(last) => Range::all().after(&last),
        None => Range::all(),
    };
    let mut stored = source.stored(base, range);
    let mut group = read(&mut stored).await?;
    while !group.is_empty() {
        let loads = loads(target, group)?;
        // The next ones are read while these are written.
        let (arrived, next) = zip(target.send(loads), read(&mut stored)).await;
        if let Some(conflict) = arrived?.conflict {
            let message = format!("somebody else has written to the target: {conflict}");
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        group = next?;
        holding.renew(base).await?;
        told(&Told { entries: Some(status.entries), ..Told::of(&target.progress) });
    }
    let next = if target.progress.history { Step::Commits } else { Step::Indexes };
    if target.progress.history {
        forget_base(target).await?;
    }
    target.mark(target.progress.clone().on(next)).await
}

/// Forgets how the entries of the base came: what was before is not told by the source either.
pub(crate) async fn forget_base(target: &Target<'_>) -> Result<()> {
    target.store.engine().trim(Trim::new(target.revision, Timestamp::EPOCH)).await.map(drop)
}

/// Enough entries to be worth a durable write.
async fn read(stored: &mut Stored) -> Result<Vec<Entry>> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while entries.len() < GROUP_ENTRIES && bytes < GROUP_BYTES {
        let Some(mut page) = stored.next().await? else { break };
        page.retain(|entry| is_taken(&entry.address));
        bytes += page.iter().map(Entry::bytes).sum::<u64>();
        entries.append(&mut page);
    }
    Ok(entries)
}

/// The commits that bring `entries` into the target.
pub(crate) fn loads(target: &Target<'_>, entries: Vec<Entry>) -> Result<Vec<Load>> {
    let limits = target.limits;
    let writes_max = COMMIT_WRITES_MAX.min(limits.commit_writes - 1);
    let bytes_max = COMMIT_BYTES_MAX.min(limits.commit_bytes - PROGRESS_BYTES);
    let mut progress = target.progress.clone();
    let (mut loads, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut load = |part: &mut Vec<Entry>| {
        let part = std::mem::take(part);
        progress.arrived(&part);
        let writes = part.into_iter().map(restore).collect();
        loads.push(Load { now: progress.base_time(), checks: vec![], writes, progress: progress.clone() });
    };
    for entry in entries {
        let size = usize::try_from(entry.bytes()).unwrap_or(usize::MAX);
        if entry.value.bytes().len() > limits.value_bytes || size > limits.commit_bytes - PROGRESS_BYTES {
            let engine = target.store.engine().capabilities().engine;
            let (address, most) = (&entry.address, limits.value_bytes);
            return Err(Error::limit(format!("the key {address} holds {size} bytes, and {engine} takes values of {most}")));
        }
        if !part.is_empty() && (part.len() == writes_max || bytes + size > bytes_max) {
            load(&mut part);
            bytes = 0;
        }
        bytes += size;
        part.push(entry);
    }
    if !part.is_empty() {
        load(&mut part);
    }
    Ok(loads)
}

/// Builds in the target what indexes the source has. How many that are.
pub(crate) async fn indexes(source: &Store, target: &Target<'_>, told: &mut (dyn FnMut(&Told) + Send)) -> Result<u64> {
    let Some(indexes) = source.engine().indexes() else { return Ok(0) };
    let found = indexes.list(None).await?.into_iter().filter(|status| status.state != IndexState::Dropped);
    build(found.map(|status| (status.namespace, status.index)).collect(), target, told).await
}

/// Builds these indexes in the target, as far as they are not there. How many they are.
pub(crate) async fn build(
    wanted: Vec<(Namespace, Index)>,
    target: &Target<'_>,
    told: &mut (dyn FnMut(&Told) + Send),
) -> Result<u64> {
    let count = wanted.len() as u64;
    for (namespace, index) in wanted {
        let Some(own) = target.store.engine().indexes() else {
            let engine = target.store.engine().capabilities().engine;
            return Err(Error::new(ErrorKind::Unsupported, format!("there are indexes to build, and {engine} keeps none")));
        };
        let mut status = Some(own.create(namespace, index).await?);
        while let Some(found) = status.take().filter(|status| status.state != IndexState::Ready) {
            if let IndexState::Building { entries, .. } = found.state {
                told(&Told { indexed: Some(entries), ..Told::of(&target.progress) });
            }
            status = own.advance(found.id, INDEX_STEP, target.store.world().now()).await?;
        }
    }
    Ok(count)
}

impl fmt::Debug for Copy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("source", self.source).field("target", self.target).finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for Copy<'a> {
    type Output = Result<Copied>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
