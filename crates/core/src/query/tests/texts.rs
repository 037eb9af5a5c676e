//! The text form and the JSON form: what is written reads back, what is wrong is told by column, and nothing else happens.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use super::{
    super::{Filter, Question},
    random::{any_filter, any_question, cases},
};
use crate::error::ErrorKind;

#[test]
fn people_may_write_it_in_several_ways() {
    for (text, written) in [
        (r#"age >= 18 and name ^= "A" sort -age limit 20"#, r#"age >= 18 and name ^= "A" sort -age limit 20"#),
        ("a=1", "a = 1"),
        ("a == 1 or b=2 and c=3", "a = 1 or b = 2 and c = 3"),
        ("(a=1 or b=2) and c=3", "(a = 1 or b = 2) and c = 3"),
        ("((a=1))", "a = 1"),
        ("not (a=1 or b=2)", "not (a = 1 or b = 2)"),
        ("not not a exists", "not not a exists"),
        ("a eq 1 and b gte 2 and c nin [1] and d startsWith \"x\"", "a = 1 and b >= 2 and c not in [1] and d ^= \"x\""),
        ("a exists and b missing and c contains \"x\"", "a exists and b missing and c *= \"x\""),
        ("a in [1, \"x\", null] and b not in []", "a in [1,\"x\",null] and b not in []"),
        ("a$=\"x\"", "a $= \"x\""),
        ("a-b = -1.5e3", "a-b = -1500.0"),
        (
            "dependencies[].name = \"serde\" group dependencies[].kind limit 3",
            "dependencies[].name = \"serde\" group dependencies[].kind limit 3",
        ),
        ("count", "true count"),
        ("count = 5 count", "\"count\" = 5 count"),
        ("not = 5", "\"not\" = 5"),
        ("", "true"),
        ("sort a, -b offset 3 fields a, b.c, $key", "true sort a, -b offset 3 fields a, b.c, $key"),
        ("a = 1 group by b", "a = 1 group b"),
        ("größe = \"ä\" and \"a b\".c = {\"x\":[1]}", "größe = \"ä\" and \"a b\".c = {\"x\":[1]}"),
        (r#"{"filter":{"field":"a","operator":"eq","value":1},"sort":["-b"],"limit":0}"#, "a = 1 sort -b limit 0"),
        (r#"{"filter":[],"sort":{"field":"b","order":"desc"}}"#, "true sort -b"),
        (r#"{"min":"a"}"#, "true min a"),
    ] {
        let question = Question::parse(text).expect("a question");
        assert_eq!(question.to_string(), written, "{text}");
        assert_eq!(Question::parse(written).ok(), Some(question), "{written}");
    }
}

#[test]
fn faults_are_told_by_column() {
    for (text, column, expected) in [
        ("age", 4, "expected an operator: = != > >= < <= ^= $= *= in, exists or missing, found the end"),
        ("age >= ", 8, "expected a value: a number, true, false, null, or a text in quotes, found the end"),
        ("age >= 18 name = 1", 11, "expected and, or, sort, "),
        ("age >= 18 and", 14, "expected a field, found the end"),
        ("age >= 18 and and", 18, "expected an operator"),
        ("größe = grün", 9, "expected a value: a number, true, false, null, or a text in quotes, found \"grün\""),
        ("a = \"x", 5, "expected a text that ends with a quote"),
        ("a = [1, 2", 5, "expected an array that ends with ]"),
        ("a = 01", 5, "expected a value that is JSON"),
        ("a = 1e999", 5, "expected a value that is JSON"),
        ("a = {\"x\":1,\"x\":2}", 5, "expected a value that is JSON"),
        ("a in 5", 6, "expected an array of values after the operator in"),
        ("a not 5", 7, "expected in, found \"5\""),
        ("a ^= 5", 6, "expected a text after the operator startsWith"),
        ("(a = 1", 7, "expected and, or, or ), found the end"),
        ("a = 1)", 6, "expected and, or, sort"),
        ("a..b = 1", 3, "expected a name"),
        ("a[0] = 1", 2, "expected []"),
        ("$created > \"yesterday\"", 12, "expected a time"),
        ("$created > 5", 12, "expected a time"),
        ("$ref = 5", 1, "expected $key, $version, $created, $updated, $meta or $value"),
        ("a = 1 limit -5", 13, "expected a whole number from 0 to 4294967295, found \"-5\""),
        ("a = 1 limit 5.5", 13, "expected a whole number"),
        ("a = 1 limit 4294967296", 13, "expected a whole number"),
        ("a = 1 limit 5 limit 6", 15, "limit stands here twice"),
        ("a = 1 sort", 11, "expected a field, found the end"),
        ("a = 1 sort b,", 14, "expected a field, found the end"),
        ("a = 1 sort b[]", 12, "reaches many"),
        ("a = 1 after x", 13, "expected a cursor"),
        ("count min a", 7, "one question has one answer"),
        ("count sort a", 13, "sort does not go together"),
        ("a = 1 ; drop", 7, "expected and, or, sort"),
    ] {
        let error = Question::parse(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        let message = error.to_string();
        let told = message.contains(&format!("at column {column}: ")) && message.contains(expected);
        assert!(told, "{text}: {message}");
    }
    assert!(Filter::parse("a = 1 limit 5").is_err_and(|error| error.to_string().contains("column 7")));
}

#[test]
fn what_is_large_or_deep_is_a_limit() {
    let brackets = |levels: usize| format!("{}a = 1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(&brackets(32)).is_ok());
    let conditions = |count: usize| vec!["a=1"; count].join(" and ");
    assert!(Filter::parse(&conditions(1024)).is_ok());
    for bad in [
        brackets(33),
        "(".repeat(1 << 20),
        "not ".repeat(1 << 18),
        format!("a = {}", "[".repeat((1 << 20) - 4)),
        format!("a = {}{}", "[".repeat(129), "]".repeat(129)),
        format!("a = {}{}", "[".repeat(33), "]".repeat(33)),
        conditions(1025),
        conditions(100_000),
        " ".repeat((1 << 20) + 1),
        format!("{} = 1", "a".repeat(1 << 19)),
        format!("{} = 1", vec!["a"; 1 << 10].join(".")),
    ] {
        let kind = Question::parse(&bad).map_err(|error| error.kind());
        assert!(matches!(kind, Err(ErrorKind::Limit | ErrorKind::Invalid)), "{kind:?}");
        if !bad.starts_with("a = [[[[[") || bad.ends_with(']') {
            assert_eq!(kind, Err(ErrorKind::Limit), "{}", &bad[..20]);
        }
    }
    // As large as it may be, and answered.
    let many: Vec<String> = (0..150_000).map(|n| n.to_string()).collect();
    let large = format!("a in [{}]", many.join(","));
    assert!(large.len() < 1 << 20 && Filter::parse(&large).is_ok());
}

proptest! {
    #![proptest_config(cases(2048))]

    #[test]
    fn a_filter_reads_back_from_its_text(filter in any_filter()) {
        let text = filter.to_string();
        let read = Filter::parse(&text);
        prop_assert_eq!(read.as_ref().ok(), Some(&filter), "{}: {:?}", text, read.as_ref().err());
        prop_assert_eq!(read.map(|read| read.to_string()).ok(), Some(text));
    }

    #[test]
    fn a_filter_reads_back_from_its_json(filter in any_filter()) {
        let text = filter.to_json();
        prop_assert_eq!(Filter::from_json(text.as_bytes()).ok(), Some(filter), "{}", text);
    }

    #[test]
    fn a_question_reads_back_from_both(question in any_question()) {
        let (text, json) = (question.to_string(), question.to_json());
        prop_assert_eq!(Question::parse(&text).map_err(|error| error.to_string()), Ok(question.clone()), "{}", text);
        prop_assert_eq!(Question::parse(&json).map_err(|error| error.to_string()), Ok(question), "{}", json);
    }

    /// Whatever is written, it is read or it is refused.
    #[test]
    fn anything_is_read_or_refused(text in "\\PC*") {
        let _ = (Question::parse(&text), Filter::parse(&text), Question::from_json(text.as_bytes()));
    }

    #[test]
    fn words_in_any_order_are_read_or_refused(words in vec(select(&WORDS[..]), 0..12), glue in any::<bool>()) {
        let text = words.join(if glue { "" } else { " " });
        if let Ok(question) = Question::parse(&text) {
            prop_assert_eq!(Question::parse(&question.to_string()).map_err(|error| error.to_string()), Ok(question), "{}", text);
        }
    }

    /// What was right but for a few characters. What is refused is told by a column within the text.
    #[test]
    fn what_is_nearly_right_is_read_or_refused(
        question in any_question(),
        json in any::<bool>(),
        hits in vec((any::<Index>(), prop_oneof![Just(None), select(&['"', '\\', '(', '[', '}', '.', '$', '-', '0', '=', 'ä', '\0'][..]).prop_map(Some)]), 1..4),
    ) {
        let mut text: Vec<char> = if json { question.to_json() } else { question.to_string() }.chars().collect();
        for (at, change) in hits {
            let at = at.index(text.len().max(1));
            match change {
                Some(char) => text.insert(at, char),
                None if at < text.len() => { text.remove(at); }
                None => {}
            }
        }
        let text: String = text.into_iter().collect();
        match Question::parse(&text) {
            Ok(question) => {
                prop_assert_eq!(Question::parse(&question.to_string()).map_err(|error| error.to_string()), Ok(question), "{}", text);
            }
            Err(error) if text.starts_with(['{', '[']) => prop_assert!(!error.to_string().is_empty()),
            Err(error) => {
                let message = error.to_string();
                let column = message.strip_prefix("in a filter, at column ").and_then(|rest| rest.split(':').next());
                let column: usize = column.and_then(|column| column.parse().ok()).unwrap_or(0);
                prop_assert!((1..=text.chars().count() + 1).contains(&column), "{}: {}", text, message);
            }
        }
    }
}

const WORDS: [&str; 32] = [
    "a",
    "a.b",
    "tags[]",
    "$key",
    "$created",
    "\"x\"",
    "\"x y\"",
    "1",
    "-1.5e3",
    "null",
    "true",
    "[1,2]",
    "{\"a\":1}",
    "=",
    "!=",
    ">=",
    "^=",
    "$=",
    "in",
    "not",
    "and",
    "or",
    "(",
    ")",
    "exists",
    "missing",
    "sort",
    "-",
    ",",
    "limit",
    "count",
    "group by",
];
