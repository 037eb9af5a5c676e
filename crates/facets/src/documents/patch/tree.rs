//! JSON as it is written: a tree whose numbers and texts stay as they are spelled, and whose fields stay in their order.
//!
//! What a patch does not touch has to come back as it was, also a number that no number of Rust holds. So nothing is read
//! here but structure. It knows nothing of patches.

use std::borrow::Cow;

use larder_core::{
    Result,
    json::{self, DEPTH_MAX},
    query::Json,
};

/// A JSON value, borrowed from its text.
#[derive(Clone, Debug)]
pub(super) enum Tree<'a> {
    /// A null, boolean, number or text, as it is spelled.
    Scalar(&'a str),
    Array(Vec<Tree<'a>>),
    /// No name twice.
    Object(Vec<Field<'a>>),
}

#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    /// Without its escapes.
    pub(super) name: Cow<'a, str>,
    pub(super) value: Tree<'a>,
}

impl<'a> Tree<'a> {
    pub(super) const NULL: Self = Self::Scalar("null");

    /// # Errors
    /// `Invalid` when `text` is not JSON.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self> {
        json::check(text)?;
        let text = std::str::from_utf8(text).expect("what was checked to be JSON is UTF-8");
        Ok(Reader { text, at: 0 }.value())
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar("null"))
    }

    /// The text without its escapes, where it is one.
    pub(super) fn as_text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Scalar(spelled) if spelled.starts_with('"') => Some(unescaped(spelled)),
            _ => None,
        }
    }

    /// The value of a field, where this is an object that has it.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|field| field.name == name).map(|field| &field.value),
            _ => None,
        }
    }

    /// How deep arrays and objects are nested.
    pub(super) fn depth(&self) -> usize {
        let inside = match self {
            Self::Scalar(_) => return 0,
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(fields) => fields.iter().map(|field| field.value.depth()).max(),
        };
        1 + inside.unwrap_or(0)
    }

    /// About how many bytes it takes to write, and never more than that.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Scalar(spelled) => spelled.len(),
            Self::Array(items) => 1 + items.iter().map(|item| 1 + item.bytes()).sum::<usize>(),
            Self::Object(fields) => 1 + fields.iter().map(|field| field.name.len() + 4 + field.value.bytes()).sum::<usize>(),
        }
    }

    /// Whether both are the same value, however it is spelled: in any order of fields, and numbers by what they stand for.
    pub(super) fn equals(&self, other: &Tree<'_>) -> bool {
        match (self, other) {
            (Self::Scalar(one), Tree::Scalar(other)) => one == other || scalar(one) == scalar(other),
            (Self::Array(ones), Tree::Array(others)) => {
                ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| one.equals(other))
            }
            (Self::Object(ones), Tree::Object(others)) => {
                let same =
                    |(one, other): (&&Field<'_>, &&Field<'_>)| one.name == other.name && one.value.equals(&other.value);
                ones.len() == others.len() && sorted(ones).iter().zip(&sorted(others)).all(same)
            }
            _ => false,
        }
    }

    /// The JSON text, without white space that means nothing.
    pub(super) fn write(&self) -> String {
        let mut text = String::with_capacity(self.bytes());
        self.push(&mut text);
        text
    }

    fn push(&self, to: &mut String) {
        match self {
            Self::Scalar(spelled) => to.push_str(spelled),
            Self::Array(items) => {
                to.push('[');
                for (index, item) in items.iter().enumerate() {
                    to.push_str(if index == 0 { "" } else { "," });
                    item.push(to);
                }
                to.push(']');
            }
            Self::Object(fields) => {
                to.push('{');
                for (index, Field { name, value }) in fields.iter().enumerate() {
                    to.push_str(if index == 0 { "" } else { "," });
                    to.push_str(&serde_json::to_string(name).expect("a text can always be written as JSON"));
                    to.push(':');
                    value.push(to);
                }
                to.push('}');
            }
        }
    }
}

fn sorted<'t, 'a>(fields: &'t [Field<'a>]) -> Vec<&'t Field<'a>> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    fields
}

fn scalar(spelled: &str) -> Option<Json> {
    Json::parse(spelled.as_bytes()).ok()
}

fn unescaped(quoted: &str) -> Cow<'_, str> {
    let inside = &quoted[1..quoted.len() - 1];
    if inside.contains('\\') {
        serde_json::from_str::<String>(quoted).expect("what was checked to be JSON has no bad escapes").into()
    } else {
        inside.into()
    }
}

/// Reads what was checked to be JSON; so it needs to look at structure alone, and is never deeper than [`DEPTH_MAX`].
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

const _: () = assert!(DEPTH_MAX <= 128, "reading, writing and dropping a tree recurse level by level");

impl<'a> Reader<'a> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while bytes[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        bytes[self.at]
    }

    fn value(&mut self) -> Tree<'a> {
        match self.peek() {
            b'[' => Tree::Array(self.items(b']', Self::value)),
            b'{' => Tree::Object(self.items(b'}', |reader| {
                reader.peek();
                let name = unescaped(reader.quoted());
                reader.peek();
                // The colon.
                reader.at += 1;
                Field { name, value: reader.value() }
            })),
            b'"' => Tree::Scalar(self.quoted()),
            _ => {
                let rest = &self.text[self.at..];
                let end = rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
                self.at += end;
                Tree::Scalar(&rest[..end])
            }
        }
    }

    fn items<T>(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        self.at += 1;
        let mut items = Vec::new();
        while self.peek() != close {
            items.push(item(self));
            if self.peek() == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        items
    }

    fn quoted(&mut self) -> &'a str {
        let (start, bytes) = (self.at, self.text.as_bytes());
        self.at += 1;
        while bytes[self.at] != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        &self.text[start..self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        Tree::parse(text.as_bytes()).expect("JSON").write()
    }

    #[test]
    fn what_is_read_is_written_as_it_was_spelled() {
        for text in [
            "null",
            "1.50",
            "-0",
            "123456789012345678901234567890.10",
            r#""\u00e9\"\\""#,
            "[]",
            "{}",
            r#"{"z":1e2,"a":[true,{"\\":"}"},"]"]}"#,
        ] {
            assert_eq!(written(text), text);
        }
        assert_eq!(written(" { \"a\" : [ 1 , 2 ] ,\n\"b\":{ } }\r\n"), r#"{"a":[1,2],"b":{}}"#);
        assert!(Tree::parse(b"{\"a\":1,\"a\":2}").is_err());
    }

    #[test]
    fn equal_is_what_means_the_same() {
        let equal = |one: &str, other: &str| {
            let parse = |text| Tree::parse(text).expect("JSON");
            parse(one.as_bytes()).equals(&parse(other.as_bytes()))
        };
        for (one, other) in [
            ("1", "1.0"),
            ("1e2", "100"),
            ("0", "-0"),
            (r#""é""#, r#""\u00e9""#),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#),
        ] {
            assert!(equal(one, other) && equal(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("1", "\"1\""),
            ("9007199254740993", "9007199254740992.0"),
            ("null", "false"),
            ("[1,2]", "[2,1]"),
            ("[1]", "[1,1]"),
            ("{}", "[]"),
            (r#"{"a":1}"#, r#"{"b":1}"#),
        ] {
            assert!(!equal(one, other) && !equal(other, one), "{one} {other}");
        }
    }

    #[test]
    fn depth_and_bytes_are_counted() {
        for (text, depth) in [("1", 0), ("[[1],2]", 2), (r#"{"a":[1,[{"b":"x"}]],"c":null}"#, 4)] {
            let tree = Tree::parse(text.as_bytes()).expect("JSON");
            assert_eq!((tree.depth(), tree.bytes()), (depth, text.len()), "{text}");
        }
        assert_eq!(Tree::parse(b"[]").expect("JSON").depth(), 1);
    }
}
