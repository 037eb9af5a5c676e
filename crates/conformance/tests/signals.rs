//! Nothing hangs on signals: whatever they do, watches tell everything.

use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use larder_conformance::{Site, cases};
use larder_core::{
    Address, BoxFuture, Changes, ChangesQuery, Commit, CommitId, Engine, Entry, Error, ErrorKind, Namespace, Outcome, Range,
    Result, Snapshot, StoreId, Timestamp, Trim, Trimmed, Undo, Undone, Usage,
    engine::{Capabilities, EngineStatus, Page, Resolution, Scan, Signals},
    memory::MemoryEngine,
};

/// What signals do.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// They never come.
    Silent,
    /// They cannot be had.
    Broken,
    /// They come every other time, whether there is something or not.
    Babbling,
}

#[derive(Debug)]
struct Signalling {
    engine: MemoryEngine,
    manner: Manner,
    asked: AtomicU64,
}

impl Signals for Signalling {
    fn after(&self, heard: u64) -> BoxFuture<'_, Result<u64>> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.manner {
            Manner::Broken => Box::pin(ready(Err(Error::new(ErrorKind::Unavailable, "nobody listens")))),
            Manner::Babbling if asked.is_multiple_of(2) => Box::pin(ready(Ok(heard + 1))),
            Manner::Silent | Manner::Babbling => Box::pin(pending()),
        }
    }
}

impl Engine for Signalling {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }
    fn get(&self, addresses: Vec<Address>, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<Vec<Option<Entry>>>>> {
        self.engine.get(addresses, now)
    }
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Entry>>>> {
        self.engine.scan(scan)
    }
    fn list(&self, scan: Scan) -> BoxFuture<'_, Result<Snapshot<Page<Address>>>> {
        self.engine.list(scan)
    }
    fn count(&self, range: Range, now: Timestamp) -> BoxFuture<'_, Result<Snapshot<u64>>> {
        self.engine.count(range, now)
    }
    fn commit(&self, group: Vec<Commit>) -> BoxFuture<'_, Vec<Result<Outcome>>> {
        self.engine.commit(group)
    }
    fn resolve(&self, id: CommitId) -> BoxFuture<'_, Result<Resolution>> {
        self.engine.resolve(id)
    }
    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes>> {
        self.engine.changes(query)
    }
    fn undo(&self, undo: Undo) -> BoxFuture<'_, Result<Snapshot<Page<Undone>>>> {
        self.engine.undo(undo)
    }
    fn usage(&self, namespace: Namespace) -> BoxFuture<'_, Result<Snapshot<Usage>>> {
        self.engine.usage(namespace)
    }
    fn trim(&self, trim: Trim) -> BoxFuture<'_, Result<Trimmed>> {
        self.engine.trim(trim)
    }
    fn expired(&self, now: Timestamp, limit: usize) -> BoxFuture<'_, Result<Vec<Address>>> {
        self.engine.expired(now, limit)
    }
    fn status(&self, now: Timestamp) -> BoxFuture<'_, Result<EngineStatus>> {
        self.engine.status(now)
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.engine.close()
    }
    fn signals(&self) -> Option<&dyn Signals> {
        Some(self)
    }
}

struct Place(MemoryEngine, Manner);

impl Site for Place {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        let engine = Signalling { engine: self.0.clone(), manner: self.1, asked: AtomicU64::new(0) };
        Box::pin(ready(Ok(Arc::new(engine) as Arc<dyn Engine>)))
    }
}

fn check(manner: Manner) {
    let fresh = move || Place(MemoryEngine::new(StoreId::from_bytes([7; 16])), manner);
    let watching: Vec<_> = cases().iter().filter(|case| case.promise == "G7").collect();
    assert!(watching.len() > 5, "there are cases about watching");
    for case in watching {
        case.run(&fresh);
    }
}

#[test]
fn watches_need_no_signal() {
    check(Manner::Silent);
}

#[test]
fn watches_do_without_signals_that_cannot_be_had() {
    check(Manner::Broken);
}

#[test]
fn watches_bear_signals_about_nothing() {
    check(Manner::Babbling);
}
