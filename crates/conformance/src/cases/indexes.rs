//! Indexes: rows that say what the entries say, at every moment and through every kind of write.
//!
//! What an index is for shows in answers, which questions by chance are about; here it is looked at itself.

use std::future::IntoFuture as _;

use futures_lite::future::block_on;
use larder_core::{
    Address, ErrorKind, ExpiryChange, Filter, Index, Key, MetadataChange, Namespace, Query, Quota, Range, Scope, Select,
    Snapshot, Sort, Store, Value,
    engine::{IndexWalk, Indexes, Place, Walked},
    field,
    index::{IndexId, IndexState, IndexStatus, Span, Term},
};

use super::query;
use crate::ground::{Ground, Seam, at, fails, key, metadata, namespace, put_until, race, seconds};

pub(super) fn index(path: &str) -> Index {
    Index::on(path).expect("a case writes good paths")
}

pub(super) fn create(scope: &Scope, index: Index) {
    block_on(scope.create_index(index).into_future()).expect("the index is created");
}

pub(super) fn set(scope: &Scope, key: &str, json: &str) -> larder_core::Result<larder_core::Stamp> {
    block_on(scope.set(key, Value::json(json.to_owned()).expect("JSON")).into_future())
}

fn kept(seam: &Seam) -> &dyn Indexes {
    seam.engine.indexes().expect("every engine of the suite keeps indexes, and this one says that it does not")
}

fn statuses(seam: &Seam, namespace: &Namespace) -> Vec<IndexStatus> {
    block_on(kept(seam).list(Some(namespace.clone()))).expect("lists")
}

fn id(seam: &Seam, index: &Index) -> IndexId {
    let all = statuses(seam, &Namespace::default());
    let there = |status: &&IndexStatus| status.index == *index && status.state != IndexState::Dropped;
    all.iter().find(there).expect("it was created").id
}

type Row = (Term, Key);

fn walk(seam: &Seam, walk: IndexWalk) -> Snapshot<Walked> {
    block_on(kept(seam).walk(walk)).expect("walks").expect("the index is ready")
}

fn whole(seam: &Seam, index: &Index) -> IndexWalk {
    let range = Range::namespace(&Namespace::default());
    let (spans, also) = (vec![Span::all()], Vec::new());
    IndexWalk { index: id(seam, index), spans, reverse: false, after: None, range, also, limit: 1000, now: seam.now() }
}

/// Every row that an index has, page by page.
fn walked(seam: &Seam, all: IndexWalk) -> Vec<Row> {
    let mut next = Some(all);
    let mut rows = Vec::new();
    while let Some(page) = next.take() {
        let Walked { items, through } = walk(seam, page.clone()).value;
        assert!(items.len() <= page.limit, "a page holds at most what was asked for");
        assert!(items.iter().all(|(_, entry)| page.range.contains(&entry.address)), "of the range that was asked for");
        rows.extend(items.into_iter().map(|(term, entry)| (term, entry.address.key)));
        if let Some(place) = through {
            let at = |span: &Span| span.contains(&place.term);
            let spans = page.spans.iter().skip_while(|span| !at(span)).cloned().collect();
            next = Some(IndexWalk { spans, after: Some(place), ..page });
        }
    }
    rows
}

pub(super) fn rows(seam: &Seam, index: &Index) -> Vec<Row> {
    walked(seam, whole(seam, index))
}

/// The rows that the entries of `default` should have.
fn due(seam: &Seam, index: &Index) -> Vec<Row> {
    let mut rows = Vec::new();
    for entry in seam.entries(Range::namespace(&Namespace::default())) {
        let terms = index.terms(&entry).expect("it is in the index");
        rows.extend(terms.into_iter().map(|term| (term, entry.address.key.clone())));
    }
    rows.sort();
    rows
}

pub(super) fn right(seam: &Seam, index: &Index, when: &str) {
    assert_eq!(rows(seam, index), due(seam, index), "the rows of the index on {index}, {when}");
}

pub(super) fn g11_operators_mean_the_same_along_an_index(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    query::write_values(&store);
    for path in ["a", "b[]", "$value", "b.0"] {
        create(&store, index(path));
    }
    let explained = block_on(store.explain(field("a").eq(1))).expect("explains");
    assert!(explained.index.is_some(), "what an index is on is found along it: {explained}");
    query::every_operator(&store);
    // The same in the order of an index, with what is missing and what is equal.
    let entries = block_on(store.scan(Select::all())).expect("scans").items;
    for sort in ["a", "-a", "b.0", "-b.0", "$value"] {
        let (path, down) = sort.strip_prefix('-').map_or((sort, false), |path| (path, true));
        let by = if down { Sort::by_key().descending(path) } else { Sort::by_key().ascending(path) }.expect("a sort");
        let all = block_on(store.query(Query::new(Filter::everything()).sort(by.clone()))).expect("answers").items;
        let mut paged = Vec::new();
        let mut next = Some(Query::new(Filter::everything()).sort(by).limit(5));
        while let Some(query) = next.take() {
            let page = block_on(store.query(query.clone())).expect("answers");
            paged.extend(page.items);
            next = page.next.map(|cursor| query.after(cursor));
        }
        assert_eq!((paged.len(), &paged), (entries.len(), &all), "sorted by {sort}, page by page as at once");
    }
}

pub(super) fn g11_what_is_in_two_indexes_is_looked_up_in_both(ground: &Ground) {
    let store = ground.store();
    for first in (0..240).step_by(60) {
        let sets = (first..first + 60).fold(store.commit(), |commit, n| {
            let json = format!("{{\"two\":{},\"three\":{},\"tags\":[{},{}]}}", n % 2, n % 3, n % 5, n % 4);
            commit.set(format!("k{n:03}"), Value::json(json).expect("JSON"))
        });
        block_on(sets.into_future()).expect("commits");
    }
    let paths = ["two", "three", "tags[]"];
    paths.iter().for_each(|path| create(&store, index(path)));
    let view = block_on(store.view()).expect("a view");
    let before = block_on(store.scan(Select::all())).expect("scans").items;
    for n in (0..240).step_by(7) {
        set(&store, &format!("k{n:03}"), &format!("{{\"two\":{},\"three\":1,\"tags\":[3]}}", n % 3)).expect("writes");
    }
    let after = block_on(store.scan(Select::all())).expect("scans").items;
    for text in ["two = 1 and three = 1", "three = 0 and tags[] = 3 and two = 0", "tags[] = 1 and two = 1 and three >= 1"] {
        let filter = Filter::parse(text).expect("a filter");
        let explained = block_on(store.explain(filter.clone())).expect("explains");
        assert!(!explained.also.is_empty(), "another index tells of it, too: {explained}");
        assert_eq!(block_on(store.query(filter.clone())).expect("answers").items, query::through(&filter, &after), "{text}");
        assert_eq!(block_on(view.query(filter.clone())).expect("answers").items, query::through(&filter, &before), "{text}");
    }
}

pub(super) fn g11_an_index_has_a_row_for_every_term_and_no_other(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let indexes = [index("n"), index("tags[]"), index("$meta.owner"), index("$version"), index("$updated")];
    indexes.iter().for_each(|index| create(&store, index.clone()));
    let check = |when: &str| indexes.iter().for_each(|index| right(&seam, index, when));
    for (key, json) in [("a", r#"{"n":1,"tags":["x","y","x"]}"#), ("b", r#"{"n":1}"#), ("c", r#"{"tags":[]}"#), ("i", "5")] {
        set(&store, key, json).expect("writes");
    }
    check("written");
    set(&store, "a", r#"{"n":2,"tags":["y","z"]}"#).expect("writes");
    check("overwritten");
    seam.world.step(seconds(1));
    block_on(store.set_metadata("b", metadata(r#"{"owner":"ann"}"#))).expect("annotates");
    block_on(store.merge_metadata("b", metadata(r#"{"owner":"ben"}"#))).expect("annotates");
    check("annotated");
    block_on(store.touch("b", Some(seconds(100)))).expect("touches");
    check("touched");
    block_on(store.add("i", 3, i64::MIN..=i64::MAX)).expect("adds");
    check("added to");
    set(&store, "a", "\"text\"").expect("writes");
    block_on(store.set("b", Value::opaque("{\"n\":1}")).into_future()).expect("writes");
    check("made into something else");
    assert!(block_on(store.delete("a")).expect("deletes"));
    check("deleted");
    let twice = store.commit().set("c", Value::json("{\"n\":7}").expect("JSON")).delete("c");
    block_on(twice.set("c", Value::json("{\"n\":8}").expect("JSON")).into_future()).expect("commits");
    check("written three times in one commit");
    block_on(
        store
            .commit()
            .annotate("c", MetadataChange::Keep, ExpiryChange::Set(Some(seam.now().after(seconds(5)))))
            .into_future(),
    )
    .expect("commits");
    seam.world.step(seconds(5));
    check("expired");
    set(&store, "c", "{\"n\":9}").expect("writes");
    check("written over what had expired");
    block_on(store.clear(Select::all()).into_future()).expect("clears");
    for index in &indexes {
        assert_eq!(rows(&seam, index), [], "where there is no entry there is no row");
    }
}

pub(super) fn g6_a_walk_is_of_one_moment_and_goes_on_where_it_ended(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let n = index("n");
    create(&store, n.clone());
    let brief = seam.now().after(seconds(10));
    for k in 0..12 {
        let text = if k % 5 == 4 { "{}".to_owned() } else { format!("{{\"n\":{}}}", k % 3) };
        seam.draft()
            .act(&format!("k{k:02}"), if k == 6 { put_until(&text, brief) } else { crate::ground::put(&text) })
            .done();
    }
    let all = due(&seam, &n);
    let first = walk(&seam, whole(&seam, &n));
    assert_eq!(first.revision, seam.head(), "a walk names its moment");
    let values = |rows: &[Row]| -> Vec<Row> {
        // The entries of one term are in the order of their keys both ways.
        let mut rows = rows.to_vec();
        rows.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.cmp(other)));
        rows
    };
    for limit in [1, 2, 5, 100] {
        assert_eq!(walked(&seam, IndexWalk { limit, ..whole(&seam, &n) }), all, "forward, by {limit}");
        assert_eq!(
            walked(&seam, IndexWalk { limit, reverse: true, ..whole(&seam, &n) }),
            values(&all),
            "reverse, by {limit}"
        );
        // Two spans, the second before the first.
        let (low, high) = all.split_at(all.iter().position(|(term, _)| *term != all[0].0).expect("there are several"));
        let edge = high[0].0.as_bytes().to_vec();
        let spans = vec![Span { from: edge.clone(), ..Span::all() }, Span { to: edge, ..Span::all() }];
        let swapped = walked(&seam, IndexWalk { limit, spans, ..whole(&seam, &n) });
        assert_eq!(swapped, [high, low].concat(), "in the order of the spans, by {limit}");
    }
    let range = Range::namespace(&Namespace::default()).after(&at("k03")).through(&at("k08"));
    let inside: Vec<Row> = all.iter().filter(|(_, key)| range.contains(&at(key.as_str()))).cloned().collect();
    assert_eq!(walked(&seam, IndexWalk { range, limit: 2, ..whole(&seam, &n) }), inside, "only what is in the range");
    seam.world.step(seconds(10));
    let left: Vec<Row> = all.iter().filter(|(_, own)| *own != key("k06")).cloned().collect();
    assert_eq!(rows(&seam, &n), left, "what has expired is not there");
    // A place need not be there any more.
    let gone = Place { term: left[1].0.clone(), key: left[1].1.clone() };
    block_on(store.delete(gone.key.clone())).expect("deletes");
    assert_eq!(walked(&seam, IndexWalk { after: Some(gone), ..whole(&seam, &n) }), left[2..], "behind a row that has gone");
}

pub(super) fn g11_an_index_built_while_others_write_is_one_built_at_rest(ground: &Ground) {
    let seam = ground.open();
    let (store, other) = (seam.store(), ground.store());
    let fill = |store: &Store, turn: usize| {
        for n in 0..200 {
            let n = (n * 7 + turn * 13) % 300;
            let json = format!("{{\"n\":{},\"tags\":[{},{}]}}", n % 11 + turn, n % 3, turn);
            match n % 9 {
                0 => drop(block_on(store.delete(format!("k{n:03}"))).expect("deletes")),
                _ => drop(set(store, &format!("k{n:03}"), &json).expect("writes")),
            }
        }
    };
    fill(&store, 0);
    let indexes = [index("n"), Index::over(["tags[]", "n"]).expect("an index")];
    race(4, |racer| match racer {
        0 | 1 => create(&store, indexes[racer].clone()),
        2 => fill(&store, 1),
        _ => fill(&other, 2),
    });
    for index in &indexes {
        right(&seam, index, "built while others wrote");
        let then = rows(&seam, index);
        assert!(block_on(store.drop_index(index)).expect("drops"), "it was there");
        create(&store, index.clone());
        assert_eq!(rows(&seam, index), then, "built at rest");
    }
}

pub(super) fn g11_indexes_come_go_and_come_again(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    set(&store, "a", "{\"n\":1}").expect("writes");
    let n = index("n");
    let mut told = Vec::new();
    block_on(store.create_index(n.clone()).progress(|entries| told.push(entries)).into_future()).expect("creates");
    assert!(told.is_sorted() && told.first() == Some(&0), "progress goes forwards from nothing: {told:?}");
    create(&store, n.clone());
    let first = id(&seam, &n);
    fails(block_on(store.create_index(n.clone().unique()).into_future()), ErrorKind::AlreadyExists);
    create(&store, index("b"));
    let listed = |store: &Store| -> Vec<Index> {
        let all = block_on(store.indexes()).expect("lists");
        all.into_iter().inspect(|info| assert_eq!(info.building, None)).map(|info| info.index).collect()
    };
    assert_eq!(listed(&store), [n.clone(), index("b")], "in the order in which they were created");
    // By its paths, whether it is unique or not.
    assert!(block_on(store.drop_index(&n.clone().unique())).expect("drops"));
    assert!(!block_on(store.drop_index(&n)).expect("drops nothing"));
    assert_eq!(listed(&store), [index("b")]);
    let dropped = IndexWalk { index: first, ..whole(&seam, &index("b")) };
    assert!(block_on(kept(&seam).walk(dropped)).expect("answers").is_none(), "of what was dropped nothing is told");
    set(&store, "a", "{\"n\":2}").expect("writes");
    create(&store, n.clone());
    assert_ne!(id(&seam, &n), first, "another index has another number");
    right(&seam, &n, "created anew");
    for k in 0..Index::PER_NAMESPACE - 2 {
        create(&store, index(&format!("f{k}")));
    }
    fails(block_on(store.create_index(index("one.more")).into_future()), ErrorKind::Limit);
    assert_eq!(listed(&store).len(), Index::PER_NAMESPACE);
    let elsewhere = store.scope(&namespace("elsewhere")).expect("a good name");
    create(&elsewhere, index("one.more"));
}

pub(super) fn g13_an_entry_has_a_bounded_number_of_terms(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let list = |count: usize| format!("{{\"a\":{:?}}}", (0..count).collect::<Vec<_>>());
    let tags = index("a[]");
    set(&store, "many", &list(Index::TERMS_MAX + 1)).expect("without an index that is fine");
    fails(block_on(store.create_index(tags.clone()).into_future()), ErrorKind::Limit);
    assert_eq!(statuses(&seam, &Namespace::default()), [], "what cannot be built leaves nothing");
    set(&store, "many", &list(Index::TERMS_MAX)).expect("writes");
    create(&store, tags.clone());
    let before = (rows(&seam, &tags), seam.picture());
    assert_eq!(before.0.len(), Index::TERMS_MAX);
    fails(set(&store, "many", &list(Index::TERMS_MAX + 1)), ErrorKind::Limit);
    let some = store.commit().set("few", Value::json("{\"a\":[1]}").expect("JSON"));
    let both = some.set("too many", Value::json(list(Index::TERMS_MAX + 1)).expect("JSON"));
    fails(block_on(both.into_future()), ErrorKind::Limit);
    assert_eq!((rows(&seam, &tags), seam.picture()), before, "a refused commit leaves no row");
    block_on(store.query(field("a[]").is_in(0..2_000))).expect("answers").items.iter().for_each(|entry| {
        assert_eq!(entry.address.key.as_str(), "many", "there once, however many of its terms are asked for");
    });
}

pub(super) fn g2_indexes_are_there_after_reopening(ground: &Ground) {
    let mut seam = ground.open();
    let indexes = [index("n"), index("email").unique()];
    indexes.iter().for_each(|index| create(&seam.store(), index.clone()));
    for turn in 0..3 {
        for k in 0..5 {
            let json = format!("{{\"n\":{},\"email\":\"{k}\"}}", k + turn);
            set(&seam.store(), &format!("k{k}"), &json).expect("writes");
        }
        let email = seam.store();
        fails(set(&email, "other", "{\"email\":\"3\"}"), ErrorKind::Conflict);
        indexes.iter().for_each(|index| right(&seam, index, "before"));
        drop(email);
        seam = if turn == 0 { ground.reopen(seam) } else { ground.crash(seam) };
        let there = block_on(seam.store().indexes()).expect("lists");
        assert_eq!(there.into_iter().map(|info| info.index).collect::<Vec<_>>(), indexes);
        indexes.iter().for_each(|index| right(&seam, index, "opened again"));
        fails(set(&seam.store(), "other", "{\"email\":\"3\"}"), ErrorKind::Conflict);
    }
}

pub(super) fn namespaces_take_their_indexes_along(ground: &Ground) {
    let seam = ground.open();
    let (store, name) = (seam.store(), namespace("rooms"));
    let rooms = store.scope(&name).expect("a good name");
    let delete = |recursive| block_on(store.delete_namespace(&name, recursive));
    for filled in [false, true] {
        if filled {
            set(&rooms, "a", "{\"n\":1}").expect("writes");
        }
        create(&rooms, index("n").unique());
        if filled {
            fails(delete(false), ErrorKind::NotEmpty);
            assert_eq!(statuses(&seam, &name).len(), 1, "a deletion that was refused has taken nothing");
        }
        assert_eq!(delete(filled).expect("deletes"), u64::from(filled));
        assert_eq!(statuses(&seam, &name), [], "its indexes went with it");
        set(&rooms, "a", "{\"n\":1}").and(set(&rooms, "b", "{\"n\":1}")).expect("nothing is unique any more");
        delete(true).expect("deletes");
    }
    fails(delete(true), ErrorKind::NotFound);
    // While it is going nobody adds to it: who comes later would inherit it.
    set(&rooms, "a", "1").expect("writes");
    let mark = Address::new(namespace("larder:deleting"), key("rooms"));
    seam.draft().write(mark.clone(), crate::ground::put("")).done();
    fails(block_on(rooms.create_index(index("late")).into_future()), ErrorKind::InvalidState);
    delete(true).expect("deletes");
    assert_eq!(statuses(&seam, &name), []);
}

pub(super) fn g12_a_guest_learns_nothing_of_a_neighbours_indexes(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let [mine, yours] = ["mine", "yours"].map(|name| store.scope(&namespace(name)).expect("a good name"));
    create(&yours, index("email").unique());
    create(&yours, index("age"));
    set(&yours, "a", "{\"email\":\"x\",\"age\":1}").expect("writes");
    assert_eq!(block_on(mine.indexes()).expect("lists"), []);
    set(&mine, "a", "{\"email\":\"x\"}").and(set(&mine, "b", "{\"email\":\"x\"}")).expect("nothing is unique here");
    assert_eq!(block_on(mine.explain(field("email").eq("x"))).expect("explains").index, None);
    assert!(!block_on(mine.drop_index(&index("age"))).expect("there is none to drop"));
    create(&mine, index("age"));
    assert!(block_on(mine.drop_index(&index("age"))).expect("drops"));
    assert_eq!(block_on(yours.indexes()).expect("lists").len(), 2, "a neighbour keeps what it has");
    assert_eq!(block_on(mine.query(field("age").eq(1))).expect("answers").items, []);

    let denied = |scope: &Scope| {
        fails(block_on(scope.create_index(index("n")).into_future()), ErrorKind::Denied);
    };
    let inside = yours.narrowed("a").expect("narrower");
    denied(&inside);
    denied(&yours.read_only());
    denied(&yours.with_quota(Quota { entries: Some(10), ..Quota::default() }));
    fails(block_on(inside.indexes()), ErrorKind::Denied);
    fails(block_on(inside.drop_index(&index("age"))), ErrorKind::Denied);
    fails(block_on(yours.read_only().drop_index(&index("age"))), ErrorKind::Denied);
    assert_eq!(block_on(yours.read_only().indexes()).expect("who reads may know").len(), 2);
    set(&yours, "b", "{\"age\":1}").expect("writes");
    let found = block_on(inside.query(field("age").eq(1))).expect("answers");
    assert_eq!((found.items.len(), found.examined), (1, 1), "what is outside is neither found nor counted");
}

pub(super) fn g2_what_was_begun_is_gone_on_with(ground: &Ground) {
    let seam = ground.open();
    for k in 0..10 {
        seam.put(&format!("k{k}"), &format!("{{\"n\":{k}}}"));
    }
    let n = index("n");
    let begun = block_on(kept(&seam).create(Namespace::default(), n.clone())).expect("creates");
    assert!(matches!(begun.state, IndexState::Building { through: None, entries: 0 }));
    let some = block_on(kept(&seam).advance(begun.id, 3, seam.now())).expect("goes on").expect("is there");
    assert!(matches!(some.state, IndexState::Building { entries: 1..10, .. }), "a part of it: {:?}", some.state);
    let half = IndexWalk { index: begun.id, ..whole(&seam, &n) };
    assert!(block_on(kept(&seam).walk(half)).expect("answers").is_none(), "what is half built is not asked");
    let seam = ground.crash(seam);
    let left = statuses(&seam, &Namespace::default()).pop().expect("it is still there");
    assert_eq!(left, some, "as far as it was");
    seam.draft().put("k0", "{\"n\":70}").put("k9", "{\"n\":79}").delete("k5").done();
    let store = seam.store();
    let building = block_on(store.indexes()).expect("lists").pop().and_then(|info| info.building);
    assert!(building.is_some_and(|entries| (1..10).contains(&entries)), "how far it is can be seen: {building:?}");
    block_on(store.keep(larder_core::Retention::default())).expect("whoever has the store open goes on with it");
    assert_eq!(statuses(&seam, &Namespace::default())[0].state, IndexState::Ready);
    right(&seam, &n, "begun, broken off and finished");
}
