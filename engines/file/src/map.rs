//! The map: views of the pairs, and batches for the writer.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use larder_core::{
    BoxFuture, Durability, Error, ErrorKind, Limits, Result,
    engine::{Capabilities, Reach},
};
use larder_ordered::{Applied, Batch, Map, Pair, Part, Size, UNKNOWN_LIFE, View};

use crate::{
    core::Look,
    error::closed,
    held::Held,
    home::Home,
    writer::{Job, Request},
};

/// What a commit takes at most.
const LIMITS: Limits = Limits { value_bytes: 64 << 20, commit_writes: 4096, commit_checks: 4096, commit_bytes: 128 << 20 };

/// What a batch takes at most: what such a commit writes, with the rows of its indexes.
const MOST: Size = Size { operations: 1 << 20, bytes: 1 << 30 };

/// A map in a directory.
#[derive(Debug)]
pub struct FileMap {
    home: Arc<Home>,
    durability: Durability,
    closed: AtomicBool,
}

impl FileMap {
    pub(crate) fn at(home: Arc<Home>, durability: Durability) -> Self {
        Self { home, durability, closed: AtomicBool::new(false) }
    }

    /// Where other handles come from, as long as there is one.
    pub fn door(&self) -> Door {
        Door(self.home.clone(), self.durability)
    }

    /// Makes the files of entries what they have to be, and safe; writes the state anew as well, where `anew` says so. Done by
    /// itself from time to time, and at the end. Blocks until it is done.
    ///
    /// # Errors
    /// What the disk says. Nothing is lost then.
    pub fn tidy(&self, anew: bool) -> Result<()> {
        self.home.keeper().tidy(anew)
    }

    /// Looks at the file of every entry, which is done by itself when a store was opened; puts aside what somebody else wrote
    /// there, and makes them what they have to be. Blocks until it is done.
    ///
    /// # Errors
    /// As [`FileMap::tidy`].
    pub fn inspect(&self) -> Result<()> {
        self.home.keeper().inspect(|| false);
        self.tidy(false)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }
}

/// Lets others in to a map that is open.
#[derive(Clone, Debug)]
pub struct Door(Arc<Home>, Durability);

impl Door {
    /// Another handle to the map, which is closed by itself; `None` when the last one was closed or dropped.
    pub fn enter(&self) -> Option<FileMap> {
        self.0.enter().then(|| FileMap::at(self.0.clone(), self.1))
    }
}

impl Map for FileMap {
    fn capabilities(&self) -> Capabilities {
        Capabilities { engine: "file", limits: LIMITS, durability: self.durability, reach: Reach::Process }
    }

    fn most(&self) -> Size {
        MOST
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>>> {
        let view = self.check_open().map(|()| Box::new(Moment(Look::now(self.home.core()))) as Box<dyn View>);
        Box::pin(std::future::ready(view))
    }

    fn apply<'a>(&'a self, view: &'a dyn View, batch: Batch) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(async move {
            self.check_open()?;
            let Some(Moment(look)) = view.as_any().downcast_ref() else {
                return Err(Error::new(ErrorKind::Internal, "a batch was decided on a view of another map").engine("file"));
            };
            let (decided, sync) = (look.moment, self.durability == Durability::Full);
            let job = |answer| Job::Apply(Request { batch, decided, sync, answer });
            let answer = self.home.keeper().writer.ask(job).ok_or_else(closed)?;
            answer.await.unwrap_or_else(|_| {
                let error = Error::new(ErrorKind::Internal, "the thread that writes failed").engine("file");
                Ok(Applied::Unknown(error))
            })
        })
    }

    fn life(&self) -> Option<String> {
        let boot = || self.home.core().disk.boot().unwrap_or_else(|| UNKNOWN_LIFE.to_owned());
        (self.durability != Durability::Full).then(boot)
    }

    fn sync(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            let answer = self.home.keeper().writer.ask(Job::Sync).ok_or_else(closed)?;
            answer.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    fn size(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        Box::pin(std::future::ready(self.check_open().map(|()| Some(self.home.core().size()))))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            let home = self.home.clone();
            blocking::unblock(move || home.leave()).await
        })
    }
}

impl Drop for FileMap {
    fn drop(&mut self) {
        if !*self.closed.get_mut() {
            self.home.abandon();
        }
    }
}

/// The map as of one moment.
#[derive(Debug)]
struct Moment(Look);

impl View for Moment {
    fn get(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        let pairs = self.0.core.pairs();
        let held: Vec<Option<Held>> = keys.iter().map(|key| pairs.get(key, self.0.moment).cloned()).collect();
        drop(pairs);
        let values = |held: Vec<Option<Held>>| held.iter().map(|held| held.as_ref().map(Held::value).transpose()).collect();
        if held.iter().flatten().all(|held| held.at_hand().is_some()) {
            return Box::pin(std::future::ready(values(held)));
        }
        Box::pin(blocking::unblock(move || values(held)))
    }

    fn scan(&self, parts: Vec<Part>) -> BoxFuture<'_, Result<Vec<Vec<Pair>>>> {
        let pairs = self.0.core.pairs();
        let scan = |part: &Part| pairs.scan(&part.from, &part.to, part.reverse, part.limit, self.0.moment);
        let held: Vec<Vec<(Bytes, Held)>> = parts.iter().map(scan).collect();
        drop(pairs);
        let values = |held: Vec<Vec<(Bytes, Held)>>| {
            let part = |part: Vec<(Bytes, Held)>| part.into_iter().map(|(key, held)| Ok((key, held.value()?))).collect();
            held.into_iter().map(part).collect()
        };
        if held.iter().flatten().all(|(_, held)| held.at_hand().is_some()) {
            return Box::pin(std::future::ready(values(held)));
        }
        Box::pin(blocking::unblock(move || values(held)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
