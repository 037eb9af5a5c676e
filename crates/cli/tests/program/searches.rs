//! Searches as people type them, and as programs do.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

fn notes() -> Sandbox {
    let sandbox = Sandbox::new();
    for (key, value) in [
        ("a", r#"{"title":"Rust","body":"async\trust","lang":"en","v":[1,0]}"#),
        ("b", r#"{"title":"Größe","body":"no green threads","lang":"de","v":[0.6,0.8]}"#),
        ("c", r#"{"title":"Go","body":"green threads","lang":"en","v":[0,1]}"#),
        ("raw", "green threads"),
    ] {
        sandbox.ok(["set", key, value]);
    }
    sandbox
}

/// Keys and what is shown, without the scores.
fn shown(answer: &str) -> Vec<String> {
    answer.lines().map(|line| line.split_once('\t').map_or("", |(_, rest)| rest).to_owned()).collect()
}

#[test]
fn a_search_is_answered_a_line_an_entry() {
    let sandbox = notes();
    for (arguments, expected) in [
        (&["rust"][..], &["a\tbody: async\\t[rust]"][..]),
        (&["\"green threads\" -no"], &["c\tbody: [green threads]"]),
        (&["green", "--in", "title"], &[]),
        (&["groß*", "--in", "title", "--in", "body"], &["b\ttitle: [Größe]"]),
        (&["green", "--where", "lang = \"de\""], &["b\tbody: no [green] threads"]),
        (&["green", "--limit", "1"], &["c\tbody: [green] threads"]),
        (&["-no +green"], &["c\tbody: [green] threads"]),
        (&["green", "--as-of", "2"], &["b\tbody: no [green] threads"]),
        (
            &["--vector", "v=[0, 2]", "--limit", "1"],
            &["c\t{\"title\":\"Go\",\"body\":\"green threads\",\"lang\":\"en\",\"v\":[0,1]}"],
        ),
        (&["nothing"], &[]),
    ] {
        let answer = sandbox.ok([&["search"], arguments].concat());
        assert_eq!(shown(answer.text()), expected, "{arguments:?}");
    }
    let both = sandbox.ok(["search", "rust", "--vector", "v=[0,1]"]);
    assert_eq!(shown(both.text())[0], "a\tbody: async\\t[rust]", "what is in both lists comes first: {both:?}");
    assert_eq!(both.lines().len(), 3);
    std::fs::write(sandbox.path("vector.json"), "[0, 2]\n").expect("a file is written");
    let path = format!("v={}", sandbox.path("vector.json").display());
    assert!(sandbox.ok(["search", "--vector", &path]).text().starts_with("1.0000\tc\t"));
}

#[test]
fn with_json_every_hit_is_a_line_of_json() {
    let sandbox = notes();
    let answer = sandbox.ok(["search", "große", "--json"]);
    let [line] = &answer.lines()[..] else { panic!("one line: {answer:?}") };
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&line["key"], &line["value"]["lang"], &line["version"]), (&json!("b"), &json!("de"), &json!(1)));
    assert_eq!(line["highlights"], json!([{"path": "title", "text": "Größe", "marks": [[0, 5]]}]));
    assert!(line["score"].as_f64().expect("a number") > 0.0);
}

#[test]
fn an_index_of_words_is_created_by_its_paths() {
    let sandbox = Sandbox::new();
    for (arguments, expected) in [
        (&["--words", "title", "body"][..], "created the index of words in title, body\n"),
        (&["--words"], "created the index of words in $value\n"),
    ] {
        let answer = sandbox.ok([&["--store", "memory:", "index", "create"], arguments].concat());
        assert_eq!(answer.text(), expected, "{arguments:?}");
    }
    let answer = sandbox.ok(["--store", "memory:", "index", "create", "--words", "title", "--json"]);
    assert_eq!(answer.json(), json!({"created": true, "paths": ["title"], "unique": false, "words": true}));
    assert_eq!(sandbox.run(["index", "create", "--words", "--unique", "title"]).status, 2);
    let missing = sandbox.run(["index", "drop", "--words", "title"]);
    assert_eq!(missing.status, 3);
}

#[test]
fn a_bad_search_is_told_where() {
    let sandbox = notes();
    for (arguments, status, expected) in [
        (&["größe \"a b"][..], 5, "in the words, at column 7: expected a closing quote"),
        (&["rust", "--where", "a >"], 5, "in a filter, at column 4"),
        (&["rust", "--in", "a[0]"], 5, "in a path, at column 2"),
        (&["--vector", "v"], 5, "is not of the form PATH=[1, 0.5] or PATH=FILE"),
        (&["--vector", "v=[1,"], 5, "the vector is not a JSON array of numbers"),
        (&["--vector", "v=[0]"], 5, "a vector needs a direction"),
        (&["--vector", "v=nowhere.json"], 3, "cannot be read"),
        (&[], 2, "required"),
    ] {
        let answer = sandbox.run([&["search"], arguments].concat());
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        assert!(answer.error.contains(expected), "{arguments:?}: {answer:?}");
    }
    // A bad search leaves no store behind.
    let empty = Sandbox::new();
    assert_eq!(empty.run(["search", "+"]).status, 5);
    assert!(!empty.path("larder.db").exists());
}
