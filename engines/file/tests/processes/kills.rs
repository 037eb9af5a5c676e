//! Writers killed in the middle of whatever they were doing.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
};

use futures_lite::future::block_on;
use larder_core::{Durability, Store};

use crate::child::{open, start};

const ROUNDS: u32 = 40;

/// 40 kills each of a writer that syncs and of one that does not: what was acknowledged is there, nothing is half there,
/// revisions never went back, the directory opens at once, and its files are its entries.
pub(crate) fn killed_writers_lose_nothing_acknowledged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for role in ["full", "relaxed"] {
        let path = directory.path().join(role);
        let (mut last, mut revision) = (0, 0);
        for round in 0..ROUNDS {
            let mut writer = start(role, &path);
            let output = writer.stdout.take().expect("its output is piped");
            let mut lines = BufReader::new(output).lines();
            // Another while in every round, so that the kills fall everywhere.
            for _ in 0..=round * 7 % 40 {
                note(&lines.next().expect("the writer writes").expect("text"), &mut last, &mut revision);
            }
            writer.kill().expect("a child can be killed");
            // What it had said before it died counts.
            for line in lines.map_while(Result::ok) {
                note(&line, &mut last, &mut revision);
            }
            writer.wait().expect("a killed child ends");
            let store = open(&path, Durability::Full).expect("the directory opens at once");
            verify(&store, last, revision);
            block_on(store.close()).expect("closes");
            verify_files(&path, &store_of(&path));
        }
        assert!(last > 200, "the writer got somewhere: {last}");
    }
}

fn store_of(path: &Path) -> Store {
    open(path, Durability::Full).expect("the directory opens")
}

fn note(line: &str, last: &mut i64, revision: &mut u64) {
    let words: Vec<&str> = line.split(' ').collect();
    let ["ack", n, at] = words[..] else { panic!("the writer said {line}") };
    *last = n.parse().expect("a number");
    *revision = at.parse().expect("a revision");
}

/// What must hold whenever the directory is opened.
pub(crate) fn verify(store: &Store, last: i64, revision: u64) {
    let head = block_on(store.engine().status(store.world().now())).expect("a status").revision.get();
    assert!(head >= revision, "revision {head} is before the acknowledged {revision}");
    let found: i64 = block_on(store.get_json("last")).expect("reads").unwrap_or(0);
    assert!(found >= last, "{last} was acknowledged, and {found} is the last that is there");
    for n in (found - 49).max(1)..=found {
        for side in ["a", "b"] {
            let entry = block_on(store.get(format!("{side}/{}", n % 50))).expect("reads").expect("is there");
            let bytes = usize::try_from(n % 7 * 400).expect("some thousands");
            assert_eq!(entry.value.bytes(), &format!("{n} {}", side.repeat(bytes)), "{side} of pair {n}");
        }
    }
}

/// Every file is what its entry is, and there is no other.
pub(crate) fn verify_files(path: &Path, store: &Store) {
    let files: Vec<_> =
        fs::read_dir(path.join("entries/default")).expect("lists").map(|item| item.expect("an item")).collect();
    let keys = block_on(store.count("")).expect("counts");
    assert_eq!(files.len() as u64, keys);
    for file in files {
        let name = file.file_name().into_string().expect("text").replace("%2f", "/");
        let entry = block_on(store.get(name.clone())).expect("reads").unwrap_or_else(|| panic!("{name} is no entry"));
        assert!(fs::read(file.path()).expect("reads") == *entry.value.bytes(), "{name}");
    }
    assert_eq!(fs::read_dir(path.join("edited")).expect("lists").count(), 0, "nobody has edited anything");
    block_on(store.close()).expect("closes");
}
