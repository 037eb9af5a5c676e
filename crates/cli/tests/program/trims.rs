//! What a store takes on its disk while it is overwritten and trimmed from the command line.

use std::fs;

use crate::{sandbox::Sandbox, script::size, watching::number};

const KEYS: usize = 100;
const VALUE_BYTES: usize = 1024;
/// A change of that size takes less than this in the file: three rows share a page of 4 KiB, and the index takes some.
const CHANGE_BYTES_MAX: usize = 1536;
/// Free pages that a trim leaves, the schema, commit ids, and pages that are not full.
const REST_BYTES_MAX: usize = 512 << 10;

/// The bytes of the file and of all that lies beside it.
fn on_disk(sandbox: &Sandbox) -> usize {
    let entries = fs::read_dir(sandbox.path("")).expect("a folder can be read");
    let lengths = entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file can be looked at").len());
    usize::try_from(lengths.sum::<u64>()).expect("it is not that large")
}

/// 100 keys of 1 KiB are overwritten again and again by processes that end at once, which keep nothing in bounds; `larder
/// trim` does, and in the end gives back all that does not live.
#[test]
fn trims_bound_what_overwrites_take_on_the_disk() {
    const LOG_BYTES_MAX: usize = 200_000;
    const ROUNDS_BETWEEN_TRIMS: usize = 5;
    let rounds = size(60, 1_000);
    let sandbox = Sandbox::new();
    let bound = (LOG_BYTES_MAX / VALUE_BYTES + KEYS * (ROUNDS_BETWEEN_TRIMS + 1)) * CHANGE_BYTES_MAX + REST_BYTES_MAX;
    let mut largest = 0;
    for round in 1..=rounds {
        let pad = ((b'a' + (round % 26) as u8) as char).to_string().repeat(VALUE_BYTES - 12);
        let lines: String = (0..KEYS).map(|key| format!("{{\"id\":{key},\"v\":\"{pad}\"}}\n")).collect();
        let import = ["import", "--key", "id", "-", "--quiet", "--durability", "relaxed"];
        assert_eq!(sandbox.feed(lines, import).status, 0);
        largest = largest.max(on_disk(&sandbox));
        if round % ROUNDS_BETWEEN_TRIMS == 0 {
            sandbox.ok(["trim", "--bytes", &LOG_BYTES_MAX.to_string(), "--ids", "1ms"]);
            assert!(largest <= bound, "round {round}: {largest} bytes, and {bound} at most");
            let status = sandbox.ok(["status", "--json"]).json();
            assert!(number(&status, "changes") <= (LOG_BYTES_MAX / VALUE_BYTES) as u64, "{status}");
        }
    }
    let written = rounds * KEYS * VALUE_BYTES;
    assert!(written > 2 * bound, "without trims it would be larger: {written} bytes written");
    sandbox.ok(["trim", "--bytes", "0", "--ids", "1ms"]);
    let left = on_disk(&sandbox);
    println!("{written} bytes written, at most {largest} on the disk (bound {bound}), {left} after all was trimmed");
    assert!(left <= KEYS * CHANGE_BYTES_MAX + REST_BYTES_MAX, "{left} bytes are left");
    assert_eq!(sandbox.ok(["get", "7", "--json"]).json()["version"], rounds);
}
