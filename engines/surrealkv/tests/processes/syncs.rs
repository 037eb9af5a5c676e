//! A killed process leaves its writes with the system, so killing shows nothing about syncs: here system calls are recorded.

use std::fs;

use crate::child::{FEW, FEW_COMMITS, start_by};

/// Between two acknowledgements the log that SurrealKV appends to was written, and then synced.
pub(crate) fn a_sync_precedes_every_acknowledgement() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("trace");
    let recorder = file.to_str().expect("a temporary path in UTF-8");
    let calls = "--trace=write,writev,pwrite64,fsync,fdatasync";
    let strace = ["strace", "--follow-forks", "--decode-fds=path", calls, "-o", recorder];
    let child = start_by(&strace, FEW, &directory.path().join("synced"));
    let output = child.wait_with_output().expect("the child ends");
    assert!(output.status.success(), "the child ended with {}", output.status);
    let trace = fs::read_to_string(&file).expect("strace has written its record");
    let (mut acknowledged, mut written, mut synced) = (0, 0, false);
    for line in trace.lines() {
        // A call that others came in between of is told twice; it is counted when it begins.
        let (is_sync, is_log) = (line.contains("sync("), line.contains("/wal/"));
        if line.contains("\"ack ") {
            acknowledged += 1;
            assert!(written > 0 && synced, "acknowledgement {acknowledged}: {written} writes to the log, synced: {synced}");
            (written, synced) = (0, false);
        } else if is_sync && is_log {
            synced = written > 0;
        } else if is_log && !line.contains("resumed>") {
            (written, synced) = (written + 1, false);
        }
    }
    assert_eq!(acknowledged, FEW_COMMITS);
}
