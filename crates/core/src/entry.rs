//! Entries: what a key holds, and how it is written as JSON.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    address::Address,
    id::{Revision, Version},
    metadata::Metadata,
    time::Timestamp,
    value::{ContentKind, Value},
};

/// A key with everything it holds, as of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Namespace and key.
    pub address: Address,
    /// The bytes, exactly as written.
    pub value: Value,
    /// 1 on creation, one more with every write.
    pub version: Version,
    /// The revision of the commit that wrote it last.
    pub revision: Revision,
    /// The clock of the commit that created it.
    pub created_at: Timestamp,
    /// The clock of the commit that wrote it last.
    pub updated_at: Timestamp,
    /// From this moment on the entry is absent to everyone.
    pub expires_at: Option<Timestamp>,
    /// What the caller keeps beside the value.
    pub metadata: Metadata,
}

impl Entry {
    /// Whether the entry is absent at `now` although its bytes are still there.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What the entry counts for in sizes: the bytes of key, value and metadata.
    pub fn bytes(&self) -> u64 {
        (self.address.key.len() + self.value.bytes().len() + self.metadata.len()) as u64
    }

    /// The entry as a JSON object: everything about it, and exactly one of `value` (JSON, as it was written), `text`
    /// (other UTF-8) and `base64`.
    pub fn to_json(&self) -> String {
        self.json(false)
    }

    /// As [`Entry::to_json`], but on one line and so that every byte of the value can be had back: a JSON value that
    /// holds line breaks, or white space around it, stands as `text` with `"kind":"json"` behind it.
    pub fn to_json_line(&self) -> String {
        self.json(true)
    }

    fn json(&self, line: bool) -> String {
        let mut json = format!(
            "{{\"namespace\":{},\"key\":{},\"version\":{},\"revision\":{},\"created_at\":\"{}\",\"updated_at\":\"{}\"",
            quote(self.address.namespace.as_str()),
            quote(&self.address.key),
            self.version,
            self.revision,
            self.created_at,
            self.updated_at
        );
        if let Some(at) = self.expires_at {
            write_to(&mut json, format_args!(",\"expires_at\":\"{at}\""));
        }
        write_to(&mut json, format_args!(",\"metadata\":{}", self.metadata.as_str()));
        let plain = self.value.encodings().is_empty();
        let text = std::str::from_utf8(self.value.bytes()).ok().filter(|_| plain);
        match (self.value.kind(), text) {
            (ContentKind::Json, Some(text)) if !line || stands_alone(text) => {
                write_to(&mut json, format_args!(",\"value\":{text}"));
            }
            (ContentKind::Json, Some(text)) => {
                write_to(&mut json, format_args!(",\"text\":{},\"kind\":\"json\"", quote(text)))
            }
            (ContentKind::Opaque, Some(text)) => write_to(&mut json, format_args!(",\"text\":{}", quote(text))),
            (_, None) => {
                write_to(&mut json, format_args!(",\"base64\":\"{}\"", BASE64_STANDARD.encode(self.value.bytes())));
                if !plain {
                    let kind = if self.value.kind() == ContentKind::Json { ",\"kind\":\"json\"" } else { "" };
                    write_to(&mut json, format_args!(",\"encodings\":\"{}\"{kind}", self.value.encodings()));
                }
            }
        }
        json.push('}');
        json
    }
}

/// Whether JSON text survives being put into a line and read back as the value between the punctuation.
fn stands_alone(text: &str) -> bool {
    let blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    !text.contains(['\n', '\r']) && !blank(text.as_bytes().first()) && !blank(text.as_bytes().last())
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a text can always be written as JSON")
}

fn write_to(json: &mut String, arguments: std::fmt::Arguments<'_>) {
    json.write_fmt(arguments).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::Key, namespace::Namespace};

    fn entry(value: Value) -> Entry {
        Entry {
            address: Address::new(Namespace::default(), Key::new("k\"").expect("valid")),
            value,
            version: Version::new(1),
            revision: Revision::new(2),
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            expires_at: None,
            metadata: Metadata::default(),
        }
    }

    fn json(value: Value, line: bool) -> String {
        let text = entry(value).json(line);
        crate::json::check(text.as_bytes()).expect("an entry is written as JSON");
        text.split_once("\"metadata\":{},").map(|(_, tail)| tail.to_owned()).expect("the value comes last")
    }

    #[test]
    fn a_line_is_one_line_whatever_the_metadata() {
        let metadata = Metadata::parse(b"{\"a\": {\n \"b\": [1,\r\n2] }}").expect("valid");
        let entry = Entry { metadata, ..entry(Value::integer(1)) };
        assert!(entry.to_json_line().contains(r#""metadata":{"a":{"b":[1,2]}},"#));
        assert!(!entry.to_json_line().contains(['\n', '\r']));
    }

    #[test]
    fn the_value_stands_in_exactly_one_form() {
        assert_eq!(json(Value::detect("{\"a\": 1.0}"), true), r#""value":{"a": 1.0}}"#);
        assert_eq!(json(Value::detect("[1,\n2]"), false), "\"value\":[1,\n2]}");
        assert_eq!(json(Value::detect("[1,\n2]"), true), r#""text":"[1,\n2]","kind":"json"}"#);
        assert_eq!(json(Value::detect("1 "), true), r#""text":"1 ","kind":"json"}"#);
        assert_eq!(json(Value::detect("plain"), true), r#""text":"plain"}"#);
        assert_eq!(json(Value::opaque("1"), true), r#""text":"1"}"#);
        assert_eq!(json(Value::opaque(&b"\xff"[..]), true), r#""base64":"/w=="}"#);
        let sealed = Value::from_stored(&b"x"[..], ContentKind::Json, "seal".parse().expect("valid"));
        assert_eq!(json(sealed, true), r#""base64":"eA==","encodings":"seal","kind":"json"}"#);
    }
}
