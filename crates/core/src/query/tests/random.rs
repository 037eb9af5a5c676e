//! Random documents, filters and questions, and the properties that need nothing else.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    super::{
        Aggregate, Condition, Cursor, Filter, Json, Matcher, Measure, Path, Query, Question, Rank, Sort, Test, matches,
        range, sort::Slot,
    },
    entry,
};
use crate::{address::Range, entry::Entry, key::Key, namespace::Namespace, value::Value};

/// A stated number of cases, drawn anew each run; proptest prints what fails, and the seed.
pub(super) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

const NAMES: [&str; 9] = ["a", "b", "tags", "0", "1", "", "a b", "ä\"\\", "count"];
const KEYS: [&str; 8] = ["a", "a/b", "b", "ba", "b\u{10ffff}", "%", "ä", "z"];
const NUMBERS: [&str; 14] = [
    "0",
    "-0",
    "1",
    "1.0",
    "1e0",
    "-1",
    "0.5",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "-5e-324",
];
const TEXTS: [&str; 12] = ["", "\0", "a", "a\0", "a\0b", "ab", "b", "A", "1", "a\"\\\n", "ä🦀", "2001-09-09T01:46:40.000Z"];
const TIMES: [&str; 4] =
    ["2001-09-09T01:46:40Z", "2001-09-09T03:46:40.000+02:00", "2023-11-14T22:13:20.12Z", "1970-01-01T00:00:00Z"];

pub(super) fn any_json() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        select(&NUMBERS[..]).prop_map(|text| Json::parse(text.as_bytes()).expect("a number")),
        select(&TEXTS[..]).prop_map(|text| Json::Text(text.to_owned())),
    ];
    scalar.prop_recursive(3, 24, 4, |inside| {
        let field = (select(&NAMES[..]).prop_map(str::to_owned), inside.clone());
        prop_oneof![
            vec(inside, 0..4).prop_map(Json::Array),
            vec(field, 0..5).prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![4 => select(&NAMES[..]).prop_map(|name| format!(".{}", Json::Text(name.to_owned()))), 2 => Just("[]".to_owned())];
    let root = prop_oneof![
        12 => Just("$value"),
        2 => Just("$meta"),
        1 => select(&["$key", "$version", "$created", "$updated"][..]),
    ];
    (root, vec(step, 0..4)).prop_map(|(root, steps)| {
        let steps = if matches!(root, "$value" | "$meta") { steps.concat() } else { String::new() };
        Path::parse(&format!("{root}{steps}")).expect("a path")
    })
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let operand =
        prop_oneof![6 => any_json().boxed(), 1 => select(&TIMES[..]).prop_map(|t| Json::Text(t.to_owned())).boxed()];
    (any_path(), select(&Test::OPERATORS[..]), operand, vec(any_json(), 0..4), select(&KEYS[..])).prop_filter_map(
        "times are compared with times",
        |(path, operator, value, values, key)| {
            let value = match operator {
                "in" | "nin" if path == Path::key() => Json::Array([values, vec![Json::Text(key.to_owned())]].concat()),
                "in" | "nin" => Json::Array([values, vec![value]].concat()),
                "startsWith" | "endsWith" => Json::Text(match value {
                    Json::Text(text) => text,
                    _ => key.to_owned(),
                }),
                "exists" => Json::Bool(value > Json::Bool(false)),
                _ if path == Path::key() => Json::Text(key.to_owned()),
                _ => value,
            };
            Condition::new(path, Test::named(operator, value).expect("it fits")).ok()
        },
    )
}

pub(super) fn any_filter() -> impl Strategy<Value = Filter> {
    any_condition().prop_map(Filter::condition).prop_recursive(4, 16, 4, |inside| {
        prop_oneof![
            vec(inside.clone(), 0..4).prop_map(Filter::all),
            vec(inside.clone(), 0..4).prop_map(Filter::any),
            inside.prop_map(|filter| !filter),
        ]
    })
}

/// JSON text that stands for `json`: with white space, escapes and numbers as `style` has it.
fn styled(json: &Json, style: &mut u64, to: &mut String) {
    let mut chance = |of: u64| {
        *style = style.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*style >> 33).is_multiple_of(of)
    };
    let blank = if chance(3) { " \n" } else { "" };
    to.push_str(blank);
    match json {
        Json::Text(text) if chance(2) => {
            let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            to.push_str(&format!("\"{units}\""));
        }
        Json::Array(items) => {
            to.push('[');
            for (index, item) in items.iter().enumerate() {
                to.push_str(if index == 0 { blank } else { "," });
                styled(item, style, to);
            }
            to.push(']');
        }
        Json::Object(fields) => {
            to.push('{');
            for (index, (name, value)) in fields.iter().rev().enumerate() {
                to.push_str(if index == 0 { blank } else { "," });
                styled(&Json::Text(name.clone()), style, to);
                to.push(':');
                styled(value, style, to);
            }
            to.push('}');
        }
        scalar => to.push_str(&scalar.to_string()),
    }
    to.push_str(blank);
}

pub(super) fn any_entry() -> impl Strategy<Value = Entry> {
    (select(&KEYS[..]), any_json(), any_json(), any::<u64>()).prop_map(|(key, value, metadata, mut style)| {
        let mut text = String::new();
        styled(&value, &mut style, &mut text);
        let metadata = match metadata {
            Json::Object(_) => metadata.to_string(),
            other => format!("{{\"a\":{other}}}"),
        };
        entry(key, Value::json(text).expect("JSON"), &metadata)
    })
}

pub(super) fn any_sort() -> impl Strategy<Value = Sort> {
    vec((any_path(), any::<bool>()), 0..3).prop_map(|parts| {
        parts.into_iter().filter(|(path, _)| !path.is_many()).fold(Sort::by_key(), |sort, (path, descending)| {
            sort.then(super::super::By { path, descending }).expect("it reaches one place")
        })
    })
}

pub(super) fn any_question() -> impl Strategy<Value = Question> {
    let limit = prop_oneof![Just(None), (0_usize..9).prop_map(Some)];
    let query = (any_filter(), any_sort(), limit.clone(), 0_usize..3, any_entry(), any::<bool>());
    let query = query
        .prop_map(|(filter, sort, limit, offset, entry, goes_on)| {
            let after = goes_on.then(|| Cursor::new(&sort, &sort.rank(&entry)));
            Query { filter, sort, limit, offset, after }
        })
        .boxed();
    let aggregate = (any_filter(), any_path(), 0..6, limit).prop_map(|(filter, path, measure, limit)| {
        let measure = match measure {
            0 => Measure::Count,
            1 => Measure::Distinct(path),
            2 => Measure::Min(path),
            3 => Measure::Max(path),
            4 => Measure::Sum(path),
            _ => Measure::Group(path),
        };
        Question::Aggregate(Aggregate { filter, measure, limit })
    });
    prop_oneof![
        query.clone().prop_map(Question::Entries),
        (query, vec(any_path(), 1..4)).prop_map(|(query, paths)| Question::Fields(query, paths)),
        aggregate,
    ]
}

proptest! {
    #![proptest_config(cases(1024))]

    /// The fast way is the reference, whatever the text looks like.
    #[test]
    fn the_fast_way_answers_as_the_reference(filter in any_filter(), entries in vec(any_entry(), 1..4), reads in any::<bool>()) {
        let matcher = Matcher::reading(&filter, reads).expect("valid");
        for entry in &entries {
            prop_assert_eq!(matcher.matches(entry), matches(&filter, entry), "{} of {:?}", filter, entry.value.bytes());
        }
    }

    #[test]
    fn what_is_let_through_lies_in_the_narrowed_range(filter in any_filter(), entry in any_entry()) {
        let namespace = Namespace::default();
        let range = range(&filter, &namespace).unwrap_or_else(|| Range::namespace(&namespace));
        prop_assert!(range.contains(&entry.address) || !matches(&filter, &entry), "{} {:?}", filter, entry.address);
    }
}

proptest! {
    #![proptest_config(cases(1024))]

    /// Of any three: exactly one of smaller, equal and larger, both ways round, and no circles. And what is missing is last.
    #[test]
    fn sorting_is_a_total_order(sort in any_sort(), entries in vec(any_entry(), 3)) {
        let ranks: Vec<Rank> = entries.iter().map(|entry| sort.rank(entry)).collect();
        let [a, b, c] = &ranks[..] else { unreachable!("there are three") };
        prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
        prop_assert_eq!(a == b, a.cmp(b).is_eq());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
        let mut sorted = ranks.clone();
        sorted.sort();
        if sort.parts().len() == 1 {
            let missing: Vec<bool> = sorted.iter().map(|rank| rank.slots[0] == Slot::Missing).collect();
            prop_assert!(missing.is_sorted());
        }
    }

    #[test]
    fn json_reads_back_as_what_it_is(json in any_json(), mut style in any::<u64>()) {
        let mut text = String::new();
        styled(&json, &mut style, &mut text);
        let read = Json::parse(text.as_bytes()).expect("JSON");
        prop_assert_eq!(&read, &json);
        prop_assert_eq!(serde_json::to_string(&json).ok().map(|text| Json::parse(text.as_bytes())).and_then(Result::ok), Some(read));
    }

    #[test]
    fn keys_make_cursors(sort in any_sort(), entry in any_entry()) {
        let cursor = Cursor::new(&sort, &sort.rank(&entry));
        let read: Cursor = cursor.to_string().parse().expect("a cursor");
        let start = Query::new(Filter::everything()).sort(sort.clone()).after(read).start().expect("the same sort");
        prop_assert_eq!(start, Some(sort.rank(&entry)));
        prop_assert!(Key::new(entry.address.key.as_str()).is_ok());
    }
}
