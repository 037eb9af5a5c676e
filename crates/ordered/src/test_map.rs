//! A map in memory, for tests: it can race, lose answers, and fail, as it is told.

use std::{
    collections::{BTreeMap, VecDeque},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use larder_core::{
    BoxFuture, Durability, Error, ErrorKind, Limits, Result,
    engine::{Capabilities, Reach},
};

use crate::map::{Applied, Batch, Map, Pair, Part, Size, View};

/// What becomes of a batch, or of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing but what should.
    None,
    /// Somebody else was first.
    Race,
    /// It does not happen, and nobody is told.
    Lost,
    /// It happens, and nobody is told.
    Unheard,
    /// It does not happen, which is told.
    Failed,
}

/// A map that is gone with its last handle. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct TestMap {
    shared: Arc<Mutex<Shared>>,
    most: Size,
    life: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What was at each key since which batch, as far back as there are views.
    pairs: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    /// How many batches there were.
    batches: u64,
    /// How many views there are of the map as it was after so many batches.
    views: BTreeMap<u64, usize>,
    troubles: VecDeque<Trouble>,
    /// How many views there were, questions to them, and batches.
    asked: [usize; 3],
}

impl Default for TestMap {
    fn default() -> Self {
        Self::new()
    }
}

impl TestMap {
    /// An empty map that takes as much as a server of etcd does that was not told anything.
    pub fn new() -> Self {
        Self { shared: Arc::default(), most: Size { operations: 4000, bytes: 7 << 18 }, life: None }
    }

    /// A handle to the same map in a life of its machine; without one it loses nothing that it acknowledges.
    #[must_use]
    pub fn in_life(&self, life: Option<String>) -> Self {
        Self { life, ..self.clone() }
    }

    /// From here on, no trouble.
    pub fn calm(&self) {
        self.shared().troubles.clear();
    }

    /// What becomes of the batches to come, one after the other; of those after them nothing but what should.
    pub fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.shared().troubles.extend(troubles);
    }

    /// How many views, questions and batches there were since this was asked last.
    pub fn asked(&self) -> [usize; 3] {
        std::mem::take(&mut self.shared().asked)
    }

    /// Everything that is in it.
    pub fn pairs(&self) -> Vec<Pair> {
        let shared = self.shared();
        shared.pairs.keys().filter_map(|key| Some((key.clone(), shared.at(key, shared.batches)?))).collect()
    }

    /// Puts something there that no batch has.
    pub fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let mut shared = self.shared();
        shared.batches += 1;
        shared.write(key.into(), Some(value.into()));
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // It is whole between any two statements, so a panic elsewhere has not broken it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_apply(&self, view: &TestView, batch: Batch) -> Result<Applied> {
        let mut shared = self.shared();
        shared.asked[2] += 1;
        let size = batch.size();
        if size.operations > self.most.operations || size.bytes > self.most.bytes {
            return Err(Error::limit(format!("a batch of {size:?} is too large: at most {:?}", self.most)));
        }
        let lost = || Applied::Unknown(Error::new(ErrorKind::Unavailable, "the answer was lost"));
        let trouble = shared.troubles.pop_front().unwrap_or(Trouble::None);
        match trouble {
            Trouble::Race => return Ok(Applied::Raced),
            Trouble::Lost => return Ok(lost()),
            Trouble::Failed => return Err(Error::new(ErrorKind::Unavailable, "the map cannot be written to")),
            Trouble::None | Trouble::Unheard => {}
        }
        let (guard, _) = &batch.guard;
        if shared.at(guard, shared.batches) != shared.at(guard, view.moment) {
            return Ok(Applied::Raced);
        }
        shared.batches += 1;
        batch.deletes.into_iter().for_each(|key| shared.write(key, None));
        batch.puts.into_iter().chain([batch.guard]).for_each(|(key, value)| shared.write(key, Some(value)));
        Ok(if trouble == Trouble::Unheard { lost() } else { Applied::Done })
    }
}

impl Shared {
    /// What was at `key` after so many batches.
    fn at(&self, key: &Bytes, moment: u64) -> Option<Bytes> {
        let values = self.pairs.get(key)?;
        let (_, value) = values.iter().rev().find(|(since, _)| *since <= moment)?;
        value.clone()
    }

    fn write(&mut self, key: Bytes, value: Option<Bytes>) {
        let oldest = self.views.keys().next().copied().unwrap_or(self.batches);
        let values = self.pairs.entry(key).or_default();
        values.push((self.batches, value));
        // What was before the oldest view is seen by nobody.
        let seen = values.iter().rposition(|(since, _)| *since <= oldest).unwrap_or(0);
        values.drain(..seen);
    }
}

impl Map for TestMap {
    fn capabilities(&self) -> Capabilities {
        let limits = Limits { value_bytes: 1 << 20, commit_writes: 256, commit_checks: 256, commit_bytes: 5 << 18 };
        Capabilities { engine: "test", limits, durability: Durability::Volatile, reach: Reach::Process }
    }

    fn most(&self) -> Size {
        self.most
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>>> {
        let mut shared = self.shared();
        shared.asked[0] += 1;
        let moment = shared.batches;
        *shared.views.entry(moment).or_default() += 1;
        let view = TestView { moment, map: self.clone() };
        Box::pin(ready(Ok(Box::new(view) as Box<dyn View>)))
    }

    fn apply<'a>(&'a self, view: &'a dyn View, batch: Batch) -> BoxFuture<'a, Result<Applied>> {
        let view = view.as_any().downcast_ref().expect("a view of this map");
        Box::pin(ready(self.try_apply(view, batch)))
    }

    fn life(&self) -> Option<String> {
        self.life.clone()
    }

    fn size(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        Box::pin(ready(Ok(None)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(ready(Ok(())))
    }
}

#[derive(Debug)]
struct TestView {
    moment: u64,
    map: TestMap,
}

impl Drop for TestView {
    fn drop(&mut self) {
        let mut shared = self.map.shared();
        if let Some(views) = shared.views.get_mut(&self.moment) {
            *views -= 1;
            if *views == 0 {
                shared.views.remove(&self.moment);
            }
        }
    }
}

impl View for TestView {
    fn get(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        let mut shared = self.map.shared();
        shared.asked[1] += 1;
        Box::pin(ready(Ok(keys.iter().map(|key| shared.at(key, self.moment)).collect())))
    }

    fn scan(&self, parts: Vec<Part>) -> BoxFuture<'_, Result<Vec<Vec<Pair>>>> {
        let mut shared = self.map.shared();
        shared.asked[1] += 1;
        let scan = |Part { from, to, reverse, limit }| {
            assert!(from <= to, "a part ends where it begins at the earliest");
            let keys = shared.pairs.range::<Bytes, _>(from..to).map(|(key, _)| key);
            let pair = |key: &Bytes| Some((key.clone(), shared.at(key, self.moment)?));
            if reverse {
                keys.rev().filter_map(pair).take(limit).collect()
            } else {
                keys.filter_map(pair).take(limit).collect()
            }
        };
        Box::pin(ready(Ok(parts.into_iter().map(scan).collect())))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
