//! What is not a store is told, and left as it is; and one that somebody else has open is theirs.

mod place;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use futures_lite::future::block_on;
use larder_core::{Durability, Engine as _, Error, ErrorKind, StoreId, Timestamp};
use larder_ordered::OrderedEngine;
use larder_surrealkv::{SurrealKvConfig, SurrealKvEngine};
use place::open;

fn opened(config: SurrealKvConfig) -> Result<OrderedEngine, Error> {
    block_on(SurrealKvEngine::open(config, StoreId::from_bytes([7; 16])))
}

fn refused(config: SurrealKvConfig) -> (ErrorKind, String) {
    let error = opened(config).map(|_| ()).expect_err("it is refused");
    (error.kind(), error.to_string())
}

/// Every file below `path`, and what is in it.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => drop(found.insert(path.clone(), fs::read(path).expect("a file can be read"))),
        }
    }
    found
}

#[test]
fn a_directory_of_somebody_else_is_left_as_it_is() {
    let newer = "larder surrealkv 2\n";
    for (name, text, kind) in [
        ("notes.txt", "dear diary", ErrorKind::Invalid),
        ("larder", "dear diary", ErrorKind::Invalid),
        ("larder", "larder surrealkv", ErrorKind::Invalid),
        ("larder", newer, ErrorKind::Unsupported),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join(name), text).expect("writes");
        let before = files(directory.path());
        for create in [true, false] {
            let (found, message) = refused(SurrealKvConfig { create, ..SurrealKvConfig::new(directory.path()) });
            assert_eq!(found, kind, "{name} {text:?}: {message}");
            assert!(message.starts_with("surrealkv: "), "{message}");
            assert_eq!(files(directory.path()), before, "{name} {text:?} was touched");
        }
    }
}

#[test]
fn what_is_not_a_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("file");
    fs::write(&path, "text").expect("writes");
    assert_eq!(refused(SurrealKvConfig::new(&path)).0, ErrorKind::Invalid);
    assert_eq!(fs::read(&path).expect("reads"), b"text");
}

#[test]
fn nothing_is_created_unless_it_is_asked_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a/b");
    let missing = SurrealKvConfig { create: false, ..SurrealKvConfig::new(&path) };
    assert_eq!(refused(missing.clone()).0, ErrorKind::NotFound);
    assert!(!path.exists() && !path.with_file_name("").exists());
    drop(opened(SurrealKvConfig::new(&path)).expect("it is created"));
    drop(opened(missing).expect("it is there"));
}

/// The lock is that of the file, whoever has it: another process stands for itself with one of its own.
#[test]
fn a_store_that_somebody_else_has_open_is_refused_and_has_after_that() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(block_on(open(directory.path())).expect("it is created"));
    let before = files(directory.path());
    let theirs = File::open(directory.path().join("larder")).expect("opens");
    theirs.lock().expect("locks");
    let (kind, message) = refused(SurrealKvConfig::new(directory.path()));
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(message.contains("another process"), "{message}");
    assert_eq!(files(directory.path()), before);
    drop(theirs);
    drop(block_on(open(directory.path())).expect("it is free again"));
}

#[test]
fn a_process_has_as_many_handles_as_it_likes_of_one_durability() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = block_on(open(directory.path())).expect("it is created");
    let second = block_on(open(&directory.path().join("."))).expect("another handle");
    block_on(first.close()).expect("closes");
    let late = block_on(first.status(Timestamp::EPOCH)).map_err(|error| error.kind());
    assert_eq!(late, Err(ErrorKind::Closed));
    assert!(block_on(second.status(Timestamp::EPOCH)).is_ok(), "the others are open still");
    let relaxed = SurrealKvConfig { durability: Durability::Relaxed, ..SurrealKvConfig::new(directory.path()) };
    assert_eq!(refused(relaxed.clone()).0, ErrorKind::Invalid);
    block_on(second.close()).expect("closes");
    let relaxed = opened(relaxed).expect("nobody has it open");
    assert_eq!(relaxed.capabilities().durability, Durability::Relaxed);
    let volatile = SurrealKvConfig { durability: Durability::Volatile, ..SurrealKvConfig::new(directory.path()) };
    assert_eq!(refused(volatile).0, ErrorKind::Unsupported);
}

/// A store of an earlier Larder that was never finished: its mark is there, and nothing else.
#[test]
fn what_was_begun_is_finished_by_who_opens_it_next() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("larder.new"), "larder sur").expect("writes");
    drop(block_on(open(directory.path())).expect("it is created"));
    let mark = fs::read_to_string(directory.path().join("larder")).expect("reads");
    assert_eq!(mark, "larder surrealkv 1\n");
    fs::remove_dir_all(directory.path().join("tree")).expect("removes");
    drop(block_on(open(directory.path())).expect("it is finished"));
}
