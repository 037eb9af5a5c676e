//! Files that are no store, or no whole one, and a disk that fills in the middle of an import.

use std::{collections::BTreeMap, fs, process::Command};

use crate::sandbox::{Sandbox, answer};

/// Every file of the sandbox.
fn files(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(sandbox.path("")).expect("the folder can be read").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).expect("a file"))).collect()
}

/// `larder get` and `larder set` on what is no store: a clear error each, and not a byte is changed.
#[test]
fn what_cannot_be_opened_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.ok(["--store=sqlite:whole.db", "set", "k", "v"]);
    let whole = fs::read(sandbox.path("whole.db")).expect("the store is a file");
    let mut newer = whole.clone();
    // The number of the schema, as SQLite's file format has it.
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    let mut foreign = whole.clone();
    foreign[68..72].copy_from_slice(&[0; 4]);

    sandbox.write("text.db", "dear diary".repeat(50));
    sandbox.write("foreign.db", foreign);
    sandbox.write("newer.db", newer);
    sandbox.write("cut.db", &whole[..whole.len() / 2]);
    sandbox.write("empty.db", "");
    sandbox.write("fixed.db", &whole);
    let mut permissions = fs::metadata(sandbox.path("fixed.db")).expect("it is there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(sandbox.path("fixed.db"), permissions).expect("it is ours");
    fs::create_dir(sandbox.path("folder.db")).expect("a folder can be made");

    let before = files(&sandbox);
    for (name, status, words) in [
        ("text.db", 5, "a file of another program"),
        ("foreign.db", 5, "a SQLite file of another program"),
        ("newer.db", 5, "written by a newer Larder"),
        ("cut.db", 8, "damaged"),
        ("empty.db", 5, "an empty file"),
        ("fixed.db", 6, "read-only"),
        ("folder.db", 5, "is a directory"),
    ] {
        let store = format!("--store=sqlite:{name}");
        for command in [&["get", "k"][..], &["set", "k", "v"], &["status"]] {
            let answer = sandbox.run([&[store.as_str()], command].concat());
            assert_eq!(answer.status, status, "{name}: {answer:?}");
            assert!(answer.error.contains(words), "{name}: {answer:?}");
        }
    }
    assert_eq!(sandbox.run(["--store=sqlite:missing.db", "get", "k"]).status, 3);
    assert_eq!(sandbox.run(["--store=sqlite:no/where.db", "set", "k", "v"]).status, 3);
    assert!(files(&sandbox) == before, "something was changed or made");
}

/// The system has no more space from some write on: what was committed before stays, and the import can be repeated.
#[test]
fn a_disk_that_fills_during_an_import_loses_nothing_committed() {
    let sandbox = Sandbox::new();
    let records: String = (0..20_000).map(|n| format!("{{\"id\":\"{n:05}\",\"text\":\"{}\"}}\n", "x".repeat(200))).collect();
    sandbox.write("records.jsonl", records);
    sandbox.ok(["set", "before", "v"]);

    let larder = sandbox.command(["import", "--key", "id", "records.jsonl"]);
    let mut traced = Command::new("strace");
    traced.args([
        "--follow-forks",
        "--quiet=all",
        "--trace=pwrite64",
        "--inject=pwrite64:error=ENOSPC:when=4000+",
        "-o",
        "trace",
    ]);
    traced.arg(larder.get_program()).args(larder.get_args()).current_dir(sandbox.path("")).env_remove("LARDER_STORE");
    traced.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let full = answer(traced.spawn().expect("strace is installed, and the program starts"));
    assert_eq!(full.status, 7, "{full:?}");
    assert!(full.error.contains("the disk is full"), "{full:?}");

    let count = || sandbox.ok(["count"]).text().trim().replace(',', "").parse::<usize>().expect("a number");
    let kept = count();
    assert!(full.error.contains(&format!("{} entries committed before stay", group(kept - 1))), "{kept}: {full:?}");
    assert_eq!(kept % 1000, 1, "commits are whole: {kept}");
    assert!((1001..20_000).contains(&kept), "{kept}");
    assert_eq!(sandbox.ok(["get", "before"]).text(), "v");
    sandbox.ok(["import", "--key", "id", "records.jsonl"]);
    assert_eq!(count(), 20_001);
}

/// A number as messages write it.
fn group(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
