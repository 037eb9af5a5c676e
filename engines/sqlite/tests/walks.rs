//! Walks along an index over more than a page: bounded in bytes and in rows looked at, and nothing is lost between pages.

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Address, Commit, Durability, Engine, Entry, Index, Key, MetadataChange, Namespace, Range, Revision, StoreId,
    Timestamp, Trim, Value, World, Write,
    engine::{EngineStatus, IndexWalk, Indexes, Walked},
    index::{IndexId, IndexState, Span},
};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use tempfile::TempDir;

/// A store whose entries are in an index on `n`.
struct Filled {
    engine: SqliteEngine,
    id: IndexId,
    _directory: TempDir,
}

impl Filled {
    fn with(entries: impl Iterator<Item = (String, String)>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let durability = Durability::Relaxed;
        let config = SqliteConfig { durability, ..SqliteConfig::new(directory.path().join("walks.db")) };
        let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
        let world = TestWorld::new(1);
        let writes: Vec<Write> = entries
            .map(|(key, value)| {
                let address = Address::new(Namespace::default(), Key::new(key).expect("a good key"));
                let value = Value::json(value).expect("JSON");
                Write { address, action: Action::Put { value, expires_at: None, metadata: MetadataChange::Keep } }
            })
            .collect();
        for writes in writes.chunks(64) {
            let commit = Commit { id: world.commit_id(), now: world.now(), checks: vec![], writes: writes.to_vec() };
            block_on(engine.commit(vec![commit])).swap_remove(0).expect("commits");
        }
        let indexes = engine.indexes().expect("it keeps indexes");
        let index = Index::on("n").expect("an index");
        let mut status = block_on(indexes.create(Namespace::default(), index)).expect("creates");
        while status.state != IndexState::Ready {
            status = block_on(indexes.advance(status.id, 500, world.now())).expect("goes on").expect("it is there");
        }
        Self { engine, id: status.id, _directory: directory }
    }

    /// Every page of a walk over all terms; each goes on behind the one before.
    fn pages(&self, range: &Range, reverse: bool, limit: usize) -> Vec<Walked> {
        let indexes: &dyn Indexes = self.engine.indexes().expect("it keeps indexes");
        let (mut pages, mut after) = (Vec::<Walked>::new(), None);
        loop {
            let (spans, range) = (vec![Span::all()], range.clone());
            let walk =
                IndexWalk { index: self.id, spans, reverse, after, range, also: vec![], limit, now: Timestamp::EPOCH };
            let page = block_on(indexes.walk(walk)).expect("walks").expect("it is ready").value;
            after = page.through.clone();
            pages.push(page);
            if after.is_none() {
                return pages;
            }
        }
    }
}

fn keys(pages: &[Walked]) -> Vec<String> {
    pages.iter().flat_map(|page| &page.items).map(|(_, entry)| entry.address.key.as_str().to_owned()).collect()
}

fn prefix(prefix: &str) -> Range {
    Range::prefix(&Namespace::default(), prefix)
}

#[test]
fn a_page_of_large_values_ends_early() {
    let note = "x".repeat(1 << 20);
    let filled = Filled::with((0..24).map(|n| (format!("k{n:02}"), format!(r#"{{"n":{},"note":"{note}"}}"#, n / 6))));
    for reverse in [false, true] {
        let pages = filled.pages(&Range::all(), reverse, 99);
        let bytes = |page: &Walked| page.items.iter().map(|(_, entry)| Entry::bytes(entry)).sum::<u64>();
        assert!(pages.iter().all(|page| bytes(page) <= 10 << 20), "{:?}", pages.iter().map(bytes).collect::<Vec<_>>());
        assert!(pages.len() >= 3);
        let mut expected: Vec<usize> = (0..24).collect();
        if reverse {
            // The keys of a term come in their order all the same.
            expected.sort_by_key(|n| std::cmp::Reverse(n / 6));
        }
        assert_eq!(keys(&pages), expected.iter().map(|n| format!("k{n:02}")).collect::<Vec<_>>());
    }
    block_on(filled.engine.close()).expect("closes");
}

/// Most of what a walk comes upon may have keys that nobody asked for: a call ends all the same, and says how far it came.
#[test]
fn a_page_looks_at_a_bounded_number_of_rows() {
    const ENTRIES: usize = 4000;
    let name = |n: usize| if n.is_multiple_of(1000) { format!("z/{n}") } else { format!("k/{n}") };
    let filled = Filled::with((0..ENTRIES).map(|n| (name(n), format!(r#"{{"n":{n}}}"#))));
    for reverse in [false, true] {
        let pages = filled.pages(&prefix("z/"), reverse, 9);
        assert!((4..40).contains(&pages.len()), "{} pages", pages.len());
        assert!(pages.iter().any(|page| page.items.is_empty() && page.through.is_some()));
        let mut expected = vec!["z/0", "z/1000", "z/2000", "z/3000"];
        if reverse {
            expected.reverse();
        }
        assert_eq!(keys(&pages), expected);
    }
    block_on(filled.engine.close()).expect("closes");
}

/// The rows of an index are nobody's entries; and when it was dropped and removed, a trim gives their space back.
#[test]
fn what_a_dropped_index_took_is_given_back() {
    let filled = Filled::with((0..3000).map(|n| (format!("k/{n}"), format!(r#"{{"n":"{n:0200}"}}"#))));
    let status = || block_on(filled.engine.status(Timestamp::EPOCH)).expect("answers");
    let trim = || {
        let trim = Trim { through: Revision::ZERO, ids_before: Timestamp::EPOCH, namespace: None };
        block_on(filled.engine.trim(trim)).expect("trims");
    };
    trim();
    let with = status();
    let indexes = filled.engine.indexes().expect("it keeps indexes");
    assert!(block_on(indexes.drop(filled.id)).expect("drops"));
    let mut steps = 0;
    while block_on(indexes.advance(filled.id, 500, Timestamp::EPOCH)).expect("goes on").is_some() {
        steps += 1;
    }
    assert_eq!(steps, 5, "a step removes 500 rows, and the last one the index, too");
    trim();
    let without = status();
    let size = |status: &EngineStatus| status.size.expect("a file has a size");
    assert!(size(&with) - size(&without) > 3000 * 200, "{} and {}", size(&with), size(&without));
    assert_eq!((with.entries, with.bytes, with.changes), (without.entries, without.bytes, without.changes));
    block_on(filled.engine.close()).expect("closes");
}

/// Keys stand together in each term, so those before and behind what was asked for need not be looked at one by one.
#[test]
fn a_walk_leaps_over_keys_that_nobody_asked_for() {
    const ENTRIES: usize = 6000;
    // Of each term the keys asked for stand in the middle of the others.
    let area = |n: usize| ["a", "m", "z"][n / 2 % 3];
    let filled = Filled::with((0..ENTRIES).map(|n| {
        let (area, many) = if n < 5950 { (area(n), n % 2) } else { ("m", 2 + n % 2) };
        (format!("{area}/{n:04}"), format!(r#"{{"n":{many}}}"#))
    }));
    for (reverse, order) in [(false, [0, 1, 2, 3]), (true, [3, 2, 1, 0])] {
        let pages = filled.pages(&prefix("m/"), reverse, 3000);
        assert_eq!(pages.len(), 1, "2042 items, and few more rows");
        let term = |n: usize| if n < 5950 { n % 2 } else { 2 + n % 2 };
        let asked = |n: &usize| *n >= 5950 || area(*n) == "m";
        let mut expected: Vec<usize> = (0..ENTRIES).filter(asked).collect();
        expected.sort_by_key(|n| order.iter().position(|one| *one == term(*n)));
        assert_eq!(keys(&pages), expected.iter().map(|n| format!("m/{n:04}")).collect::<Vec<_>>());

        // Without leaping that many rows take several calls.
        let pages = filled.pages(&prefix("m/1"), reverse, 1000);
        assert_eq!(pages.len(), 1);
        assert!(keys(&pages).iter().all(|key| key.starts_with("m/1")) && !keys(&pages).is_empty());
        let pages = filled.pages(&prefix("m/59"), reverse, 1);
        assert!(pages.iter().all(|page| !page.items.is_empty() || page.through.is_none()), "each call finds something");
    }
    block_on(filled.engine.close()).expect("closes");
}
