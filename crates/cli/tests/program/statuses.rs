//! Exit statuses and messages: what went wrong, what was met, what to do next.

use serde_json::json;

use crate::sandbox::Sandbox;

#[test]
fn every_failure_has_its_status_and_says_why() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "text"]);
    sandbox.ok(["set", "k", "more"]);
    sandbox.ok(["set", "n", "5"]);
    sandbox.ok(["ns", "create", "users"]);
    sandbox.write("large", vec![b'x'; (1 << 20) + 1]);
    for (arguments, status, parts) in [
        (&["get"][..], 2, &["Usage"][..]),
        (&["unknown"], 2, &["unknown"]),
        (&["set", "k", "v", "--if-absent", "--if-version", "1"], 2, &["cannot be used with"]),
        (&["set", "k", "v", "--ttl", "soon"], 2, &["no duration"]),
        (&["set", "k", "v", "--ttl", "0s"], 2, &["longer than zero"]),
        (&["add", "n", "many"], 2, &["invalid"]),
        (&["clear"], 2, &["--all"]),
        (&["clear", "k", "--all"], 2, &["cannot be used with"]),
        (&["touch", "k"], 2, &["--never"]),
        (&["get", "missing"], 3, &["\"missing\"", "\"default\"", "larder list"]),
        (&["meta", "get", "missing"], 3, &["\"missing\""]),
        (&["meta", "set", "missing", "a=1"], 3, &["\"missing\""]),
        (&["touch", "missing", "--never"], 3, &["\"missing\""]),
        (&["delete", "missing"], 3, &["\"missing\""]),
        (&["ns", "delete", "missing"], 3, &["\"missing\"", "ns list"]),
        (&["set", "k", "@no-such-file"], 3, &["no-such-file"]),
        (&["--store", "sqlite:none.db", "get", "k"], 3, &["none.db", "larder --store sqlite:none.db set KEY VALUE"]),
        (&["set", "k", "v", "--if-version", "1"], 4, &["expected version 1", "found version 2", "larder get k --json"]),
        (&["set", "x", "v", "--if-version", "1"], 4, &["expected version 1", "found no entry"]),
        (&["set", "k", "v", "--if-absent"], 4, &["expected it to be absent", "found version 2"]),
        (&["set", "k", "v", "--if-revision", "1"], 4, &["expected revision 1", "revision 2"]),
        (&["set", "k", "v", "--if-value", "other"], 4, &["expected another value"]),
        (&["add", "n", "-6", "--floor", "0"], 4, &["at least 0", "found 5"]),
        (&["ns", "create", "users"], 4, &["exists already"]),
        (&["set", "bad\nkey", "v"], 5, &["control characters"]),
        (&["set", "j", "{", "--as-json"], 5, &["not JSON"]),
        (&["set", "j", r#"{"a":1,"a":2}"#, "--as-json"], 5, &["not JSON"]),
        (&["set", "j", "@large"], 5, &["1048576"]),
        (&["set", "j", "v", "--meta", "novalue"], 5, &["name=value"]),
        (&["add", "k", "1"], 5, &["cannot be added to"]),
        (&["-n", "a/b", "get", "k"], 5, &["namespace"]),
        (&["--store", "nonsense", "get", "k"], 5, &["sqlite:PATH"]),
        (&["--store", "nosuch:x", "get", "k"], 5, &["nosuch"]),
        (&["--store", "memory:", "--durability", "full", "get", "k"], 5, &["cannot be durable"]),
        (&["--store", "memory:", "backup", "x.db"], 5, &["export --all-namespaces"]),
        (&["clear", ""], 5, &["--all"]),
        (&["-n", "larder:namespaces", "list"], 6, &["larder:"]),
        (&["ns", "delete", "default"], 6, &["default"]),
    ] {
        let answer = sandbox.run(arguments);
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        for part in parts {
            assert!(answer.error.contains(part), "{arguments:?}: {part:?} is not in {:?}", answer.error);
        }
        assert_eq!(answer.text(), "", "{arguments:?}");
    }
    assert!(!sandbox.path("none.db").exists(), "looking creates nothing");
    assert_eq!(sandbox.ok(["list"]).lines(), ["k", "n"], "nothing was stored on the way");
}

#[test]
fn errors_are_json_where_json_was_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "1"]);
    let error = |arguments: &[&str]| {
        let answer = sandbox.run(arguments);
        let body: serde_json::Value = serde_json::from_str(&answer.error).expect("the error is JSON");
        (answer.status, body["error"].clone())
    };
    let (status, conflict) = error(&["set", "k", "2", "--if-version", "7", "--json"]);
    assert_eq!((status, &conflict["code"]), (4, &json!("conflict")));
    assert_eq!(conflict["expected"], json!({"version": 7}));
    assert_eq!(conflict["found"], json!({"version": 1, "revision": 1}));
    assert_eq!((&conflict["namespace"], &conflict["key"]), (&json!("default"), &json!("k")));
    assert!(conflict["message"].as_str().is_some_and(|text| text.contains("expected version 7, found version 1")));

    for (arguments, status, code) in [
        (&["--json", "get", "x"][..], 3, "not_found"),
        (&["set", "k", "1", "--if-absent", "--json"], 4, "already_exists"),
        (&["--json", "set", "", "1"], 5, "invalid"),
        (&["--json", "set"], 2, "usage"),
        (&["import", "--json", "-"], 2, "usage"),
    ] {
        let (found, body) = error(arguments);
        assert_eq!((found, &body["code"]), (status, &json!(code)), "{arguments:?}");
    }
}

#[test]
fn the_statuses_and_every_command_are_in_the_help() {
    let sandbox = Sandbox::new();
    let help = sandbox.ok(["--help"]);
    for part in ["0  done", "3  not found", "4  conflict", "8  corrupt", "--store", "LARDER_STORE"] {
        assert!(help.text().contains(part), "{part}");
    }
    for command in [
        "get",
        "set",
        "delete",
        "exists",
        "list",
        "scan",
        "count",
        "doc",
        "clear",
        "meta",
        "add",
        "touch",
        "watch",
        "history",
        "diff",
        "trim",
        "hold",
        "commit",
        "txn",
        "copy",
        "migrate",
        "verify",
        "restore",
        "import",
        "export",
        "ns",
        "status",
        "backup",
        "bench",
        "completions",
    ] {
        assert!(help.text().contains(&format!("\n  {command} ")), "{command} is not in the help");
        assert!(sandbox.ok([command, "--help"]).text().contains("Usage: larder"), "{command}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_the_output_is_told() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "v"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has a full device");
    let output = sandbox.command(["list"]).stdout(full).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be written"));
}
