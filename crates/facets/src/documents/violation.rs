//! Violations: which rules of a schema a document does not keep to, and where.

use std::{error, fmt};

use serde::Serialize;

/// How many violations a message names.
const TOLD_MAX: usize = 20;

/// A rule that a document does not keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where in the document, as a JSON pointer; empty for the document itself.
    pub path: String,
    /// Which rule in the schema, as a JSON pointer; where the schema holds others under an `$id`, in the one of them.
    pub schema_path: String,
    /// The rule's keyword, such as `required`.
    pub keyword: String,
    /// The rule in words; it tells nothing of the document but names of its fields.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, schema_path, message, .. } = self;
        let of = |path: &str| if path.is_empty() { "the top".to_owned() } else { path.to_owned() };
        write!(f, "at {}: {message} (rule {})", of(path), of(schema_path))
    }
}

/// What is wrong with a document: every violated rule.
///
/// An error of a facet has it as its [`cause`](larder_core::Error::cause).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    /// In the order of the schema's rules; the first thousand of them.
    pub all: Vec<Violation>,
    /// How many there are.
    pub total: u64,
}

impl Violations {
    /// What is not even JSON.
    pub(super) fn no_json() -> Self {
        let all = vec![Violation {
            path: String::new(),
            schema_path: String::new(),
            keyword: String::new(),
            message: "the value was not stored as JSON".to_owned(),
        }];
        Self { all, total: 1 }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.all.iter().take(TOLD_MAX).enumerate() {
            write!(f, "{}{violation}", if index == 0 { "" } else { "; " })?;
        }
        match self.total.saturating_sub(TOLD_MAX as u64) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl error::Error for Violations {}
