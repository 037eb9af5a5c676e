//! Metadata: a small JSON object that belongs to an entry.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    error::{Error, Result},
    json,
};

/// A JSON object of at most 64 KiB, kept as text, so that its numbers come back exactly as written.
///
/// Fields keep the order in which they came; white space between them is not kept.
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

    /// Metadata as an engine stored it; only for what was checked before.
    pub fn from_stored(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        if &text[..] == b"{}" { Self::default() } else { Self(text) }
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
    /// `Invalid` when the field is something else than a `T`.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let fields = Fields::read(self);
        let Some((_, raw)) = fields.0.iter().find(|(field, _)| field == name) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|error| Error::invalid(format!("the metadata field {name:?} has another type")).caused_by(error))
    }

    /// This object with the fields of `other` over it; what both have is replaced whole.
    ///
    /// # Errors
    /// `Limit` when the result is too large.
    pub fn merge(&self, other: &Self) -> Result<Self> {
        let mut fields = Fields::read(self);
        for (name, raw) in Fields::read(other).0 {
            match fields.0.iter_mut().find(|(field, _)| *field == name) {
                Some(field) => field.1 = raw,
                None => fields.0.push((name, raw)),
            }
        }
        fields.write()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} bytes)", self.len())
    }
}

/// The fields of an object in their order, each value as its text.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn read(metadata: &'a Metadata) -> Self {
        serde_json::from_str(metadata.as_str()).expect("metadata is checked to be an object before it is made")
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
            text.push_str(raw.get());
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
