//! What counts as JSON here.
//!
//! UTF-8, at most 128 levels deep, no name twice in one object, no lone surrogates, every number an i64, a u64 or a
//! finite f64. Everything that passes here is read the same way by every parser and every engine.
//!
//! # Stack
//! Checking recurses, level by level. At the deepest it takes less than 64 KiB of stack in a release build and less than
//! 256 KiB in a debug build: a thread that checks what others send needs that much room to spare.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// How deep arrays and objects may be nested.
pub const DEPTH_MAX: usize = 128;

/// Whether `text` is JSON in the sense of this module.
///
/// # Errors
/// `Invalid`, with the line and column of the first fault.
pub fn check(text: &[u8]) -> Result<()> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    // Our own bound counts as the specification does; serde_json's would refuse level 128.
    parser.disable_recursion_limit();
    Level { depth: 0 }
        .deserialize(&mut parser)
        .and_then(|()| parser.end())
        .map_err(|error| Error::invalid("this is not JSON").caused_by(error))
}

/// Appends `text`, which is JSON, without the white space that means nothing; numbers and texts stay as they are written.
pub(crate) fn push_compact(to: &mut String, text: &str) {
    let (mut quoted, mut escaped) = (false, false);
    to.extend(text.chars().filter(|char| {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        quoted || !matches!(char, ' ' | '\t' | '\n' | '\r')
    }));
}

/// Reads one value at a depth and keeps nothing of it.
#[derive(Clone, Copy)]
struct Level {
    depth: usize,
}

impl Level {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut next = fields.next_key_seed(Name)?;
        if NUMBERS_ARE_TEXT && next.as_deref() == Some(NUMBER) {
            return fields.next_value_seed(Number);
        }
        let inside = self.deeper()?;
        let mut names = Names::default();
        while let Some(name) = next {
            if !names.insert(name) {
                return Err(A::Error::custom("the same name twice in one object"));
            }
            fields.next_value_seed(inside)?;
            next = fields.next_key_seed(Name)?;
        }
        Ok(())
    }
}

/// Whether somebody else in this build has switched on `serde_json/arbitrary_precision`, which shows to everybody: a
/// number that is neither an i64 nor a u64 then comes as a map of one field, with its text.
const NUMBERS_ARE_TEXT: bool = size_of::<serde_json::Number>() > 2 * size_of::<u64>();
/// The name of that field.
const NUMBER: &str = "$serde_json::private::Number";

/// Whether an object with this field is no object, but a number that comes as text.
pub(crate) fn is_number(name: &str) -> bool {
    NUMBERS_ARE_TEXT && name == NUMBER
}

/// A number that comes as text, and has to be a finite f64 all the same.
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.parse::<f64>().is_ok_and(f64::is_finite) { Ok(()) } else { Err(E::custom("number out of range")) }
    }
}

/// The names of an object; most have few, and for those a list is faster than a set.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    const FEW: usize = 16;

    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        self.few.push(name);
        if self.few.len() > Self::FEW {
            self.many = self.few.drain(..).collect();
        }
        true
    }
}

/// A name of an object, borrowed where it holds no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> bool {
        check(text.as_bytes()).is_ok()
    }

    /// Also with `--features serde_json/arbitrary_precision`.
    #[test]
    fn json_is_json() {
        for text in [
            "null",
            " 1 ",
            "-0",
            "1e308",
            "18446744073709551615",
            "18446744073709551616",
            "[1.50,{\"a\":-1e-999}]",
            r#""\ud83e\udd80""#,
            r#"{"a":{"b":1},"b":[]}"#,
        ] {
            assert!(good(text), "{text}");
        }
        for text in
            ["", "nul", "1 2", "01", "1e999", r#""\ud83e""#, r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "[1,]", "NaN"]
        {
            assert!(!good(text), "{text}");
        }
        assert!(check(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_is_bounded_at_128() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(good(&nested(128)) && !good(&nested(129)));
        assert!(good(&nested(128).replace("[]", "[1.5]")) && good(&nested(128).replace("[]", "[-1e2]")));
        assert!(!good(&nested(128).replace("[]", "[{}]")));
        assert!(!good(&"[".repeat(10_000_000)));
    }

    #[test]
    fn a_name_twice_is_found_among_many() {
        let many: Vec<String> = (0..100).map(|n| format!("\"{n}\":0")).collect();
        assert!(good(&format!("{{{}}}", many.join(","))));
        assert!(!good(&format!("{{{},\"3\":1}}", many.join(","))));
    }
}
