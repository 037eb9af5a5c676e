//! Watching: every change in a range, once, in order, whole commits, from any revision that the log still reaches.
//!
//! A watcher reads the log. Being told that there is something to read is all that anybody does for it, so nothing is
//! kept for a slow one, and nothing can be lost on the way to it.

mod follower;
mod interest;
mod reading;

use std::{collections::VecDeque, fmt, sync::Arc};

pub(super) use follower::Follower;
use interest::Interest;
use reading::Reading;

use super::{Scope, Store, scope::Shared};
use crate::{
    address::{Address, Range},
    change::{Change, ChangesQuery, LogOrder},
    error::Result,
    glob::Glob,
    id::{Lineage, Revision},
    key::IntoKey,
    query::{Filter, Matcher},
    time::Timestamp,
};

/// How many changes a watcher reads at once; a commit is never cut.
const CHANGES_AT_ONCE: usize = 128;
/// The same for one that is behind: larger pages cost less for each change, and so much may be kept for one that does not
/// come to take it.
const CHANGES_AT_ONCE_BEHIND: usize = 32_768;

/// A place in the log of a store: where to go on watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which past the revision belongs to.
    pub lineage: Lineage,
    /// Everything up to here has been seen.
    pub revision: Revision,
}

/// The changes of one commit that a watcher asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The commit's revision.
    pub revision: Revision,
    /// The commit's clock.
    pub at: Timestamp,
    /// What it changed, in order; never empty.
    pub changes: Vec<Change>,
}

/// What to watch, and from when on.
#[must_use = "a watch begins when it is started"]
#[derive(Debug)]
pub struct WatchBuilder<'a> {
    scope: &'a Scope,
    target: Result<Target>,
    from: From,
}

#[derive(Debug)]
struct Target {
    interest: Interest,
    /// `None` is everything but what the store keeps about itself.
    range: Option<Range>,
    glob: Option<Glob>,
    filter: Option<Matcher>,
}

#[derive(Clone, Copy, Debug)]
enum From {
    Now,
    Revision(Revision),
    Position(Position),
}

impl Scope {
    /// Watches one key.
    pub fn watch_key(&self, key: impl IntoKey) -> WatchBuilder<'_> {
        let target = self.address(key).map(|address| Target {
            range: Some(Range::key(&address)),
            interest: Interest::Key(address),
            glob: None,
            filter: None,
        });
        WatchBuilder { scope: self, target, from: From::Now }
    }

    /// Watches the keys of this namespace that begin with `prefix`, taken literally; all of them when it is empty.
    pub fn watch(&self, prefix: &str) -> WatchBuilder<'_> {
        let range = Some(self.prefix(prefix));
        // Of what this scope is bound to and what was asked for, the longer one says more; the range has the last word.
        let interest = if prefix.len() < self.bound().len() { self.bound() } else { prefix };
        let interest = Interest::Prefix(self.namespace.clone(), interest.to_owned());
        WatchBuilder { scope: self, target: Ok(Target { interest, range, glob: None, filter: None }), from: From::Now }
    }

    /// Watches the keys of this namespace that match `glob`.
    pub fn watch_glob(&self, glob: Glob) -> WatchBuilder<'_> {
        let mut watch = self.watch(glob.literal_prefix());
        if let Ok(target) = &mut watch.target {
            target.glob = Some(glob);
        }
        watch
    }
}

impl Store {
    /// Watches every namespace.
    pub fn watch_all(&self) -> WatchBuilder<'_> {
        let target = Target { interest: Interest::Store, range: None, glob: None, filter: None };
        WatchBuilder { scope: self, target: Ok(target), from: From::Now }
    }
}

impl WatchBuilder<'_> {
    /// Only changes of entries that `filter` lets through, before the change or after it: so what comes to be let through
    /// is told, and what ceases to be.
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.target = self.target.and_then(|target| {
            let filter = Some(Matcher::new(&filter.into())?);
            Ok(Target { filter, ..target })
        });
        self
    }

    /// Everything that came after `revision`, and then what comes.
    pub fn after(mut self, revision: Revision) -> Self {
        self.from = From::Revision(revision);
        self
    }

    /// From where another watch of this store was.
    pub fn resume(mut self, position: Position) -> Self {
        self.from = From::Position(position);
        self
    }

    /// Starts the watch: from this moment on nothing is missed.
    ///
    /// # Errors
    /// `Trimmed` when the log does not reach back that far, or belongs to another past; `Invalid` for a bad key.
    pub async fn start(self) -> Result<Watch> {
        let Self { scope, target, from } = self;
        let target = target?;
        let status = scope.engine().status(scope.world().now()).await?;
        let position = match from {
            From::Now => Position { lineage: status.lineage, revision: status.revision },
            From::Revision(revision) => Position { lineage: status.lineage, revision },
            From::Position(position) => position,
        };
        let id = scope.shared.follower.watch(target.interest.clone());
        let (shared, ready) = (scope.shared.clone(), VecDeque::new());
        let mut watch = Watch { shared, target, position, ready, reading: None, at_once: CHANGES_AT_ONCE, id };
        // Reads at once, so that one who comes too late is told here and not later.
        watch.read().await?;
        Ok(watch)
    }
}

/// A watch that was started; it ends when it is dropped.
///
/// However slow its reader, it keeps no more than two pages of the log: the one that is handed out and, while there is more
/// to read, the next one.
pub struct Watch {
    shared: Arc<Shared>,
    target: Target,
    /// Everything up to here was read; what of it was not handed out stands in `ready`.
    position: Position,
    ready: VecDeque<Batch>,
    /// What comes after that, while it is being read.
    reading: Option<Reading>,
    /// How many changes to read at once: more while there is more to read than a page holds.
    at_once: usize,
    id: u64,
}

impl Watch {
    /// The next commit that changed something here; waits for it.
    ///
    /// Dropping the future loses nothing: asking again goes on where it was.
    ///
    /// # Errors
    /// `Trimmed` when the log no longer reaches back to where this watch is. It stays so: what came in between is lost to
    /// this watch, and whoever needs it reads the present and starts another. What else the engine meets; asking again
    /// tries again.
    pub async fn next(&mut self) -> Result<Batch> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(batch);
            }
            self.read().await?;
        }
    }

    /// Where a watch that goes on after the batches handed out so far has to begin. While somebody waits for the next
    /// one, it moves on with the store, so that a quiet watch can be resumed long after.
    pub fn position(&self) -> Position {
        let revision = match self.ready.front() {
            // What was read and not yet handed out is still to come.
            Some(batch) => Revision::new(batch.revision.get() - 1),
            None if self.reading.is_some() => self.position.revision,
            None => {
                self.shared.follower.seen(self.id).map_or(self.position.revision, |seen| seen.max(self.position.revision))
            }
        };
        Position { revision, ..self.position }
    }

    /// Reads a page of the log: the one under way, or the next one as soon as there may be something in it.
    async fn read(&mut self) -> Result<()> {
        if self.reading.is_none() {
            self.shared.follower.marked(self.id).await;
            self.reading = Some(self.next_page());
        }
        if let Some(reading) = &mut self.reading {
            reading.end().await;
        }
        let Some(found) = self.reading.take().and_then(Reading::page) else { return Ok(()) };
        // The mark is gone, and after a failure has to come back for whoever asks again.
        let found = found.inspect_err(|_| self.shared.follower.mark(self.id))?;
        let mut changes = found.changes;
        changes.retain(|change| self.target.matches(change));
        // From the last commit to the first, so that each is moved once and the largest, mostly alone, not at all.
        let mut batches = Vec::new();
        while let Some(last) = changes.last() {
            let (revision, at) = (last.revision, last.at);
            let others = changes.iter().rposition(|change| change.revision != revision).map_or(0, |other| other + 1);
            let changes = if others == 0 { std::mem::take(&mut changes) } else { changes.split_off(others) };
            batches.push(Batch { revision, at, changes });
        }
        self.ready.extend(batches.into_iter().rev());
        self.position.revision = found.through;
        if found.through < found.head {
            self.at_once = CHANGES_AT_ONCE_BEHIND;
            let mut next = self.next_page();
            next.begin().await;
            self.reading = Some(next);
        } else {
            self.at_once = CHANGES_AT_ONCE;
        }
        Ok(())
    }

    fn next_page(&self) -> Reading {
        let query = ChangesQuery {
            lineage: self.position.lineage,
            after: self.position.revision,
            ranges: self.target.range.iter().cloned().collect(),
            limit: self.at_once,
            order: LogOrder::OldestFirst,
            gaps: false,
        };
        Reading::new(self.shared.engine.clone(), query)
    }
}

impl Target {
    fn matches(&self, change: &Change) -> bool {
        let Address { namespace, key } = &change.address;
        let passes = |filter: &Matcher| change.before.iter().chain(&change.after).any(|entry| filter.matches(entry));
        (self.range.is_some() || !namespace.is_reserved())
            && self.glob.as_ref().is_none_or(|glob| glob.matches(key))
            && self.filter.as_ref().is_none_or(passes)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.follower.forget(self.id);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("target", &self.target).field("position", &self.position).finish_non_exhaustive()
    }
}
