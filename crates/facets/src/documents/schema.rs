//! Schemas: JSON Schema as it was written, and ready to judge documents. They know no store.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use jsonschema::{Draft, Validator};
use larder_core::{ContentKind, Error, Limits, Result, Value, json};
use serde::{Deserialize, Serialize};

use super::{
    stack::Depth,
    violation::{Violation, Violations},
};

/// How many violations of one document are told; beyond that they are counted.
const VIOLATIONS_MAX: usize = 1000;

/// A JSON Schema.
///
/// | draft | `$schema` | `format` |
/// | --- | --- | --- |
/// | 2020-12 | `https://json-schema.org/draft/2020-12/schema`, or none | an annotation |
/// | 2019-09 | `https://json-schema.org/draft/2019-09/schema` | an annotation |
/// | 7, 6, 4 | `http://json-schema.org/draft-07/schema#` and so on | has to hold |
///
/// Another `$schema` is refused. References go to places in the schema itself, to what it holds under an `$id`, and to the
/// schemas of those drafts; nothing is ever fetched, neither over a network nor from files, and a schema that refers elsewhere
/// is refused. Patterns are those of ECMA-262 as far as `fancy-regex` has them; one that cannot come to an end within a
/// million steps lets nothing through. The formats `idn-email` and `idn-hostname` are not known, and unknown ones let
/// everything through.
#[derive(Clone)]
pub struct Schema {
    text: Bytes,
    depth: Depth,
    validator: Arc<Validator>,
}

impl Schema {
    /// The largest schema, in bytes of JSON text.
    pub const MAX_BYTES: usize = Limits::FLOOR.value_bytes;

    /// The schema in `text`, which is kept byte for byte.
    ///
    /// # Errors
    /// `Invalid` when this is not JSON, no schema of its draft, or refers to what it does not hold; `Limit` when it is too
    /// large.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self> {
        let text = text.into();
        if text.len() > Self::MAX_BYTES {
            let (size, most) = (text.len(), Self::MAX_BYTES);
            return Err(Error::limit(format!("a schema of {size} bytes is too large: at most {most}")));
        }
        let schema = read(&text)?;
        let depth = Depth::of(&schema);
        let built = depth.build(|| jsonschema::options().offline().build(&schema))?;
        let validator = built.map_err(|error| {
            let place = match error.instance_path().as_str() {
                "" => String::new(),
                path => format!(" at {path}"),
            };
            Error::invalid(format!("this is no schema{place}")).caused_by(error.to_string())
        })?;
        Ok(Self { text, depth, validator: Arc::new(validator) })
    }

    /// The schema that `value` is written as.
    ///
    /// # Errors
    /// As [`Schema::parse`].
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text =
            serde_json::to_vec(value).map_err(|error| Error::invalid("this cannot be written as JSON").caused_by(error))?;
        Self::parse(text)
    }

    /// The JSON text, as it was written.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Which draft it keeps to, such as `2020-12` or `7`.
    pub fn draft(&self) -> &'static str {
        match self.validator.draft() {
            Draft::Draft4 => "4",
            Draft::Draft6 => "6",
            Draft::Draft7 => "7",
            Draft::Draft201909 => "2019-09",
            _ => "2020-12",
        }
    }

    /// Which rules `document` violates, if any.
    ///
    /// # Errors
    /// `Limit` when schema and document together are too deep to be judged.
    pub fn violations(&self, document: &Value) -> Result<Option<Violations>> {
        let plain = document.kind() == ContentKind::Json && document.encodings().is_empty();
        let Some(read) = plain.then(|| read(document.bytes()).ok()).flatten() else {
            return Ok(Some(Violations::no_json()));
        };
        self.depth.judge(&read, || if self.validator.is_valid(&read) { None } else { Some(self.every_violation(&read)) })
    }

    fn every_violation(&self, document: &serde_json::Value) -> Violations {
        let mut violations = Violations::default();
        for error in self.validator.iter_errors(document) {
            violations.total += 1;
            if violations.all.len() < VIOLATIONS_MAX {
                violations.all.push(Violation {
                    path: error.instance_path().as_str().to_owned(),
                    schema_path: error.schema_path().as_str().to_owned(),
                    keyword: error.kind().keyword().to_owned(),
                    // Without what was found: messages go to logs, and documents are nobody's business there.
                    message: error.masked().to_string(),
                });
            }
        }
        violations
    }
}

/// JSON text as the library takes it. Whole numbers are exact over i64 and u64; every other one is the f64 that it stands for,
/// as everywhere in a store.
fn read(text: &[u8]) -> Result<serde_json::Value> {
    json::check(text)?;
    let mut parser = serde_json::Deserializer::from_slice(text);
    // The check has bounded the depth, one level deeper than the parser would.
    parser.disable_recursion_limit();
    serde_json::Value::deserialize(&mut parser).map_err(|error| Error::invalid("this is not JSON").caused_by(error))
}

/// The same text is the same schema.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({} bytes, draft {})", self.text.len(), self.draft())
    }
}

/// What can be taken as a schema: a [`Schema`], or JSON text.
pub trait IntoSchema {
    /// The schema.
    ///
    /// # Errors
    /// As [`Schema::parse`].
    fn into_schema(self) -> Result<Schema>;
}

impl IntoSchema for Schema {
    fn into_schema(self) -> Result<Schema> {
        Ok(self)
    }
}

impl IntoSchema for &Schema {
    fn into_schema(self) -> Result<Schema> {
        Ok(self.clone())
    }
}

impl IntoSchema for &str {
    fn into_schema(self) -> Result<Schema> {
        Schema::parse(self.to_owned())
    }
}

impl IntoSchema for serde_json::Value {
    fn into_schema(self) -> Result<Schema> {
        Schema::from_serialize(&self)
    }
}
