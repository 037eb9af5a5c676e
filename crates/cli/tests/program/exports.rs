//! Exports: what comes out goes in again, exactly.

use crate::sandbox::Sandbox;

/// A store with something of everything.
fn varied() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.feed("{\n  \"pretty\": [1.0, 1e3],\n\t\"x\": null\n}\n", ["set", "json/lines", "-"]);
    sandbox.feed(b"\x00\x01\xff", ["set", "binary", "-", "--ttl", "2h"]);
    sandbox.feed("two\nlines\r\n\u{2028}\u{7f}", ["set", "text", "-", "--meta", "owner=web", "--meta", "n=1.50"]);
    for version in 0..5 {
        sandbox.ok(["set", "often", &version.to_string()]);
    }
    for (key, value) in
        [("null", "null"), ("string", "\"\\u00e9\""), ("empty", ""), ("key,\"revision\":1", "odd"), ("ü\u{1f980}", "{}")]
    {
        sandbox.ok(["set", key, value]);
    }
    sandbox.ok(["set", "opaque", "[1]", "--opaque"]);
    sandbox.ok(["set", "deep", &format!("{}{}", "[".repeat(128), "]".repeat(128)), "--as-json"]);
    sandbox.ok(["set", "gone", "x"]);
    sandbox.ok(["delete", "gone"]);
    sandbox.ok(["ns", "create", "registered", "--meta", "a={\"b\":[1.0]}"]);
    sandbox.ok(["ns", "create", "zempty"]);
    sandbox.ok(["set", "k", "v", "-n", "registered"]);
    sandbox.ok(["set", "k", "w", "-n", "wasm:by-use"]);
    sandbox
}

#[test]
fn export_import_export_is_byte_for_byte_the_same() {
    let sandbox = varied();
    let first = sandbox.ok(["export", "--all-namespaces"]);
    sandbox.write("export", &first.bytes);
    let summary = sandbox.ok(["--store", "sqlite:copy.db", "import", "export", "--json"]).json();
    assert_eq!((summary["entries"].as_u64(), summary["namespaces"].as_u64()), (Some(13), Some(2)));
    let second = sandbox.ok(["--store", "sqlite:copy.db", "export", "--all-namespaces"]);
    assert_eq!(first.text(), second.text());

    for key in ["json/lines", "binary", "text", "often", "deep", "opaque"] {
        assert_eq!(sandbox.ok(["get", key]).bytes, sandbox.ok(["--store", "sqlite:copy.db", "get", key]).bytes, "{key}");
    }
    let (entry, copy) = (
        sandbox.ok(["get", "text", "--json"]).json(),
        sandbox.ok(["--store", "sqlite:copy.db", "get", "text", "--json"]).json(),
    );
    for field in ["version", "created_at", "updated_at", "metadata", "text"] {
        assert_eq!(entry[field], copy[field], "{field}");
    }

    // A part of a store is an export too.
    let part = sandbox.ok(["export", "json/"]);
    assert_eq!(part.lines().len(), 3);
    assert_eq!(sandbox.feed(&part.bytes, ["--store", "sqlite:part.db", "import", "-"]).status, 0);
    assert_eq!(sandbox.ok(["--store", "sqlite:part.db", "export"]).text(), part.text());
    // And so are two of them in a row.
    let both = [&part.bytes[..], &sandbox.ok(["export", "text"]).bytes].concat();
    assert_eq!(sandbox.feed(both, ["--store", "sqlite:both.db", "import", "-"]).status, 0);
    assert_eq!(sandbox.ok(["--store", "sqlite:both.db", "count"]).text(), "2\n");
}

#[test]
fn what_is_there_is_not_overwritten_unless_told_to() {
    let sandbox = varied();
    let export = sandbox.ok(["export", "--all-namespaces"]);
    sandbox.write("export", &export.bytes);
    sandbox.ok(["set", "often", "changed"]);
    sandbox.ok(["delete", "text"]);
    let refused = sandbox.run(["import", "export"]);
    assert_eq!(refused.status, 4);
    assert!(refused.error.contains("is there already") && refused.error.contains("--overwrite"), "{}", refused.error);
    assert_eq!(sandbox.run(["exists", "text"]).status, 3, "a refused commit leaves nothing behind");

    let skipped = sandbox.ok(["import", "export", "--if-absent", "--json"]).json();
    assert_eq!((skipped["created"].as_u64(), skipped["skipped_existing"].as_u64()), (Some(1), Some(12)));
    assert_eq!(sandbox.ok(["get", "often"]).text(), "changed");
    let replaced = sandbox.ok(["import", "export", "--overwrite", "--json"]).json();
    assert_eq!((replaced["created"].as_u64(), replaced["overwritten"].as_u64()), (Some(0), Some(13)));
    assert_eq!(sandbox.ok(["export", "--all-namespaces"]).text(), export.text());
}

#[test]
fn an_export_that_is_not_whole_is_refused_by_line() {
    let sandbox = varied();
    let export = sandbox.ok(["export", "--all-namespaces"]);
    let lines = export.lines();
    let cut = |count: usize| lines[..count].iter().map(|line| format!("{line}\n")).collect::<String>();
    let whole = export.text();
    for (input, part) in [
        (whole[..whole.len() - 60].to_owned(), format!("line {}: ", lines.len() - 1)),
        (cut(lines.len() - 1), format!("cut off after line {}", lines.len() - 1)),
        (cut(1), "cut off after line 1".to_owned()),
        (whole.replacen("\"entries\":13", "\"entries\":14", 1), "counts 14 entries, and 13 were found".to_owned()),
        (whole.replacen("\"version\":5", "\"version\":0", 1), "version 0 means absent".to_owned()),
        (whole.replacen("\"version\":5", "\"versoin\":5", 1), "unknown field `versoin`".to_owned()),
        (whole.replacen("\"format\":1", "\"format\":3", 1), "line 1: the export has format 3".to_owned()),
        (whole.replacen("\"format\":1", "\"format\":0", 1), "line 1: the export has format 0".to_owned()),
        (format!("{whole}rubbish\n"), format!("line {}: ", lines.len() + 1)),
        (whole.replacen(lines[3], "rubbish", 1), "line 4: ".to_owned()),
    ] {
        let fresh = Sandbox::new();
        let answer = fresh.feed(&input, ["import", "-"]);
        assert_eq!(answer.status, 5, "{part}: {answer:?}");
        assert!(answer.error.contains(&part), "{part}: {}", answer.error);
    }
    let fresh = Sandbox::new();
    let skipped = fresh.feed(whole.replacen(lines[3], "rubbish", 1), ["import", "-", "--skip-bad"]);
    assert_eq!(skipped.status, 0, "{skipped:?}");
    assert!(skipped.text().contains("imported 12 entries"), "{}", skipped.text());
}

#[test]
fn an_export_names_its_own_keys_and_namespaces() {
    let sandbox = varied();
    let export = sandbox.ok(["export", "-n", "wasm:by-use"]);
    let fresh = Sandbox::new();
    assert_eq!(fresh.feed(&export.bytes, ["import", "-", "--key", "key"]).status, 2);
    assert_eq!(fresh.feed(&export.bytes, ["import", "-", "-n", "elsewhere"]).status, 5);
    assert_eq!(fresh.feed(&export.bytes, ["import", "-"]).status, 0);
    assert_eq!(fresh.ok(["get", "k", "-n", "wasm:by-use"]).text(), "w");
    assert_eq!(sandbox.run(["export", "--all-namespaces", "-n", "x"]).status, 2);
}

/// Behind the entries of their namespace, in the order in which they were created. Without any, an export is one that older
/// programs read, too.
#[test]
fn indexes_go_along_with_an_export_of_everything() {
    let sandbox = varied();
    let plain = sandbox.ok(["export", "--all-namespaces"]);
    for arguments in [
        &["name", "--unique"][..],
        &["$meta.\"a b\"", "tags[]"],
        &["title", "--words"],
        &["--words"],
        &["a", "-n", "wasm:by-use"],
    ] {
        sandbox.ok([&["index", "create"], arguments].concat());
    }
    let export = sandbox.ok(["export", "--all-namespaces"]);
    assert_eq!(plain.lines()[0], r#"{"larder":"export","format":1}"#);
    assert_eq!(export.lines()[0], r#"{"larder":"export","format":2}"#);
    let new: Vec<&str> = export.lines().into_iter().filter(|line| !plain.lines().contains(line)).skip(1).collect();
    assert_eq!(
        new,
        [
            r#"{"larder":"index","namespace":"default","index":{"paths":["name"],"unique":true}}"#,
            r#"{"larder":"index","namespace":"default","index":{"paths":["$meta.\"a b\"","tags[]"],"unique":false}}"#,
            r#"{"larder":"index","namespace":"default","index":{"paths":["title"],"unique":false,"words":true}}"#,
            r#"{"larder":"index","namespace":"default","index":{"paths":["$value"],"unique":false,"words":true}}"#,
            r#"{"larder":"index","namespace":"wasm:by-use","index":{"paths":["a"],"unique":false}}"#,
        ]
    );
    assert_eq!(sandbox.ok(["export"]).lines()[0], plain.lines()[0], "a part of a store has none");

    sandbox.write("export", &export.bytes);
    let summary = sandbox.ok(["--store", "sqlite:copy.db", "import", "export", "--json"]).json();
    assert_eq!((summary["entries"].as_u64(), summary["indexes"].as_u64()), (Some(13), Some(5)));
    assert_eq!(sandbox.ok(["--store", "sqlite:copy.db", "export", "--all-namespaces"]).text(), export.text());
    assert_eq!(sandbox.ok(["--store", "sqlite:copy.db", "index", "list"]).text(), sandbox.ok(["index", "list"]).text());

    // What is there stays, unless that is to be refused.
    sandbox.ok(["index", "drop", "name"]);
    sandbox.ok(["index", "create", "name"]);
    let again = sandbox.ok(["import", "export", "--if-absent", "--json"]).json();
    assert_eq!(again["indexes"].as_u64(), Some(0));
    let fresh = Sandbox::new();
    fresh.ok(["index", "create", "name"]);
    let refused = fresh.feed(&export.bytes, ["import", "-"]);
    assert!(refused.status == 4 && refused.error.contains("the index on name is there already"), "{refused:?}");
    for (line, part) in [(r#""paths":["name"]"#, r#""paths":["na..me"]"#), (r#""unique":true"#, r#""odd":true"#)] {
        let answer = Sandbox::new().feed(export.text().replacen(line, part, 1), ["import", "-"]);
        assert!(answer.status == 5 && answer.error.contains("line "), "{answer:?}");
    }
}
