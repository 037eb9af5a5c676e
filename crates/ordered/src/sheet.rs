//! A sheet: a view, and what is to be written over it.
//!
//! Reading a sheet tells what the map will be once it is written, so commits of a group see those before them. What is
//! read once is kept: who knows what is needed asks for it all at once, before it is read piece by piece.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use foldhash::fast::RandomState;
use larder_core::Result;

use crate::{
    layout,
    map::{Batch, Pair, Part, Size, View},
};

/// What is to be written: pairs to put, and keys to remove.
pub(crate) type Writes = Vec<(Bytes, Option<Bytes>)>;

#[derive(Debug)]
pub(crate) struct Sheet<'a> {
    view: &'a dyn View,
    read: HashMap<Bytes, Option<Bytes>, RandomState>,
    scanned: HashMap<Part, Vec<Pair>, RandomState>,
    written: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
}

/// What a write adds to a batch.
fn weight(key_bytes: usize, value: Option<&Bytes>) -> usize {
    key_bytes + value.map_or(0, Bytes::len)
}

/// How large `writes` are, if nothing among them is written twice.
pub(crate) fn size(writes: &Writes) -> Size {
    let bytes = writes.iter().map(|(key, value)| weight(key.len(), value.as_ref())).sum();
    Size { operations: writes.len(), bytes }
}

impl<'a> Sheet<'a> {
    pub(crate) fn new(view: &'a dyn View) -> Self {
        let (read, scanned, written) = Default::default();
        Self { view, read, scanned, written, bytes: 0 }
    }

    pub(crate) fn view(&self) -> &'a dyn View {
        self.view
    }

    /// How large it is so far.
    pub(crate) fn size(&self) -> Size {
        Size { operations: self.written.len(), bytes: self.bytes }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.written.is_empty()
    }

    /// Reads all of this in one question.
    pub(crate) async fn fetch(&mut self, keys: Vec<Bytes>, parts: Vec<Part>) -> Result<()> {
        let mut keys: Vec<Bytes> = keys.into_iter().filter(|key| !self.read.contains_key(key)).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut parts: Vec<Part> = parts.into_iter().filter(|part| !self.scanned.contains_key(part)).collect();
        if parts.is_empty() {
            if !keys.is_empty() {
                let values = self.view.get(keys.clone()).await?;
                self.read.extend(keys.into_iter().zip(values));
            }
            return Ok(());
        }
        let count = parts.len();
        parts.extend(keys.iter().map(layout::only));
        let mut found = self.view.scan(parts.clone()).await?;
        let values = found.split_off(count).into_iter().map(|mut pairs| pairs.pop().map(|(_, value)| value));
        self.read.extend(keys.into_iter().zip(values));
        self.scanned.extend(parts.into_iter().zip(found));
        Ok(())
    }

    pub(crate) async fn get(&mut self, key: &Bytes) -> Result<Option<Bytes>> {
        if let Some(value) = self.written.get(key).or_else(|| self.read.get(key)) {
            return Ok(value.clone());
        }
        self.fetch(vec![key.clone()], Vec::new()).await?;
        Ok(self.read.get(key).cloned().flatten())
    }

    /// The first pairs of `part`, which is read from its beginning.
    pub(crate) async fn scan(&mut self, part: &Part) -> Result<Vec<Pair>> {
        let mut merged = Vec::new();
        let mut asked = part.clone();
        loop {
            self.fetch(Vec::new(), vec![asked.clone()]).await?;
            let found = self.scanned.get(&asked).cloned().unwrap_or_default();
            // What was written is told up to where the view was read.
            let ended = found.len() < asked.limit;
            let to = match found.last() {
                Some((last, _)) if !ended => layout::next(last),
                _ => asked.to.clone(),
            };
            let mut here: BTreeMap<Bytes, Bytes> = found.into_iter().collect();
            for (key, value) in self.written.range(asked.from.clone()..to.clone().max(asked.from.clone())) {
                match value {
                    Some(value) => drop(here.insert(key.clone(), value.clone())),
                    None => drop(here.remove(key)),
                }
            }
            merged.extend(here);
            if ended || merged.len() >= part.limit {
                merged.truncate(part.limit);
                return Ok(merged);
            }
            asked.from = to;
        }
    }

    pub(crate) fn put(&mut self, key: Bytes, value: Bytes) {
        self.write(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.write(key, None);
    }

    fn write(&mut self, key: Bytes, value: Option<Bytes>) {
        let key_bytes = key.len();
        self.bytes += weight(key_bytes, value.as_ref());
        if let Some(before) = self.written.insert(key, value) {
            self.bytes -= weight(key_bytes, before.as_ref());
        }
    }

    pub(crate) fn extend(&mut self, writes: Writes) {
        writes.into_iter().for_each(|(key, value)| self.write(key, value));
    }

    /// All that was written, with `head` as the guard.
    pub(crate) fn into_batch(self, head: Bytes) -> Batch {
        let mut batch = Batch { guard: (layout::head(), head), ..Batch::default() };
        for (key, value) in self.written {
            match value {
                Some(value) => batch.puts.push((key, value)),
                None => batch.deletes.push(key),
            }
        }
        batch
    }
}
