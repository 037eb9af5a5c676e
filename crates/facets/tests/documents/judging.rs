//! What is taken as a schema, and that no schema and no document ends the process.

use larder::{
    ErrorKind, Result, Value,
    documents::{Documents, Schema},
};
use serde_json::json;

use crate::place::{everywhere, kind};

#[test]
fn what_is_no_schema_is_refused_and_nothing_is_fetched() {
    for (schema, part) in [
        ("", "not JSON"),
        ("3", "is not of types"),
        ("[]", "is not of types"),
        (r#"{"type": "foo"}"#, "at /type"),
        (r#"{"properties": {"a": {"minimum": "x"}}}"#, "at /properties/a/minimum"),
        (r#"{"pattern": "("}"#, "at /pattern"),
        (r##"{"$ref": "#/nowhere"}"##, "/nowhere"),
        (r#"{"$ref": "https://example.com/schema.json"}"#, "https://example.com/schema.json"),
        (r#"{"items": {"$ref": "http://127.0.0.1:9/x"}}"#, "http://127.0.0.1:9/x"),
        (r#"{"$ref": "file:///etc/passwd"}"#, "file:///etc/passwd"),
        (r#"{"$schema": "https://example.com/meta"}"#, "https://example.com/meta"),
        (r#"{"$schema": "http://json-schema.org/draft-03/schema#"}"#, "draft-03"),
        (r#"{"a": 1, "a": 2}"#, "not JSON"),
    ] {
        let error = Schema::parse(schema).expect_err(schema);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{schema}");
        assert!(error.to_string().contains(part), "{schema}: {error}");
    }
    let large = format!("{{\"title\": \"{}\"}}", "x".repeat(Schema::MAX_BYTES));
    assert_eq!(kind(Schema::parse(large)), Err(ErrorKind::Limit));
}

#[test]
fn the_draft_is_the_one_that_the_schema_names() -> Result<()> {
    for (uri, draft) in [
        ("http://json-schema.org/draft-04/schema#", "4"),
        ("http://json-schema.org/draft-06/schema#", "6"),
        ("http://json-schema.org/draft-07/schema#", "7"),
        ("https://json-schema.org/draft/2019-09/schema", "2019-09"),
        ("https://json-schema.org/draft/2020-12/schema", "2020-12"),
    ] {
        let schema = Schema::from_serialize(&json!({"$schema": uri, "format": "ipv4"}))?;
        assert_eq!(schema.draft(), draft);
        let asserted = schema.violations(&Value::json("\"x\"")?)?.is_some();
        assert_eq!(asserted, draft.len() == 1, "{draft}: whether a format has to hold");
    }
    assert_eq!(Schema::parse("true")?.draft(), "2020-12");
    Ok(())
}

fn deep(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

/// Schemas that are deep, long, or refer to themselves, and documents as deep as JSON gets, on a thread of little room.
#[test]
fn no_schema_and_no_document_overflows_the_stack() {
    let nested = |rule: String, levels: usize| (0..levels).fold(rule, |inside, _| format!("{{\"allOf\":[{inside}]}}"));
    let chain = |length: usize| {
        let links: Vec<String> = (0..length).map(|n| format!("\"d{n}\":{{\"$ref\":\"#/$defs/d{}\"}}", n + 1)).collect();
        format!("{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{},\"d{length}\":{{\"type\":\"object\"}}}}}}", links.join(","))
    };
    let itself = r##"{"properties":{"a":{"$ref":"#"}},"additionalProperties":{"type":"string"}}"##;
    let schemas = [
        itself.to_owned(),
        nested(itself.to_owned(), 60),
        chain(1_000),
        nested("true".to_owned(), 63),
        r##"{"$ref":"#"}"##.to_owned(),
        r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_owned(),
        r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##.to_owned(),
    ];
    let work = move || {
        for schema in &schemas {
            let start = &schema[..schema.len().min(60)];
            let schema = Schema::parse(schema.clone()).unwrap_or_else(|error| panic!("{start}: {error}"));
            let found = schema.violations(&Value::json(deep(128)).expect("JSON"));
            assert!(found.expect("it can be judged").is_none(), "{start}");
        }
        let long = Schema::parse(chain(10_000)).expect("a schema");
        assert!(long.violations(&Value::json(deep(1)).expect("JSON")).expect("it can be judged").is_none());
        assert_eq!(kind(long.violations(&Value::json(deep(128)).expect("JSON"))), Err(ErrorKind::Limit));
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(work).expect("a thread starts");
    thread.join().expect("every schema is judged");
}

/// A pattern that would take for ever is given up, and the document is refused.
#[tokio::test]
async fn a_pattern_without_an_end_lets_nothing_through() -> Result<()> {
    for place in everywhere().await? {
        let things = Documents::new(&place.store).collection("things")?;
        things.set_schema(json!({"pattern": "^(?=(a+)+$)(a|aa)+$"})).await?;
        things.insert("aaa").await?;
        let endless = format!("{}!", "a".repeat(60));
        assert_eq!(kind(things.insert(&endless).await), Err(ErrorKind::Invalid), "{}", place.engine);
    }
    Ok(())
}
