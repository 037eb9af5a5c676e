//! Walks along an index, in pages of every size and both directions, beside those of memory.

mod place;

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Address, Commit, CommitId, Engine, Index, Key, MetadataChange, Namespace, Range, StoreId, Value, World as _,
    Write,
    engine::IndexWalk,
    index::{IndexState, Span, Term},
    memory::MemoryEngine,
};
use larder_ordered::TestMap;

/// An index of some long runs of one term and some short ones, and everything along it.
fn walked(engine: &dyn Engine, limit: usize, reverse: bool, range: &Range) -> Vec<(Term, Key)> {
    let world = TestWorld::new(1);
    let indexes = engine.indexes().expect("it keeps indexes");
    let status = block_on(indexes.list(None)).expect("lists").remove(0);
    assert_eq!(status.state, IndexState::Ready);
    let mut walk = IndexWalk {
        index: status.id,
        spans: vec![Span::all()],
        reverse,
        after: None,
        range: range.clone(),
        also: Vec::new(),
        limit,
        now: world.now(),
    };
    let mut rows = Vec::new();
    loop {
        let page = block_on(indexes.walk(walk.clone())).expect("walks").expect("it is ready").value;
        assert!(page.items.len() <= limit);
        rows.extend(page.items.into_iter().map(|(term, entry)| (term, entry.address.key)));
        match page.through {
            Some(through) => walk.after = Some(through),
            None => return rows,
        }
    }
}

fn fill(engine: &dyn Engine) {
    let world = TestWorld::new(1);
    for some in (0..300).collect::<Vec<u32>>().chunks(50) {
        let write = |number: &u32| {
            // One long run, some of 20, and many that stand alone.
            let has = if *number < 120 {
                7
            } else if *number < 220 {
                number / 20
            } else {
                *number
            };
            let value = Value::json(format!(r#"{{"n":{has}}}"#)).expect("JSON");
            let address = Address::new(Namespace::default(), Key::new(format!("k{:03}", number * 7 % 300)).expect("a key"));
            Write { address, action: Action::Put { value, expires_at: None, metadata: MetadataChange::Keep } }
        };
        let id = CommitId::new(world.now(), world.random());
        let commit = Commit { id, now: world.now(), checks: Vec::new(), writes: some.iter().map(write).collect() };
        block_on(engine.commit(vec![commit])).remove(0).expect("commits");
    }
    let indexes = engine.indexes().expect("it keeps indexes");
    let created = block_on(indexes.create(Namespace::default(), Index::on("n").expect("an index"))).expect("creates");
    while block_on(indexes.advance(created.id, 70, world.now()))
        .expect("goes on")
        .is_some_and(|it| it.state != IndexState::Ready)
    {}
}

#[test]
fn every_page_of_every_walk_is_that_of_memory() {
    let memory = MemoryEngine::new(StoreId::from_bytes([7; 16]));
    let ordered = block_on(place::open(&TestMap::new())).expect("it opens");
    fill(&memory);
    fill(&ordered);
    let some = Range::keys(&Namespace::default(), "k100", Some("k250"));
    for range in [Range::all(), some] {
        for reverse in [false, true] {
            let expected = walked(&memory, 1000, reverse, &range);
            assert!(expected.len() >= 150);
            for limit in [5, 31, 33, 64, 150, 1000] {
                let found = walked(&ordered, limit, reverse, &range);
                assert_eq!(found.len(), expected.len(), "limit {limit}, reverse {reverse}, {range:?}");
                assert!(found == expected, "limit {limit}, reverse {reverse}, {range:?}: in another order");
            }
        }
    }
}
