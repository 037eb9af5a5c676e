//! Metadata: a small JSON object that belongs to an entry.

use std::{borrow::Cow, collections::HashMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    error::{Error, ErrorKind, Result},
    json,
};

/// A JSON object of at most 64 KiB, kept as text, so that its numbers come back exactly as written.
///
/// Fields keep the order in which they came; white space outside of texts is not kept, so it always stands on one line.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Bytes);

impl Metadata {
    /// The largest metadata, in bytes of JSON text.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// The object in `text`.
    ///
    /// # Errors
    /// `Invalid` when `text` is not a JSON object, `Limit` when it is too large.
    pub fn parse(text: &[u8]) -> Result<Self> {
        json::check(text)?;
        let fields: Fields<'_> = serde_json::from_slice(text)
            .map_err(|_| Error::invalid("metadata is a JSON object, and this is something else"))?;
        fields.write()
    }

    /// The object that `value` serialises to.
    ///
    /// # Errors
    /// As [`Metadata::parse`].
    pub fn from_serialize(value: &impl Serialize) -> Result<Self> {
        let text =
            serde_json::to_vec(value).map_err(|error| Error::invalid("this cannot be written as JSON").caused_by(error))?;
        Self::parse(&text)
    }

    /// Metadata as an engine stored it: what [`Metadata::as_str`] gave.
    ///
    /// Cheap, because every read does it: only that the text looks like such an object from the outside is made sure of.
    /// Damage further inside is met when fields are read.
    ///
    /// # Errors
    /// `Corrupt` when nobody can have stored this.
    pub fn from_stored(text: impl Into<Bytes>) -> Result<Self> {
        let text = text.into();
        if text.contains(&b'\n') || text.contains(&b'\r') {
            // Not as we write it, and whoever exports it relies on one line.
            return Self::parse(&text).map_err(|error| damaged().caused_by(error));
        }
        match std::str::from_utf8(&text) {
            Ok("{}") => Ok(Self::default()),
            Ok(object) if object.starts_with('{') && object.ends_with('}') => Ok(Self(text)),
            _ => Err(damaged()),
        }
    }

    /// Whether the object has no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as JSON text.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() {
            return "{}";
        }
        std::str::from_utf8(&self.0).expect("metadata is checked to be UTF-8 before it is made")
    }

    /// The bytes it takes in storage.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The field `name`, deserialised, if it is there.
    ///
    /// # Errors
    /// `Invalid` when the field is something else than a `T`, `Corrupt` when the metadata was stored damaged.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let fields = Fields::read(self)?;
        let Some((_, raw)) = fields.0.iter().find(|(field, _)| field == name) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|error| Error::invalid(format!("the metadata field {name:?} has another type")).caused_by(error))
    }

    /// This object with the fields of `other` over it; what both have is replaced whole.
    ///
    /// # Errors
    /// `Limit` when the result is too large, `Corrupt` when one of them was stored damaged.
    pub fn merge(&self, other: &Self) -> Result<Self> {
        let mut fields = Fields::read(self)?;
        let names = fields.0.iter().enumerate().map(|(place, (name, _))| (name.clone(), place));
        let places: HashMap<Cow<'_, str>, usize> = names.collect();
        for (name, raw) in Fields::read(other)?.0 {
            match places.get(&name) {
                Some(place) => fields.0[*place].1 = raw,
                None => fields.0.push((name, raw)),
            }
        }
        fields.write()
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "stored metadata is not a JSON object")
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} bytes)", self.len())
    }
}

/// The fields of an object in their order, each value as its text.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn read(metadata: &'a Metadata) -> Result<Self> {
        serde_json::from_str(metadata.as_str()).map_err(|error| damaged().caused_by(error))
    }

    fn write(&self) -> Result<Metadata> {
        if self.0.is_empty() {
            return Ok(Metadata::default());
        }
        let mut text = String::from("{");
        for (index, (name, raw)) in self.0.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&serde_json::to_string(name).expect("a text can always be written as JSON"));
            text.push(':');
            json::push_compact(&mut text, raw.get());
        }
        text.push('}');
        if text.len() > Metadata::MAX_BYTES {
            let (size, most) = (text.len(), Metadata::MAX_BYTES);
            return Err(Error::limit(format!("metadata of {size} bytes is too large: at most {most}")));
        }
        Ok(Metadata(text.into()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(fields)
            }
        }
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        deserializer.deserialize_map(Visit).map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Metadata {
        Metadata::parse(text.as_bytes()).expect("valid")
    }

    #[test]
    fn merging_is_shallow_and_keeps_text() {
        let merged = metadata(r#"{"a":{"x":1},"b":1.50}"#).merge(&metadata(r#" {"c":1e2, "a":null}"#)).expect("small");
        assert_eq!(merged.as_str(), r#"{"a":null,"b":1.50,"c":1e2}"#);
        assert_eq!(merged.field::<f64>("b").ok(), Some(Some(1.5)));
        assert_eq!(merged.field::<f64>("z").ok(), Some(None));
        assert!(merged.field::<String>("b").is_err());
    }

    #[test]
    fn white_space_is_not_kept_and_text_is() {
        let spaced = "{ \"a\" : {\n \"b c\" : [ 1.0 ,\t2e+3, -0 ]\r\n}, \"t\\n\": \" \\\" { , \\\\\" , \"n\" : null }";
        let compact = r#"{"a":{"b c":[1.0,2e+3,-0]},"t\n":" \" { , \\","n":null}"#;
        assert_eq!(metadata(spaced).as_str(), compact);
        assert_eq!(metadata(spaced), metadata(compact));
        let merged = metadata(r#"{"n":0}"#).merge(&metadata(spaced)).expect("small");
        assert!(!merged.as_str().contains(['\n', '\r', '\t']));
    }

    #[test]
    fn what_was_stored_is_read_or_refused_and_never_panics() {
        let stored = |text: &str| Metadata::from_stored(text.to_owned());
        assert_eq!(stored(r#"{"a":1}"#).ok(), Some(metadata(r#"{"a":1}"#)));
        assert_eq!(stored("{}").ok(), Some(Metadata::default()));
        assert_eq!(stored("{\n\"a\": 1}").ok(), Some(metadata(r#"{"a":1}"#)), "it stands on one line, whoever wrote it");
        for bad in ["", "[]", "1", "{", "}", " {}", "{\n\"a\"}"] {
            assert_eq!(stored(bad).map_err(|error| error.kind()), Err(ErrorKind::Corrupt), "{bad:?}");
        }
        assert!(Metadata::from_stored(&b"{\"\xff\":1}"[..]).is_err());

        // The outside is looked at on every read, the inside only when it is asked for.
        let damaged = stored("{\"a\":}").expect("looks like an object");
        assert_eq!(damaged.as_str(), "{\"a\":}");
        let good = metadata(r#"{"a":1}"#);
        for merged in [damaged.merge(&good), good.merge(&damaged)] {
            assert_eq!(merged.map_err(|error| error.kind()), Err(ErrorKind::Corrupt));
        }
        assert_eq!(damaged.field::<u8>("a").map_err(|error| error.kind()), Err(ErrorKind::Corrupt));
    }

    #[test]
    fn many_fields_merge_like_few() {
        let object = |names: std::ops::Range<u32>, value: u32| {
            let fields: Vec<String> = names.map(|name| format!("\"{name}\":{value}")).collect();
            metadata(&format!("{{{}}}", fields.join(",")))
        };
        let merged = object(0..4_000, 1).merge(&object(2_000..6_000, 2)).expect("small");
        let fields = |range: std::ops::Range<u32>, value| object(range, value).as_str().trim_matches(['{', '}']).to_owned();
        assert_eq!(merged.as_str(), format!("{{{},{}}}", fields(0..2_000, 1), fields(2_000..6_000, 2)));
    }

    #[test]
    fn only_objects_of_bounded_size() {
        assert_eq!(metadata("{}"), Metadata::default());
        for bad in ["[]", "1", "", "{\"a\":1,\"a\":2}"] {
            assert!(Metadata::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let object = |size: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        assert!(Metadata::parse(object(Metadata::MAX_BYTES).as_bytes()).is_ok());
        assert!(Metadata::parse(object(Metadata::MAX_BYTES + 1).as_bytes()).is_err());
    }
}
