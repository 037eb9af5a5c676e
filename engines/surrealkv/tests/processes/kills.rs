//! Writers killed in the middle of whatever they were doing.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
};

use futures_lite::future::block_on;
use larder_core::{Durability, ErrorKind};

use crate::child::{WRITERS, open, start};

const ROUNDS: u32 = 40;

/// 40 kills of three writers at a time: what was acknowledged is there, nothing is half there, revisions never went
/// back, and the store opens at once.
pub(crate) fn killed_writers_lose_nothing_acknowledged() {
    kill(Durability::Full);
}

/// The death of a process takes nothing that the system has, synced or not.
pub(crate) fn killed_relaxed_writers_lose_nothing_acknowledged() {
    kill(Durability::Relaxed);
}

#[derive(Default)]
struct Acknowledged {
    last: BTreeMap<String, i64>,
    revision: u64,
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let ["ack", name, n, at] = words[..] else { panic!("a writer said {line}") };
        self.last.insert(name.to_owned(), n.parse().expect("a number"));
        self.revision = self.revision.max(at.parse().expect("a revision"));
    }
}

fn kill(durability: Durability) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("killed");
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut child = start(&path, durability);
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        // It is read for a while, another while in every round, so that the kills fall everywhere.
        for _ in 0..=round * 7 % 40 {
            acknowledged.note(&lines.next().expect("the writer writes").expect("text"));
        }
        child.kill().expect("a child can be killed");
        // What it had said before it died counts.
        lines.map_while(Result::ok).for_each(|line| acknowledged.note(&line));
        child.wait().expect("a killed child ends");
        verify(&path, durability, &acknowledged);
    }
    assert_eq!(acknowledged.last.len(), WRITERS);
    assert!(acknowledged.last.values().all(|last| *last > 50), "the writers got somewhere: {:?}", acknowledged.last);
}

/// What must hold whenever the store is opened.
fn verify(path: &Path, durability: Durability, acknowledged: &Acknowledged) {
    let store = open(path, durability).expect("the store opens at once");
    let status = block_on(store.engine().status(store.world().now())).expect("a store tells its status");
    assert!(status.revision.get() >= acknowledged.revision, "{} was acknowledged: {status:?}", acknowledged.revision);
    assert_eq!(status.lineage.get(), 0, "nothing was lost");
    for (name, last) in &acknowledged.last {
        let stored: i64 = block_on(store.get_json(format!("{name}/last"))).expect("reads").unwrap_or(0);
        assert!(stored >= *last, "{name}: {last} was acknowledged, {stored} is there");
        for half in ["a", "b"] {
            let pairs = block_on(store.count(&*format!("{name}/{half}/"))).expect("counts");
            assert_eq!(pairs, stored.cast_unsigned(), "{name}: halves {half} of {stored} pairs");
        }
        let found = block_on(store.get_many([format!("{name}/a/{last}"), format!("{name}/b/{last}")])).expect("reads").value;
        assert!(found.iter().all(Option::is_some) || *last == 0, "{name}: pair {last}");
    }
    block_on(store.close()).expect("the store closes");
}

/// The second process is told so at once, and the first one goes on.
pub(crate) fn one_process_has_it_open() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("shared");
    let mut child = start(&path, Durability::Full);
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    lines.next().expect("the writer writes").expect("text");
    let refused = open(&path, Durability::Full).map(|_| ()).expect_err("only one can have it open");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("another process"), "{refused}");
    for _ in 0..20 {
        lines.next().expect("the writer goes on").expect("text");
    }
    child.kill().expect("a child can be killed");
    child.wait().expect("a killed child ends");
    let store = open(&path, Durability::Full).expect("it is free again");
    block_on(store.close()).expect("the store closes");
}
