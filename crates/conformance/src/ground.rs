//! What a case stands on: a fresh place, a world, and the seam spoken in short sentences.
//!
//! Everything here waits for its answers, so that cases read as stories; they run on no runtime.

use std::{fmt::Debug, ops::RangeInclusive, sync::Arc, time::Duration};

use futures_lite::future::block_on;
use larder_core::{
    Action, Address, Change, Changes, ChangesQuery, Check, Commit, CommitId, Condition, Conflict, Durability, Engine, Entry,
    Error, ErrorKind, Key, Metadata, MetadataChange, Namespace, Outcome, Quota, Range, Receipt, Result, Revision, Snapshot,
    Store, Timestamp, Trim, Trimmed, Undo, Undone, Usage, Value, World, Write,
    engine::{EngineStatus, Page, Resolution, Scan},
};

use crate::{Factory, Site, TestWorld};

/// A fresh place and a world.
pub(crate) struct Ground<'a> {
    site: Box<dyn Site>,
    /// For what needs more places than one.
    pub(crate) factory: &'a dyn Factory,
    pub(crate) world: TestWorld,
}

impl<'a> Ground<'a> {
    pub(crate) fn new(factory: &'a dyn Factory, seed: u64) -> Self {
        Self { site: factory.fresh(), factory, world: TestWorld::new(seed) }
    }

    /// A handle to the store of this place, independent of any other.
    pub(crate) fn open(&self) -> Seam {
        let engine = block_on(self.site.open()).expect("the store opens");
        Seam { engine, world: self.world.clone() }
    }

    /// A store on a handle of its own.
    pub(crate) fn store(&self) -> Store {
        self.open().store()
    }

    /// Ends the life of a handle and opens the store again.
    ///
    /// Where the store outlives a closed handle the handle is closed, and has to say so to whoever still uses it. Where
    /// nothing outlives the process, closing would end the store; there the handle is dropped and another one opened.
    pub(crate) fn reopen(&self, seam: Seam) -> Seam {
        if seam.engine.capabilities().durability != Durability::Volatile {
            block_on(seam.engine.close()).expect("the store closes");
            let late = block_on(seam.engine.status(seam.now()));
            assert_eq!(late.map_err(|error| error.kind()), Err(ErrorKind::Closed), "a closed handle says that it is");
        }
        drop(seam);
        self.open()
    }

    /// Ends a handle without a word, and everything else that works on the store, where the place can do that.
    pub(crate) fn crash(&self, seam: Seam) -> Seam {
        self.crash_during(seam, ())
    }

    /// As [`Ground::crash`], while `work` is under way, of which nobody learns how it ends.
    pub(crate) fn crash_during<T>(&self, seam: Seam, work: T) -> Seam {
        if let Some(crashing) = self.site.crash() {
            block_on(crashing).expect("the place crashes as it should");
        }
        drop(work);
        drop(seam);
        self.open()
    }
}

/// A handle at the seam.
#[derive(Clone, Debug)]
pub(crate) struct Seam {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) world: TestWorld,
}

/// Everything of a store that can be seen through the seam; two of them are equal when nothing happened between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    status: EngineStatus,
    entries: Vec<Entry>,
    changes: Vec<Change>,
}

impl Seam {
    pub(crate) fn store(&self) -> Store {
        Store::new(self.engine.clone(), Arc::new(self.world.clone()))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Begins a commit, made now.
    pub(crate) fn draft(&self) -> Draft<'_> {
        let (id, now) = (self.world.commit_id(), self.now());
        Draft { seam: self, commit: Commit { id, now, checks: Vec::new(), writes: Vec::new() } }
    }

    /// Puts `value` at `key`, and needs it to succeed.
    pub(crate) fn put(&self, key: &str, value: &str) -> Receipt {
        self.draft().put(key, value).done()
    }

    pub(crate) fn commit(&self, group: Vec<Commit>) -> Vec<Result<Outcome>> {
        let count = group.len();
        let answers = block_on(self.engine.commit(group));
        assert_eq!(answers.len(), count, "an engine answers every commit of a group");
        answers
    }

    pub(crate) fn read(&self, addresses: Vec<Address>) -> Snapshot<Vec<Option<Entry>>> {
        let asked = addresses.len();
        let read = block_on(self.engine.get(addresses, self.now())).expect("reading succeeds");
        assert_eq!(read.value.len(), asked, "an engine answers every address");
        read
    }

    pub(crate) fn at(&self, address: Address) -> Option<Entry> {
        self.read(vec![address]).value.pop().flatten()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        self.at(at(key))
    }

    /// The value at `key` as text.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|entry| String::from_utf8_lossy(entry.value.bytes()).into_owned())
    }

    pub(crate) fn page(&self, range: Range, reverse: bool, limit: usize) -> Snapshot<Page<Entry>> {
        let scan = Scan { range, reverse, limit, now: self.now() };
        let page = block_on(self.engine.scan(scan)).expect("scanning succeeds");
        assert!(page.value.items.len() <= limit, "a page holds at most what was asked for");
        page
    }

    /// Every entry of `range`, page by page.
    pub(crate) fn entries(&self, range: Range) -> Vec<Entry> {
        let turn = |range, now| block_on(self.engine.scan(Scan { range, reverse: false, limit: 100, now }));
        self.walk(range, false, turn, |entry| &entry.address)
    }

    /// Every address of `range`, page by page.
    pub(crate) fn addresses(&self, range: Range) -> Vec<Address> {
        let turn = |range, now| block_on(self.engine.list(Scan { range, reverse: false, limit: 100, now }));
        self.walk(range, false, turn, |address| address)
    }

    /// As [`Seam::addresses`], from the end towards the start.
    pub(crate) fn backwards(&self, range: Range) -> Vec<Address> {
        let turn = |range, now| block_on(self.engine.scan(Scan { range, reverse: true, limit: 100, now }));
        let entries = self.walk(range, true, turn, |entry| &entry.address);
        entries.into_iter().map(|entry| entry.address).collect()
    }

    fn walk<T>(
        &self,
        mut range: Range,
        reverse: bool,
        turn: impl Fn(Range, Timestamp) -> Result<Snapshot<Page<T>>>,
        address: impl Fn(&T) -> &Address,
    ) -> Vec<T> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let page = turn(range.clone(), self.now()).expect("scanning succeeds").value;
            assert!(!page.more || !page.items.is_empty(), "when there are no items, there is no more");
            assert!(
                page.items.iter().all(|item| range.contains(address(item))),
                "a page is of the range that was asked for"
            );
            all.extend(page.items);
            match all.last().filter(|_| page.more) {
                Some(last) if reverse => range = range.before(address(last)),
                Some(last) => range = range.after(address(last)),
                None => return all,
            }
        }
    }

    /// Every key of the namespace `default`, as text.
    pub(crate) fn keys(&self) -> Vec<String> {
        let addresses = self.addresses(Range::namespace(&Namespace::default()));
        addresses.into_iter().map(|address| address.key.as_str().to_owned()).collect()
    }

    pub(crate) fn count(&self, range: Range) -> u64 {
        self.counted(range).value
    }

    pub(crate) fn counted(&self, range: Range) -> Snapshot<u64> {
        block_on(self.engine.count(range, self.now())).expect("counting succeeds")
    }

    pub(crate) fn status(&self) -> EngineStatus {
        block_on(self.engine.status(self.now())).expect("the status is known")
    }

    pub(crate) fn head(&self) -> Revision {
        self.status().revision
    }

    pub(crate) fn resolve(&self, id: CommitId) -> Resolution {
        block_on(self.engine.resolve(id)).expect("an id resolves")
    }

    /// A question about the log after `after`, in the lineage of now, without ranges and nearly without limit.
    pub(crate) fn after(&self, after: Revision) -> ChangesQuery {
        ChangesQuery { limit: 10_000, ..ChangesQuery::after(self.status().lineage, after) }
    }

    pub(crate) fn changes(&self, query: ChangesQuery) -> Result<Changes> {
        block_on(self.engine.changes(query))
    }

    /// Every change that `query` is about, piece by piece.
    pub(crate) fn log(&self, mut query: ChangesQuery) -> Vec<Change> {
        let mut all = Vec::new();
        loop {
            let part = self.changes(query.clone()).expect("the log reaches back that far");
            assert!(part.through <= part.head, "nobody has looked beyond the head");
            all.extend(part.changes);
            if part.through == part.head {
                return all;
            }
            assert!(part.through > query.after, "reading the log gets on");
            query.after = part.through;
        }
    }

    /// Every change after `revision`.
    pub(crate) fn changes_after(&self, revision: Revision) -> Vec<Change> {
        self.log(self.after(revision))
    }

    pub(crate) fn trim(&self, through: Revision, ids_before: Timestamp) -> Trimmed {
        block_on(self.engine.trim(Trim::new(through, ids_before))).expect("trimming succeeds")
    }

    pub(crate) fn trim_namespace(&self, name: &str, through: Revision) -> Trimmed {
        block_on(self.engine.trim(Trim::namespace(namespace(name), through))).expect("trimming succeeds")
    }

    pub(crate) fn undo(&self, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
        block_on(self.engine.undo(undo))
    }

    pub(crate) fn usage(&self, namespace: &Namespace) -> Usage {
        block_on(self.engine.usage(namespace.clone())).expect("usage is known").value
    }

    pub(crate) fn picture(&self) -> Picture {
        let status = self.status();
        let changes = self.changes_after(status.oldest);
        Picture { status: EngineStatus { size: None, ..status }, entries: self.entries(Range::all()), changes }
    }
}

impl Picture {
    /// The revision it shows.
    pub(crate) fn head(&self) -> Revision {
        self.status.revision
    }
}

/// A commit being put together at the seam.
#[derive(Clone, Debug)]
pub(crate) struct Draft<'a> {
    seam: &'a Seam,
    commit: Commit,
}

impl Draft<'_> {
    pub(crate) fn id(mut self, id: CommitId) -> Self {
        self.commit.id = id;
        self
    }

    pub(crate) fn put(self, key: &str, text: &str) -> Self {
        self.write(at(key), put(text))
    }

    pub(crate) fn delete(self, key: &str) -> Self {
        self.write(at(key), Action::Delete)
    }

    pub(crate) fn add(self, key: &str, delta: i64, bounds: RangeInclusive<i64>) -> Self {
        let (floor, ceiling) = bounds.into_inner();
        self.write(at(key), Action::Add { delta, floor, ceiling })
    }

    pub(crate) fn act(self, key: &str, action: Action) -> Self {
        self.write(at(key), action)
    }

    pub(crate) fn write(mut self, address: Address, action: Action) -> Self {
        self.commit.writes.push(Write { address, action });
        self
    }

    pub(crate) fn check(mut self, key: &str, condition: Condition) -> Self {
        self.commit.checks.push(Check::Key { address: at(key), condition });
        self
    }

    pub(crate) fn unchanged(mut self, range: Range, since: Revision, read_at: Timestamp) -> Self {
        self.commit.checks.push(Check::Unchanged { range, since, read_at });
        self
    }

    pub(crate) fn quota(mut self, namespace: &Namespace, quota: Quota) -> Self {
        self.commit.checks.push(Check::Quota { namespace: namespace.clone(), quota });
        self
    }

    /// The commit itself, to be sent with others or more than once.
    pub(crate) fn commit(self) -> Commit {
        self.commit
    }

    pub(crate) fn send(self) -> Result<Outcome> {
        self.seam.commit(vec![self.commit]).pop().expect("one commit has one answer")
    }

    /// Sends the commit, which has to succeed.
    pub(crate) fn done(self) -> Receipt {
        committed(self.send())
    }

    /// Sends the commit, which has to conflict.
    pub(crate) fn conflict(self) -> Conflict {
        conflicted(self.send())
    }

    /// Sends the commit, which has to be refused.
    pub(crate) fn refused(self) -> Error {
        match self.send() {
            Err(error) => error,
            other => panic!("this commit has to be refused, and was answered {other:?}"),
        }
    }
}

pub(crate) fn committed(answer: Result<Outcome>) -> Receipt {
    match answer {
        Ok(Outcome::Committed(receipt)) => receipt,
        other => panic!("this commit has to succeed, and was answered {other:?}"),
    }
}

pub(crate) fn conflicted(answer: Result<Outcome>) -> Conflict {
    match answer {
        Ok(Outcome::Conflicted(conflict)) => conflict,
        other => panic!("this commit has to conflict, and was answered {other:?}"),
    }
}

/// The error in `answer`, which has to be of this kind.
pub(crate) fn fails<T: Debug>(answer: Result<T>, kind: ErrorKind) -> Error {
    match answer {
        Err(error) if error.kind() == kind => error,
        other => panic!("expected {kind:?}, found {other:?}"),
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).expect("a case writes good keys")
}

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace::new(name).expect("a case writes good namespaces")
}

/// The address of `text` in the namespace `default`.
pub(crate) fn at(text: &str) -> Address {
    Address::new(Namespace::default(), key(text))
}

/// The range of the keys of `default` that begin with `text`.
pub(crate) fn prefix(text: &str) -> Range {
    Range::prefix(&Namespace::default(), text)
}

pub(crate) fn metadata(text: &str) -> Metadata {
    Metadata::parse(text.as_bytes()).expect("a case writes good metadata")
}

/// JSON where `text` is JSON, with neither expiry nor new metadata.
pub(crate) fn put(text: &str) -> Action {
    put_value(Value::detect(text.to_owned()))
}

pub(crate) fn put_value(value: Value) -> Action {
    Action::Put { value, expires_at: None, metadata: MetadataChange::Keep }
}

pub(crate) fn put_until(text: &str, expires_at: Timestamp) -> Action {
    Action::Put { value: Value::detect(text.to_owned()), expires_at: Some(expires_at), metadata: MetadataChange::Keep }
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Runs `task` on `count` threads that begin together, and answers what each of them found.
pub(crate) fn race<T: Send>(count: usize, task: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (start, task) = (std::sync::Barrier::new(count), &task);
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..count)
            .map(|racer| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    task(racer)
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().expect("no racer panics")).collect()
    })
}
