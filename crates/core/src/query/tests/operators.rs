//! Tables: every operator times every pair of types, and the odd cases of paths.

use super::{
    super::{Condition, Filter, Json, Matcher, Path, Test, matches},
    entry, json,
};
use crate::value::{ContentKind, Value};

/// Whether `filter` lets `{"a": VALUE}` through; all ways of finding out have to agree.
fn holds(filter: &Filter, value: &str) -> bool {
    through(filter, json(&format!("{{\"a\": {value}}}")))
}

fn through(filter: &Filter, value: Value) -> bool {
    let entry = entry("users/ann", value, r#"{"owner":"ann","n":1}"#);
    let plainly = matches(filter, &entry);
    for reads in [false, true] {
        let fast = Matcher::reading(filter, reads).is_ok_and(|matcher| matcher.matches(&entry));
        assert_eq!(plainly, fast, "{filter}, reading: {reads}");
    }
    plainly
}

fn asked(operator: &str, value: &str) -> Filter {
    let test = Test::named(operator, Json::parse(value.as_bytes()).expect("JSON")).expect("an operator");
    Condition::new(Path::parse("a").expect("a path"), test).expect("a condition").into()
}

/// One value of each kind, and several of some; no two are equal. What is behind another of its own kind is larger.
const VALUES: [&str; 17] = [
    "null",
    "false",
    "true",
    "-1.5",
    "0",
    "9007199254740992",
    "9007199254740993",
    "18446744073709551615",
    "1e300",
    "\"\"",
    "\"1\"",
    "\"A\"",
    "\"a\"",
    "[]",
    "[1]",
    "{}",
    "{\"a\":1}",
];

fn ordered(value: &str) -> Option<char> {
    match value.as_bytes()[0] {
        b'"' => Some('t'),
        b'-' | b'0'..=b'9' => Some('n'),
        _ => None,
    }
}

#[test]
fn every_operator_for_every_pair_of_values() {
    for (at, value) in VALUES.iter().enumerate() {
        for (other_at, other) in VALUES.iter().enumerate() {
            let same = at == other_at;
            let comparable = ordered(value).is_some() && ordered(value) == ordered(other);
            for (operator, expected) in [
                ("eq", same),
                ("ne", !same),
                ("gt", comparable && at > other_at),
                ("gte", comparable && at >= other_at),
                ("lt", comparable && at < other_at),
                ("lte", comparable && at <= other_at),
            ] {
                assert_eq!(holds(&asked(operator, other), value), expected, "{value} {operator} {other}");
            }
            let among = format!("[{other}, {{\"z\":[]}}, {other}, false]");
            let inside = same || *value == "false";
            assert_eq!(holds(&asked("in", &among), value), inside, "{value} in {among}");
            assert_eq!(holds(&asked("nin", &among), value), !inside, "{value} nin {among}");
            assert!(holds(&asked("contains", other), &format!("[[], {value}, {other}]")), "{value} {other}");
            let alone = same || *other == "[]";
            assert_eq!(holds(&asked("contains", other), &format!("[[],{value}]")), alone, "[[],{value}] contains {other}");
        }
        assert!(!holds(&asked("in", "[]"), value) && holds(&asked("nin", "[]"), value));
        assert!(holds(&asked("exists", "true"), value) && !holds(&asked("exists", "false"), value));
        let text = ordered(value) == Some('t');
        for operator in ["startsWith", "endsWith"] {
            assert_eq!(holds(&asked(operator, "\"\""), value), text, "{value} {operator} the empty text");
        }
    }
}

#[test]
fn what_is_missing_makes_everything_false_but_that() {
    for (operator, value) in [
        ("eq", "null"),
        ("ne", "1"),
        ("gt", "0"),
        ("gte", "\"\""),
        ("lt", "0"),
        ("lte", "null"),
        ("in", "[null]"),
        ("nin", "[]"),
        ("contains", "\"\""),
        ("startsWith", "\"\""),
        ("endsWith", "\"\""),
        ("exists", "true"),
    ] {
        let filter = asked(operator, value);
        for document in ["{}", "[]", "null", "1", "{\"b\":1}", "{\"A\":1}"] {
            assert!(!through(&filter, json(document)), "{operator} {document}");
            assert!(through(&!filter.clone(), json(document)), "not {operator} {document}");
        }
    }
    assert!(through(&asked("exists", "false"), json("{}")));
}

#[test]
fn texts_are_bytes_and_nothing_else() {
    for (operator, value, other, expected) in [
        ("contains", r#""a%c""#, r#""%""#, true),
        ("contains", r#""abc""#, r#""%""#, false),
        ("contains", r#""abc""#, r#""B""#, false),
        ("contains", r#""\u00e4\ud83e\udd80""#, r#""🦀""#, true),
        ("contains", r#""12""#, "1", false),
        ("contains", "12", "1", false),
        ("contains", r#"{"x":1}"#, r#""x""#, false),
        ("contains", r#"["abc"]"#, r#""b""#, false),
        ("contains", "[1.0]", "1", true),
        ("startsWith", r#""\u0061b""#, r#""a""#, true),
        ("startsWith", r#"["a"]"#, r#""a""#, false),
        ("endsWith", r#""a\\\"""#, r#""\"""#, true),
        ("endsWith", r#""e\u0301""#, r#""é""#, false),
        ("eq", r#""e\u0301""#, r#""é""#, false),
        ("eq", r#""\/\n\u0041""#, r#""/\u000aA""#, true),
        ("lt", r#""Z""#, r#""a""#, true),
        ("gt", r#""🦀""#, r#""\uffff""#, true),
        ("eq", "1", "1.0", true),
        ("eq", "-0.0", "0", true),
        ("eq", "9007199254740993", "9007199254740992.0", false),
        ("in", "1e0", "[true,1,\"1\"]", true),
        ("eq", r#"{"b":[1.0],"a":null}"#, r#"{"a":null,"b":[1]}"#, true),
        ("eq", "[1,2]", "[2,1]", false),
    ] {
        assert_eq!(holds(&asked(operator, other), value), expected, "{value} {operator} {other}");
    }
}

fn check(document: &str, text: &str, expected: bool) {
    let filter = Filter::parse(text).expect("a filter");
    assert_eq!(through(&filter, json(document)), expected, "{text} of {document}");
}

#[test]
fn paths_reach_what_they_say() {
    let document = r#" { "tags" : [ "x" , "y" ] , "deps" : [ {"name":"a","v":1} , {"name":"b"} , 7 ] ,
        "0" : {"0":"zero"} , "a.b" : 1 , "\u0061" : {"b":2} , "grid" : [[1,2],[3]] , "empty" : [] , "$key" : 5, "" : 6 } "#;
    for (text, expected) in [
        ("tags.0 = \"x\"", true),
        ("tags.1 = \"y\"", true),
        ("tags.2 exists", false),
        ("tags.00 exists", false),
        ("tags[] = \"y\"", true),
        ("tags[] != \"y\"", true),
        ("not tags[] = \"z\"", true),
        ("tags *= \"y\"", true),
        ("deps[].name = \"b\"", true),
        ("deps[].name = \"c\"", false),
        ("deps[].v missing", false),
        ("deps[].w missing", true),
        ("deps.1.name = \"b\"", true),
        ("deps[] = 7", true),
        ("deps.name exists", false),
        ("0.0 = \"zero\"", true),
        ("\"a.b\" = 1", true),
        ("a.b = 2", true),
        ("grid[][] = 3", true),
        ("grid[].0 = 3", true),
        ("grid.0[] = 3", false),
        ("grid[] = [3]", true),
        ("empty[] exists", false),
        ("empty[] missing", true),
        ("empty = []", true),
        ("tags.0[] exists", false),
        ("tags.0.x exists", false),
        ("\"$key\" = 5", true),
        ("\"\" = 6", true),
        ("$value exists", true),
        ("$value.tags.0 = \"x\"", true),
        ("$value[] exists", false),
    ] {
        check(document, text, expected);
    }
    check("[{\"a\":1},{\"a\":2}]", "$value[].a = 2", true);
    check("[{\"a\":1},{\"a\":2}]", "0.a = 1", true);
    check("\"x\"", "$value = \"x\"", true);
}

#[test]
fn what_the_store_keeps_can_be_asked_about() {
    for (text, expected) in [
        ("$key = \"users/ann\"", true),
        ("$key ^= \"users/\" and $key $= \"ann\"", true),
        ("$key > \"users/\" and $key < \"users0\"", true),
        ("$key > 5", false),
        ("$version = 7 and $version < 7.5", true),
        ("$version = \"7\"", false),
        ("$created = \"2001-09-09T01:46:40Z\"", true),
        ("$created = \"2001-09-09T03:46:40.0009+02:00\"", true),
        ("$created < \"2001-09-09T01:46:40.001Z\"", true),
        ("$created in [\"2001-09-09T01:46:40Z\"]", true),
        ("$created not in [\"2001-09-09T01:46:40Z\"]", false),
        ("$updated > $created", false),
        ("$updated ^= \"2023-11\" and $updated $= \".120Z\"", true),
        ("$meta.owner = \"ann\" and $meta.n = 1 and $meta.z missing", true),
        ("$meta = {\"n\":1,\"owner\":\"ann\"}", true),
        ("$meta *= \"ann\"", false),
    ] {
        match Filter::parse(text) {
            Ok(filter) => assert_eq!(through(&filter, json("{}")), expected, "{text}"),
            Err(_) => assert_eq!(text, "$updated > $created", "a field is no value"),
        }
    }
}

/// Also what a layer has encoded: it is JSON to whoever wrote it, and nothing to a filter.
#[test]
fn what_is_not_json_has_no_value() {
    let sealed = Value::from_stored("{\"a\":1}", ContentKind::Json, "seal".parse().expect("valid"));
    for value in [Value::opaque("{\"a\":1}"), sealed] {
        for (text, expected) in
            [("a = 1", false), ("a exists", false), ("a missing", true), ("$value exists", false), ("$meta.n = 1", true)]
        {
            let filter = Filter::parse(text).expect("a filter");
            assert_eq!(through(&filter, value.clone()), expected, "{text}");
        }
    }
}

/// A disk can give back anything, and then the answer may be wrong, but it is one.
#[test]
fn damaged_json_does_no_harm() {
    let whole = r#"{"a":{"b":[1,"x\u00e9\\",{"c":null}]},"d":-1.5e3}"#;
    let filters = ["a.b[].c exists", "a.b.2.c = null", "d < 0", "a.b[] *= \"x\"", "$value = {}", "a.b in [[1]]"]
        .map(|text| Matcher::new(&Filter::parse(text).expect("a filter")).expect("valid"));
    for at in 0..=whole.len() {
        for byte in [None, Some(b'"'), Some(b'\\'), Some(b'['), Some(b'}'), Some(b','), Some(0xff)] {
            let mut bytes = whole.as_bytes().to_vec();
            match (byte, bytes.get_mut(at)) {
                (Some(byte), Some(place)) => *place = byte,
                _ => bytes.truncate(at),
            }
            let entry = entry("k", Value::from_stored(bytes, ContentKind::Json, Default::default()), "{}");
            for filter in &filters {
                std::hint::black_box(filter.matches(&entry));
            }
        }
    }
    let deep = Value::from_stored("[".repeat(1_000_000), ContentKind::Json, Default::default());
    assert!(
        !Matcher::new(&Filter::parse("$value = [[]]").expect("a filter")).is_ok_and(|m| m.matches(&entry("k", deep, "{}")))
    );
}

/// A thousand conditions on a value of a megabyte cost about as much as reading it, not a thousand times that.
#[test]
fn many_conditions_on_a_large_value_are_answered_from_a_tree() {
    let filter = |count: usize| Filter::any((0..count).map(|n| super::super::field(format!("z{n}").as_str()).eq(1023)));
    let fields: Vec<String> = (0..60_000).map(|n| format!("\"f{n}\":{n}")).collect();
    let large = entry("k", json(&format!("{{{},\"z1023\":1023}}", fields.join(","))), "{}");
    for (count, reads, found) in [(16, false, false), (17, true, false), (1024, true, true)] {
        let matcher = Matcher::new(&filter(count)).expect("valid");
        assert_eq!((matcher.reads, matcher.matches(&large)), (reads, found), "{count}");
    }
}
