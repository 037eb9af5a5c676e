//! A directory that another process has.

use std::io::{BufRead as _, BufReader};

use larder_core::{Durability, ErrorKind};

use crate::child::{open, start};

/// The second process is told at once who is in the way, and the death of the first one, however it dies, lets it in.
pub(crate) fn one_process_at_a_time_has_a_directory() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let mut holder = start("holder", &path);
    let mut lines = BufReader::new(holder.stdout.take().expect("its output is piped")).lines();
    assert_eq!(lines.next().expect("it speaks").expect("text"), "open");

    let error = open(&path, Durability::Full).map(drop).expect_err("somebody has it");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("another process has the store open"), "{error}");
    let output = start("full", &path).wait_with_output().expect("the child ends");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("err unavailable"), "a child is told the same");

    holder.kill().expect("a child can be killed");
    holder.wait().expect("a killed child ends");
    drop(open(&path, Durability::Full).expect("a dead process has nothing"));
}
