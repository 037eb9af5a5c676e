//! G10: bytes, JSON, metadata and times come back exactly as they were written.

use futures_lite::future::block_on;
use larder_core::{
    Action, Check, Condition, ContentKind, Encodings, Limits, Metadata, MetadataChange, Revision, Timestamp, Value,
    json::DEPTH_MAX,
};

use crate::ground::{Ground, Seam, at, committed, metadata, prefix, put_value};

/// Puts `value` and looks at it from every side, also after reopening.
fn comes_back(seam: &Seam, name: &str, value: &Value) {
    seam.draft().act(name, put_value(value.clone())).done();
    let entry = seam.get(name).expect("was put");
    assert_same(name, &entry.value, value);
    assert_same(name, &seam.page(prefix(name), false, 1).value.items[0].value, value);
    let log = seam.changes_after(Revision::new(entry.revision.get() - 1));
    let after = log.last().and_then(|change| change.after.as_ref()).expect("the log has both sides");
    assert_same(name, &after.value, value);
    seam.draft().check(name, Condition::Value(value.bytes().clone())).done();
    // Overwritten, it is a before-image.
    seam.draft().put(name, "another").done();
    let log = seam.changes_after(entry.revision);
    assert_same(name, &log[0].before.as_ref().expect("was there").value, value);
    seam.draft().act(name, put_value(value.clone())).done();
}

fn assert_same(name: &str, found: &Value, written: &Value) {
    assert_eq!(found.bytes(), written.bytes(), "{name}: the bytes differ");
    assert_eq!((found.kind(), found.encodings()), (written.kind(), written.encodings()), "{name}: what they are differs");
}

fn all_come_back(ground: &Ground, values: Vec<(String, Value)>) {
    let mut seam = ground.open();
    for (name, value) in &values {
        comes_back(&seam, name, value);
    }
    seam = ground.reopen(seam);
    for (name, value) in &values {
        assert_same(name, &seam.get(name).expect("is still there").value, value);
    }
}

pub(super) fn g10_bytes_come_back(ground: &Ground) {
    let every: Vec<u8> = (0..=255).collect();
    let values = [
        ("every byte", every.clone()),
        ("every byte, in reverse", every.into_iter().rev().collect()),
        ("nothing", vec![]),
        ("one zero", vec![0]),
        ("zeros around", b"\0a\0".to_vec()),
        ("half a character", vec![0xe2, 0x82]),
        ("line ends", b"\r\n\n\r".to_vec()),
        ("what looks like JSON", b"{\"a\": 1.0}".to_vec()),
        ("what looks like a number", b"0012".to_vec()),
        ("white space", b"  ".to_vec()),
    ];
    all_come_back(ground, values.map(|(name, bytes)| (name.to_owned(), Value::opaque(bytes))).into());
}

pub(super) fn g10_json_comes_back_byte_for_byte(ground: &Ground) {
    let texts = [
        "null",
        " null\n",
        "1.0",
        "1",
        "1e2",
        "1E+2",
        "-0",
        "-0.0",
        "0.1",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "1.7976931348623157e308",
        "5e-324",
        "\"\"",
        "\"\\u0041\"",
        "\"\\/\"",
        "\"\u{1f980}\"",
        "\"\\ud83e\\udd80\"",
        "\"e\u{301}\"",
        "\"a\\u0000b\"",
        "[]",
        "{}",
        " { \"b\" : 1 ,\r\n\t\"a\" : [ ] } ",
        "{\"a\":null,\"b\":{\"c\":null,\"d\":[null]}}",
        "{\"\":0}",
        "{\"$oid\":\"x\",\"a.b\":1}",
        "[1,1.0,1e0]",
        "{\"z\":1,\"a\":2,\"m\":3}",
        "true",
    ];
    let json = |text: &str| Value::json(text.to_owned()).expect("JSON");
    let mut values: Vec<_> = texts.iter().enumerate().map(|(n, text)| (format!("json/{n}"), json(text))).collect();
    values.push(("deep".to_owned(), json(&format!("{}{}", "[".repeat(128), "]".repeat(128)))));
    all_come_back(ground, values);
}

pub(super) fn g10_the_same_bytes_of_another_kind_are_another_value(ground: &Ground) {
    let encoded = |encodings: &str| {
        Value::from_stored("{}", ContentKind::Json, encodings.parse::<Encodings>().expect("good encodings"))
    };
    let values = [
        ("json", Value::json("{}").expect("JSON")),
        ("opaque", Value::opaque("{}")),
        ("compressed", encoded("zstd")),
        ("sealed", encoded("zstd,seal-1")),
        ("the other way", encoded("seal-1,zstd")),
        ("many times", encoded("a,b,c,d,e,f,g,h")),
        ("encoded and opaque", Value::from_stored(&b"\xff\0"[..], ContentKind::Opaque, "x".parse().expect("good"))),
    ];
    all_come_back(ground, values.map(|(name, value)| (name.to_owned(), value)).into());
}

pub(super) fn g10_a_mebibyte_comes_back(ground: &Ground) {
    let bytes: Vec<u8> = (0..Limits::FLOOR.value_bytes).map(|n| ((n * n) >> 8) as u8).collect();
    let text = format!("\"{}\"", "\u{e9}".repeat((Limits::FLOOR.value_bytes - 2) / 2));
    let values = [("bytes", Value::opaque(bytes)), ("json", Value::json(text).expect("JSON"))];
    let mut seam = ground.open();
    for (name, value) in &values {
        seam.draft().act(name, put_value(value.clone())).done();
    }
    seam = ground.reopen(seam);
    for (name, value) in &values {
        assert_same(name, &seam.get(name).expect("was put").value, value);
    }
    let read = seam.read(vec![at("bytes"), at("json")]).value;
    assert!(read.iter().all(Option::is_some), "both are read at once");
    assert_eq!(seam.entries(prefix("")).len(), 2, "both are scanned");
}

pub(super) fn g10_the_deepest_json_reads_back(ground: &Ground) {
    let store = ground.store();
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(DEPTH_MAX), close.repeat(DEPTH_MAX));
    block_on(async {
        for (key, text) in [("arrays", nested("[", "]")), ("objects", nested(r#"{"a":"#, "}"))] {
            store.set(key, Value::json(text.clone()).expect("is as deep as JSON may be")).await.expect("sets");
            let read = store.get_json::<serde_json::Value>(key).await.expect("reads what it has taken");
            assert_eq!(read.map(|value| value.to_string()), Some(text));
        }
    });
}

pub(super) fn g10_metadata_comes_back(ground: &Ground) {
    let seam = ground.open();
    for (n, text) in [
        "{}",
        r#"{"n":1.0,"m":1e2,"big":18446744073709551615,"odd":9007199254740993}"#,
        r#"{"null":null,"nested":{"null":null,"list":[null,1.50]},"":0}"#,
        r#"{"z":1,"a":2,"A":3,"é":"é","e\u0301":"\u0000"}"#,
        r#"{"version":7,"key":"k","expires_at":null,"$key":1,"a.b":[]}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let (name, metadata) = (format!("m{n}"), metadata(text));
        let action =
            Action::Put { value: Value::opaque("v"), expires_at: None, metadata: MetadataChange::Replace(metadata.clone()) };
        seam.draft().act(&name, action).done();
        assert_eq!(seam.get(&name).map(|entry| entry.metadata.as_str().to_owned()).as_deref(), Some(metadata.as_str()));
    }
    let most = metadata(&format!("{{\"a\":\"{}\"}}", "x".repeat(Metadata::MAX_BYTES - 8)));
    block_on(async {
        let store = seam.store();
        store.set("most", "v").metadata(most.clone()).await.expect("the largest metadata fits");
        assert!(store.metadata("most").await.expect("reads") == Some(most), "the largest metadata comes back");
    });
    let before = seam.entries(prefix(""));
    assert!(ground.reopen(seam).entries(prefix("")) == before, "metadata changes over reopening");
}

pub(super) fn g10_times_come_back_to_the_millisecond(ground: &Ground) {
    let mut seam = ground.open();
    let moments = [0, 1, 999, 1_000, 1_699_999_999_999, 1 << 32, 253_402_207_199_998];
    for (n, millis) in moments.into_iter().enumerate() {
        let now = Timestamp::from_millis(millis).expect("in range");
        seam.world.set(now);
        let action =
            Action::Put { value: Value::opaque("v"), expires_at: Some(Timestamp::MAX), metadata: MetadataChange::Keep };
        seam.draft().act(&format!("t{n}"), action).done();
    }
    seam = ground.reopen(seam);
    for (n, millis) in moments.into_iter().enumerate() {
        let entry = seam.get(&format!("t{n}")).expect("was put");
        let now = Timestamp::from_millis(millis).expect("in range");
        assert_eq!((entry.created_at, entry.updated_at, entry.expires_at), (now, now, Some(Timestamp::MAX)));
    }
    let log: Vec<i64> = seam.changes_after(Revision::ZERO).iter().map(|change| change.at.as_millis()).collect();
    assert_eq!(log, moments, "the log has the clock of each commit");
    // A clock that steps back is written down as it was, and confuses nobody.
    seam.world.set(Timestamp::from_millis(5).expect("in range"));
    seam.draft().put("t6", "w").unchanged(prefix("t0"), seam.head(), seam.now()).done();
    let entry = seam.get("t6").expect("is there");
    assert_eq!((entry.created_at.as_millis(), entry.updated_at.as_millis()), (moments[6], 5));
}

pub(super) fn g10_values_are_compared_byte_by_byte(ground: &Ground) {
    let seam = ground.open();
    seam.draft().act("k", put_value(Value::json(r#"{"a":1}"#).expect("JSON"))).done();
    for other in [r#"{"a": 1}"#, r#"{"a":1.0}"#, r#"{"a":1} "#, r#"{"A":1}"#, "", r#"{"a":1"#] {
        seam.draft().check("k", Condition::Value(other.to_owned().into())).put("k", "x").conflict();
    }
    let mut commit = seam.draft().put("k", "x").commit();
    commit.checks.push(Check::Key { address: at("k"), condition: Condition::Value(r#"{"a":1}"#.into()) });
    committed(seam.commit(vec![commit]).swap_remove(0));
}
