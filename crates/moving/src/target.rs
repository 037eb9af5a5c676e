//! The store that things are moved into: groups of commits, each of which carries the progress with it.

use larder_core::{
    Action, Check, Commit, CommitId, Condition, Conflict, Error, ErrorKind, Limits, Outcome, Part, Range, Result, Revision,
    Store, Timestamp, Version, Write,
    engine::{Resolution, Scan},
};

use crate::progress::{Progress, Sent, address, is_taken};

/// What a commit keeps free for the progress that it carries.
pub(crate) const PROGRESS_BYTES: usize = 10 << 10;

/// A commit to be, before the progress is added to it.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Its clock.
    pub(crate) now: Timestamp,
    pub(crate) checks: Vec<Check>,
    pub(crate) writes: Vec<Write>,
    /// How far everything is once it has arrived.
    pub(crate) progress: Progress,
}

/// What became of some loads: so many arrived, and then maybe one met something else than it should have.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) loads: usize,
    /// What the next one met.
    pub(crate) conflict: Option<Conflict>,
}

#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) store: &'a Store,
    pub(crate) progress: Progress,
    /// The version of the entry that tells the progress.
    version: Version,
    /// The revision of the last commit that arrived.
    pub(crate) revision: Revision,
    pub(crate) limits: Limits,
}

impl<'a> Target<'a> {
    /// Goes on where `progress`, found at `version`, says.
    pub(crate) async fn resume(store: &'a Store, progress: Progress, version: Version) -> Result<Self> {
        let limits = store.engine().capabilities().limits;
        let revision = store.engine().status(store.world().now()).await?.revision;
        let mut target = Self { store, progress, version, revision, limits };
        if let Some(sent) = target.progress.sent.clone() {
            target.settle(&sent).await?;
        }
        Ok(target)
    }

    /// Begins in a store that has to be empty, and stays so until this commit.
    pub(crate) async fn begin(store: &'a Store, progress: Progress) -> Result<Self> {
        let (now, version) = (store.world().now(), Progress::load(store).await?.1);
        let found = store.engine().list(Scan { range: Range::all(), reverse: false, limit: 1000, now }).await?;
        if let Some(first) = found.value.items.iter().find(|address| is_taken(address)) {
            let message = format!("the target is not empty: it holds the key {first}, and a copy goes where nothing is");
            return Err(Error::new(ErrorKind::NotEmpty, message));
        }
        let limits = store.engine().capabilities().limits;
        let mut target = Self { store, progress: progress.clone(), version, revision: found.revision, limits };
        // Between the look and the commit nobody else may have come; the progress has a check of its own.
        let others = [Range::all().before(&address()), Range::all().after(&address())];
        let unchanged = |range| Check::Unchanged { range, since: found.revision, read_at: now };
        let checks = others.into_iter().map(unchanged).collect();
        let arrived = target.send(vec![Load { now, checks, writes: vec![], progress }]).await?;
        match arrived.conflict {
            None => Ok(target),
            Some(_) => Err(Error::new(ErrorKind::Conflict, "somebody wrote to the target while the copy was begun")),
        }
    }

    /// Commits `loads` in order, in one group; behind the first that does not arrive none does.
    ///
    /// # Errors
    /// `Conflict` when somebody else moves into this store; what the engine meets.
    pub(crate) async fn send(&mut self, loads: Vec<Load>) -> Result<Arrived> {
        let mut group = Vec::with_capacity(loads.len());
        let mut version = self.version;
        let mut progresses = Vec::with_capacity(loads.len());
        for Load { now, mut checks, mut writes, progress } in loads {
            let (check, write) = progress.written(version)?;
            version = version.next();
            // The last ones, so that a conflict over what was given is told by its own place.
            checks.push(check);
            writes.push(write);
            group.push(Commit { id: self.store.world().commit_id(), now, checks, writes });
            progresses.push(progress);
        }
        let own: Vec<usize> = group.iter().map(|commit| commit.checks.len() - 1).collect();
        let mut arrived = Arrived { loads: 0, conflict: None };
        let answers = self.store.engine().commit(group).await;
        for ((answer, progress), own) in answers.into_iter().zip(progresses).zip(own) {
            match answer? {
                Outcome::Committed(receipt) => {
                    (self.revision, self.progress) = (receipt.revision, progress);
                    self.version = self.version.next();
                    arrived.loads += 1;
                }
                Outcome::Conflicted(conflict) if conflict.part == Part::Check(own) => return Err(another()),
                Outcome::Conflicted(conflict) => {
                    arrived.conflict = Some(conflict);
                    break;
                }
            }
        }
        Ok(arrived)
    }

    /// Moves the progress alone.
    pub(crate) async fn mark(&mut self, progress: Progress) -> Result<()> {
        let load = Load { now: self.store.world().now(), checks: vec![], writes: vec![], progress };
        self.send(vec![load]).await.map(drop)
    }

    /// Whether a commit of so many writes and bytes has room for the progress.
    pub(crate) fn carries(&self, writes: usize, bytes: usize) -> bool {
        writes < self.limits.commit_writes && bytes + PROGRESS_BYTES <= self.limits.commit_bytes
    }

    /// Commits what leaves no room for the progress: that tells before, under which id it is sent, and the id tells after a
    /// kill whether it arrived.
    pub(crate) async fn send_alone(&mut self, load: Load, revision: Revision) -> Result<Option<Conflict>> {
        let id = self.store.world().commit_id();
        let sent = Sent { id: id.to_string(), revision: revision.get() };
        self.mark(self.progress.clone().sending(Some(sent))).await?;
        let commit = Commit { id, now: load.now, checks: load.checks, writes: load.writes };
        match self.store.engine().commit(vec![commit]).await.pop() {
            Some(Ok(Outcome::Committed(_))) => {
                self.mark(load.progress).await?;
                Ok(None)
            }
            Some(Ok(Outcome::Conflicted(conflict))) => {
                self.mark(self.progress.clone().sending(None)).await?;
                Ok(Some(conflict))
            }
            Some(Err(error)) => Err(error),
            None => Err(Error::new(ErrorKind::Internal, "the engine did not answer a commit")),
        }
    }

    /// Finds out what became of a commit that was on its way when whoever sent it ended.
    async fn settle(&mut self, sent: &Sent) -> Result<()> {
        let id: CommitId = sent.id.parse()?;
        let known = self.progress.clone().sending(None);
        match self.store.engine().resolve(id).await? {
            Resolution::Committed(_) => self.mark(known.repeated(Revision::new(sent.revision))).await,
            Resolution::Never => self.mark(known).await,
            Resolution::Forgotten => {
                let message = format!("the target no longer knows whether commit {id} happened: begin with an empty one");
                Err(Error::new(ErrorKind::InvalidState, message))
            }
        }
    }
}

fn another() -> Error {
    Error::new(ErrorKind::Conflict, "another copy into the same target is under way")
}

/// An entry as it goes into a target where nothing is at its address.
pub(crate) fn restore(entry: larder_core::Entry) -> Write {
    let larder_core::Entry { address, value, version, created_at, updated_at, expires_at, metadata, .. } = entry;
    Write { address, action: Action::Restore { value, version, created_at, updated_at, expires_at, metadata } }
}

/// The check that an entry is there with this version; version 0 is none.
pub(crate) fn has_version(address: larder_core::Address, version: Version) -> Check {
    Check::Key { address, condition: Condition::Version(version) }
}
