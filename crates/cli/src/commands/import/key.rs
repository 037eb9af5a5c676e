//! The key of a record, made of its fields; it knows nothing of stores.

use std::{borrow::Cow, fmt};

use larder::{Error, Key, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Which fields make the key: dotted paths, joined by `/` in the key.
#[derive(Clone, Debug)]
pub(super) struct KeyFields(Vec<Vec<String>>);

impl KeyFields {
    /// The fields in `text`, such as `id` or `owner.name,id`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        text.split(',').map(path).collect::<Result<_>>().map(Self)
    }

    /// The key of `record`, which is JSON.
    pub(super) fn key(&self, record: &str) -> Result<Key> {
        let mut key = String::new();
        for (index, path) in self.0.iter().enumerate() {
            if index > 0 {
                key.push('/');
            }
            key.push_str(&part(record, path)?);
        }
        Key::new(key)
    }
}

/// The names in a dotted path.
pub(super) fn path(text: &str) -> Result<Vec<String>> {
    let names: Vec<String> = text.split('.').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return Err(Error::invalid(format!("{text:?} is no path to a field: names are joined by single dots")));
    }
    Ok(names)
}

fn part<'a>(record: &'a str, path: &[String]) -> Result<Cow<'a, str>> {
    let name = path.join(".");
    let mut parser = serde_json::Deserializer::from_str(record);
    let found = Find(path).deserialize(&mut parser).map_err(|error| Error::invalid("this is not JSON").caused_by(error))?;
    let Some(raw) = found else {
        return Err(Error::invalid(format!("the record has no field {name:?} to make the key of")));
    };
    let what = match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text: String =
                serde_json::from_str(raw.get()).map_err(|error| Error::invalid("a bad text").caused_by(error))?;
            return Ok(Cow::Owned(text));
        }
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'n') => "null",
        _ => return Ok(Cow::Borrowed(raw.get())),
    };
    Err(Error::invalid(format!("the field {name:?} is {what}; keys are made of texts, numbers and booleans")))
}

/// The text of what stands at a path.
struct Find<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        use serde::Deserialize as _;
        if self.0.is_empty() {
            return <&RawValue>::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.0.split_first() {
                Some((first, rest)) if **first == *name => found = map.next_value_seed(Find(rest))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        // Nothing to find in an array unless the path says which element.
        let wanted = self.0.split_first().and_then(|(first, rest)| Some((first.parse::<usize>().ok()?, rest)));
        let mut found = None;
        for index in 0.. {
            let more = match wanted {
                Some((at, rest)) if at == index => match elements.next_element_seed(Find(rest))? {
                    Some(element) => {
                        found = element;
                        true
                    }
                    None => false,
                },
                _ => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_make_keys() {
        let record = r#"{"id":"a\u00e9","n":{"x":[10,{"y":true}]},"f":1.50,"o":{},"z":null,"c":"\n"}"#;
        for (fields, key) in [
            ("id", Some("aé")),
            ("n.x.1.y", Some("true")),
            ("n.x.0,id", Some("10/aé")),
            ("f", Some("1.50")),
            ("o", None),
            ("z", None),
            ("c", None),
            ("missing", None),
            ("id.more", None),
            ("n.x.2", None),
        ] {
            let fields = KeyFields::parse(fields).expect("a path");
            assert_eq!(fields.key(record).ok().as_deref(), key);
        }
        assert!(KeyFields::parse("a..b").is_err() && KeyFields::parse("a,").is_err());
    }
}
