//! Indexes beside the memory engine, which says what they are: the same walks, the same answers to groups.

mod place;
mod server;

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
};

use futures_lite::future::block_on;
use larder_core::{
    Action, Address, Commit, CommitId, Engine, Index, Key, MetadataChange, Namespace, Outcome, Range, StoreId, Timestamp,
    Value, Write,
    engine::{IndexWalk, Indexes, Place, Walked},
    index::{IndexId, IndexState, Span, Term},
    memory::MemoryEngine,
};

const NOW: Timestamp = Timestamp::EPOCH;

fn later() -> Timestamp {
    Timestamp::from_millis_saturating(1000)
}

/// Two engines that are told the same; the one in memory says what is right.
struct Both {
    redis: larder_redis::RedisEngine,
    memory: MemoryEngine,
}

fn kept(engine: &dyn Engine) -> &dyn Indexes {
    engine.indexes().expect("it keeps indexes")
}

fn at(key: &str) -> Address {
    Address::new(Namespace::default(), Key::new(key).expect("a good key"))
}

fn put(key: &str, json: &str, expires_at: Option<Timestamp>) -> Write {
    let value = Value::json(json.to_owned()).expect("JSON");
    Write { address: at(key), action: Action::Put { value, expires_at, metadata: MetadataChange::Keep } }
}

fn delete(key: &str) -> Write {
    Write { address: at(key), action: Action::Delete }
}

fn commit(writes: Vec<Write>, now: Timestamp) -> Commit {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = CommitId::from_bytes(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes());
    Commit { id, now, checks: Vec::new(), writes }
}

impl Both {
    fn new() -> Self {
        let url = place::fresh_at(&place::server());
        let redis = block_on(place::open(&url)).expect("opens");
        Self { redis, memory: MemoryEngine::new(StoreId::from_bytes([7; 16])) }
    }

    fn engines(&self) -> [&dyn Engine; 2] {
        [&self.memory, &self.redis]
    }

    /// What both answer to the group.
    fn commit(&self, group: &[Commit]) -> Vec<Outcome> {
        let answers = self.engines().map(|engine| {
            let answers = block_on(engine.commit(group.to_vec())).into_iter();
            answers.map(|answer| answer.expect("nothing is refused")).collect::<Vec<_>>()
        });
        assert_eq!(answers[1], answers[0], "the same answers");
        let [answers, _] = answers;
        answers
    }

    /// The index in both, built in steps of so many entries.
    fn create(&self, index: &Index, step: usize) -> [IndexId; 2] {
        self.engines().map(|engine| {
            let kept = kept(engine);
            let id = block_on(kept.create(Namespace::default(), index.clone())).expect("creates").id;
            loop {
                let status = block_on(kept.advance(id, step, NOW)).expect("moves on");
                if status.expect("it is there").state == IndexState::Ready {
                    return id;
                }
            }
        })
    }

    /// What both find on the walk, page by page.
    fn walk(&self, ids: [IndexId; 2], also: [Vec<(IndexId, Term)>; 2], walk: &IndexWalk) -> Vec<(Term, Key)> {
        let mut found = Vec::new();
        for ((engine, index), also) in self.engines().into_iter().zip(ids).zip(also) {
            let mut next = Some(IndexWalk { index, also, ..walk.clone() });
            let mut rows = Vec::new();
            while let Some(page) = next.take() {
                let walked = block_on(kept(engine).walk(page.clone())).expect("walks");
                let Walked { items, through } = walked.expect("the index is ready").value;
                assert!(items.len() <= page.limit);
                rows.extend(items.into_iter().map(|(term, entry)| (term, entry.address.key)));
                next = through.map(|place| {
                    let behind = page.spans.iter().skip_while(|span| !span.contains(&place.term));
                    IndexWalk { spans: behind.cloned().collect(), after: Some(place), ..page }
                });
            }
            found.push(rows);
        }
        let redis = found.pop().expect("there are two");
        let memory = found.pop().expect("there are two");
        assert_eq!(redis, memory, "{walk:?}");
        redis
    }
}

/// Everything in an index, in a page.
fn whole(index: IndexId) -> IndexWalk {
    let (spans, range) = (vec![Span::all()], Range::all());
    IndexWalk { index, spans, reverse: false, after: None, range, also: Vec::new(), limit: 1000, now: NOW }
}

/// Terms with NULs in them, such as begin with one another, terms that many have, and entries that have several or none.
fn fill(both: &Both) {
    let values = [r#""""#, r#""\u0000""#, r#""\u0000\u0001""#, r#""a""#, r#""a\u0000""#, r#""a\u0001""#, "1", "-1", "null"];
    let mut writes = Vec::new();
    for (at, key) in ["a", "a/b", "a/c", "b", "b ", "c", "\u{e000}", "\u{10ffff}"].iter().enumerate() {
        let list: Vec<&str> = values.iter().enumerate().filter(|(of, _)| (of * 7 + at) % 3 == 0).map(|(_, v)| *v).collect();
        let json = format!(r#"{{"one":{},"many":[{}],"same":{}}}"#, values[at], list.join(","), at / 6);
        writes.push(put(key, &json, (at == 3).then(later)));
    }
    writes.push(put("z", "{}", None));
    both.commit(&[commit(writes, NOW)]);
}

#[test]
fn walks_are_those_of_the_memory_engine() {
    let both = Both::new();
    fill(&both);
    let indexes = ["one", "many[]", "same"].map(|path| both.create(&Index::on(path).expect("a good path"), 3));
    let here = Namespace::default();
    let other = Namespace::new("other").expect("a good name");
    let ranges = [
        Range::all(),
        Range::namespace(&here),
        Range::namespace(&other),
        Range::prefix(&here, "a/"),
        Range::key(&at("b")),
        Range::all().after(&at("a")).through(&at("c")),
        Range::all().from(&at("b ")),
        Range::all().before(&at("a/c")),
    ];
    let mut walks = 0;
    for ids in indexes {
        let whole = whole(ids[0]);
        let none = [Vec::new(), Vec::new()];
        let all = both.walk(ids, none.clone(), &whole);
        let terms: Vec<&Term> = all.iter().map(|(term, _)| term).collect();
        let middle = terms[terms.len() / 2].as_bytes().to_vec();
        let two = vec![Span { from: middle.clone(), ..Span::all() }, Span { to: middle.clone(), ..Span::all() }];
        let empty = vec![Span { from: middle.clone(), to: middle }];
        let also = |of: usize| [0, 1].map(|engine| vec![(indexes[of][engine], terms[0].clone())]);
        for range in &ranges {
            for spans in [&vec![Span::all()], &two, &empty] {
                for (reverse, limit, now) in [(false, 1, NOW), (false, 3, later()), (true, 1, later()), (true, 2, NOW)] {
                    for also in [none.clone(), also(2), also(1)] {
                        let (range, spans) = (range.clone(), spans.clone());
                        let walk = IndexWalk { range, spans, reverse, limit, now, ..whole.clone() };
                        walks += both.walk(ids, also, &walk).len();
                    }
                }
            }
        }
        // Behind any place, whether it is one that was asked for or not.
        for ((term, key), range) in all.iter().flat_map(|row| ranges.iter().map(move |range| (row, range))) {
            let after = Some(Place { term: term.clone(), key: key.clone() });
            for reverse in [false, true] {
                let walk = IndexWalk { range: range.clone(), after: after.clone(), reverse, limit: 2, ..whole.clone() };
                walks += both.walk(ids, none.clone(), &walk).len();
            }
        }
        for (spans, most) in [(vec![Span::all()], 1000), (two, 1000), (vec![Span::all()], 4), (empty, 4)] {
            let count = |(engine, id)| block_on(kept(engine).estimate(id, spans.clone(), most)).expect("counts");
            let counted: Vec<usize> = both.engines().into_iter().zip(ids).map(count).collect();
            assert_eq!(counted[1], counted[0], "{spans:?} up to {most}");
        }
    }
    assert!(walks > 1000, "{walks} rows are not enough to be sure");
}

/// More rows than one call looks at, of one term and of which nearly none is asked for.
#[test]
fn a_walk_that_looks_at_much_goes_on_where_it_was() {
    let both = Both::new();
    for hundred in 0..12 {
        let write = |of: u32| {
            let json = format!(r#"{{"same":1,"rare":{},"own":{}}}"#, u8::from(of == 77), 100 * hundred + of);
            put(&format!("k{hundred:02}{of:02}"), &json, None)
        };
        both.commit(&[commit((0..100).map(write).collect(), NOW)]);
    }
    let [same, rare, own] = ["same", "rare", "own"].map(|path| both.create(&Index::on(path).expect("a good path"), 1000));
    let whole = IndexWalk { limit: 5, ..whole(same[0]) };
    let rows = both.walk(rare, [Vec::new(), Vec::new()], &IndexWalk { limit: 1000, ..whole.clone() });
    let one = rows.last().expect("there are some").0.clone();
    for reverse in [false, true] {
        let also = [0, 1].map(|engine| vec![(rare[engine], one.clone())]);
        assert_eq!(both.walk(same, also, &IndexWalk { reverse, ..whole.clone() }).len(), 12);

        let range = Range::key(&at(if reverse { "k0000" } else { "k1199" }));
        let last = IndexWalk { range, reverse, ..whole.clone() };
        assert_eq!(both.walk(own, [Vec::new(), Vec::new()], &last).len(), 1);
        let page = block_on(kept(&both.redis).walk(IndexWalk { index: own[1], ..last })).expect("walks");
        let Walked { items, through } = page.expect("the index is ready").value;
        assert!(items.is_empty() && through.is_some(), "a call is bounded by what it looks at, not by what it finds");
    }
}

#[test]
fn commits_of_a_group_see_the_terms_of_those_before_them() {
    let both = Both::new();
    both.commit(&[commit(vec![put("old", r#"{"n":1}"#, Some(later())), put("two", r#"{"n":2}"#, None)], NOW)]);
    let ids = both.create(&Index::on("n").map(Index::unique).expect("a good path"), 3);
    let is_taken = |outcome: &Outcome| matches!(outcome, Outcome::Conflicted(_));
    let answers = both.commit(&[
        commit(vec![put("a", r#"{"n":1}"#, None)], NOW),
        commit(vec![put("a", r#"{"n":3}"#, None)], NOW),
        commit(vec![put("b", r#"{"n":3}"#, None)], NOW),
        commit(vec![delete("two")], NOW),
        commit(vec![put("b", r#"{"n":2}"#, None)], NOW),
        commit(vec![put("two", r#"{"n":2}"#, None)], NOW),
        commit(vec![delete("a"), put("c", r#"{"n":3}"#, None)], NOW),
        // By then nobody has it any more.
        commit(vec![put("d", r#"{"n":1}"#, None)], later()),
        commit(vec![put("e", r#"{"n":1}"#, None)], later()),
        // And now somebody else does, so it is not taken back by living on.
        commit(vec![put("old", r#"{"n":1}"#, None)], later()),
    ]);
    let taken: Vec<bool> = answers.iter().map(is_taken).collect();
    assert_eq!(taken, [true, false, true, false, false, true, false, false, true, true]);
    let whole = whole(ids[0]);
    let rows = both.walk(ids, [Vec::new(), Vec::new()], &whole);
    let keys: Vec<&str> = rows.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(keys, ["d", "old", "b", "c"]);
}

/// A handle thinks of which indexes there are what it saw last. Others create and drop some meanwhile.
#[test]
fn indexes_of_another_handle_are_kept_from_the_next_commit_on() {
    let url = place::fresh_at(&place::server());
    let open = || block_on(place::open(&url)).expect("opens");
    let (writing, other) = (open(), open());
    let set = |key: &str, n: u32| {
        let json = format!("{{\"a\":{n},\"b\":{}}}", n + 1);
        let answers = block_on(writing.commit(vec![commit(vec![put(key, &json, None)], NOW)]));
        assert!(matches!(answers[..], [Ok(Outcome::Committed(_))]), "{answers:?}");
    };
    let create = |path: &str| {
        let id = block_on(kept(&other).create(Namespace::default(), Index::on(path).expect("a path"))).expect("creates").id;
        let built = block_on(kept(&other).advance(id, 100, NOW)).expect("moves on");
        assert_eq!(built.map(|status| status.state), Some(IndexState::Ready));
        id
    };
    let rows = |id: IndexId| -> Vec<String> {
        let walked = block_on(kept(&other).walk(whole(id))).expect("walks").expect("is ready");
        walked.value.items.iter().map(|(_, entry)| entry.address.key.to_string()).collect()
    };
    set("x", 5);
    let a = create("a");
    // The row of what it replaces goes, though nobody has told the handle of the index.
    set("x", 7);
    set("y", 6);
    assert_eq!(rows(a), ["y", "x"]);
    // Beside one that it knows.
    let b = create("b");
    set("y", 8);
    assert_eq!((rows(a), rows(b)), (vec!["x".into(), "y".into()], vec!["x".into(), "y".into()]));
    assert!(block_on(kept(&other).drop(a)).expect("drops"));
    assert_eq!(block_on(kept(&other).advance(a, 100, NOW)).expect("removes"), None);
    set("y", 1);
    assert_eq!(rows(b), ["y", "x"]);
}

/// A group may write to many namespaces, each with indexes of its own; and each entry goes into those of its own.
#[test]
fn every_namespace_has_its_own_indexes_in_a_group_of_many() {
    let engine = block_on(place::open(&place::fresh_at(&place::server()))).expect("opens");
    let names: Vec<_> = (0..8).map(|n| Namespace::new(format!("n{n}")).expect("a name")).collect();
    let ids: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let index = Index::on(&format!("p{n}")).expect("a path");
            let id = block_on(kept(&engine).create(name.clone(), index)).expect("creates").id;
            let built = block_on(kept(&engine).advance(id, 100, NOW)).expect("moves on");
            assert_eq!(built.map(|status| status.state), Some(IndexState::Ready));
            id
        })
        .collect();
    for round in 0..3 {
        let put = |(n, name): (usize, &Namespace)| {
            let write = put(&format!("k{round}"), &format!("{{\"p{n}\":{round}}}"), None);
            Write { address: Address::new(name.clone(), write.address.key.clone()), ..write }
        };
        let writes = names.iter().enumerate().map(put).collect();
        let answers = block_on(engine.commit(vec![commit(writes, NOW)]));
        assert!(matches!(answers[..], [Ok(Outcome::Committed(_))]), "{answers:?}");
        for id in &ids {
            let walked = block_on(kept(&engine).walk(whole(*id))).expect("walks").expect("is ready");
            // Those of what an entry has not got would be the same.
            let terms: HashSet<_> = walked.value.items.iter().map(|(term, _)| term.as_bytes().to_vec()).collect();
            assert_eq!(terms.len(), round + 1);
        }
    }
}
