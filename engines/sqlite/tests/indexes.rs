//! Indexes: whatever is done to a store, what SQLite keeps and answers is what the memory engine does.
//!
//! Both are driven through the seam with the same commits, indexes and walks. The memory engine is the specification.

use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Address, Commit, ContentKind, Durability, Engine, Entry, Error, ErrorKind, ExpiryChange, Index, Key, Metadata,
    MetadataChange, Namespace, Range, Result, Revision, StoreId, Timestamp, Value, Version, World, Write,
    engine::{IndexWalk, Indexes, Scan},
    index::{IndexState, IndexStatus, Span, Term},
    memory::MemoryEngine,
};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use proptest::{collection::vec, prelude::*};
use rusqlite::Connection;
use tempfile::TempDir;

const NAMESPACES: [&str; 2] = ["default", "other"];
const KEYS: [&str; 9] = ["a", "a/b", "a/c", "b", "ba", "b\u{10ffff}", "m", "ä", "z"];
const PLAIN: [&str; 12] = [
    r#"{"a":1}"#,
    r#"{"a":1.0,"b":["x","y","x"]}"#,
    r#"{"a":2,"b":[]}"#,
    r#"{"a":9007199254740993}"#,
    r#"{"a":"x\u0000y","b":[1,null]}"#,
    r#"{"a":"x","b":["y"]}"#,
    r#"{"a":null,"b":"x"}"#,
    r#"{"a":[1,2]}"#,
    r#"{"a":{"c":true},"b":[{"c":1}]}"#,
    r#"{"b":[1,2,3]}"#,
    "[]",
    "7",
];
const PATHS: [(&[&str], bool); 9] = [
    (&["a"], false),
    (&["a"], true),
    (&["b[]"], false),
    (&["b[]"], true),
    (&["a", "b[]"], false),
    (&["$meta.m", "a"], true),
    (&["$version"], false),
    (&["$updated", "$value"], false),
    (&["$meta.m"], true),
];

fn value(number: usize) -> Value {
    match number % 16 {
        // Too long to be told apart, and too many to be in an index.
        12 => Value::json(format!(r#"{{"a":"{}","b":["x"]}}"#, "x".repeat(2000))),
        13 => Value::json(format!(r#"{{"a":3,"b":[{}0]}}"#, (1..1100).map(|n| format!("{n},")).collect::<String>())),
        14 => Ok(Value::opaque(&b"\x00\xff"[..])),
        15 => Ok(encoded()),
        plain => Value::json(PLAIN[plain]),
    }
    .expect("a good value")
}

fn encoded() -> Value {
    Value::from_stored(Bytes::from_static(b"sealed"), ContentKind::Json, "aes".parse().expect("an encoding"))
}

/// What a write does, but for the address.
#[derive(Clone, Debug)]
enum What {
    Put(usize, Option<u8>, Option<bool>),
    Delete,
    Annotate(Option<bool>, Option<u8>),
    Add(i64),
    Restore(usize, u8),
    Recode,
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(usize, usize, What)>),
    Create(usize, usize),
    Drop(usize),
    Advance(usize, usize),
    /// Along an index, between edges, backwards or not, over some keys, in pages of so many.
    Walk(usize, Vec<usize>, bool, usize, usize),
    Tick(i8),
    Sweep,
    Reopen,
}

fn any_what() -> impl Strategy<Value = What> {
    let metadata = || prop::option::of(any::<bool>());
    prop_oneof![
        6 => (0..16_usize, prop::option::of(1..6_u8), metadata()).prop_map(|(value, expiry, by)| What::Put(value, expiry, by)),
        3 => Just(What::Delete),
        2 => (metadata(), prop::option::of(1..6_u8)).prop_map(|(by, expiry)| What::Annotate(by, expiry)),
        1 => (-2..3_i64).prop_map(What::Add),
        1 => (0..16_usize, 1..9_u8).prop_map(|(value, version)| What::Restore(value, version)),
        1 => Just(What::Recode),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => vec((0..2_usize, 0..KEYS.len(), any_what()), 1..5).prop_map(Step::Commit),
        3 => (0..2_usize, 0..PATHS.len()).prop_map(|(namespace, paths)| Step::Create(namespace, paths)),
        1 => any::<usize>().prop_map(Step::Drop),
        6 => (any::<usize>(), 1..5_usize).prop_map(|(index, limit)| Step::Advance(index, limit)),
        6 => (any::<usize>(), vec(any::<usize>(), 0..5), any::<bool>(), 0..6_usize, 1..7_usize)
            .prop_map(|(index, edges, reverse, range, limit)| Step::Walk(index, edges, reverse, range, limit)),
        2 => (-2..4_i8).prop_map(Step::Tick),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
    ]
}

fn namespace(number: usize) -> Namespace {
    Namespace::new(NAMESPACES[number]).expect("a good name")
}

/// What an answer says, whichever engine gave it.
fn said<T>(answer: Result<T>) -> Result<T, (ErrorKind, String)> {
    answer.map_err(|error: Error| (error.kind(), error.message().to_owned()))
}

/// Both engines, and the world they are in.
struct Pair {
    memory: MemoryEngine,
    sqlite: SqliteEngine,
    config: SqliteConfig,
    world: TestWorld,
    _directory: TempDir,
}

impl Pair {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let durability = Durability::Relaxed;
        let config = SqliteConfig { durability, ..SqliteConfig::new(directory.path().join("indexes.db")) };
        let memory = MemoryEngine::new(StoreId::from_bytes([1; 16]));
        let sqlite = open(&config);
        Self { memory, sqlite, config, world: TestWorld::new(1), _directory: directory }
    }

    fn both(&self) -> [&dyn Engine; 2] {
        [&self.memory, &self.sqlite]
    }

    fn in_order(&self) -> [&dyn Indexes; 2] {
        self.both().map(|engine| engine.indexes().expect("it keeps indexes"))
    }

    /// Asks both, and answers what both say.
    fn ask<T: PartialEq + std::fmt::Debug>(
        &self,
        ask: impl Fn(&dyn Indexes) -> Result<T>,
    ) -> Result<T, (ErrorKind, String)> {
        let [memory, sqlite] = self.in_order().map(|indexes| said(ask(indexes)));
        assert_eq!(sqlite, memory);
        memory
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(writes) => self.commit(writes),
            Step::Create(number, paths) => {
                let (paths, unique) = PATHS[*paths];
                let index = Index::over(paths.iter().copied()).expect("an index");
                let index = if unique { index.unique() } else { index };
                let _ = self.ask(|indexes| block_on(indexes.create(namespace(*number), index.clone())));
            }
            Step::Drop(index) => {
                if let Some(status) = self.some(*index) {
                    assert_eq!(self.ask(|indexes| block_on(indexes.drop(status.id))), Ok(true));
                }
            }
            Step::Advance(index, limit) => {
                self.remove(*limit);
                if let Some(status) = self.some(*index) {
                    let _ = self.ask(|indexes| block_on(indexes.advance(status.id, *limit, self.world.now())));
                }
            }
            Step::Walk(index, edges, reverse, range, limit) => {
                if let Some(status) = self.some(*index) {
                    self.walk(&status, edges, *reverse, *range, *limit);
                }
            }
            Step::Tick(steps) => {
                let duration = Duration::from_secs(u64::from(steps.unsigned_abs()));
                if *steps < 0 { self.world.step_back(duration) } else { self.world.step(duration) }
            }
            Step::Sweep => self.sweep(),
            Step::Reopen => {
                block_on(self.sqlite.close()).expect("closes");
                self.sqlite = open(&self.config);
            }
        }
        assert_eq!(self.kept(1), self.kept(0));
    }

    /// The indexes of an engine that were not dropped: what is left of those is its own affair.
    fn kept(&self, engine: usize) -> Vec<IndexStatus> {
        let mut all = block_on(self.in_order()[engine].list(None)).expect("lists");
        for number in [0, 1] {
            let own = block_on(self.in_order()[engine].list(Some(namespace(number)))).expect("lists");
            assert!(own.iter().eq(all.iter().filter(|status| status.namespace == namespace(number))), "{own:?} of {all:?}");
        }
        all.retain(|status| status.state != IndexState::Dropped);
        all
    }

    fn some(&self, number: usize) -> Option<IndexStatus> {
        let all = self.kept(0);
        all.get(number % all.len().max(1)).cloned()
    }

    /// Some rows of what was dropped.
    fn remove(&self, limit: usize) {
        let indexes = self.sqlite.indexes().expect("it keeps indexes");
        let all = block_on(indexes.list(None)).expect("lists");
        if let Some(dropped) = all.iter().find(|status| status.state == IndexState::Dropped) {
            block_on(indexes.advance(dropped.id, limit, self.world.now())).expect("goes on");
        }
    }

    fn commit(&self, writes: &[(usize, usize, What)]) {
        let now = self.world.now();
        let mut commit = Commit { id: self.world.commit_id(), now, checks: vec![], writes: vec![] };
        for (number, key, what) in writes {
            let address = Address::new(namespace(*number), Key::new(KEYS[*key]).expect("a good key"));
            if commit.writes.iter().all(|write| write.address != address) {
                let action = self.action(&address, what);
                commit.writes.push(Write { address, action });
            }
        }
        let [memory, sqlite] = self.both().map(|engine| said(block_on(engine.commit(vec![commit.clone()])).swap_remove(0)));
        assert_eq!(sqlite, memory, "{commit:?}");
    }

    fn action(&self, address: &Address, what: &What) -> Action {
        let now = self.world.now();
        let after = |seconds: &Option<u8>| seconds.map(|seconds| now.after(Duration::from_secs(seconds.into())));
        let metadata = |by: Option<bool>| match by {
            None => MetadataChange::Keep,
            Some(by) => MetadataChange::Replace(Metadata::parse(format!(r#"{{"m":{by}}}"#).as_bytes()).expect("an object")),
        };
        match what {
            What::Put(number, expiry, by) => {
                Action::Put { value: value(*number), expires_at: after(expiry), metadata: metadata(*by) }
            }
            What::Delete => Action::Delete,
            What::Annotate(by, expiry) => {
                let expiry = after(expiry).map_or(ExpiryChange::Keep, |at| ExpiryChange::Set(Some(at)));
                Action::Annotate { metadata: metadata(*by), expiry }
            }
            What::Add(delta) => Action::Add { delta: *delta, floor: i64::MIN, ceiling: i64::MAX },
            What::Restore(number, version) => Action::Restore {
                value: value(*number),
                version: Version::new((*version).into()),
                created_at: Timestamp::EPOCH,
                updated_at: now,
                expires_at: None,
                metadata: Metadata::default(),
            },
            What::Recode => {
                let found = block_on(self.memory.get(vec![address.clone()], now)).expect("reads").value.swap_remove(0);
                Action::Recode { value: encoded(), revision: found.map_or(Revision::ZERO, |entry| entry.revision) }
            }
        }
    }

    fn sweep(&self) {
        let expired = block_on(self.memory.expired(self.world.now(), 99)).expect("answers");
        let writes = expired.into_iter().map(|address| Write { address, action: Action::Delete }).collect();
        let commit = Commit { id: self.world.commit_id(), now: self.world.now(), checks: vec![], writes };
        let [memory, sqlite] = self.both().map(|engine| said(block_on(engine.commit(vec![commit.clone()])).swap_remove(0)));
        assert_eq!(sqlite, memory, "{commit:?}");
    }

    fn entries(&self, engine: &dyn Engine) -> Vec<Entry> {
        let scan = Scan { range: Range::all(), reverse: false, limit: 999, now: self.world.now() };
        block_on(engine.scan(scan)).expect("scans").value.items
    }

    /// Walks the same part of the same index in both, in pages of several sizes, and estimates it.
    fn walk(&self, status: &IndexStatus, edges: &[usize], reverse: bool, range: usize, limit: usize) {
        let mut known = vec![Vec::new(), Span::all().to];
        for entry in self.entries(&self.memory) {
            known.extend(status.index.terms(&entry).unwrap_or_default().into_iter().map(|term| term.as_bytes().to_vec()));
        }
        let mut edges: Vec<_> = edges.iter().map(|edge| known[edge % known.len()].clone()).collect();
        edges.sort();
        let mut spans: Vec<_> =
            edges.chunks_exact(2).map(|pair| Span { from: pair[0].clone(), to: pair[1].clone() }).collect();
        if spans.is_empty() {
            spans.push(Span::all());
        }
        if reverse {
            spans.reverse();
        }
        for most in [1, 4, 999] {
            let _ = self.ask(|indexes| block_on(indexes.estimate(status.id, spans.clone(), most)));
        }
        let range = match range {
            0 => Range::all(),
            1 => Range::namespace(&status.namespace),
            2 => Range::prefix(&status.namespace, "a/"),
            3 => Range::keys(&status.namespace, "b", None),
            4 => Range::after_namespace(&namespace(0)),
            _ => Range::keys(&status.namespace, "a/c", Some("m")),
        };
        let [memory, _] = self.in_order();
        // Of every second walk, what has a term of some entry in some other index, which may not be ready.
        let others = block_on(memory.list(Some(status.namespace.clone()))).expect("lists");
        let (other, chance) = (&others[limit % others.len()], known.len());
        let terms = self
            .entries(&self.memory)
            .into_iter()
            .nth(chance % 5)
            .map(|entry| other.index.terms(&entry).unwrap_or_default());
        let term = terms.into_iter().flatten().next().filter(|_| chance.is_multiple_of(2));
        let also = term.map(|term| (other.id, term)).into_iter().collect();
        let now = self.world.now();
        let walk = IndexWalk { index: status.id, spans, reverse, after: None, range, also, limit: 999, now };
        let expected = pages(memory, &walk);
        for limit in [limit, 999] {
            let walk = IndexWalk { limit, ..walk.clone() };
            let found = self.in_order().map(|indexes| pages(indexes, &walk));
            assert_eq!(found[1], expected, "{walk:?}");
            assert_eq!(found[0], expected, "{walk:?}");
        }
    }
}

/// Every item of a walk, page by page; `None` where the index is not ready.
fn pages(indexes: &dyn Indexes, walk: &IndexWalk) -> Option<Vec<(Term, Entry)>> {
    let (mut walk, mut items) = (walk.clone(), Vec::new());
    loop {
        let page = block_on(indexes.walk(walk.clone())).expect("walks")?.value;
        assert!(page.items.len() <= walk.limit, "{} items of {}", page.items.len(), walk.limit);
        items.extend(page.items);
        let Some(place) = page.through else { return Some(items) };
        assert_ne!(walk.after.as_ref(), Some(&place), "it goes on");
        let at = walk.spans.iter().position(|span| span.contains(&place.term)).expect("a row of the spans");
        walk.spans.drain(..at);
        walk.after = Some(place);
    }
}

fn open(config: &SqliteConfig) -> SqliteEngine {
    block_on(SqliteEngine::open(config.clone(), StoreId::from_bytes([1; 16]))).expect("opens")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_keeps_and_walks_indexes_as_memory_does(steps in vec(any_step(), 20..80)) {
        let mut pair = Pair::new();
        steps.iter().for_each(|step| pair.step(step));
        prop_assert_eq!(pair.entries(&pair.sqlite), pair.entries(&pair.memory));

        // Whatever is unfinished is finished, and then everything is walked once more.
        while let Some(status) = pair.kept(0).into_iter().find(|status| status.state != IndexState::Ready) {
            let _ = pair.ask(|indexes| block_on(indexes.advance(status.id, 3, pair.world.now())));
        }
        for status in pair.kept(0) {
            pair.walk(&status, &[], false, 0, 2);
            pair.walk(&status, &[], true, 1, 3);
            prop_assert_eq!(pair.ask(|indexes| block_on(indexes.drop(status.id))), Ok(true));
        }
        let indexes = pair.sqlite.indexes().expect("it keeps indexes");
        for status in block_on(indexes.list(None)).expect("lists") {
            while block_on(indexes.advance(status.id, 3, pair.world.now())).expect("goes on").is_some() {}
        }
        prop_assert_eq!(block_on(indexes.list(None)).expect("lists"), vec![]);
        block_on(pair.sqlite.close()).expect("closes");
        let file = Connection::open(&pair.config.path).expect("opens");
        let rows = file.query_row("SELECT count(*) FROM terms", [], |row| row.get::<_, i64>(0));
        prop_assert_eq!(rows.expect("counts"), 0, "nothing is left of what was dropped");
    }
}
