//! A real file system without space.

use std::{fs, process::Command};

use futures_lite::future::block_on;
use larder_core::{Durability, ErrorKind, Store};

use crate::child::open;

/// What a file system of this size takes is soon full, and
const SMALL: &str = "2m";
/// in one of this size the same has room twice: in the journal and in files.
const LARGE: &str = "8m";

/// A small file system of its own, gone with the case.
struct Small(tempfile::TempDir);

impl Small {
    /// `None` where one may not be mounted.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = format!("size={SMALL}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path()).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(directory))
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mount = Command::new("mount").args(["-o", &options]).arg(self.0.path()).status();
        assert!(mount.is_ok_and(|mount| mount.success()), "what could be mounted can be given another size");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.path().display());
        }
    }
}

/// A store fills a file system, is refused clearly, keeps what was acknowledged, and goes on when there is space again.
pub(crate) fn a_real_full_disk_loses_nothing_and_goes_on() {
    let Some(small) = Small::mount() else {
        eprintln!("*** nothing may be mounted here: a full disk was simulated alone ***");
        return;
    };
    for room in (0..200).step_by(20) {
        fill(&small, room);
    }
}

fn fill(small: &Small, room: usize) {
    let disk = small.0.path();
    let path = disk.join(format!("store-{room}"));
    // Another amount of space in every round, so that it ends everywhere.
    fs::write(disk.join("ballast"), vec![0; (200 + room) << 10]).expect("there is space yet");
    let store = open(&path, Durability::Full).expect("opens");
    let write =
        |store: &Store, n: u32| block_on(store.set(format!("k/{n}"), format!("{n} {}", "v".repeat(3000))).into_future());
    let mut last = 0;
    let error = loop {
        match write(&store, last + 1) {
            Ok(_) => last += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(last > 20, "{last} fit");
    let verify = |store: &Store, last: u32| {
        for n in 1..=last {
            let entry = block_on(store.get(format!("k/{n}"))).expect("reads").expect("is there");
            assert!(entry.value.bytes().starts_with(format!("{n} ").as_bytes()));
        }
        assert!(block_on(store.get(format!("k/{}", last + 1))).expect("reads").is_none(), "what was refused is not there");
    };
    verify(&store, last);
    fs::remove_file(disk.join("ballast")).expect("removes");
    write(&store, last + 1).expect("it goes on");
    verify(&store, last + 1);
    block_on(store.close()).expect("closes");
    // Of what is in the journal some may have found no room for files of their own until now.
    small.resize(LARGE);
    let store = open(&path, Durability::Full).expect("opens");
    verify(&store, last + 1);
    block_on(store.close()).expect("closes");
    let files = fs::read_dir(path.join("entries/default")).expect("lists").count();
    assert_eq!(files, last as usize + 1);
    fs::remove_dir_all(&path).expect("removes");
    small.resize(SMALL);
}
