//! Indexes among processes: built by one that is killed, raced by many, kept by those who did not create them.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::ExitStatus,
};

use futures_lite::future::block_on;
use larder_core::{
    Entry, Index, Namespace, Range, Store,
    engine::{IndexWalk, Indexes, Scan},
    index::{IndexId, IndexState, IndexStatus, Span, Term},
};

use crate::child::{Spec, json, open};

fn indexes(store: &Store) -> &dyn Indexes {
    store.engine().indexes().expect("it keeps indexes")
}

fn on_n() -> Index {
    Index::on("n").expect("an index")
}

fn entries(store: &Store) -> Vec<Entry> {
    let scan = Scan { range: Range::all(), reverse: false, limit: 100_000, now: store.world().now() };
    block_on(store.engine().scan(scan)).expect("scans").value.items
}

/// Every row of an index that is ready, with its entry.
fn walk(store: &Store, id: IndexId) -> Option<Vec<(Term, Entry)>> {
    let (spans, range, now) = (vec![Span::all()], Range::all(), store.world().now());
    let mut walk = IndexWalk { index: id, spans, reverse: false, after: None, range, also: vec![], limit: 1000, now };
    let mut items = Vec::new();
    loop {
        let page = block_on(indexes(store).walk(walk.clone())).expect("walks")?.value;
        items.extend(page.items);
        walk.after = page.through;
        if walk.after.is_none() {
            return Some(items);
        }
    }
}

/// An index that is ready holds what the entries have, and nothing else.
fn verify(store: &Store, status: &IndexStatus) {
    let rows = walk(store, status.id).expect("it is ready");
    let own = |entry: &Entry| status.index.terms(entry).expect("it has few");
    let mut expected: Vec<(Term, Entry)> = entries(store)
        .into_iter()
        .flat_map(|entry| own(&entry).into_iter().map(move |term| (term, entry.clone())))
        .collect();
    expected.sort_by(|(a, one), (b, other)| (a, &one.address).cmp(&(b, &other.address)));
    assert!(rows == expected, "{} rows of {}", rows.len(), expected.len());
}

/// Builds an index to its end, or removes one.
fn finish(store: &Store, mut status: IndexStatus) -> Option<IndexStatus> {
    while status.state != IndexState::Ready {
        status = block_on(indexes(store).advance(status.id, 100, store.world().now())).expect("goes on")?;
    }
    Some(status)
}

/// Killed at any moment of building and removing an index: what the file says of it is true, and whoever comes next ends it.
pub(crate) fn a_killed_builder_leaves_what_can_be_finished() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("built.db");
    let store = open(&path).expect("the store opens");
    for n in 0..400 {
        block_on(store.set(format!("e/{n:03}"), json("first", n % 50)).into_future()).expect("writes");
    }
    block_on(store.close()).expect("closes");
    let mut states = BTreeSet::new();
    for round in 0..1000 {
        // A file that is written in no time is caught only now and then with an index that is whole.
        if round >= 40 && states.len() == 3 {
            break;
        }
        let mut child = Spec { role: "builder", store: &path, name: &format!("b{round}"), commits: 0 }.start(&[]);
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let mut last = String::new();
        for _ in 0..=round * 11 % 67 {
            last = lines.next().expect("the builder works").expect("text");
        }
        child.kill().expect("a child can be killed");
        last = lines.map_while(Result::ok).last().unwrap_or(last);
        child.wait().expect("a killed child ends");
        states.insert(look(&path, &last));
    }
    assert_eq!(states.len(), 3, "it was killed while it built, when it had, and while it removed: {states:?}");
}

/// What the file says after the builder had said this, which ends well. In which state the index was.
fn look(path: &Path, last: &str) -> &'static str {
    let store = open(path).expect("the file opens at once");
    let found = block_on(indexes(&store).list(None)).expect("lists");
    let state = match found.first().map(|status| &status.state) {
        Some(IndexState::Building { entries, .. }) => {
            let said = last.strip_prefix("built ").map_or(0, |said| said.parse().expect("a number"));
            assert!(*entries >= said, "{said} were in it, and {entries} are");
            "building"
        }
        Some(IndexState::Ready) => "ready",
        Some(IndexState::Dropped) | None => "dropped",
    };
    assert!(found.len() <= 1, "{found:?}");
    for status in found {
        assert_eq!(walk(&store, status.id).is_some(), status.state == IndexState::Ready);
        if let Some(status) = finish(&store, status) {
            verify(&store, &status);
        }
    }
    block_on(store.close()).expect("closes");
    state
}

/// Eight processes of four threads each, and somebody who builds the index meanwhile: each number is had by one of them.
pub(crate) fn a_unique_index_raced_by_processes_never_holds_two() {
    const CLAIMS: u32 = 40;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("raced.db");
    let store = open(&path).expect("the store opens");
    // What is there already is not in the index yet when the race begins.
    for n in 0..300 {
        block_on(store.set(format!("before/{n}"), json("before", 1000 + n)).into_future()).expect("writes");
    }
    let created = block_on(indexes(&store).create(Namespace::default(), on_n().unique())).expect("creates");
    let children: Vec<_> =
        (0..8).map(|n| Spec { role: "claimer", store: &path, name: &format!("c{n}"), commits: CLAIMS }.start(&[])).collect();
    let status = finish(&store, created).expect("nobody drops it");
    let mut won = Vec::new();
    for child in children {
        let output = child.wait_with_output().expect("the child ends");
        assert_eq!(output.status, ExitStatus::default());
        let lines = String::from_utf8(output.stdout).expect("text");
        won.extend(lines.lines().filter_map(|line| line.strip_prefix("won ")?.parse::<u32>().ok()));
    }
    won.sort_unstable();
    assert_eq!(won, (0..CLAIMS).collect::<Vec<_>>(), "each was won once");
    verify(&store, &status);
    assert_eq!(entries(&store).len(), 300 + CLAIMS as usize);
    block_on(store.close()).expect("closes");
}

/// Who has the file open all the time keeps an index from its creation on, and no longer when it was dropped.
pub(crate) fn an_index_of_one_process_is_kept_by_the_others() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("kept.db");
    let store = open(&path).expect("the store opens");
    let mut child = Spec { role: "keeper", store: &path, name: "", commits: 0 }.start(&[]);
    let mut input = child.stdin.take().expect("its input is piped");
    let mut output = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let mut tell = |n: u32| {
        writeln!(input, "{n}").expect("the keeper listens");
        output.next().expect("the keeper answers").expect("text")
    };
    assert!(tell(1).starts_with("ack "));

    let created = block_on(indexes(&store).create(Namespace::default(), on_n())).expect("creates");
    assert!(tell(2).starts_with("ack "));
    let status = finish(&store, created).expect("nobody drops it");
    assert!(tell(3).starts_with("ack "));
    verify(&store, &status);

    block_on(indexes(&store).drop(status.id)).expect("drops");
    assert!(tell(4).starts_with("ack "));
    assert_eq!(block_on(indexes(&store).estimate(status.id, vec![Span::all()], 99)).expect("counts"), 0);
    assert!(finish(&store, IndexStatus { state: IndexState::Dropped, ..status }).is_none());

    let created = block_on(indexes(&store).create(Namespace::default(), on_n().unique())).expect("creates");
    let status = finish(&store, created).expect("nobody drops it");
    assert!(tell(4).starts_with("ack "), "that is its own already");
    let error = block_on(store.set("other", json("other", 4)).into_future()).expect_err("that is taken");
    assert!(error.as_conflict().is_some());
    block_on(store.set("k/6", json("other", 7)).into_future()).expect("writes");
    assert_eq!(tell(7), "err conflict");
    verify(&store, &status);

    drop(input);
    assert!(child.wait().expect("the keeper ends").success());
    block_on(store.close()).expect("closes");
}
