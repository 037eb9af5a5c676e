//! Writers killed in the middle of whatever they were doing.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::Child,
};

use futures_lite::future::block_on;

use crate::child::{Spec, head, open};

const ROUNDS: u32 = 40;
const WRITERS: [&str; 3] = ["w0", "w1", "w2"];

/// 120 kills of three writers at a time: what was acknowledged is there, nothing is half there, revisions never went
/// back, and the file opens at once.
pub(crate) fn killed_writers_lose_nothing_acknowledged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("killed.db");
    drop(open(&path).expect("the store opens"));
    let mut acknowledged: BTreeMap<&str, i64> = BTreeMap::new();
    let mut revision = 0;
    for round in 0..ROUNDS {
        let mut writers: Vec<(&str, Child)> =
            WRITERS.map(|name| (name, Spec { role: "pairs", store: &path, name, commits: u32::MAX / 2 }.start(&[]))).into();
        // One writer after the other is read for a while, another while in every round, so that the kills fall everywhere, and
        // each of them gets somewhere.
        let read = round as usize % WRITERS.len();
        let output = writers[read].1.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(output).lines();
        for _ in 0..=round * 7 % 40 {
            let line = lines.next().expect("the writer writes").expect("text");
            note(&line, WRITERS[read], &mut acknowledged, &mut revision);
        }
        for (_, writer) in &mut writers {
            writer.kill().expect("a child can be killed");
        }
        // What they had said before they died counts.
        for line in lines.map_while(Result::ok) {
            note(&line, WRITERS[read], &mut acknowledged, &mut revision);
        }
        for (name, writer) in writers {
            let output = writer.wait_with_output().expect("a killed child ends");
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                note(line, name, &mut acknowledged, &mut revision);
            }
        }
        verify(&path, &acknowledged, revision);
    }
    assert!(acknowledged.values().all(|last| *last > 100), "the writers got somewhere: {acknowledged:?}");
}

fn note<'a>(line: &str, name: &'a str, acknowledged: &mut BTreeMap<&'a str, i64>, revision: &mut u64) {
    let numbers: Vec<&str> = line.split(' ').collect();
    let ["ack", n, at] = numbers[..] else { panic!("{name} said {line}") };
    acknowledged.insert(name, n.parse().expect("a number"));
    *revision = (*revision).max(at.parse().expect("a revision"));
}

/// What must hold whenever the file is opened.
pub(crate) fn verify(path: &Path, acknowledged: &BTreeMap<&str, i64>, revision: u64) {
    let store = open(path).expect("the file opens at once");
    assert!(head(&store) >= revision, "revision {} is before the acknowledged {revision}", head(&store));
    for (name, last) in acknowledged {
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
