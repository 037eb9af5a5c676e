//! What to list or scan.

use super::Scope;
use crate::{
    address::{Address, Range},
    glob::Glob,
    id::Revision,
    key::Key,
};

/// Which keys of a namespace, in which order, and how many.
///
/// ```
/// # use larder_core::Select;
/// let second_page = Select::prefix("workloads/").limit(50).offset(50);
/// let newest_first = Select::prefix("log/").reverse().limit(10);
/// # let _ = (second_page, newest_first);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    keys: Keys,
    pub(super) after: Option<Key>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
    pub(super) reverse: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Keys {
    Prefix(String),
    Glob(Glob),
}

impl Select {
    /// Every key.
    pub fn all() -> Self {
        Self::prefix("")
    }

    /// The keys that begin with `prefix`, taken literally.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { keys: Keys::Prefix(prefix.into()), after: None, limit: None, offset: 0, reverse: false }
    }

    /// The keys that match `glob`.
    pub fn glob(glob: Glob) -> Self {
        Self { keys: Keys::Glob(glob), ..Self::all() }
    }

    /// Only what comes after `key` in the order asked for, whether `key` is there or not: stable under writes.
    #[must_use]
    pub fn after(mut self, key: Key) -> Self {
        self.after = Some(key);
        self
    }

    /// At most so many; 0 is none.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Without the first so many.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// From the last key to the first.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The same without limit and offset.
    pub(super) fn unbounded(self) -> Self {
        Self { limit: None, offset: 0, ..self }
    }

    /// The range in which the selected keys of `scope` lie.
    pub(super) fn range(&self, scope: &Scope) -> Range {
        let prefix = match &self.keys {
            Keys::Prefix(prefix) => prefix,
            Keys::Glob(glob) => glob.literal_prefix(),
        };
        let range = scope.prefix(prefix);
        let Some(after) = &self.after else { return range };
        let after = Address::new(scope.namespace().clone(), after.clone());
        if self.reverse { range.before(&after) } else { range.after(&after) }
    }

    pub(super) fn matches(&self, key: &Key) -> bool {
        match &self.keys {
            // The range has seen to it.
            Keys::Prefix(_) => true,
            Keys::Glob(glob) => glob.matches(key),
        }
    }

    /// Whether every key in the range matches.
    pub(super) fn matches_all(&self) -> bool {
        matches!(self.keys, Keys::Prefix(_))
    }

    /// Whether the range says it all.
    pub(super) fn is_range(&self) -> bool {
        self.matches_all() && self.limit.is_none() && self.offset == 0
    }
}

impl From<&str> for Select {
    fn from(prefix: &str) -> Self {
        Self::prefix(prefix)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// In the order asked for.
    pub items: Vec<T>,
    /// Where to go on with [`Select::after`], when the limit ended the listing; there may turn out to be nothing.
    pub next: Option<Key>,
    /// The revision of the moment that everything is as of.
    pub revision: Revision,
}
