//! Commit documents: all or nothing, and strict about what they say.

use serde_json::json;

use crate::sandbox::{Answer, Sandbox};

fn commit(sandbox: &Sandbox, document: &str) -> Answer {
    sandbox.feed(document, ["commit", "-", "--json"])
}

#[test]
fn checks_and_writes_are_one_step() {
    let sandbox = Sandbox::new();
    for (key, value) in [("a", "1"), ("c", "{\"x\": 1}"), ("d", "gone soon"), ("n", "5"), ("text", "plain")] {
        sandbox.ok(["set", key, value]);
    }
    let document = r#"{
      "checks": [
        {"key": "a", "version": 1}, {"key": "a", "revision": 1}, {"key": "b", "absent": true}, {"key": "c", "exists": true},
        {"key": "c", "value_is": {"x": 1}}, {"key": "text", "text_is": "plain"}, {"key": "text", "base64_is": "cGxhaW4="},
        {"key": "a", "absent": true, "namespace": "other"}
      ],
      "writes": [
        {"set": "a", "value": {"kept": 1.0,  "as": null}, "ttl": "10m", "metadata": {"owner": "web"}},
        {"set": "b", "value": null},
        {"set": "bytes", "base64": "/w=="},
        {"delete": "d"},
        {"add": "n", "by": 2, "floor": 0, "ceiling": 10},
        {"merge": "c", "metadata": {"seen": true}},
        {"touch": "text", "expires_at": "2999-01-01T00:00:00Z"},
        {"set": "a", "text": "elsewhere", "namespace": "other"}
      ]
    }"#;
    sandbox.write("document", document);
    let done = sandbox.ok(["commit", "document", "--json"]).json();
    assert_eq!((&done["revision"], done["writes"].as_array().map(Vec::len)), (&json!(6), Some(8)));
    assert_eq!(done["writes"][4], json!({"namespace": "default", "key": "n", "version": 2, "existed": true, "number": 7}));
    assert_eq!(sandbox.ok(["get", "a"]).text(), r#"{"kept": 1.0,  "as": null}"#);
    assert_eq!(sandbox.ok(["get", "b"]).text(), "null");
    assert_eq!(sandbox.ok(["get", "bytes"]).bytes, b"\xff");
    assert_eq!(sandbox.ok(["get", "a", "-n", "other"]).text(), "elsewhere");
    assert_eq!(sandbox.run(["get", "d"]).status, 3);
    assert_eq!(sandbox.ok(["get", "text", "--json"]).json()["expires_at"], "2999-01-01T00:00:00.000Z");
    let revisions: Vec<_> =
        ["a", "b", "c", "n"].map(|key| sandbox.ok(["get", key, "--json"]).json()["revision"].clone()).into();
    assert_eq!(revisions, vec![json!(6); 4]);

    let again = sandbox.run(["commit", "document"]);
    assert_eq!(again.status, 4);
    assert!(
        again.error.contains("check 1: ") && again.error.contains("expected version 1, found version 2"),
        "{}",
        again.error
    );
    assert!(again.error.contains("nothing was written"));
}

#[test]
fn a_commit_with_an_id_happens_once() {
    let sandbox = Sandbox::new();
    // The time in it is that of the test, or the store would have forgotten it.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let document = format!(r#"{{"id":"{now:012x}00112233445566778899","writes":[{{"add":"n","by":1}}]}}"#);
    let first = commit(&sandbox, &document);
    let second = commit(&sandbox, &document);
    assert_eq!((first.status, first.json()), (second.status, second.json()));
    assert_eq!(sandbox.ok(["get", "n"]).text(), "1");
}

#[test]
fn what_is_unclear_is_refused_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "1"]);
    for (document, part) in [
        ("", "no commit"),
        ("[]", "no commit"),
        (r#"{"write":[]}"#, "unknown field `write`"),
        (r#"{"checks":[{"key":"k","versoin":1}]}"#, "unknown field `versoin`"),
        (r#"{"checks":[{"key":"k"}]}"#, "check 1: a check takes exactly one"),
        (r#"{"checks":[{"key":"k","version":1,"exists":true}]}"#, "check 1: a check takes exactly one"),
        (r#"{"writes":[{"delete":"a"},{"set":"k"}]}"#, "write 2: set takes exactly one of value, text and base64"),
        (r#"{"writes":[{"set":"k","value":1,"text":"1"}]}"#, "write 1: set takes exactly one"),
        (r#"{"writes":[{"set":"k","delete":"k","value":1}]}"#, "write 1: a write takes exactly one"),
        (r#"{"writes":[{"delete":"k","ttl":"1m"}]}"#, "write 1: delete takes no ttl"),
        (r#"{"writes":[{"set":"k","value":{"a":1,"a":2}}]}"#, "write 1: this is not JSON"),
        (r#"{"writes":[{"set":"","value":1}]}"#, "write 1: a key must not be empty"),
        (r#"{"writes":[{"set":"k","base64":"?"}]}"#, "write 1: this is not base64"),
        (r#"{"writes":[{"set":"k","text":"x","ttl":"soon"}]}"#, "write 1: \"soon\" is no duration"),
        (r#"{"writes":[{"add":"k"}]}"#, "write 1: add needs by"),
        (r#"{"writes":[{"touch":"k"}]}"#, "write 1: touch takes exactly one"),
        (r#"{"writes":[{"set":"k","value":2},{"set":"k","namespace":"a/b","value":2}]}"#, "write 2: a namespace"),
        (r#"{"id":"x","writes":[]}"#, "32 hex digits"),
    ] {
        let answer = sandbox.feed(document, ["commit", "-"]);
        assert_eq!(answer.status, 5, "{document}: {answer:?}");
        assert!(answer.error.contains(part), "{document}: {}", answer.error);
    }
    assert_eq!(sandbox.ok(["get", "k", "--json"]).json()["version"], 1);
    assert_eq!(sandbox.ok(["list"]).lines(), ["k"]);
}

#[test]
fn the_example_in_the_help_is_understood() {
    let sandbox = Sandbox::new();
    let help = sandbox.ok(["commit", "--help"]);
    let (start, end) = (help.text().find("  {\n").expect("an example"), help.text().find("\n  }\n").expect("its end"));
    let answer = commit(&sandbox, &help.text()[start..end + 4]);
    assert_eq!(answer.status, 4, "only its first check fails, in an empty store: {answer:?}");
    assert!(answer.error.contains("check 1: "), "{}", answer.error);
}
