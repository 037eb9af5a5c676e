//! Odd names: of files, of keys. They mean themselves.

use crate::sandbox::Sandbox;

const ODD_FILE: &str = "odd ?&%#.db";

#[test]
fn odd_keys_in_an_odd_file_mean_themselves() {
    let sandbox = Sandbox::new();
    let store = format!("sqlite:{ODD_FILE}");
    let larder = |arguments: &[&str]| sandbox.ok([&["--store", &store], arguments].concat());
    let long = "k".repeat(1024);
    let mut keys = vec![
        "%",
        "%41",
        "_",
        "__",
        "*",
        "a*b",
        "aXb",
        "a",
        "A",
        "ab",
        "Ab",
        "aB",
        "é",
        "É",
        "\u{1f980}",
        "\u{1f980}/x",
        "\u{ffff}",
        "'; drop table entries; --",
        "a b",
        "?",
        "[a]",
        "\\",
        "/",
        "//",
        &long,
    ];
    for key in &keys {
        larder(&["set", key, &format!("value of {key}")]);
    }
    assert!(sandbox.path(ODD_FILE).is_file(), "everything after sqlite: is the name");
    keys.sort_unstable();
    assert_eq!(larder(&["list"]).lines(), keys, "bytewise order");
    for key in &keys {
        assert_eq!(larder(&["get", key]).text(), format!("value of {key}"));
        let expected: Vec<&&str> = keys.iter().filter(|other| other.starts_with(*key)).collect();
        let found = larder(&["list", key]);
        assert_eq!(found.lines().iter().collect::<Vec<_>>(), expected, "prefix {key:?}");
    }
    for (pattern, expected) in [
        ("a*b", &["a b", "a*b", "aXb", "ab"][..]),
        ("%*", &["%", "%41"]),
        ("_", &["_"]),
        ("?", &["?"]),
        ("[a]", &["[a]"]),
        ("*\u{1f980}*", &["\u{1f980}", "\u{1f980}/x"]),
        ("A*", &["A", "Ab"]),
    ] {
        assert_eq!(larder(&["list", "--glob", pattern]).lines(), expected, "{pattern}");
    }
    larder(&["delete", "%", "_", "*"]);
    assert_eq!(larder(&["count"]).text().trim(), (keys.len() - 3).to_string());
    let names: Vec<_> =
        std::fs::read_dir(sandbox.path(".")).expect("readable").flatten().map(|file| file.file_name()).collect();
    assert!(names.iter().all(|name| name.to_string_lossy().starts_with(ODD_FILE)), "{names:?}");
}

#[test]
fn keys_that_look_like_options_go_after_two_dashes() {
    let sandbox = Sandbox::new();
    for key in ["-", "--", "-n", "--json", "--help"] {
        sandbox.ok(["set", "--", key, "-value"]);
        assert_eq!(sandbox.ok(["get", "--", key]).text(), "-value", "{key}");
        assert_eq!(sandbox.ok(["get", "--json", "--", key]).json()["key"], key);
        sandbox.ok(["delete", "--", key]);
        assert_eq!(sandbox.run(["exists", "--", key]).status, 3);
    }
}

#[test]
fn bad_keys_are_refused_and_nothing_is_stored() {
    let sandbox = Sandbox::new();
    let (long, wide) = ("k".repeat(1025), "\u{1f980}".repeat(257));
    for key in ["", &long, &wide, "a\tb", "a\nb", "\u{1}", "\u{7f}"] {
        for arguments in [
            &["set", "--", key, "v"][..],
            &["add", "--", key, "1"],
            &["get", "--", key],
            &["exists", "--", key],
            &["delete", "--", key],
        ] {
            let answer = sandbox.run(arguments);
            assert_eq!((answer.status, answer.text()), (5, ""), "{arguments:?}");
        }
    }
    assert!(!sandbox.path("larder.db").exists(), "a bad request leaves no file behind");
    sandbox.ok(["set", &"k".repeat(1024), "v"]);
    sandbox.ok(["set", "k", "v"]);
    assert_eq!(sandbox.ok(["count"]).text(), "2\n");
}
