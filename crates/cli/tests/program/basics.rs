//! Every command once, in the forms that people type.

use std::{io::Read as _, process::Stdio};

use serde_json::json;

use crate::sandbox::Sandbox;

#[test]
fn a_value_comes_back_byte_for_byte() {
    let sandbox = Sandbox::new();
    sandbox.write("file", b"\x00\xff\n");
    sandbox.write("json", b" {\"a\": 1.50}\n");
    for (key, value, bytes, form) in [
        ("text", "plain", &b"plain"[..], "text"),
        ("json", "{\"a\": 1.0, \"b\":null}", b"{\"a\": 1.0, \"b\":null}", "value"),
        ("number", "-5", b"-5", "value"),
        ("empty", "", b"", "text"),
        ("file", "@file", b"\x00\xff\n", "base64"),
        ("file of json", "@json", b" {\"a\": 1.50}\n", "value"),
    ] {
        sandbox.ok(["set", key, value]);
        assert_eq!(sandbox.ok(["get", key]).bytes, bytes, "{key}");
        let entry = sandbox.ok(["get", key, "--json"]).json();
        let forms: Vec<_> = ["value", "text", "base64"].iter().filter(|form| entry.get(form).is_some()).collect();
        assert_eq!(forms, [&form], "{key}");
        assert_eq!((&entry["namespace"], &entry["key"], &entry["version"]), (&json!("default"), &json!(key), &json!(1)));
    }
    assert_eq!(sandbox.feed("from a pipe", ["set", "piped", "-"]).status, 0);
    assert_eq!(sandbox.ok(["get", "piped"]).text(), "from a pipe");
    for literal in ["@file", "-"] {
        sandbox.ok(["set", "literal", "--literal", literal]);
        assert_eq!(sandbox.ok(["get", "literal"]).text(), literal);
    }
    sandbox.ok(["set", "opaque", "--opaque", "{}"]);
    assert_eq!(sandbox.ok(["get", "opaque", "--json"]).json()["text"], "{}");
}

#[test]
fn a_set_says_what_it_did() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.ok(["set", "k", "1"]).text(), "set k: version 1, revision 1\n");
    let stamp = sandbox.ok(["set", "k", "2", "--json"]).json();
    assert_eq!(stamp, json!({"key": "k", "version": 2, "revision": 2, "created": false}));
    assert_eq!(sandbox.ok(["set", "k", "3", "--quiet"]).text(), "");
    sandbox.ok(["set", "k", "4", "--if-version", "3", "--meta", "owner=web", "--meta", "n=7"]);
    sandbox.ok(["set", "k", "5", "--if-value", "4"]);
    sandbox.ok(["set", "k", "6", "--if-revision", "5", "--ttl", "1h"]);
    let entry = sandbox.ok(["get", "k", "--json"]).json();
    assert_eq!((&entry["version"], &entry["metadata"]), (&json!(6), &json!({"owner": "web", "n": 7})));
    assert!(entry["expires_at"].is_string());
    sandbox.ok(["touch", "k", "--never"]);
    assert_eq!(sandbox.ok(["get", "k", "--json"]).json().get("expires_at"), None);
    sandbox.ok(["touch", "k", "--expires-at", "2001-01-01T00:00:00Z"]);
    assert_eq!(sandbox.run(["get", "k"]).status, 3);
    sandbox.ok(["set", "k", "anew", "--if-version", "0"]);
}

#[test]
fn global_options_stand_before_and_after_the_command() {
    let sandbox = Sandbox::new();
    sandbox.ok(["--store", "sqlite:other.db", "-n", "users", "--durability", "relaxed", "set", "k", "1"]);
    let after = sandbox.ok(["get", "k", "--json", "--namespace", "users", "--store", "sqlite:other.db"]);
    assert_eq!(after.json()["namespace"], "users");
    let named = sandbox.command(["get", "k", "-n", "users"]).env("LARDER_STORE", "sqlite:other.db").output();
    assert_eq!(named.expect("the program runs").stdout, b"1");
    assert!(!sandbox.path("larder.db").exists());
    sandbox.ok(["set", "k", "1"]);
    assert!(sandbox.path("larder.db").exists());
}

#[test]
fn keys_are_listed_scanned_counted_and_cleared() {
    let sandbox = Sandbox::new();
    let keys = ["a", "a/1", "a/2", "a/3", "b"];
    for key in keys {
        sandbox.ok(["set", key, &format!("value\tof {key}")]);
    }
    let list = |arguments: &[&str]| {
        let text = sandbox.ok([&["list"], arguments].concat());
        let count = sandbox.ok([&["count"], arguments].concat());
        let keys: Vec<String> = text.lines().iter().map(|&key| key.to_owned()).collect();
        assert_eq!(count.text().trim(), keys.len().to_string(), "{arguments:?}");
        let json = sandbox.ok([&["list", "--json"], arguments].concat()).json();
        assert_eq!(json, json!(keys), "{arguments:?}");
        let entries = sandbox.ok([&["scan", "--json"], arguments].concat()).json();
        let scanned: Vec<_> = entries.as_array().expect("an array").iter().map(|entry| entry["key"].clone()).collect();
        assert_eq!(json!(scanned), json, "{arguments:?}");
        keys
    };
    for (arguments, expected) in [
        (&[][..], &keys[..]),
        (&["a/"], &["a/1", "a/2", "a/3"]),
        (&["--glob", "*/*"], &["a/1", "a/2", "a/3"]),
        (&["a", "--limit", "2", "--offset", "1"], &["a/1", "a/2"]),
        (&["--reverse", "--limit", "2"], &["b", "a/3"]),
        (&["--after", "a/1", "--limit", "2"], &["a/2", "a/3"]),
        (&["--reverse", "--after", "a/2"], &["a/1", "a"]),
        (&["--limit", "0"], &[]),
        (&["--offset", "9"], &[]),
        (&["nothing"], &[]),
    ] {
        assert_eq!(list(arguments), expected, "{arguments:?}");
    }
    assert_eq!(sandbox.ok(["scan", "a/1"]).text(), "a/1\tvalue\\tof a/1\n");
    sandbox.feed(b"\xff\xfe", ["set", "binary", "-"]);
    assert_eq!(sandbox.ok(["scan", "binary"]).text(), "binary\t<2 bytes of binary>\n");
    assert_eq!(sandbox.ok(["clear", "a/"]).text(), "cleared 3 keys\n");
    assert_eq!(sandbox.ok(["clear", "--glob", "bin*", "--json"]).json(), json!({"cleared": 1}));
    assert_eq!(list(&[]), ["a", "b"]);
    sandbox.ok(["clear", "--all"]);
    assert_eq!(list(&[]), Vec::<String>::new());
}

/// There is no hidden limit, and pages do not show.
#[test]
fn long_lists_are_whole() {
    let sandbox = Sandbox::new();
    let lines: String = (0..2_345).map(|number| format!("{{\"id\":\"{number:05}\"}}\n")).collect();
    assert_eq!(sandbox.feed(lines, ["import", "--key", "id", "-"]).status, 0);
    let expected: Vec<String> = (0..2_345).map(|number| format!("{number:05}")).collect();
    assert_eq!(sandbox.ok(["list"]).lines(), expected);
    assert_eq!(sandbox.ok(["scan"]).lines().len(), 2_345);
    assert_eq!(sandbox.ok(["list", "--limit", "1500", "--offset", "100"]).lines(), &expected[100..1600]);
    assert_eq!(sandbox.ok(["list", "--reverse", "--limit", "1500"]).lines().last(), Some(&"00845"));
    assert_eq!(sandbox.ok(["count"]).text(), "2345\n");

    // Who reads only the beginning is no reason to complain.
    let mut child = sandbox.command(["scan", "--json"]).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("the output is a pipe");
    stdout.read_exact(&mut [0; 10]).expect("there is output");
    drop(stdout);
    let answer = crate::sandbox::answer(child);
    assert_eq!((answer.status, answer.error.as_str()), (0, ""));
}

#[test]
fn deleting_tells_what_was_not_there() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "a", "1"]);
    sandbox.ok(["set", "b", "1"]);
    assert_eq!(sandbox.ok(["exists", "a"]).text(), "true\n");
    let some = sandbox.run(["delete", "a", "x", "b"]);
    assert_eq!((some.status, some.text()), (3, "deleted a\ndeleted b\n"));
    assert!(some.error.contains("\"x\""), "{}", some.error);
    let none = sandbox.run(["delete", "a", "--json"]);
    assert_eq!((none.status, none.json()), (3, json!({"deleted": [], "absent": ["a"]})));
    let gone = sandbox.run(["exists", "a"]);
    assert_eq!((gone.status, gone.text(), gone.error.as_str()), (3, "false\n", ""));
}

#[test]
fn numbers_and_metadata_and_namespaces() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.ok(["add", "n", "5"]).text(), "5\n");
    assert_eq!(sandbox.ok(["add", "n", "-7", "--floor", "-2"]).text(), "-2\n");
    assert_eq!(sandbox.ok(["add", "n", "1", "--ceiling", "10", "--json"]).json()["sum"], -1);
    sandbox.ok(["meta", "set", "n", "a=1", "b=text"]);
    sandbox.ok(["meta", "merge", "n", r#"{"b":[2],"c":null}"#]);
    assert_eq!(sandbox.ok(["meta", "get", "n"]).text(), "{\"a\":1,\"b\":[2],\"c\":null}\n");

    sandbox.ok(["ns", "create", "users", "--meta", "owner=web"]);
    sandbox.ok(["-n", "wasm:x", "set", "k", "1"]);
    assert_eq!(sandbox.run(["get", "n", "-n", "users"]).status, 3);
    let found = sandbox.ok(["ns", "list", "--json"]).json();
    assert_eq!(
        found,
        json!([
            {"name": "default", "registered": false, "metadata": {}},
            {"name": "users", "registered": true, "metadata": {"owner": "web"}},
            {"name": "wasm:x", "registered": false, "metadata": {}},
        ])
    );
    assert_eq!(sandbox.ok(["ns", "list"]).lines().len(), 3);
    sandbox.ok(["ns", "delete", "users"]);
    assert_eq!(sandbox.run(["ns", "delete", "wasm:x"]).status, 4);
    assert_eq!(sandbox.ok(["ns", "delete", "wasm:x", "--recursive", "--json"]).json()["entries"], 1);
}

#[test]
fn status_backup_bench_and_completions() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "key", "value"]);
    let status = sandbox.ok(["status", "--json"]).json();
    for (field, value) in [
        ("revision", json!(1)),
        ("entries", json!(1)),
        ("bytes", json!(8)),
        ("namespaces", json!(1)),
        ("durability", json!("full")),
        ("engine", json!("sqlite")),
        ("healthy", json!(true)),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    assert!(sandbox.ok(["status"]).text().contains("revision   1\n"));
    assert_eq!(sandbox.ok(["status", "--durability", "relaxed", "--json"]).json()["durability"], "relaxed");

    sandbox.ok(["backup", "copy.db"]);
    assert_eq!(sandbox.ok(["--store", "sqlite:copy.db", "get", "key"]).text(), "value");
    assert_eq!(sandbox.run(["backup", "copy.db"]).status, 4);

    let bench = sandbox.ok(["bench", "--entries", "50", "--seconds", "0.01", "--json"]).json();
    assert_eq!(bench.as_array().map(Vec::len), Some(5));
    assert_eq!(sandbox.ok(["status", "--json"]).json()["entries"], 1, "bench takes away what it brought");
    for shell in ["bash", "zsh", "fish"] {
        assert!(sandbox.ok(["completions", shell]).text().contains("larder"));
    }
}
