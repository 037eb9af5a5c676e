//! Queries as people type them, and as programs do.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

fn people() -> Sandbox {
    let sandbox = Sandbox::new();
    for (key, value) in [
        ("ann", r#"{"name":"Ann","age":31,"tags":["x","y"]}"#),
        ("bob", r#"{"name":"Bob","age":17,"tags":["y"]}"#),
        ("cid", r#"{"name":"C\tid"}"#),
        ("raw", "plain"),
    ] {
        sandbox.ok(["set", key, value]);
    }
    sandbox
}

#[test]
fn a_query_is_answered_a_line_a_row() {
    let sandbox = people();
    for (question, expected) in [
        ("age >= 18", "ann\t{\"name\":\"Ann\",\"age\":31,\"tags\":[\"x\",\"y\"]}\n"),
        ("tags *= \"y\" sort age fields name, age", "bob\tBob\t17\nann\tAnn\t31\n"),
        ("name exists sort -age fields age, name", "ann\t31\tAnn\nbob\t17\tBob\ncid\t\tC\\tid\n"),
        ("count", "4\n"),
        ("tags[] = \"y\" count", "2\n"),
        ("sum age", "48\n"),
        ("min age", "17\n"),
        ("max nothing", ""),
        ("distinct tags[]", "x\ny\n"),
        ("group tags[]", "2\ty\n2\t(missing)\n1\tx\n"),
        (r#"{"field": "age", "operator": "lt", "value": 18}"#, "bob\t{\"name\":\"Bob\",\"age\":17,\"tags\":[\"y\"]}\n"),
        (r#"{"filter": [], "count": true}"#, "4\n"),
    ] {
        assert_eq!(sandbox.ok(["query", question]).text(), expected, "{question}");
    }
    assert_eq!(sandbox.ok(["query"]).lines().len(), 4);
    assert_eq!(sandbox.ok(["query", "sum age", "--as-of", "1"]).text(), "31\n", "before there were others");
}

#[test]
fn with_json_every_answer_is_lines_of_json() {
    let sandbox = people();
    let lines = |question: &str| -> Vec<Value> {
        let answer = sandbox.ok(["query", question, "--json"]);
        answer.lines().into_iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let page = lines("sort -age limit 1");
    assert_eq!((&page[0]["key"], &page[0]["value"]["age"], page.len()), (&json!("ann"), &json!(31), 2));
    let next = page[1]["next"].as_str().expect("a cursor");
    let rest = lines(&format!("sort -age after {next}"));
    assert_eq!(rest.iter().map(|entry| entry["key"].clone()).collect::<Vec<_>>(), ["bob", "cid", "raw"]);
    assert_eq!(lines("age = 17 fields name"), [json!({"key": "bob", "fields": {"name": "Bob"}})]);
    assert_eq!(
        lines("group age"),
        [json!({"count": 2}), json!({"value": 17, "count": 1}), json!({"value": 31, "count": 1})]
    );
    assert_eq!(lines("distinct name"), [json!("Ann"), json!("Bob"), json!("C\tid")]);
}

#[test]
fn a_bad_question_is_told_where() {
    let sandbox = people();
    let answer = sandbox.run(["query", "age >> 18"]);
    assert_eq!(answer.status, 5);
    assert!(answer.error.contains("at column 6: expected a value") && answer.error.contains("found \">\""), "{answer:?}");
    let answer = sandbox.run(["query", "sort -age after nonsense", "--json"]);
    let told: Value = serde_json::from_str(&answer.error).expect("JSON");
    assert_eq!((answer.status, &told["error"]["code"]), (5, &json!("invalid")));
    // A bad question leaves no store behind.
    let empty = Sandbox::new();
    assert_eq!(empty.run(["query", "age >"]).status, 5);
    assert!(!empty.path("larder.db").exists());
}

#[test]
fn a_query_explains_itself() {
    let sandbox = people();
    let text = "engine    sqlite\nkeys      before \"c\"\nnative    $key < \"c\" and age > 18\nresidual  age > 18\n\
                examined  2\nreturned  1\n";
    assert_eq!(sandbox.ok(["explain", "$key < \"c\" and age > 18"]).text(), text);
    assert_eq!(
        sandbox.ok(["explain", "tags[] != 1 and $version = 1 count", "--json"]).text(),
        "{\"engine\":\"sqlite\",\"examined\":4,\"keys\":\"all\",\"native\":\"$version = 1\",\
         \"residual\":\"tags[] != 1\",\"returned\":2}\n"
    );
    assert_eq!(sandbox.run(["explain", "age >"]).status, sandbox.run(["query", "age >"]).status);
}
