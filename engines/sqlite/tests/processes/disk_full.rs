//! A full or failing disk: the system refuses to write or to sync, at every place in turn.

use std::{collections::BTreeMap, path::Path};

use futures_lite::future::block_on;

use crate::{
    child::{Spec, open},
    kills::verify,
};

/// What a child said with writes refused as `when` says, in the words of `strace --inject`.
fn with_full_disk(path: &Path, when: &str) -> Vec<String> {
    let inject = format!("--inject=pwrite64:error=ENOSPC:when={when}");
    let runner = ["strace", "--follow-forks", "--quiet=all", "--trace=pwrite64", &inject, "-o", "/dev/null"];
    let child = Spec { role: "pairs", store: path, name: "w", commits: 12 }.start(&runner);
    let output = child.wait_with_output().expect("the child ends");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// The last pair and revision that were acknowledged.
fn acknowledged(lines: &[String]) -> (i64, u64) {
    let last = lines.iter().rfind(|line| line.starts_with("ack ")).map_or("ack 0 0", String::as_str);
    let numbers: Vec<&str> = last.split(' ').collect();
    (numbers[1].parse().expect("a number"), numbers[2].parse().expect("a revision"))
}

/// From some write on there is no space any more: the commit is refused with a clear error, and all before it is there.
pub(crate) fn a_full_disk_loses_nothing_acknowledged() {
    let mut refused = 0;
    for first in (1..60).step_by(4) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("full.db");
        drop(open(&path).expect("the store opens"));
        let lines = with_full_disk(&path, &format!("{first}+"));
        if let Some(error) = lines.iter().find(|line| line.starts_with("err ")) {
            refused += 1;
            // A store that cannot even be opened has no commit that could be refused.
            assert!(error.contains("unavailable"), "{error}");
            assert!(error.contains("the disk is full") || error.starts_with("err 0 "), "{error}");
        }
        let (last, revision) = acknowledged(&lines);
        verify(&path, &BTreeMap::from([("w", last)]), revision);
    }
    assert!(refused >= 10, "the disk was full in the middle of a commit {refused} times");
}

/// The disk is full for a while: when there is space again, the same process goes on.
pub(crate) fn a_disk_with_space_again_goes_on() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("again.db");
    drop(open(&path).expect("the store opens"));
    let lines = with_full_disk(&path, "20..22");
    let failed = lines.iter().position(|line| line.starts_with("err ")).expect("a commit was refused");
    assert!(lines[failed + 1..].iter().any(|line| line.starts_with("ack ")), "{lines:?}");
    let (last, revision) = acknowledged(&lines);
    verify(&path, &BTreeMap::from([("w", last)]), revision);
}

/// A sync fails, and right after it there is no space: nobody knows what the disk has kept of the group, so every caller
/// in it is told that, and none that nothing was written.
///
/// An engine that tries the group's commits again one by one reports the second failure, which is about something else.
pub(crate) fn a_failed_sync_is_unknown_to_the_whole_group() {
    let mut unknown = 0;
    // Where the second failure has to come to meet the same group depends on how commits fall into groups.
    for (sync, write) in (3..6).flat_map(|sync| (12..48).step_by(2).map(move |write| (sync, write))) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("sync.db");
        drop(open(&path).expect("the store opens"));
        let sync = format!("--inject=fsync,fdatasync:error=EIO:when={sync}");
        let write = format!("--inject=pwrite64:error=ENOSPC:when={write}+");
        let calls = "--trace=fsync,fdatasync,pwrite64";
        let runner = ["strace", "--follow-forks", "--quiet=all", calls, &sync, &write, "-o", "/dev/null"];
        let child = Spec { role: "crowd", store: &path, name: "", commits: 3 }.start(&runner);
        let output = child.wait_with_output().expect("the child ends");

        let store = open(&path).expect("the store opens");
        for line in String::from_utf8(output.stdout).expect("text").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let there = words[1] != "0" && block_on(store.exists(words[1])).expect("reads");
            match words[..] {
                ["ack", key, _] => assert!(there, "{key} was acknowledged"),
                ["err", _, "outcome_unknown"] => unknown += 1,
                ["err", key, kind] => assert!(!there, "{key} was refused as {kind}, and is there"),
                _ => assert!(line.starts_with("err 0 "), "{line}"),
            }
        }
        block_on(store.close()).expect("the store closes");
    }
    assert!(unknown > 8, "{unknown} outcomes were unknown");
}
