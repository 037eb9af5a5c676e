//! JSON as queries see it: a tree with one order over everything.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Serialize, Serializer,
    de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};

use super::number::Number;
use crate::{
    error::{Error, Result},
    json,
};

/// A JSON value.
///
/// The order is total: null, then false and true, then numbers by what they stand for, then texts bytewise, then arrays
/// element by element, then objects name by name in bytewise order. What is equal in it is the same to every operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Json {
    /// `null`, which is a value; a field that is not there is none.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text, without its escapes.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; in which order its fields were written means nothing.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads JSON text.
    ///
    /// # Errors
    /// `Invalid` when it is not JSON in the sense of [`json::check`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        json::check(text)?;
        Self::read(text).ok_or_else(|| Error::invalid("this is not JSON"))
    }

    /// Reads what was checked to be JSON before; `None` where it was damaged since.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut parser = serde_json::Deserializer::from_slice(text);
        // Our own bound is one level deeper; it was kept when the text was checked, but who knows what was stored.
        parser.disable_recursion_limit();
        if depth(text) > json::DEPTH_MAX {
            return None;
        }
        Self::deserialize(&mut parser).ok().filter(|_| parser.end().is_ok())
    }

    /// The same value in one form, whichever form each of its numbers was written in.
    pub(super) fn canonical(self) -> Self {
        match self {
            Self::Number(number) => Self::Number(number.canonical()),
            Self::Array(items) => Self::Array(items.into_iter().map(Self::canonical).collect()),
            Self::Object(fields) => {
                Self::Object(fields.into_iter().map(|(name, value)| (name, value.canonical())).collect())
            }
            other => other,
        }
    }

    /// How deep arrays and objects are nested in it.
    pub(super) fn depth(&self) -> usize {
        let inside = match self {
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(fields) => fields.values().map(Self::depth).max(),
            _ => return 0,
        };
        1 + inside.unwrap_or(0)
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let inside: usize = match self {
            Self::Text(text) => text.len(),
            Self::Array(items) => items.iter().map(Self::bytes).sum(),
            Self::Object(fields) => fields.iter().map(|(name, value)| name.len() + 32 + value.bytes()).sum(),
            _ => 0,
        };
        size_of::<Self>() + inside
    }
}

/// How deep brackets are nested in `text`, whatever else it is; without recursion, so that anything may be asked about.
pub(super) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// On one line, without white space that means nothing.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{}:{value}", if index == 0 { "" } else { "," }, quote(name))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// `text` as JSON.
pub(super) fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a text can always be written as JSON")
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Number(number) => match number.as_whole() {
                Some(whole) => match i64::try_from(whole) {
                    Ok(signed) => serializer.serialize_i64(signed),
                    Err(_) => serializer.serialize_u64(u64::try_from(whole).unwrap_or(u64::MAX)),
                },
                None => serializer.serialize_f64(number.as_f64()),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => {
                let mut array = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| array.serialize_element(item))?;
                array.end()
            }
            Self::Object(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| object.serialize_entry(name, value))?;
                object.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, bool: bool) -> Result<Json, E> {
        Ok(Json::Bool(bool))
    }
    fn visit_i64<E>(self, whole: i64) -> Result<Json, E> {
        Ok(Json::Number(whole.into()))
    }
    fn visit_u64<E>(self, whole: u64) -> Result<Json, E> {
        Ok(Json::Number(whole.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, float: f64) -> Result<Json, E> {
        Number::from_f64(float).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((name, value)) = fields.next_entry::<String, Json>()? {
            if json::is_number(&name)
                && let Json::Text(text) = &value
            {
                return Number::parse(text).map(Json::Number).ok_or_else(|| A::Error::custom("number out of range"));
            }
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

/// What a condition can compare with.
pub trait IntoJson {
    /// The value as JSON.
    ///
    /// # Errors
    /// `Invalid` for a float that is not finite, which JSON has no word for.
    fn into_json(self) -> Result<Json>;
}

macro_rules! into_json {
    ($($type:ty => |$value:ident| $json:expr;)*) => { $(
        impl IntoJson for $type {
            fn into_json(self) -> Result<Json> {
                let $value = self;
                Ok($json)
            }
        }
    )* };
}
into_json! {
    Json => |json| json;
    &Json => |json| json.clone();
    Number => |number| Json::Number(number);
    () => |_null| Json::Null;
    bool => |bool| Json::Bool(bool);
    &str => |text| Json::Text(text.to_owned());
    &String => |text| Json::Text(text.clone());
    String => |text| Json::Text(text);
    i32 => |whole| Json::Number(whole.into());
    i64 => |whole| Json::Number(whole.into());
    u32 => |whole| Json::Number(whole.into());
    u64 => |whole| Json::Number(whole.into());
}

impl IntoJson for f64 {
    fn into_json(self) -> Result<Json> {
        let number = Number::from_f64(self).ok_or_else(|| Error::invalid("a number that is not finite is not JSON"))?;
        Ok(Json::Number(number))
    }
}

impl<T: IntoJson> IntoJson for Vec<T> {
    fn into_json(self) -> Result<Json> {
        self.into_iter().map(T::into_json).collect::<Result<_>>().map(Json::Array)
    }
}

impl<T: IntoJson, const N: usize> IntoJson for [T; N] {
    fn into_json(self) -> Result<Json> {
        Vec::from(self).into_json()
    }
}
