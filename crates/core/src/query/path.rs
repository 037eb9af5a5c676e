//! Paths: which part of an entry a condition is about.

use std::{fmt, str::FromStr};

use super::json::quote;
use crate::error::{Error, ErrorKind, Result};

/// A part of an entry: of its value, of its metadata, or what the store keeps about it.
///
/// | path | what it reaches |
/// | --- | --- |
/// | `$key`, `$version` | the key, a text; the version, a number |
/// | `$created`, `$updated` | the times, as texts in RFC 3339, in UTC and with milliseconds |
/// | `$meta`, `$meta.owner` | the metadata, and a field of it |
/// | `$value` | the value, if it is JSON |
/// | `name`, `address.city` | a field of the value, and a field of that |
/// | `tags.0` | the first element of an array; of an object, the field `0` |
/// | `dependencies[].name`, `$value[]` | of every element |
/// | `"odd name"."a.b"` | names with anything in them, quoted as in JSON |
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    root: Root,
    steps: Vec<Step>,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The key.
    Key,
    /// The version.
    Version,
    /// When it was created.
    Created,
    /// When it was last written.
    Updated,
    /// The metadata.
    Metadata,
    /// The value.
    Value,
}

/// A step of a path, further into JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The field of that name; of an array, the element of that number.
    Name(String),
    /// Every element of an array.
    Each,
}

impl Step {
    /// The number of the element that it names in an array, if it names one.
    pub fn index(&self) -> Option<usize> {
        let Self::Name(name) = self else { return None };
        let canonical = name == "0" || !name.starts_with('0');
        (canonical && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok()).flatten()
    }
}

/// What is wrong with a path, and at which byte.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) at: usize,
    pub(super) message: String,
}

impl Path {
    /// The longest path, in bytes.
    pub const MAX_BYTES: usize = 4096;
    /// The most steps: no JSON is deeper.
    pub const MAX_STEPS: usize = 128;

    /// Reads a path.
    ///
    /// # Errors
    /// `Invalid` when it is none, `Limit` when it is longer than 4096 bytes or has more than 128 steps.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|fault| {
            let column = text.get(..fault.at).map_or(0, |before| before.chars().count()) + 1;
            Error::new(fault.kind, format!("in a path, at column {column}: {}", fault.message))
        })
    }

    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        if text.len() > Self::MAX_BYTES {
            let message = format!("a path of {} bytes is too long: at most {} are allowed", text.len(), Self::MAX_BYTES);
            return Err(Fault { kind: ErrorKind::Limit, at: 0, message });
        }
        let mut reader = Reader { text, at: 0, steps: Vec::new() };
        let root = reader.root()?;
        reader.rest()?;
        if !matches!(root, Root::Metadata | Root::Value) && !reader.steps.is_empty() {
            return Err(reader.fault(format!("expected the end: there is nothing inside of {}", root.as_str())));
        }
        Ok(Self { root, steps: reader.steps })
    }

    /// The key.
    pub fn key() -> Self {
        Self { root: Root::Key, steps: Vec::new() }
    }

    /// The value, all of it.
    pub(crate) fn value() -> Self {
        Self { root: Root::Value, steps: Vec::new() }
    }

    /// The metadata, all of it.
    pub(crate) fn metadata() -> Self {
        Self { root: Root::Metadata, steps: Vec::new() }
    }

    /// The same, and one step further.
    pub(crate) fn then(&self, name: String) -> Self {
        Self { root: self.root, steps: self.steps.iter().cloned().chain([Step::Name(name)]).collect() }
    }

    /// Where it begins.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Where it goes from there.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it can reach more than one place.
    pub fn is_many(&self) -> bool {
        self.steps.contains(&Step::Each)
    }
}

impl Root {
    const ALL: [Self; 6] = [Self::Key, Self::Version, Self::Created, Self::Updated, Self::Metadata, Self::Value];

    /// How it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "$key",
            Self::Version => "$version",
            Self::Created => "$created",
            Self::Updated => "$updated",
            Self::Metadata => "$meta",
            Self::Value => "$value",
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    steps: Vec<Step>,
}

impl Reader<'_> {
    fn root(&mut self) -> Result<Root, Fault> {
        if !self.text.starts_with('$') {
            let name = self.name()?;
            self.steps.push(name);
            return Ok(Root::Value);
        }
        let word = self.text.split(['.', '[']).next().unwrap_or_default();
        let Some(root) = Root::ALL.into_iter().find(|root| root.as_str() == word) else {
            return Err(self.fault(
                "expected $key, $version, $created, $updated, $meta or $value; a field whose name begins with $ is quoted",
            ));
        };
        self.at = word.len();
        Ok(root)
    }

    fn rest(&mut self) -> Result<(), Fault> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let step = if rest.starts_with("[]") {
                self.at += 2;
                Step::Each
            } else if rest.starts_with('.') {
                self.at += 1;
                self.name()?
            } else if rest.starts_with('[') {
                return Err(self.fault("expected [], for every element; an index is a name, as in tags.0"));
            } else {
                return Err(self.fault("expected . or [] or the end"));
            };
            if self.steps.len() == Path::MAX_STEPS {
                let message = format!("a path has at most {} steps", Path::MAX_STEPS);
                return Err(Fault { kind: ErrorKind::Limit, at: self.at, message });
            }
            self.steps.push(step);
        }
        Ok(())
    }

    fn name(&mut self) -> Result<Step, Fault> {
        let rest = &self.text[self.at..];
        if rest.starts_with('"') {
            let Some(end) = quoted(rest) else { return Err(self.fault("expected a closing quote")) };
            let name =
                serde_json::from_str(&rest[..end]).map_err(|_| self.fault("expected a name that is quoted as in JSON"))?;
            self.at += end;
            return Ok(Step::Name(name));
        }
        let end = rest.find(|char: char| matches!(char, '.' | '[' | ']' | '"') || char.is_control()).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.fault("expected a name; one with odd characters in it is quoted"));
        }
        self.at += end;
        Ok(Step::Name(rest[..end].to_owned()))
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { kind: ErrorKind::Invalid, at: self.at, message: message.into() }
    }
}

/// Where the quoted text that `text` begins with ends, quotes included.
pub(super) fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Whether `char` may stand in a name that is not quoted, wherever the path stands.
pub(super) fn is_plain(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-')
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = matches!(self.steps.first(), Some(Step::Name(_)));
        let hidden = self.root == Root::Value && named;
        if !hidden {
            f.write_str(self.root.as_str())?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Step::Each => f.write_str("[]")?,
                Step::Name(name) => {
                    f.write_str(if hidden && index == 0 { "" } else { "." })?;
                    let plain = !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain);
                    f.write_str(&if plain { name.clone() } else { quote(name) })?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Path {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// What can be taken as a path: a [`Path`], or text that is read on the way.
pub trait IntoPath {
    /// The path.
    ///
    /// # Errors
    /// As [`Path::parse`].
    fn into_path(self) -> Result<Path>;
}

impl IntoPath for Path {
    fn into_path(self) -> Result<Path> {
        Ok(self)
    }
}

impl IntoPath for &Path {
    fn into_path(self) -> Result<Path> {
        Ok(self.clone())
    }
}

impl IntoPath for &str {
    fn into_path(self) -> Result<Path> {
        Path::parse(self)
    }
}

impl IntoPath for &String {
    fn into_path(self) -> Result<Path> {
        Path::parse(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        for (text, written) in [
            ("a", "a"),
            ("a.b[].c", "a.b[].c"),
            ("tags.0", "tags.0"),
            ("$value.a", "a"),
            ("$value", "$value"),
            ("$value[][].x", "$value[][].x"),
            ("$meta.a b.\"\"", "$meta.\"a b\".\"\""),
            ("\"a.b\".\"$x\"", "\"a.b\".\"$x\""),
            ("\"\\u0061\"", "a"),
            ("größe.-1", "größe.\"-1\""),
            ("$key", "$key"),
            ("a.$b", "a.\"$b\""),
        ] {
            let path = Path::parse(text).expect("a path");
            assert_eq!(path.to_string(), written, "{text}");
            assert_eq!(Path::parse(written).ok(), Some(path), "{written}");
        }
    }

    #[test]
    fn a_bad_path_is_told_where() {
        for (text, column, expected) in [
            ("", 1, "expected a name"),
            ("a..b", 3, "expected a name"),
            ("a.", 3, "expected a name"),
            ("ä[0]", 2, "expected []"),
            ("a[", 2, "expected []"),
            ("a]", 2, "expected . or []"),
            ("a[]b", 4, "expected . or []"),
            ("$ref", 1, "expected $key"),
            ("$key.a", 7, "expected the end"),
            ("\"a", 1, "expected a closing quote"),
            ("\"\\x\"", 1, "quoted as in JSON"),
            ("[]", 1, "expected a name"),
        ] {
            let error = Path::parse(text).expect_err("no path");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            let message = error.to_string();
            assert!(message.contains(&format!("at column {column}: ")) && message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn paths_are_bounded() {
        let long = |steps: usize| Path::parse(&vec!["a"; steps].join("."));
        assert!(long(128).is_ok());
        for error in
            [long(129), long(100_000), Path::parse(&"a".repeat(4097)), Path::parse(&format!("a{}", "[]".repeat(128)))]
        {
            assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Limit));
        }
    }

    #[test]
    fn an_index_is_a_whole_number_in_its_shortest_form() {
        let index = |name: &str| Step::Name(name.to_owned()).index();
        assert_eq!((index("0"), index("10")), (Some(0), Some(10)));
        for name in ["", "00", "01", "-1", "+1", "1a", "99999999999999999999999"] {
            assert_eq!(index(name), None, "{name}");
        }
    }
}
