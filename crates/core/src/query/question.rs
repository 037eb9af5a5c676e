//! Questions: everything that can be asked in one text, or in one JSON document.

use super::{
    aggregate::Aggregate,
    condition::Condition,
    filter::{Filter, Node},
    form,
    page::Query,
    path::Path,
    text,
};
use crate::error::Result;

/// Something to ask: for entries, for some of their fields, or for one answer about many of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Entries, whole.
    Entries(Query),
    /// Of each entry its key and these fields.
    Fields(Query, Vec<Path>),
    /// One answer about all of them.
    Aggregate(Aggregate),
}

impl Question {
    /// The most fields that can be asked for.
    pub const MAX_FIELDS: usize = 256;

    /// Reads a question in the form for people; one that begins with `{` or `[` is read as JSON.
    ///
    /// # Errors
    /// `Invalid`, with the column and what was expected there; `Limit` when it is too long or too deep.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim_start().starts_with(['{', '[']) { form::question(text.as_bytes()) } else { text::question(text) }
    }

    /// Reads a question in JSON: a filter, or an object that has one.
    ///
    /// # Errors
    /// `Invalid`, with the place and what was expected there; `Limit` when it is too long or too deep.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        form::question(text)
    }

    /// The question as JSON.
    pub fn to_json(&self) -> String {
        form::write(self).to_string()
    }
}

impl Filter {
    /// Reads a filter in the form for people; one that begins with `{` or `[` is read as JSON.
    ///
    /// # Errors
    /// `Invalid`, with the column and what was expected there; `Limit` when it is too long or too deep.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim_start().starts_with(['{', '[']) { Self::from_json(text.as_bytes()) } else { text::filter(text) }
    }

    /// Reads a filter in JSON: a condition, `all`, `any` or `not`, or an array of those, which all have to hold.
    ///
    /// # Errors
    /// `Invalid`, with the place and what was expected there; `Limit` when it is too long or too deep.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        form::filter(text)
    }

    /// The filter as JSON. What was wrong when it was built reads back as nothing.
    pub fn to_json(&self) -> String {
        form::written(self).to_string()
    }

    /// Every condition in it.
    pub fn conditions(&self) -> Vec<&Condition> {
        match self.node() {
            Node::All(filters) | Node::Any(filters) => filters.iter().flat_map(Self::conditions).collect(),
            Node::Not(filter) => filter.conditions(),
            Node::Condition(condition) => vec![condition],
            Node::Wrong(_) => Vec::new(),
        }
    }
}
