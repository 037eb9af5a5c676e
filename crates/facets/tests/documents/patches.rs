//! Patches, compared with what others make of them: by chance, and by the examples of the RFC.

use larder::{ErrorKind, Result, documents::Patch, query::Json};
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Value, json};

use crate::place::kind;

/// Small on purpose, so that paths meet.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![any::<i64>(), -2..3_i64].prop_map(Value::from),
        (u64::MAX - 2..=u64::MAX).prop_map(Value::from),
        prop_oneof![any::<f64>().prop_filter("finite", |float| float.is_finite()), Just(0.5)].prop_map(Value::from),
        prop_oneof!["[a-c]?", ".{0,3}"].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab~/]", 1 => Just(String::new()), 1 => "[0-2]", 1 => Just("-".to_owned()), 1 => ".{1,2}"]
}

fn pointer() -> impl Strategy<Value = String> {
    let escaped = |steps: Vec<String>| {
        steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect::<String>()
    };
    proptest::collection::vec(name(), 0..4).prop_map(escaped)
}

/// Every place in `value`.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| places(item, &format!("{at}/{place}"), into));
            into.push(format!("{at}/-"));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, item)| {
            places(item, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), into);
        }),
        _ => {}
    }
}

/// A document, and operations that mostly name places of it.
fn case() -> impl Strategy<Value = (Value, Vec<Value>)> {
    value().prop_flat_map(|document| {
        let mut there = Vec::new();
        places(&document, "", &mut there);
        let path = prop_oneof![3 => proptest::sample::select(there.clone()), 1 => pointer()];
        let known = document.clone();
        let operation = (0..6_usize, path.clone(), path, value()).prop_map(move |(which, path, from, value)| match which {
            0 => json!({"op": "add", "path": path, "value": value}),
            1 => json!({"op": "remove", "path": path}),
            2 => json!({"op": "replace", "path": path, "value": value}),
            3 => json!({"op": "move", "path": path, "from": from}),
            4 => json!({"op": "copy", "path": path, "from": from}),
            // Mostly what is there, or no patch would come to its end.
            _ => json!({"op": "test", "path": path, "value": known.pointer(&path).cloned().unwrap_or(value)}),
        });
        (Just(document), proptest::collection::vec(operation, 1..5))
    })
}

fn applied(patch: &Patch, document: &Value) -> Option<Json> {
    let text = document.to_string();
    patch.apply(text.as_bytes()).ok().map(|value| Json::parse(value.bytes()).expect("what comes out is JSON"))
}

fn json_of(value: &Value) -> Json {
    Json::parse(value.to_string().as_bytes()).expect("JSON")
}

/// Where the library and the RFC part: it takes out the whole document, which the RFC's examples never do, and so do moves.
fn is_about_everything(operation: &Value) -> bool {
    let of = |name: &str| operation[name] == "";
    (operation["op"] == "remove" && of("path")) || (operation["op"] == "move" && of("from"))
}

/// A hundred thousand of each where `LARDER_SOAK` is 1.
fn cases() -> Config {
    let cases = if std::env::var_os("LARDER_SOAK").is_some() { 100_000 } else { 1_000 };
    // What is thrown away is counted over all cases.
    Config { cases, max_global_rejects: u32::MAX, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn operations_do_what_another_library_does((document, operations) in case()) {
        prop_assume!(!operations.iter().any(is_about_everything));
        let ours = Patch::operations(&operations).ok().and_then(|patch| applied(&patch, &document));
        let mut theirs = document.clone();
        let list: json_patch::Patch = serde_json::from_value(Value::from(operations)).expect("a patch");
        // The one that undoes what it did when it fails has no way back from some moves, and panics.
        let theirs = json_patch::patch_unsafe(&mut theirs, &list).ok().map(|()| json_of(&theirs));
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn merging_does_what_another_library_does(document in value(), changes in value()) {
        let ours = applied(&Patch::merge(&changes).expect("JSON"), &document);
        let mut theirs = document;
        json_patch::merge(&mut theirs, &changes);
        prop_assert_eq!(ours, Some(json_of(&theirs)));
    }

    /// What differs between two documents, as another library says, makes the one of the other; and nothing makes nothing.
    #[test]
    fn a_difference_applied_is_the_other(one in value(), other in value()) {
        let operations = json!([{"op": "test", "path": "", "value": one}, {"op": "replace", "path": "", "value": other}]);
        let patch = Patch::operations(&operations).expect("a patch");
        prop_assert_eq!(applied(&patch, &one), Some(json_of(&other)));
        let text = one.to_string();
        let nothing = Patch::operations(&json!([])).expect("a patch").apply(text.as_bytes()).expect("it is JSON");
        prop_assert_eq!(nothing.bytes(), text.as_bytes());
    }
}

/// The examples of RFC 6902, appendix A, and what else it says in words.
#[test]
fn operations_are_as_the_rfc_says() {
    for (document, operations, expected) in [
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux"}]"#, Some(r#"{"foo":"bar","baz":"qux"}"#)),
        (
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            Some(r#"{"foo":["bar","qux","baz"]}"#),
        ),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, Some(r#"{"foo":"bar"}"#)),
        (r#"{"foo":["bar","qux","baz"]}"#, r#"[{"op":"remove","path":"/foo/1"}]"#, Some(r#"{"foo":["bar","baz"]}"#)),
        (r#"{"baz":"qux"}"#, r#"[{"op":"replace","path":"/baz","value":"boo"}]"#, Some(r#"{"baz":"boo"}"#)),
        (
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            Some(r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#),
        ),
        (
            r#"{"foo":["all","grass","cows","eat"]}"#,
            r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            Some(r#"{"foo":["all","cows","eat","grass"]}"#),
        ),
        (r#"{"baz":"qux"}"#, r#"[{"op":"test","path":"/baz","value":"bar"}]"#, None),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/child","value":{"a":{}},"xyz":123}]"#,
            Some(r#"{"foo":"bar","child":{"a":{}}}"#),
        ),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#, None),
        (r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":10}]"#, Some(r#"{"/":9,"~1":10}"#)),
        (r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":"10"}]"#, None),
        (
            r#"{"foo":["bar"]}"#,
            r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
            Some(r#"{"foo":["bar",["abc","def"]]}"#),
        ),
        (r#"{"foo":["bar"]}"#, r#"[{"op":"add","path":"/foo/2","value":1}]"#, None),
        (
            r#"{"a":1.50}"#,
            r#"[{"op":"test","path":"/a","value":15e-1},{"op":"copy","from":"/a","path":"/b"}]"#,
            Some(r#"{"a":1.50,"b":1.50}"#),
        ),
        (r#"{"a":[1]}"#, r#"[{"op":"remove","path":"/a/-"}]"#, None),
        (r#"{"a":[1]}"#, r#"[{"op":"replace","path":"/b","value":1}]"#, None),
        (r#"{"a":[1]}"#, r#"[{"op":"remove","path":""}]"#, None),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/b","value":1},{"op":"test","path":"/b","value":2}]"#, None),
    ] {
        let patch = Patch::operations_text(operations).expect("a patch");
        let found = patch.apply(document.as_bytes()).ok();
        assert_eq!(found.as_ref().map(|value| value.bytes().as_ref()), expected.map(str::as_bytes), "{operations}");
    }
}

#[test]
fn what_is_no_patch_is_told_with_its_place() {
    for (operations, part) in [
        ("{}", "an array of objects"),
        ("[1]", "operation 1: an operation has a text called \"op\""),
        (r#"[{"op":"test","path":"","value":1},{"op":"add","path":"/a"}]"#, "operation 2: \"add\" needs a \"value\""),
        (r#"[{"op":"move","path":"/a"}]"#, "operation 1: \"move\" needs a text called \"from\""),
        (r#"[{"op":"move","from":"/a","path":"/a/b"}]"#, "moved into itself"),
        (r#"[{"op":"grow","path":"/a"}]"#, "there is no operation \"grow\""),
        (r#"[{"op":"remove","path":"a"}]"#, "is no JSON pointer"),
        (r#"[{"op":"remove","path":7}]"#, "\"path\""),
        ("[", "not JSON"),
    ] {
        let error = Patch::operations_text(operations).expect_err(operations);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{operations}");
        assert!(error.to_string().contains(part), "{operations}: {error}");
    }
    assert_eq!(kind(Patch::merge_text("{")), Err(ErrorKind::Invalid));
}

/// A few operations must not make what no store holds, nor what no thread can walk.
#[test]
fn a_patch_cannot_blow_a_document_up() -> Result<()> {
    let limited = |operations: Vec<Value>| kind(Patch::operations(&operations).and_then(|patch| patch.apply(b"{\"a\":{}}")));
    let deepening = vec![json!({"op": "copy", "from": "", "path": "/b"}); 200];
    assert_eq!(limited(deepening), Err(ErrorKind::Limit));
    let doubling = (0..64).map(|n| json!({"op": "copy", "from": "", "path": format!("/{n}")})).collect();
    assert_eq!(limited(doubling), Err(ErrorKind::Limit));
    let remove = json!({"op": "remove", "path": "/none"});
    assert_eq!(kind(Patch::operations(&vec![remove.clone(); 1001])), Err(ErrorKind::Limit));
    assert!(Patch::operations(&vec![remove; 1000]).is_ok());

    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let merged = Patch::merge_text(nested(128))?.apply(b"{}")?;
    assert_eq!(merged.bytes(), nested(128).as_bytes());
    let deeper = format!("[{{\"op\":\"add\",\"path\":\"/b\",\"value\":{}}}]", nested(100));
    let at =
        |document: String| kind(Patch::operations_text(deeper.clone()).and_then(|patch| patch.apply(document.as_bytes())));
    assert_eq!(at("{}".to_owned()), Ok(()));
    let wide: String = (0..100_000).map(|n| format!("\"{n}\":null,")).collect();
    let wide = format!("{{{wide}\"end\":null}}");
    assert_eq!(Patch::merge_text(wide.clone())?.apply(wide.as_bytes())?.bytes(), "{}");
    Ok(())
}
