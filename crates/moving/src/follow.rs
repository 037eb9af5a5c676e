//! Following: the log of the source is repeated in the target, commit by commit.
//!
//! Each commit of the source is one of the target, with the clock it had, and carries the progress with it: so it happens once,
//! whole and in order, whenever this is killed. What the target took for revisions stands beside what the source had: the
//! history of the progress is the mapping of the one to the other.

use std::collections::{BTreeMap, VecDeque};

use futures_lite::future::zip;
use larder_core::{Change, Changes, ChangesQuery, Error, ErrorKind, Position, Result, Revision, Store, Timestamp};

use crate::{
    progress::Progress,
    replay::{Replay, addresses, concerns, replay},
    source::Holding,
    target::{Load, Target},
};

/// How many changes are read at once; a commit is never cut.
const CHANGES_AT_ONCE: usize = 2000;
/// How often a commit is tried anew because what the target holds has changed: a sweeper may remove what has expired.
const TRIES_MAX: usize = 10;

/// A commit of the source.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) revision: Revision,
    pub(crate) at: Timestamp,
    pub(crate) changes: Vec<Change>,
}

/// Follows the log of `source` up to and with `until`, or as far as it goes. The head that was met.
pub(crate) async fn follow(
    source: &Store,
    target: &mut Target<'_>,
    holding: &mut Holding<'_>,
    until: Option<Revision>,
    told: &mut (dyn FnMut(&Progress, Revision) + Send),
) -> Result<Revision> {
    let mut page = Some(read(source, target.progress.position()).await?);
    let mut head = Revision::ZERO;
    while let Some(Changes { changes, through, head: met }) = page.take() {
        head = met;
        let end = until.map_or(through, |until| until.min(through));
        let made = commits(changes, end);
        let more = through < head && until.is_none_or(|until| through < until);
        let next = Position { revision: through, ..target.progress.position() };
        // The next page is read while this one is written.
        let ahead = async { if more { read(source, next).await.map(Some) } else { Ok(None) } };
        let (repeated, ahead) = zip(repeat(target, made), ahead).await;
        repeated?;
        if target.progress.position().revision < end {
            target.mark(target.progress.clone().at(end)).await?;
        }
        holding.renew(target.progress.position()).await?;
        told(&target.progress, head);
        page = ahead?;
    }
    Ok(head)
}

pub(crate) async fn read(source: &Store, after: Position) -> Result<Changes> {
    let query = ChangesQuery { limit: CHANGES_AT_ONCE, ..ChangesQuery::after(after.lineage, after.revision) };
    source.engine().changes(query).await
}

/// The commits of which `changes` are, up to `end`, without those that touch nothing that is taken along.
pub(crate) fn commits(changes: Vec<Change>, end: Revision) -> VecDeque<Made> {
    let mut made = VecDeque::new();
    let mut changes = changes.into_iter().take_while(|change| change.revision <= end).peekable();
    while let Some(first) = changes.next() {
        let (revision, at) = (first.revision, first.at);
        let rest = std::iter::from_fn(|| changes.next_if(|change| change.revision == revision));
        let changes: Vec<Change> = std::iter::once(first).chain(rest).collect();
        if concerns(&changes) {
            made.push_back(Made { revision, at, changes });
        }
    }
    made
}

/// Repeats `made` in order.
pub(crate) async fn repeat(target: &mut Target<'_>, mut made: VecDeque<Made>) -> Result<()> {
    while !made.is_empty() {
        let mut loads = Vec::with_capacity(made.len());
        let mut progress = target.progress.clone();
        for one in &made {
            let Ok(replay) = replay(&one.changes, one.at, None) else { break };
            if !target.carries(replay.writes.len(), replay.bytes) {
                break;
            }
            progress = progress.repeated(one.revision);
            loads.push(load(replay, one, progress.clone()));
        }
        let sent = loads.len();
        let arrived = target.send(loads).await?;
        made.drain(..arrived.loads);
        // What the target holds is not what the source held, or the commit has no room for the progress.
        if (arrived.conflict.is_some() || arrived.loads == sent)
            && let Some(one) = made.front()
        {
            exactly(target, one).await?;
            made.pop_front();
        }
    }
    Ok(())
}

/// Repeats one commit after a look at what the target holds.
async fn exactly(target: &mut Target<'_>, one: &Made) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let found = target.store.engine().get(addresses(&one.changes), Timestamp::EPOCH).await?.value;
        let stored: BTreeMap<_, _> = found.into_iter().flatten().map(|entry| (entry.address.clone(), entry)).collect();
        let replay = replay(&one.changes, one.at, Some(&stored))?;
        let (writes, bytes) = (replay.writes.len(), replay.bytes);
        let load = load(replay, one, target.progress.clone().repeated(one.revision));
        if !target.carries(writes, bytes) {
            if writes > target.limits.commit_writes || bytes > target.limits.commit_bytes {
                return Err(too_large(target, one, writes, bytes));
            }
            if target.send_alone(load, one.revision).await?.is_none() {
                return Ok(());
            }
        } else if target.send(vec![load]).await?.conflict.is_none() {
            return Ok(());
        }
    }
    let message = format!("the target was written to {TRIES_MAX} times while revision {} was repeated in it", one.revision);
    Err(Error::new(ErrorKind::Conflict, message))
}

fn load(replay: Replay, one: &Made, progress: Progress) -> Load {
    Load { now: one.at, checks: replay.checks, writes: replay.writes, progress }
}

fn too_large(target: &Target<'_>, one: &Made, writes: usize, bytes: usize) -> Error {
    let engine = target.store.engine().capabilities().engine;
    let message = format!(
        "the commit of revision {} has {writes} writes and {bytes} bytes, which {engine} does not take in one commit, and a \
         commit is not cut: copy without the log, when nobody writes",
        one.revision
    );
    Error::limit(message)
}
