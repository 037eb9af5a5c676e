//! Aggregates and projections, and that they do not depend on the order in which entries come.

use proptest::{collection::vec, prelude::*};

use super::{
    super::{Aggregate, Aggregated, Cursor, Filter, Group, Json, Measure, Path, Query, Question, Row, Sort, Tally},
    entry, json,
    random::{any_entry, any_question, cases},
};
use crate::{entry::Entry, error::ErrorKind, value::Value};

fn entries() -> Vec<Entry> {
    [
        r#"{"age":30,"name":"b","tags":["x","y","x"]}"#,
        r#"{"age":30.0,"name":"a","tags":[]}"#,
        r#"{"age":null,"tags":["y"]}"#,
        r#"{"age":"30","name":"c","tags":"x"}"#,
        r#"{"name":"a","age":9007199254740993,"tags":[1,1.0]}"#,
        r#"{"name":"a"}"#,
    ]
    .iter()
    .enumerate()
    .map(|(n, text)| entry(&n.to_string(), json(text), "{}"))
    .chain([entry("opaque", Value::opaque("{\"age\":1}"), "{}")])
    .collect()
}

fn answer(entries: &[Entry], question: &str) -> Aggregated {
    let Question::Aggregate(aggregate) = Question::parse(question).expect("a question") else {
        panic!("{question} is no aggregate")
    };
    let mut tally = Tally::new(&aggregate);
    let through = entries.iter().filter(|entry| super::super::matches(&aggregate.filter, entry));
    through.for_each(|entry| tally.add(entry).expect("small"));
    tally.finish().expect("small")
}

fn value(text: &str) -> Json {
    Json::parse(text.as_bytes()).expect("JSON")
}

#[test]
fn aggregates_answer_about_everything_at_once() {
    let ask = |question: &str| answer(&entries(), question);
    let group = |text: &str, count| Group { value: Some(value(text)), count };
    let missing = |count| Group { value: None, count };
    assert_eq!(ask("count"), Aggregated::Count(7));
    assert_eq!(ask("name = \"a\" count"), Aggregated::Count(3));
    assert_eq!(ask("min age"), Aggregated::Value(Some(Json::Null)));
    assert_eq!(ask("age >= 0 min age"), Aggregated::Value(Some(value("30"))));
    assert_eq!(ask("max age"), Aggregated::Value(Some(value("\"30\""))));
    assert_eq!(ask("max z"), Aggregated::Value(None));
    assert_eq!(ask("sum age"), Aggregated::Sum { sum: 9_007_199_254_741_053_i64.into(), numbers: 3 });
    assert_eq!(ask("sum z"), Aggregated::Sum { sum: 0.into(), numbers: 0 });
    assert_eq!(ask("distinct age"), Aggregated::Distinct(["null", "30", "9007199254740993", "\"30\""].map(value).into()));
    assert_eq!(ask("distinct tags[] limit 2"), Aggregated::Distinct(["1", "\"x\""].map(value).into()));
    assert_eq!(
        ask("group name"),
        Aggregated::Groups(vec![group("\"a\"", 3), missing(2), group("\"b\"", 1), group("\"c\"", 1)].into_iter().collect())
    );
    let tags = vec![missing(4), group("\"y\"", 2), group("1", 1), group("\"x\"", 1)];
    assert_eq!(ask("group tags[]"), Aggregated::Groups(tags.clone()), "an entry counts once for a value");
    assert_eq!(ask("group tags[] limit 1"), Aggregated::Groups(tags[..1].to_vec()));
    assert_eq!(ask("group tags[] limit 0"), Aggregated::Groups(Vec::new()));
}

#[test]
fn what_is_too_much_is_a_limit() {
    let aggregate = Aggregate::new(Filter::everything(), Measure::Distinct(Path::parse("$value").expect("a path")));
    let mut tally = Tally::new(&aggregate);
    let large = |n: u32| entry("k", json(&format!("\"{n}{}\"", "x".repeat(1 << 20))), "{}");
    let full = (0..100).find_map(|n| tally.add(&large(n)).err());
    assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::Limit));

    let aggregate = Aggregate { measure: Measure::Sum(Path::parse("$value").expect("a path")), ..aggregate };
    let mut tally = Tally::new(&aggregate);
    (0..2).for_each(|_| tally.add(&entry("k", json("1.7e308"), "{}")).expect("a number"));
    assert_eq!(tally.finish().map_err(|error| error.kind()), Err(ErrorKind::Limit));
}

#[test]
fn a_row_has_what_was_asked_for_and_is_there() {
    let paths = ["name", "tags[]", "z", "$version", "z[]", "age"].map(|text| Path::parse(text).expect("a path"));
    let row = Row::of(&entries()[0], &paths);
    assert_eq!(
        row.to_string(),
        r#"{"key":"0","fields":{"$version":7,"age":30,"name":"b","tags[]":["x","y","x"],"z[]":[]}}"#
    );
}

proptest! {
    #![proptest_config(cases(512))]

    /// So an engine may answer them from an index.
    #[test]
    fn aggregates_do_not_depend_on_the_order_of_entries(
        (entries, shuffled) in vec(any_entry(), 0..8).prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
        question in any_question(),
    ) {
        if let Question::Aggregate(_) = question {
            let text = question.to_string();
            let [one, other] = [&entries, &shuffled].map(|entries| format!("{:?}", answer(entries, &text)));
            prop_assert_eq!(one, other);
        }
    }
}

/// Between two pages the last entry of the first may have become another one; it is behind itself all the same.
#[test]
fn what_stands_behind_the_key_in_a_sort_has_nothing_to_say() {
    let sort = Sort::by_key().ascending("a").and_then(|sort| sort.ascending("$key")).and_then(|sort| sort.descending("b"));
    let sort = sort.expect("a sort");
    let [then, now] = [r#"{"a":1,"b":7}"#, r#"{"a":1.0,"b":5}"#].map(|text| sort.rank(&entry("k", json(text), "{}")));
    assert_eq!(then, now);
    let query = Query::new(Filter::everything()).sort(sort.clone()).after(Cursor::new(&sort, &then));
    assert_eq!(query.start().expect("the same sort"), Some(now));
}
