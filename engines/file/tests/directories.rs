//! Directories of other people, of other processes, damaged ones, and files that somebody has edited.

mod simulated;
mod work;

use std::{fs, path::Path, thread, time::Duration};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{Durability, Error, ErrorKind, Store, StoreId};
use larder_file::{FileConfig, FileMap};
use larder_ordered::Map as _;

use crate::{
    simulated::Simulated,
    work::{Known, check_files, contents, open},
};

fn refused(path: &Path, create: bool) -> Error {
    let mut config = FileConfig::new(path);
    config.create = create;
    block_on(larder_file::open(config, StoreId::from_bytes([1; 16]))).map(drop).expect_err("it is refused")
}

/// Everything below `path`, with its contents.
fn tree(path: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for item in fs::read_dir(path).expect("a directory") {
        let path = item.expect("an item").path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.push((name, None));
            found.extend(tree(&path));
        } else {
            found.push((name, Some(fs::read(&path).expect("a file"))));
        }
    }
    found.sort();
    found
}

/// What is not ours is not touched, whatever it is.
#[test]
fn what_is_somebody_elses_is_refused_untouched() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    for (name, file, text) in [
        ("notes", "todo.txt", "buy milk"),
        ("lookalike", "larder.txt", "a list of what is in the larder"),
        ("newer", "larder.txt", "This directory is a Larder store, version 2.\n"),
        ("states", "state-1", "of affairs"),
    ] {
        fs::create_dir(path.join(name)).expect("a directory can be made");
        fs::write(path.join(name).join(file), text).expect("a file can be written");
    }
    fs::write(path.join("file"), "no directory").expect("a file can be written");
    fs::create_dir(path.join("empty")).expect("a directory can be made");
    let before = tree(path);
    for (name, create, kind, says) in [
        ("notes", true, ErrorKind::Invalid, "todo.txt"),
        ("lookalike", true, ErrorKind::Invalid, "larder.txt"),
        ("newer", true, ErrorKind::Unsupported, "newer"),
        ("states", true, ErrorKind::Invalid, "state-1"),
        ("file", true, ErrorKind::Invalid, "no directory"),
        ("empty", false, ErrorKind::NotFound, "no store"),
        ("missing", false, ErrorKind::NotFound, "no store"),
        ("missing/store", true, ErrorKind::NotFound, "missing"),
    ] {
        let error = refused(&path.join(name), create);
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
    assert!(tree(path) == before, "something was touched");
}

/// Handles of one process share what is open, and each is closed by itself.
#[test]
fn a_process_opens_a_directory_as_often_as_it_likes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    // Each with its own seed, so that no two commits have one id.
    let open = |seed| {
        let engine = block_on(larder_file::open(FileConfig::new(&path), StoreId::from_bytes([1; 16]))).expect("opens");
        Store::new(std::sync::Arc::new(engine), std::sync::Arc::new(TestWorld::new(seed)))
    };
    let (first, second) = (open(1), open(2));
    block_on(first.set("k", "of the first").into_future()).expect("sets");
    assert_eq!(block_on(second.get("k")).expect("reads").expect("is there").value.bytes(), "of the first");
    block_on(first.close()).expect("closes");
    block_on(second.set("k", "of the second").into_future()).expect("the other goes on");
    // Dropped, not closed: the next one waits until it is gone.
    drop(second);
    let third = open(3);
    assert_eq!(block_on(third.get("k")).expect("reads").expect("is there").value.bytes(), "of the second");
    block_on(third.close()).expect("closes");
    // The one that was dropped may be the last to leave, and nobody is told when it has.
    let shown = (0..3000).find_map(|_| {
        let file = fs::read(path.join("entries/default/k")).ok().filter(|file| file == b"of the second");
        if file.is_none() {
            thread::sleep(Duration::from_millis(20));
        }
        file
    });
    assert!(shown.is_some(), "it is a file");
}

/// Every byte of a store that was closed is under a checksum: one that changes is `Corrupt`, or was of no use.
#[test]
fn a_damaged_byte_is_never_a_wrong_answer() {
    let disk = Simulated::new(1);
    let mut known = Known::default();
    for tidied in [true, false] {
        let map = open(&disk, Durability::Full).expect("opens");
        for _ in 0..4 {
            assert!(known.step(&map).is_none());
        }
        map.tidy(tidied).expect("tidies");
        assert!(known.step(&map).is_none());
        block_on(map.close()).expect("closes");
    }
    let (mut corrupt, mut harmless) = (0, 0);
    let files = disk.files("");
    let mut disk = disk;
    for name in files.iter().filter(|name| name.starts_with("state-") || name.starts_with("journal-")) {
        let good = disk.read(name).expect("it is listed");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            disk.edit(name, &bad);
            match open(&disk, Durability::Full).and_then(|map| read(&map)) {
                Ok(found) => {
                    assert!(found == known.acknowledged, "byte {at} of {name}");
                    harmless += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at} of {name}: {error}");
                    assert!(error.to_string().contains(name.as_str()), "byte {at} of {name}: {error}");
                    corrupt += 1;
                }
            }
            disk = disk.kill();
            disk.edit(name, &good);
        }
    }
    assert!(corrupt > 1000 && harmless < 100, "{corrupt} were told of, {harmless} were of no use");
}

/// What somebody writes into the file of an entry is no write. It is put aside, and the file becomes what it has to be; so
/// does one that was removed.
#[test]
fn an_edited_file_is_noticed_and_nothing_is_lost() {
    let mut disk = Simulated::new(1);
    let map = open(&disk, Durability::Full).expect("opens");
    let mut known = Known::default();
    while disk.files("entries").len() < 3 {
        assert!(known.step(&map).is_none());
        map.tidy(false).expect("tidies");
    }
    block_on(map.close()).expect("closes");
    let names = disk.files("entries");
    let by_hand = |disk: &Simulated, text: &str| names.iter().for_each(|name| disk.edit(name, text.as_bytes()));
    let aside = |disk: &Simulated| {
        let found = disk.files("edited");
        found.iter().map(|name| disk.read(name).expect("it is listed")).collect::<Vec<_>>()
    };

    by_hand(&disk, "once");
    let map = open(&disk, Durability::Full).expect("an edited file is no damage");
    map.inspect().expect("inspects");
    check_files(&disk, &known.acknowledged, "after looking through all files");
    assert_eq!(aside(&disk), vec![b"once"; 3]);

    // Noticed also by whoever is about to write over it.
    by_hand(&disk, "twice");
    while disk.files("edited").len() < 6 {
        assert!(known.step(&map).is_none());
        map.tidy(false).expect("tidies");
    }
    check_files(&disk, &known.acknowledged, "after writing over edited files");
    assert_eq!(aside(&disk).iter().filter(|text| *text == b"twice").count(), 3);

    larder_file::disk::Disk::remove(&disk, &disk.files("entries")[0]).expect("a file can be removed");
    map.inspect().expect("inspects");
    check_files(&disk, &known.acknowledged, "after a file was removed");
    disk = disk.kill();
    let map = open(&disk, Durability::Full).expect("opens");
    assert!(contents(&map) == known.acknowledged);
}

fn read(map: &FileMap) -> larder_core::Result<work::Contents> {
    let view = block_on(map.view())?;
    let part = larder_ordered::Part { from: "\0".into(), to: "\u{7f}".into(), reverse: false, limit: usize::MAX };
    Ok(block_on(view.scan(vec![part]))?.remove(0).into_iter().collect())
}
