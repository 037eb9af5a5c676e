//! Conditions: what is asked of one path.

use super::{
    json::Json,
    path::{Path, Root},
};
use crate::{
    error::{Error, Result},
    time::Timestamp,
};

/// What is asked of one path.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    path: Path,
    test: Test,
}

/// What is asked; what each of them means stands in the [module](super).
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The same value.
    Eq(Json),
    /// Another value.
    Ne(Json),
    /// A larger number or a later text.
    Gt(Json),
    /// That, or the same.
    Gte(Json),
    /// A smaller number or an earlier text.
    Lt(Json),
    /// That, or the same.
    Lte(Json),
    /// One of these values.
    In(Vec<Json>),
    /// None of these values.
    Nin(Vec<Json>),
    /// A text with this text in it, or an array with this value in it.
    Contains(Json),
    /// A text with this beginning.
    StartsWith(String),
    /// A text with this end.
    EndsWith(String),
    /// Whether it is there.
    Exists(bool),
}

impl Test {
    /// The operators, by the names that they have in JSON.
    pub const OPERATORS: [&'static str; 12] =
        ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "startsWith", "endsWith", "exists"];

    /// How deep a value may be nested that is compared with.
    pub const MAX_DEPTH: usize = 32;

    /// The test that the operator with this name makes of `value`.
    ///
    /// # Errors
    /// `Invalid` for other names, and for a value that the operator cannot use, in words that go on after "expected".
    pub(super) fn named(operator: &str, value: Json) -> Result<Self, &'static str> {
        Ok(match (operator, value) {
            ("eq", value) => Self::Eq(value),
            ("ne", value) => Self::Ne(value),
            ("gt", value) => Self::Gt(value),
            ("gte", value) => Self::Gte(value),
            ("lt", value) => Self::Lt(value),
            ("lte", value) => Self::Lte(value),
            ("in", Json::Array(values)) => Self::In(values),
            ("nin", Json::Array(values)) => Self::Nin(values),
            ("in" | "nin", _) => return Err("an array of values"),
            ("contains", value) => Self::Contains(value),
            ("startsWith", Json::Text(text)) => Self::StartsWith(text),
            ("endsWith", Json::Text(text)) => Self::EndsWith(text),
            ("startsWith" | "endsWith", _) => return Err("a text"),
            ("exists", Json::Bool(exists)) => Self::Exists(exists),
            ("exists", _) => return Err("true or false"),
            _ => return Err("eq, ne, gt, gte, lt, lte, in, nin, contains, startsWith, endsWith or exists"),
        })
    }

    /// The name of its operator in JSON, and the value.
    pub fn parts(&self) -> (&'static str, Json) {
        match self {
            Self::Eq(value) => ("eq", value.clone()),
            Self::Ne(value) => ("ne", value.clone()),
            Self::Gt(value) => ("gt", value.clone()),
            Self::Gte(value) => ("gte", value.clone()),
            Self::Lt(value) => ("lt", value.clone()),
            Self::Lte(value) => ("lte", value.clone()),
            Self::In(values) => ("in", Json::Array(values.clone())),
            Self::Nin(values) => ("nin", Json::Array(values.clone())),
            Self::Contains(value) => ("contains", value.clone()),
            Self::StartsWith(text) => ("startsWith", Json::Text(text.clone())),
            Self::EndsWith(text) => ("endsWith", Json::Text(text.clone())),
            Self::Exists(exists) => ("exists", Json::Bool(*exists)),
        }
    }

    fn values(&self) -> &[Json] {
        match self {
            Self::Eq(value) | Self::Ne(value) | Self::Contains(value) => std::slice::from_ref(value),
            Self::Gt(value) | Self::Gte(value) | Self::Lt(value) | Self::Lte(value) => std::slice::from_ref(value),
            Self::In(values) | Self::Nin(values) => values,
            Self::StartsWith(_) | Self::EndsWith(_) | Self::Exists(_) => &[],
        }
    }

    /// The values that are compared as a whole.
    fn compared(&mut self) -> &mut [Json] {
        match self {
            Self::Eq(value) | Self::Ne(value) => std::slice::from_mut(value),
            Self::Gt(value) | Self::Gte(value) | Self::Lt(value) | Self::Lte(value) => std::slice::from_mut(value),
            Self::In(values) | Self::Nin(values) => values,
            Self::Contains(_) | Self::StartsWith(_) | Self::EndsWith(_) | Self::Exists(_) => &mut [],
        }
    }
}

impl Condition {
    /// What `test` asks of `path`. What is compared with a time is brought to the form that times have here.
    ///
    /// # Errors
    /// `Invalid` when a time is compared with something else than a time, `Limit` when a value is nested too deep.
    pub fn new(path: Path, mut test: Test) -> Result<Self> {
        if let Some(deep) = test.values().iter().map(Json::depth).find(|depth| *depth > Test::MAX_DEPTH) {
            let message =
                format!("a value nested {deep} levels deep is too deep to compare with: at most {}", Test::MAX_DEPTH);
            return Err(Error::limit(message));
        }
        if matches!(path.root(), Root::Created | Root::Updated) {
            for value in test.compared() {
                let time = match value {
                    Json::Text(text) => Timestamp::parse(text)?,
                    _ => return Err(Error::invalid(format!("{path} is a time, as in \"2030-01-31T12:00:00Z\""))),
                };
                *value = Json::Text(time.to_string());
            }
        }
        Ok(Self { path, test })
    }

    /// Of what it is asked.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is asked.
    pub fn test(&self) -> &Test {
        &self.test
    }
}
