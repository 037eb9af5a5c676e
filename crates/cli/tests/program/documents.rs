//! Documents as people type them, and as programs do.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const PERSON: &str = r#"{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
  "required": ["name"]}"#;

fn people() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("person.json", PERSON);
    sandbox.ok(["doc", "schema", "set", "people", "@person.json"]);
    sandbox.ok(["doc", "insert", "people", r#"{"name": "Ann", "age": 31.0}"#, "--id", "ann", "--meta", "by=x"]);
    sandbox
}

#[test]
fn documents_are_inserted_changed_and_deleted() {
    let sandbox = people();
    assert_eq!(sandbox.ok(["doc", "get", "people", "ann"]).text(), r#"{"name": "Ann", "age": 31.0}"#, "byte for byte");
    let generated = sandbox.feed(r#"{"name":"Bob","age":7}"#, ["doc", "insert", "people", "-", "--json"]).json();
    assert_eq!((&generated["version"], &generated["created"]), (&json!(1), &json!(true)));
    let bob = generated["id"].as_str().expect("an id");
    assert_eq!(sandbox.ok(["doc", "get", "people", bob, "--json"]).json()["value"]["age"], 7);

    let patched = sandbox.ok(["doc", "patch", "people", "ann", r#"{"nick": "A"}"#, "--if-version", "1"]);
    assert_eq!(patched.text(), "patched ann: version 2, revision 4\n");
    let operations = r#"[{"op":"test","path":"/age","value":31},{"op":"replace","path":"/age","value":1.50e1}]"#;
    sandbox.ok(["doc", "patch", "people", "ann", operations]);
    assert_eq!(sandbox.ok(["doc", "get", "people", "ann"]).text(), r#"{"name":"Ann","age":1.50e1,"nick":"A"}"#);
    assert_eq!(sandbox.ok(["doc", "get", "people", "ann", "--as-of", "2"]).text(), r#"{"name": "Ann", "age": 31.0}"#);

    let replaced = sandbox.ok(["doc", "replace", "people", "ann", r#"{"name":"Anna"}"#, "--if-version", "3", "--json"]);
    assert_eq!(replaced.json(), json!({"id": "ann", "version": 4, "revision": 6, "created": false}));
    sandbox.ok(["doc", "replace", "people", "cid", r#"{"name":"Cid"}"#, "--or-insert"]);
    assert_eq!(sandbox.ok(["doc", "find", "people", "name ^= \"A\" fields name, age"]).text(), "ann\tAnna\t\n");
    assert_eq!(sandbox.ok(["doc", "find", "people", "count", "--json"]).text(), "3\n");
    assert_eq!(sandbox.ok(["-n", "documents:people", "list", "c"]).text(), "cid\n", "they are entries");

    assert_eq!(sandbox.ok(["doc", "delete", "people", "ann", "cid"]).text(), "deleted ann\ndeleted cid\n");
    assert_eq!(sandbox.run(["doc", "delete", "people", "ann"]).status, 3);
    let listed = sandbox.ok(["doc", "collections"]);
    assert_eq!(listed.text(), "people  schema 1    1 document\n");
    let listed = sandbox.ok(["doc", "collections", "--json"]).json();
    assert_eq!(listed, json!([{"name": "people", "schema_version": 1, "documents": 1}]));
    assert_eq!(sandbox.ok(["doc", "drop", "people"]).text(), "dropped collection people with 1 document\n");
    assert_eq!(sandbox.ok(["doc", "collections", "--json"]).json(), json!([]));
}

#[test]
fn every_failure_of_a_document_has_its_status_and_says_why() {
    let sandbox = people();
    for (arguments, status, parts) in [
        (
            &["doc", "insert", "people", r#"{"age": -7}"#, "--id", "x"][..],
            5,
            &["version 1", "at the top: ", "rule /required", "at /age: ", "doc schema show people"][..],
        ),
        (&["doc", "replace", "people", "ann", "[]"], 5, &["in one place", "rule /type"]),
        (&["doc", "patch", "people", "ann", r#"{"name": null}"#], 5, &["/required"]),
        (&["doc", "insert", "people", "{", "--id", "x"], 5, &["not JSON"]),
        (
            &["doc", "insert", "people", r#"{"name":"x"}"#, "--id", "ann"],
            4,
            &["\"ann\"", "already", "doc get --json people ann"],
        ),
        (
            &["doc", "replace", "people", "ann", r#"{"name":"x"}"#, "--if-version", "7"],
            4,
            &["expected version 7, found version 1"],
        ),
        (&["doc", "patch", "people", "ann", "{}", "--if-version", "7"], 4, &["expected version 7, found version 1"]),
        (
            &["doc", "patch", "people", "ann", r#"[{"op":"test","path":"/age","value":1}]"#],
            4,
            &["operation 1", "test fails"],
        ),
        (&["doc", "patch", "people", "ann", r#"[{"op":"remove","path":"/none"}]"#], 5, &["operation 1", "no such place"]),
        (&["doc", "patch", "people", "ann", "[1]"], 5, &["operation 1", "\"op\""]),
        (&["doc", "get", "people", "bob"], 3, &["\"bob\"", "doc find people"]),
        (&["doc", "replace", "people", "bob", "{}"], 5, &["/required"]),
        (&["doc", "replace", "people", "bob", r#"{"name":"x"}"#], 3, &["\"bob\"", "\"people\""]),
        (&["doc", "patch", "people", "bob", "{}"], 3, &["\"bob\""]),
        (&["doc", "schema", "show", "others"], 3, &["\"others\" has no schema"]),
        (&["doc", "schema", "show", "people", "--version", "9"], 3, &["version 9"]),
        (&["doc", "schema", "set", "people", r#"{"type": "text"}"#], 5, &["no schema at /type"]),
        (&["doc", "schema", "set", "people", r#"{"$ref": "https://example.com/x"}"#], 5, &["https://example.com/x"]),
        (
            &["doc", "schema", "set", "people", r#"{"required": ["email"]}"#],
            5,
            &["1 of 1 documents violate it", "ann: at the top: ", "--report"],
        ),
        (&["doc", "schema", "set", "people", "true", "--if-version", "0"], 4, &["expected version 0", "found version 1"]),
        (&["doc", "drop", "others"], 3, &["\"others\"", "doc collections"]),
        (&["doc", "insert", "a/b", "{}"], 5, &["no name of a collection"]),
        (&["doc", "insert", "people", "@none.json"], 3, &["none.json"]),
        (&["doc", "find", "people", "age >"], 5, &["at column"]),
        (&["doc", "insert", "people", "{}", "--lines"], 2, &["@FILE"]),
        (&["-n", "users", "doc", "get", "people", "ann"], 2, &["documents:NAME"]),
        (&["--store", "sqlite:none.db", "doc", "get", "people", "ann"], 3, &["none.db"]),
        (&["doc"], 2, &["Usage"]),
    ] {
        let answer = sandbox.run(arguments);
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        for part in parts {
            assert!(answer.error.contains(part), "{arguments:?}: {part:?} is not in {:?}", answer.error);
        }
        assert!(!answer.error.contains("-7"), "a document is nobody's business: {}", answer.error);
    }
    assert!(!sandbox.path("none.db").exists(), "looking creates nothing");
    let empty = Sandbox::new();
    for bad in
        [&["doc", "insert", "a/b", "{}"][..], &["doc", "insert", "people", "{"], &["doc", "schema", "set", "people", "7"]]
    {
        assert_eq!(empty.run(bad).status, 5, "{bad:?}");
    }
    assert!(!empty.path("larder.db").exists(), "what is refused leaves no store behind");
    assert_eq!(sandbox.ok(["doc", "find", "people", "count"]).text(), "1\n", "nothing was stored on the way");
}

#[test]
fn what_is_violated_is_json_where_json_was_asked_for() {
    let sandbox = people();
    let answer = sandbox.run(["doc", "insert", "people", r#"{"age": "x"}"#, "--id", "x", "--json"]);
    let told: Value = serde_json::from_str(&answer.error).expect("JSON");
    assert_eq!((answer.status, &told["error"]["code"]), (5, &json!("invalid")));
    let rules = told["error"]["violations"].as_array().expect("each violated rule");
    let places: Vec<_> = rules.iter().map(|rule| (&rule["path"], &rule["schema_path"], &rule["keyword"])).collect();
    let age = (&json!("/age"), &json!("/properties/age/type"), &json!("type"));
    assert!(places.len() == 2 && places.contains(&age), "{told}");
    assert!(places.contains(&(&json!(""), &json!("/required"), &json!("required"))));

    let answer = sandbox.run(["doc", "schema", "set", "people", r#"{"required": ["email"]}"#, "--json"]);
    let told: Value = serde_json::from_str(&answer.error).expect("JSON");
    assert_eq!((answer.status, &told["error"]["code"]), (5, &json!("invalid_state")));
    assert_eq!(told["error"]["documents"][0]["id"], "ann");
    assert_eq!(told["error"]["documents"][0]["violations"][0]["schema_path"], "/required");
}

#[test]
fn schemas_are_put_in_force_shown_and_kept() {
    let sandbox = people();
    assert_eq!(sandbox.ok(["doc", "schema", "show", "people"]).text(), PERSON, "byte for byte");
    let again = sandbox.ok(["doc", "schema", "set", "people", "@person.json"]);
    let text = "version 1 of the schema of people is in force already: 1 document judged, 0 in violation of it\n";
    assert_eq!(again.text(), text);

    let strict = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "required": ["email"]}"#;
    let dry = sandbox.run(["doc", "schema", "set", "people", strict, "--dry-run"]);
    assert_eq!((dry.status, dry.lines().len()), (5, 2), "{dry:?}");
    assert!(
        dry.lines()[0].starts_with("ann: at the top: ") && dry.lines()[1].starts_with("nothing was changed: "),
        "{dry:?}"
    );
    let dry = sandbox.run(["doc", "schema", "set", "people", strict, "--dry-run", "--json"]);
    assert_eq!((dry.status, &dry.json()["violating"], &dry.json()["version"]), (5, &json!(1), &Value::Null));
    assert_eq!(sandbox.ok(["doc", "schema", "set", "people", "{}", "--dry-run"]).lines().len(), 1);

    let reported = sandbox.ok(["doc", "schema", "set", "people", strict, "--report", "--if-version", "1", "--json"]).json();
    assert_eq!(
        (&reported["version"], &reported["unchanged"], &reported["violating"]),
        (&json!(2), &json!(false), &json!(1))
    );
    assert_eq!(reported["documents"][0]["id"], "ann");
    let shown = sandbox.ok(["doc", "schema", "show", "people", "--json"]).json();
    assert_eq!(
        (&shown["version"], &shown["draft"], &shown["schema"]["required"][0]),
        (&json!(2), &json!("7"), &json!("email"))
    );
    assert_eq!(sandbox.ok(["doc", "schema", "show", "people", "--version", "1"]).text(), PERSON);
    let listed = sandbox.ok(["doc", "schema", "list", "people"]);
    assert_eq!(listed.lines()[1], format!("2  since revision 3  draft 7  {} bytes", strict.len()));
    let listed = sandbox.ok(["doc", "schema", "list", "people", "--json"]).json();
    assert_eq!(listed[0], json!({"version": 1, "revision": 1, "draft": "2020-12"}));
}

#[test]
fn documents_come_in_lines() {
    let sandbox = people();
    let lines: String = (0..200).map(|n| format!("{{\"name\": \"x\", \"age\": {n}, \"at\": \"p/{n}\"}}\n\n")).collect();
    sandbox.write("people.jsonl", &lines);
    let inserted = sandbox.ok(["doc", "insert", "people", "@people.jsonl", "--lines", "--id-field", "at"]);
    assert_eq!(inserted.text(), "inserted 200 documents\n");
    assert_eq!(sandbox.ok(["doc", "find", "people", "age >= 100 count"]).text(), "100\n");
    assert_eq!(sandbox.ok(["doc", "get", "people", "p/7"]).text(), r#"{"name": "x", "age": 7, "at": "p/7"}"#);
    let again = sandbox.run(["doc", "insert", "people", "@people.jsonl", "--lines", "--id-field", "at"]);
    assert!(again.status == 4 && again.error.contains("line 1: ") && again.error.contains("\"p/0\""), "{again:?}");

    let feed = |text: &str| sandbox.feed(text, ["doc", "insert", "people", "-", "--lines", "--json"]);
    assert_eq!(feed("{\"name\":\"a\"}\n  {\"name\":\"b\"}").json(), json!({"inserted": 2}));
    let answer = feed("{\"name\":\"c\"}\n\n{\"age\":1}\n{\"name\":\"d\"}\n");
    let told: Value = serde_json::from_str(&answer.error).expect("JSON");
    let message = told["error"]["message"].as_str().expect("a message");
    assert!(
        answer.status == 5 && message.contains("line 3: ") && message.contains("2 documents were inserted"),
        "{message}"
    );
    assert_eq!(told["error"]["violations"][0]["schema_path"], "/required");
    let long = feed(&format!("\"{}\"", "x".repeat(2 << 20)));
    assert!(long.status == 5 && long.error.contains("line 1 of"), "{long:?}");
    let missing = sandbox.feed("{\"name\":\"a\"}", ["doc", "insert", "people", "-", "--lines", "--id-field", "at"]);
    assert!(missing.status == 5 && missing.error.contains("no number \"at\""), "{missing:?}");
}

#[test]
fn every_document_command_answers_for_help() {
    let sandbox = Sandbox::new();
    for command in ["insert", "get", "replace", "patch", "delete", "find", "schema", "collections", "drop"] {
        let help = sandbox.ok(["doc", command, "--help"]);
        assert!(help.text().contains(&format!("Usage: larder doc {command}")), "{command}");
    }
    for command in ["set", "show", "list"] {
        assert!(sandbox.ok(["doc", "schema", command, "--help"]).text().contains("<COLLECTION>"), "{command}");
    }
}
