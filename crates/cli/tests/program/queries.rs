//! Queries as people type them, and as programs do.

use larder::Filter;
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
    let text = "engine    sqlite\nkeys      before \"c\"\nindex     none\nnative    $key < \"c\" and age > 18\nresidual  age > 18\n\
                examined  2\nreturned  1\n";
    assert_eq!(sandbox.ok(["explain", "$key < \"c\" and age > 18"]).text(), text);
    assert_eq!(
        sandbox.ok(["explain", "tags[] != 1 and $version = 1 count", "--json"]).text(),
        "{\"also\":[],\"engine\":\"sqlite\",\"examined\":4,\"index\":null,\"keys\":\"all\",\"native\":\"$version = 1\",\
         \"residual\":\"tags[] != 1\",\"returned\":2}\n"
    );
    assert_eq!(sandbox.run(["explain", "age >"]).status, sandbox.run(["query", "age >"]).status);
}

#[test]
fn a_question_comes_from_a_file_too() {
    let sandbox = people();
    sandbox.write("question", "\n age >= 18\n fields name\n");
    assert_eq!(sandbox.ok(["query", "@question"]).text(), "ann\tAnn\n");
    assert_eq!(sandbox.feed(r#"{"field": "age", "operator": "lt", "value": 18}"#, ["query", "-"]).lines().len(), 1);
    assert!(sandbox.feed("age = 17", ["explain", "-"]).text().contains("returned  1"));
    assert_eq!(sandbox.run(["query", "@nothing"]).status, 3);
    let answer = sandbox.feed(b"age = \"\xff\"", ["query", "-"]);
    assert!(answer.status == 5 && answer.error.contains("not UTF-8"), "{answer:?}");
}

/// A text of `piece` over and over again, as long as a question may be.
fn filled(before: &str, piece: &str, after: &str) -> String {
    let room = Filter::MAX_BYTES - before.len() - after.len();
    format!("{before}{}{after}", piece.repeat(room / piece.len()))
}

/// Deep, long and odd: refused as a limit or as invalid, or answered, and in time: a program that does not end fails here.
#[test]
fn whatever_is_asked_is_refused_or_answered() {
    let sandbox = people();
    // What a large question meets: an entry with as much in it, also in an index.
    let numbers: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    sandbox.ok(["set", "many", &format!("{{\"tags\":[{}],\"age\":5}}", numbers.join(","))]);
    sandbox.write("large", format!("{{\"list\":[{}1]}}", "1,".repeat(400_000)));
    sandbox.ok(["set", "large", "@large"]);
    for path in ["tags[]", "age"] {
        sandbox.ok(["index", "create", path]);
    }
    let list = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let half = list(70_000);
    let conditions = |condition: &str, count: usize| vec![condition; count].join(" and ");
    let mut others = Vec::new();
    for (question, expected) in [
        (filled("", "(", ""), "limit"),
        (filled("", "not ", ""), "limit"),
        (filled("a = ", "[", ""), "invalid"),
        (filled("a = \"", "x", "\""), ""),
        (filled("a = \"", "x", ""), "invalid"),
        (filled("", "\"", ""), "limit"),
        (filled("", "\\", ""), "invalid"),
        (filled("\"", "\\\"", ""), "limit"),
        (filled("", "a.", "b = 1"), "limit"),
        (filled("", "a", " = 1"), "limit"),
        (filled("a", "[]", " = 1"), "limit"),
        (filled("true sort ", "a,", "a"), "limit"),
        (filled("true fields ", "a,", "a"), "limit"),
        (filled("true after ", "A", ""), "invalid"),
        (filled("", " ", ""), ""),
        (filled("a = 1 ", "or a = 1 ", ""), "limit"),
        (filled("", "\u{1f980}", ""), "invalid"),
        (filled("{\"field\":", "[", ""), "limit"),
        (filled("", "{\"not\":", ""), "limit"),
        (filled("{\"all\":[", "[],", "[]]}"), ""),
        (filled("[", "{},", "{}]"), "invalid"),
        (filled("{\"fields\":[", "\"a\",", "\"a\"]}"), "limit"),
        (filled("{\"after\":\"", "A", "\"}"), "invalid"),
        ("a\0 = 1".to_owned(), "invalid"),
        ("$\u{202e}key = 1".to_owned(), "invalid"),
        (format!("{} = 1", ["a"; 129].join(".")), "limit"),
        (format!("{} = 1", ["a"; 128].join(".")), ""),
        (format!("a = {}1{}", "[".repeat(33), "]".repeat(33)), "limit"),
        (format!("tags[] in [{}]", list(150_000)), ""),
        (format!("age in [{half}] and age in [{half}]"), ""),
        (format!("tags[] in [{}] and tags[] not in [{}]", list(1_000), list(1_000)), ""),
        (format!("list[] in [\"x\",{half}] or list[] not in [{half}]"), ""),
        // More conditions than are looked for in the text one by one.
        (format!("list[] in [2,{}] and {}", list(0) + "3", conditions("list[] != 2", 20)), ""),
        (format!("not list[] in [\"x\",{}] or {}", list(70_000), conditions("a missing", 20)), ""),
        (conditions("list[] = 1", 1_024), ""),
        (conditions("list[] = 1", 1_025), "limit"),
        (format!("$key in [\"a\",{}]", vec!["\"zzz\""; 100_000].join(",")), ""),
    ] {
        for command in ["query", "explain"] {
            let answer = sandbox.feed(&question, [command, "-", "--json"]);
            let begin: String = question.chars().take(40).collect();
            let code = match answer.status {
                0 => json!(""),
                _ => serde_json::from_str::<Value>(&answer.error).expect("JSON")["error"]["code"].clone(),
            };
            let error: String = answer.error.chars().take(300).collect();
            // What is wrong is told, and not all that was asked.
            if code != json!(expected) || answer.error.len() > 1_000 {
                others.push(format!("{command} {begin}: {code} instead of {expected:?}: {error}"));
            }
        }
    }
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(sandbox.feed(" ".repeat(Filter::MAX_BYTES + 1), ["query", "-"]).status, 5, "one byte too long");
    assert_eq!(sandbox.ok(["query", "count"]).text(), "6\n", "it is all as it was");
}
