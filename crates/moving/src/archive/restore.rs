//! Restoring backups into an empty store, on any engine, up to any revision that is in them.
//!
//! Every file is read to its end first: of one that is damaged or cut off nothing is written.

use std::{
    collections::VecDeque,
    fmt,
    future::IntoFuture,
    path::{Path, PathBuf},
};

use larder_core::{BoxFuture, Error, ErrorKind, Namespace, Result, Revision, Store, Timestamp};

use super::{
    form::{Ending, Header},
    reader::{Part, Reader},
};
use crate::{
    copy::{Told, build, forget_base, loads},
    follow::{Made, repeat},
    progress::{Progress, Step},
    target::Target,
};

/// A restore being made ready; awaiting it does it.
#[must_use = "nothing is restored until this is awaited"]
pub struct Restore<'a> {
    files: Vec<PathBuf>,
    target: &'a Store,
    to: Option<Revision>,
    told: Box<dyn FnMut(&Told) + Send + 'a>,
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// How far it came.
    pub progress: Progress,
    /// The revision of the target.
    pub revision: Revision,
    /// How many indexes were built.
    pub indexes: u64,
}

/// Restores `files`, a full backup and what goes on top of it in order, into `target`, which is empty or was begun to be filled
/// from the same backups.
///
/// # Errors
/// When awaited: `Corrupt` when a file is damaged or was cut off, `Unsupported` when it is no backup, `Invalid` when one does not
/// go on where the one before it ends, or [`Restore::to`] is not in them: then nothing was written. `NotEmpty` and others as
/// [`copy`](crate::copy()). After a kill the same call goes on where it was.
pub fn restore<'a, P: AsRef<Path>>(files: impl IntoIterator<Item = P>, target: &'a Store) -> Restore<'a> {
    let files = files.into_iter().map(|path| path.as_ref().to_owned()).collect();
    Restore { files, target, to: None, told: Box::new(|_| ()) }
}

/// What the backup at `path` is of, after all of it was read and found whole.
///
/// # Errors
/// As [`restore`].
pub async fn inspect(path: impl AsRef<Path>) -> Result<Header> {
    Ok(whole(path.as_ref()).await?.0)
}

/// Reads all of a backup, and says what it is of and how it ends.
async fn whole(path: &Path) -> Result<(Header, Ending)> {
    let mut reader = Reader::open(path).await?;
    let (mut entries, mut commits) = (0, 0);
    loop {
        match reader.next().await? {
            Part::Entries(mut block) => {
                while !block.is_over() {
                    block.entry()?;
                    entries += 1;
                }
            }
            Part::Commits(mut block) => {
                while !block.is_over() {
                    block.commit()?;
                    commits += 1;
                }
            }
            Part::End(ending) if (ending.entries, ending.commits) == (entries, commits) => {
                return Ok((reader.header, ending));
            }
            Part::End(_) => {
                let message = format!("the backup {} counts other than what is in it", path.display());
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        }
    }
}

impl<'a> Restore<'a> {
    /// Up to this revision and no further.
    pub fn to(mut self, to: Option<Revision>) -> Self {
        self.to = to;
        self
    }

    /// Tells `told` after every step how far it is.
    pub fn progress(mut self, told: impl FnMut(&Told) + Send + 'a) -> Self {
        self.told = Box::new(told);
        self
    }

    async fn run(mut self) -> Result<Restored> {
        let mut headers: Vec<Header> = Vec::new();
        let mut ending = Ending::default();
        for file in &self.files {
            let header;
            (header, ending) = whole(file).await?;
            headers.push(header);
        }
        let (progress, version) = Progress::load(self.target).await?;
        let begun = progress.as_ref().map(|progress| progress.position().revision);
        let until = self.plan(&headers, begun)?;
        let first = &headers[0];
        let mut target = match progress {
            Some(progress)
                if progress.source().to_string() == first.store && progress.base().lineage == first.base().lineage =>
            {
                Target::resume(self.target, progress, version).await?
            }
            Some(progress) => {
                let message =
                    format!("the target holds the store {}, and the backup is of {}", progress.source(), first.store);
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            None => {
                let time = Timestamp::from_millis(first.base_time)?;
                Target::begin(self.target, Progress::begin(first.store.parse()?, first.base(), time, true)).await?
            }
        };
        if target.progress.step > Step::Entries && target.progress.position().revision > until {
            let message = format!("the target is at revision {} already", target.progress.position().revision);
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        if target.progress.step == Step::Done {
            target.progress = target.progress.on(Step::Commits);
        }
        for file in self.files.clone() {
            self.file(&file, &mut target, until).await?;
        }
        if target.progress.position().revision < until {
            target.mark(target.progress.clone().at(until)).await?;
        }
        let mut wanted = Vec::with_capacity(ending.indexes.len());
        for (namespace, index) in ending.indexes {
            wanted.push((Namespace::new(namespace)?, index));
        }
        if target.progress.step == Step::Commits {
            target.mark(target.progress.clone().on(Step::Indexes)).await?;
        }
        let indexes = build(wanted, &target, &mut self.told).await?;
        target.mark(target.progress.clone().on(Step::Done)).await?;
        Ok(Restored { progress: target.progress, revision: target.revision, indexes })
    }

    /// Up to where is restored, if the files go together and reach that far.
    fn plan(&self, headers: &[Header], begun: Option<Revision>) -> Result<Revision> {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Err(Error::invalid("a restore needs a backup"));
        };
        if !first.full && begun.is_none_or(|begun| begun < first.base().revision) {
            let message = format!(
                "the first backup holds what has changed after revision {}, and goes on top of one that reaches up to there",
                first.base
            );
            return Err(Error::invalid(message));
        }
        for (one, next) in headers.iter().zip(&headers[1..]) {
            if next.full || (&one.store, one.lineage) != (&next.store, next.lineage) || next.base > one.through {
                let message = format!(
                    "the backups do not go together: one ends at revision {}, and the next one is {}",
                    one.through,
                    if next.full { "a full one".to_owned() } else { format!("of what came after {}", next.base) }
                );
                return Err(Error::invalid(message));
            }
        }
        let until = self.to.unwrap_or(last.through());
        if until > last.through() || until < first.base().revision {
            let message = format!(
                "revision {until} is not in the backup: it can be restored to those from {} to {}",
                first.base, last.through
            );
            return Err(Error::invalid(message));
        }
        Ok(until)
    }

    async fn file(&mut self, file: &Path, target: &mut Target<'_>, until: Revision) -> Result<()> {
        let mut reader = Reader::open(file).await?;
        let mut arrived = target.progress.through()?;
        loop {
            match reader.next().await? {
                Part::Entries(mut block) if target.progress.step == Step::Entries => {
                    let mut entries = Vec::new();
                    while !block.is_over() {
                        entries.push(block.entry()?);
                    }
                    entries.retain(|entry| arrived.as_ref().is_none_or(|last| entry.address > *last));
                    let sent = target.send(loads(target, entries)?).await?;
                    if let Some(conflict) = sent.conflict {
                        let message = format!("somebody else has written to the target: {conflict}");
                        return Err(Error::new(ErrorKind::InvalidState, message));
                    }
                }
                Part::Entries(_) => {}
                Part::Commits(mut block) => {
                    based(target).await?;
                    arrived = None;
                    let after = target.progress.position().revision;
                    let mut made: VecDeque<Made> = VecDeque::new();
                    while !block.is_over() {
                        made.push_back(block.commit()?);
                    }
                    made.retain(|made| made.revision > after && made.revision <= until);
                    repeat(target, made).await?;
                }
                Part::End(_) => {
                    based(target).await?;
                    return Ok(());
                }
            }
            (self.told)(&Told::of(&target.progress));
        }
    }
}

/// All entries of the base are there: what was before is not told by the backup either.
async fn based(target: &mut Target<'_>) -> Result<()> {
    if target.progress.step != Step::Entries {
        return Ok(());
    }
    forget_base(target).await?;
    target.mark(target.progress.clone().on(Step::Commits)).await
}

impl fmt::Debug for Restore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restore").field("files", &self.files).field("target", self.target).finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for Restore<'a> {
    type Output = Result<Restored>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
