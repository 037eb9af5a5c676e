//! Pages of the log: bounded in bytes, whatever the changes are, and nothing is lost between them.

use std::collections::HashMap;

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Address, Change, Changes, ChangesQuery, Commit, Engine, Entry, Key, LogOrder, MetadataChange, Namespace,
    Revision, StoreId, Timestamp, Value, World, Write,
};
use larder_sqlite::{SqliteConfig, SqliteEngine};

/// What a page may hold, and one commit more; counted twice where what was before one change is what came of another.
const BYTES_MAX: u64 = 9 << 20;

fn bytes(changes: &[Change]) -> u64 {
    changes.iter().flat_map(|change| [&change.before, &change.after]).flatten().map(Entry::bytes).sum()
}

/// New entries have no before-image: what makes their changes large is looked up after the page was read.
#[test]
fn a_page_of_large_values_ends_early_from_both_ends() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let config = SqliteConfig::new(directory.path().join("large.db"));
    let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
    let world = TestWorld::new(1);
    let mut revisions = 0;
    // Created, then updated, then created again beside each other.
    for round in 0..3 {
        for n in 0..20 {
            let address =
                Address::new(Namespace::default(), Key::new(format!("k{}", n + round / 2 * 100)).expect("a good key"));
            let value = Value::opaque(vec![round; 1 << 20]);
            let action = Action::Put { value, expires_at: None, metadata: MetadataChange::Keep };
            let (id, now) = (world.commit_id(), world.now());
            let commit = Commit { id, now, checks: vec![], writes: vec![Write { address, action }] };
            block_on(engine.commit(vec![commit])).swap_remove(0).expect("commits");
            revisions += 1;
        }
    }
    let lineage = block_on(engine.status(Timestamp::EPOCH)).expect("answers").lineage;
    let ask = |query: ChangesQuery| -> Changes { block_on(engine.changes(query)).expect("is told") };

    let (mut told, mut after, mut pages) = (Vec::new(), Revision::ZERO, 0);
    while told.len() < revisions {
        let page = ask(ChangesQuery { limit: 128, ..ChangesQuery::after(lineage, after) });
        assert!(bytes(&page.changes) <= 2 * BYTES_MAX, "{} bytes in one page", bytes(&page.changes));
        assert!(page.through > after && page.changes.last().is_some_and(|last| last.revision <= page.through));
        after = page.through;
        told.extend(page.changes);
        pages += 1;
    }
    assert!(pages > 3 && told.len() == revisions, "{} changes in {pages} pages", told.len());
    assert!(told.iter().all(|change| change.after.as_ref().is_some_and(|entry| entry.revision == change.revision)));

    let (mut backwards, mut before) = (Vec::new(), None);
    while backwards.len() < revisions {
        let order = LogOrder::NewestFirst { before };
        let page = ask(ChangesQuery { limit: 128, order, ..ChangesQuery::after(lineage, Revision::ZERO) });
        assert!(bytes(&page.changes) <= 2 * BYTES_MAX, "{} bytes in one page", bytes(&page.changes));
        before = Some(page.through);
        backwards.extend(page.changes);
    }
    backwards.reverse();
    assert_eq!(backwards.len(), told.len());
    assert!(backwards == told, "from its end the log tells something else");
    block_on(engine.close()).expect("closes");
}

/// What a change made of its entry stands in a later change of the same key: in the same page, shortly behind it, or far
/// away, or nowhere but in the present. Wherever a page ends, it tells the same.
#[test]
fn both_sides_are_told_wherever_a_page_ends() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let config = SqliteConfig::new(directory.path().join("sides.db"));
    let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
    let world = TestWorld::new(1);
    let mut state: HashMap<String, String> = HashMap::new();
    let mut expected = Vec::new();
    for n in 0..600_usize {
        // Some keys are written every tenth time, some every hundredth, and every seventh write deletes.
        let (namespace, key) = if n % 3 == 0 { ("rare", n % 100) } else { ("often", n % 10) };
        let name = format!("{namespace}/{key}");
        let address = Address::new(Namespace::new(namespace).expect("a good name"), Key::new(&*name).expect("a good key"));
        let delete = n % 7 == 6 && state.contains_key(&name);
        let before = state.get(&name).cloned();
        let action = if delete {
            state.remove(&name);
            Action::Delete
        } else {
            state.insert(name.clone(), n.to_string());
            Action::Put { value: n.to_string().into(), expires_at: None, metadata: MetadataChange::Keep }
        };
        let (id, now) = (world.commit_id(), world.now());
        let commit = Commit { id, now, checks: vec![], writes: vec![Write { address, action }] };
        block_on(engine.commit(vec![commit])).swap_remove(0).expect("commits");
        expected.push((name.clone(), before, state.get(&name).cloned()));
    }
    let lineage = block_on(engine.status(Timestamp::EPOCH)).expect("answers").lineage;
    let side = |entry: &Option<Entry>| {
        entry.as_ref().map(|entry| String::from_utf8(entry.value.bytes().to_vec()).expect("a number is text"))
    };
    for limit in [1, 2, 7, 16, 60, 100, 350, 599, 600] {
        let (mut told, mut after) = (Vec::new(), Revision::ZERO);
        while told.len() < expected.len() {
            let query = ChangesQuery { limit, ..ChangesQuery::after(lineage, after) };
            let page = block_on(engine.changes(query)).expect("is told");
            assert!(page.through > after && !page.changes.is_empty(), "pages of {limit} come to an end");
            after = page.through;
            for change in page.changes {
                told.push((change.address.key.as_str().to_owned(), side(&change.before), side(&change.after)));
            }
        }
        assert!(told == expected, "in pages of {limit} the log tells something else");
    }
    block_on(engine.close()).expect("closes");
}
