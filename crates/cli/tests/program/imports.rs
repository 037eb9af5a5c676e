//! Imports of other people's records.

use serde_json::json;

use crate::sandbox::Sandbox;

#[test]
fn lines_arrays_and_documents_give_the_same_entries() {
    let records = [r#"{"id":"a","n": 1.0}"#, r#"{"n":[1,  2],"id":"b"}"#, r#"{"id":"c/ü","o":{"x":null}}"#];
    let lines = format!("\n{}\r\n\n  {} \n{}", records[0], records[1], records[2]);
    let array = format!(" \n[{},\n {} ,{}]\n", records[0], records[1], records[2]);
    let document =
        format!(r#"{{"x":[{{"id":1}}],"a":{{"c":{{}},"b":[{},{},{}]}},"b":0}}"#, records[0], records[1], records[2]);
    for (input, extra) in [(lines, &[][..]), (array, &[]), (document, &["--items", "a.b"])] {
        let sandbox = Sandbox::new();
        let answer = sandbox.feed(input, [&["import", "--key", "id", "-", "--json"], extra].concat());
        assert_eq!((answer.status, &answer.json()["entries"]), (0, &json!(3)), "{answer:?}");
        assert_eq!(sandbox.ok(["list"]).lines(), ["a", "b", "c/ü"]);
        for (key, record) in ["a", "b", "c/ü"].iter().zip(records) {
            assert_eq!(sandbox.ok(["get", key]).text(), record, "raw bytes are kept");
        }
    }
}

#[test]
fn what_cargo_metadata_prints_is_understood() {
    let sandbox = Sandbox::new();
    let document = r#"{"packages":[
      {"name":"serde","version":"1.0.0","id":"registry+https://github.com/rust-lang/crates.io-index#serde@1.0.0","source":null},
      {"name":"it's","version":"0.1.0","id":"path+file:///src/it's#0.1.0","dependencies":[{"name":"serde","req":"^1"}]}
    ],"workspace_members":["path+file:///src/it's#0.1.0"],"resolve":{"nodes":[{"id":"x"}]},"version":1,"metadata":null}"#;
    let answer = sandbox.feed(document, ["import", "--items", "packages", "--key", "id", "-"]);
    assert_eq!(answer.status, 0, "{answer:?}");
    let lines = answer.lines();
    assert!(lines[0].starts_with("imported 2 entries, ") && lines[0].ends_with("at revision 1"), "{lines:?}");
    let next: Vec<&str> = lines.iter().skip_while(|line| **line != "Try next:").skip(1).map(|line| line.trim()).collect();
    assert_eq!(next.len(), 3);
    assert_eq!((next[0], next[2]), ("larder list --limit 5", "larder status"));
    assert_eq!(next[1], "larder get 'registry+https://github.com/rust-lang/crates.io-index#serde@1.0.0'");
    let nodes = sandbox.feed(document, ["import", "--items", "resolve.nodes", "--key", "id", "-"]);
    assert_eq!(nodes.status, 0, "{nodes:?}");
    assert_eq!(sandbox.ok(["get", "x"]).text(), r#"{"id":"x"}"#);
}

#[test]
fn keys_are_made_of_fields() {
    let sandbox = Sandbox::new();
    let record = r#"{"a":{"b":"x/y"},"n":17,"f":1.50,"t":true}"#;
    assert_eq!(sandbox.feed(record, ["import", "--key", "a.b,n,f,t", "-"]).status, 0);
    assert_eq!(sandbox.ok(["list"]).lines(), ["x/y/17/1.50/true"]);
    for (record, fields, part) in [
        (r#"{"a":1}"#, "b", "no field \"b\""),
        (r#"{"a":null}"#, "a", "is null"),
        (r#"{"a":[1]}"#, "a", "is an array"),
        (r#"{"a":{"b":1}}"#, "a", "is an object"),
        (r#"{"a":""}"#, "a", "must not be empty"),
        (r#"{"a":"\n"}"#, "a", "control characters"),
        (r#"{"a":1,"b":2,"b":3}"#, "a", "not JSON"),
        ("[x]", "a", "cannot be read"),
        ("17", "a", "no field \"a\""),
    ] {
        let answer = sandbox.feed(record, ["import", "--key", fields, "-"]);
        assert_eq!(answer.status, 5, "{record}: {answer:?}");
        assert!(answer.error.contains(part), "{record}: {}", answer.error);
        assert!(answer.error.contains("nothing was imported"), "{}", answer.error);
    }
    assert_eq!(sandbox.ok(["count"]).text(), "1\n");
}

/// Rubbish in the middle, behind more than one commit's worth of good lines.
#[test]
fn rubbish_is_named_and_what_was_committed_stays() {
    let sandbox = Sandbox::new();
    let mut lines: Vec<String> = (1..=2_500).map(|number| format!("{{\"id\":{number}}}")).collect();
    lines[1_776] = "rubbish".to_owned();
    lines[2_000] = "{\"no\":\"id\"}".to_owned();
    sandbox.write("input", lines.join("\n"));
    let stopped = sandbox.run(["import", "--key", "id", "input"]);
    assert_eq!(stopped.status, 5);
    for part in ["line 1777: this is not JSON", "the 1,776 entries committed before stay", "--skip-bad"] {
        assert!(stopped.error.contains(part), "{}", stopped.error);
    }
    assert_eq!(sandbox.ok(["count"]).text(), "1776\n");

    let skipped = sandbox.ok(["import", "--key", "id", "input", "--skip-bad"]);
    for part in ["imported 2,498 entries", "1,776 replaced what was there", "2 bad records were skipped"] {
        assert!(skipped.text().contains(part), "{}", skipped.text());
    }
    assert!(skipped.error.contains("line 1777: ") && skipped.error.contains("line 2001: "), "{}", skipped.error);
    let json = sandbox.ok(["import", "--key", "id", "input", "--skip-bad", "--json", "--if-absent"]).json();
    assert_eq!((&json["entries"], &json["skipped_existing"], &json["skipped_bad"]), (&json!(0), &json!(2498), &json!(2)));
    assert_eq!(json["bad"][1]["place"], "line 2001");
    assert_eq!(sandbox.ok(["count"]).text(), "2498\n");

    let elements = sandbox.feed("[{\"id\":1},{},{\"id\":3},rubbish]", ["import", "--key", "id", "-", "--skip-bad"]);
    assert_eq!(elements.status, 5, "behind rubbish in an array nothing can be told apart");
    assert!(elements.error.contains("after record 3"), "{}", elements.error);
    let element = sandbox.feed("[{\"id\":1},{}]", ["import", "--key", "id", "-"]);
    assert!(element.error.contains("record 2: the record has no field"), "{}", element.error);
}

/// One is told as one, and several as several.
#[test]
fn what_is_counted_is_told_as_people_say_it() {
    let sandbox = Sandbox::new();
    let good = "{\"id\":1}\n";
    let stopped = sandbox.feed(format!("{good}rubbish"), ["import", "--key", "id", "-"]);
    assert_eq!(stopped.status, 5, "{stopped:?}");
    assert!(stopped.error.contains("the 1 entry committed before stays"), "{}", stopped.error);
    for (records, arguments, parts) in [
        (format!("{good}rubbish"), &["--skip-bad"][..], &["imported 1 entry, ", "1 bad record was skipped"][..]),
        (good.repeat(2), &[], &["imported 1 entry, ", "1 record was replaced by a later one with the same key"]),
        (good.repeat(3), &[], &["imported 1 entry, ", "2 records were replaced by later ones with the same key"]),
        (good.to_owned(), &["--if-absent"], &["imported 0 entries, ", "1 record was left out, as its key was there"]),
    ] {
        let answer = sandbox.feed(records, [&["import", "--key", "id", "-"], arguments].concat());
        assert_eq!(answer.status, 0, "{answer:?}");
        for part in parts {
            assert!(answer.text().contains(part), "{part:?} in {}", answer.text());
        }
    }
    let end = "{\"larder\":\"export\",\"format\":1}\n{\"larder\":\"end\",\"entries\":1}\n";
    let cut = sandbox.feed(end, ["import", "-"]);
    assert!(cut.error.contains("the export counts 1 entry, and 0 were found in it"), "{}", cut.error);
}

#[test]
fn existing_keys_are_overwritten_or_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "a", "old", "--meta", "kept=true"]);
    let lines = "{\"id\":\"a\",\"v\":1}\n{\"id\":\"b\",\"v\":1}\n{\"id\":\"b\",\"v\":2}\n";
    let left = sandbox.feed(lines, ["import", "--key", "id", "--if-absent", "--json", "-"]).json();
    assert_eq!((&left["created"], &left["skipped_existing"]), (&json!(1), &json!(2)));
    assert_eq!((sandbox.ok(["get", "a"]).text(), sandbox.ok(["get", "b"]).text()), ("old", r#"{"id":"b","v":1}"#));
    let over = sandbox.feed(lines, ["import", "--key", "id", "--json", "-"]).json();
    assert_eq!((&over["created"], &over["overwritten"], &over["repeated"]), (&json!(0), &json!(2), &json!(1)));
    assert_eq!(sandbox.ok(["get", "b"]).text(), r#"{"id":"b","v":2}"#, "the last one wins");
    let a = sandbox.ok(["get", "a", "--json"]).json();
    assert_eq!((&a["version"], &a["metadata"]), (&json!(2), &json!({"kept": true})));
}

#[test]
fn a_request_that_cannot_work_leaves_no_store_behind() {
    let sandbox = Sandbox::new();
    sandbox.write("records", "{\"id\":1}\n");
    for (arguments, status, part) in [
        (&["import", "records"][..], 2, "--key"),
        (&["import", "records", "--items", "a"], 2, "--key"),
        (&["import", "records", "--key", "a..b"], 5, "path"),
        (&["import", "nowhere", "--key", "id"], 3, "nowhere"),
        (&["import", ".", "--key", "id"], 5, "cannot be read"),
    ] {
        let answer = sandbox.run(arguments);
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        assert!(answer.error.contains(part), "{}", answer.error);
        assert!(!sandbox.path("larder.db").exists(), "{arguments:?}");
    }
    let large = format!("{{\"id\":1,\"x\":\"{}\"}}\n{{\"id\":2}}", "x".repeat(1 << 20));
    let answer = sandbox.feed(&large, ["import", "--key", "id", "-"]);
    assert_eq!(answer.status, 5);
    assert!(
        answer.error.contains("line 1: the record is too large") && answer.error.contains("--items"),
        "{}",
        answer.error
    );
    assert_eq!(sandbox.feed(&large, ["import", "--key", "id", "-", "--skip-bad"]).status, 0);
    assert_eq!(sandbox.ok(["list"]).lines(), ["2"]);
    assert_eq!(sandbox.feed("", ["import", "--key", "id", "-"]).status, 0);
}
