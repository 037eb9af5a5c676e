//! Indexes: what finds entries by their values.
//!
//! An index of a namespace keeps, for every stored entry, one or more [terms](Term): what the entry has at the paths of the
//! index, written so that the order of the bytes is the order of the values. It changes in the same commit as the entry, so it
//! never says anything else than the entries do. Everything that has to be the same on every engine is here, and pure: which
//! terms an entry has, what a commit does to them, when it would break uniqueness, and which index helps with which query.
//! An engine keeps rows of (index, term, key) in that order, and no more.
//!
//! * An entry where nothing is reached has a term that says so, behind all others: the index holds every entry of its namespace.
//! * A path with `[]` makes a term for each different element. At most one path of an index has `[]` in it, and an entry has at
//!   most [`Index::TERMS_MAX`] terms; a commit that would make more is refused as `Limit`.
//! * A term has at most [`Term::BYTES_MAX`] bytes; what is longer is cut. Whoever reads an index looks at the entries again.
//! * An [index of words](Index::words) keeps a term for each different word, as [`search`](crate::search) divides and folds texts.
//!   An entry without words is not in it; one with more than [`Index::WORDS_MAX`] has a term that says so, and no other.
//! * Under a unique index no two entries have the same term at the same time. What is missing is not compared; null is. An
//!   entry that has expired at the commit's clock holds nothing any more.

mod keeping;
mod span;
mod term;
mod word;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use keeping::{Holder, Keeping, Work, build, existing};
pub use span::{Choice, Order, Span, choices};
pub use term::Term;
pub use word::finding;

use crate::{
    entry::Entry,
    error::{Error, Result},
    key::Key,
    namespace::Namespace,
    query::{IntoPath, Path, Root},
};

/// What an index is over, and what it promises.
///
/// ```
/// # use larder_core::Index;
/// let by_age = Index::on("age")?;
/// let by_name = Index::over(["name.last", "name.first"])?;
/// let one_each = Index::on("email")?.unique();
/// assert_eq!(one_each.to_string(), "unique email");
/// let to_search = Index::words(["title", "body"])?;
/// assert_eq!(to_search.to_string(), "words title, body");
/// # let _ = (by_age, by_name);
/// # Ok::<_, larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Index {
    paths: Vec<Path>,
    unique: bool,
    words: bool,
}

impl Index {
    /// The most paths of an index.
    pub const PATHS_MAX: usize = 8;
    /// The most terms of an entry in one index.
    pub const TERMS_MAX: usize = 1024;
    /// The most different words of an entry that an index of words keeps; an entry with more of them is looked at by every
    /// search.
    pub const WORDS_MAX: usize = 4096;
    /// The most indexes of a namespace.
    pub const PER_NAMESPACE: usize = 16;

    /// An index on what `path` reaches.
    ///
    /// # Errors
    /// As [`Index::over`].
    pub fn on(path: impl IntoPath) -> Result<Self> {
        Self::over([path])
    }

    /// An index on what all of `paths` reach, the first of them first.
    ///
    /// # Errors
    /// `Invalid` for a bad path, for none, for one that is named twice, for `$key`, by which entries are in order anyway, and
    /// when more than one has `[]` in it; `Limit` beyond [`Index::PATHS_MAX`].
    pub fn over<P: IntoPath>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let paths = paths.into_iter().map(P::into_path).collect::<Result<Vec<_>>>()?;
        if paths.is_empty() {
            return Err(Error::invalid("an index is on one path at least"));
        }
        if paths.len() > Self::PATHS_MAX {
            return Err(Error::limit(format!("an index is over at most {} paths", Self::PATHS_MAX)));
        }
        if paths.iter().any(|path| path.root() == Root::Key) {
            return Err(Error::invalid("an index on $key is not needed: entries are in the order of their keys"));
        }
        if let Some(twice) = paths.iter().enumerate().find(|(at, path)| paths[..*at].contains(path)) {
            return Err(Error::invalid(format!("an index names {} twice", twice.1)));
        }
        if paths.iter().filter(|path| path.is_many()).count() > 1 {
            return Err(Error::invalid("at most one path of an index has [] in it"));
        }
        Ok(Self { paths, unique: false, words: false })
    }

    /// An index of the words in the texts at and below `paths`; without any, in those of the whole value.
    ///
    /// It makes a [search](crate::Search) by words quick at these paths, and at those below them. No answer depends on it.
    ///
    /// # Errors
    /// `Invalid` for a bad path and for one that is named twice; `Limit` beyond [`Index::PATHS_MAX`].
    pub fn words<P: IntoPath>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut paths = paths.into_iter().map(P::into_path).collect::<Result<Vec<_>>>()?;
        if paths.is_empty() {
            paths.push(Path::value());
        }
        if paths.len() > Self::PATHS_MAX {
            return Err(Error::limit(format!("an index is over at most {} paths", Self::PATHS_MAX)));
        }
        if let Some(twice) = paths.iter().enumerate().find(|(at, path)| paths[..*at].contains(path)) {
            return Err(Error::invalid(format!("an index names {} twice", twice.1)));
        }
        Ok(Self { paths, unique: false, words: true })
    }

    /// The same, and no two entries may have the same in it.
    #[must_use]
    pub fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    /// On what it is.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Whether no two entries may have the same in it.
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether it is of words, and not of values.
    pub fn is_words(&self) -> bool {
        self.words
    }

    /// Whether it is on the same as `other`, unique or not.
    pub fn is_like(&self, other: &Self) -> bool {
        self.words == other.words && self.paths == other.paths
    }

    /// Whether an entry can have several terms in it.
    pub fn is_many(&self) -> bool {
        self.words || self.paths.iter().any(Path::is_many)
    }

    /// The terms of `entry`, each once and in order.
    ///
    /// # Errors
    /// `Limit` when they are more than [`Index::TERMS_MAX`].
    pub fn terms(&self, entry: &Entry) -> Result<Vec<Term>> {
        if self.words { Ok(word::terms(self, entry)) } else { term::terms(self, entry) }
    }
}

/// As in `unique email`, `name.last, name.first` and `words title, body`; for sentences, with `#`, as in `unique index on email`
/// and `index of words in title, body`.
impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.unique { "unique " } else { "" })?;
        f.write_str(match (f.alternate(), self.words) {
            (true, true) => "index of words in ",
            (true, false) => "index on ",
            (false, true) => "words ",
            (false, false) => "",
        })?;
        for (at, path) in self.paths.iter().enumerate() {
            write!(f, "{}{path}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// As it stands in JSON: `{"paths": ["email"], "unique": true}`, and `"words": true` where it is of words.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    paths: Vec<String>,
    #[serde(default)]
    unique: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    words: bool,
}

impl TryFrom<Form> for Index {
    type Error = Error;
    fn try_from(form: Form) -> Result<Self> {
        let index = if form.words { Self::words(&form.paths) } else { Self::over(&form.paths) };
        Ok(Self { unique: form.unique, ..index? })
    }
}

impl From<Index> for Form {
    fn from(index: Index) -> Self {
        Self { paths: index.paths.iter().map(Path::to_string).collect(), unique: index.unique, words: index.words }
    }
}

/// The number of an index in its store, which no other one ever has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u64);

/// An index of a namespace, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatus {
    /// Its number.
    pub id: IndexId,
    /// Whose entries are in it.
    pub namespace: Namespace,
    /// On what it is.
    pub index: Index,
    /// How far it is.
    pub state: IndexState,
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Commits keep it, but of the entries that were there before, those behind a key are not in it yet.
    Building {
        /// The last key that was looked at.
        through: Option<Key>,
        /// How many entries were.
        entries: u64,
    },
    /// It holds everything.
    Ready,
    /// It was dropped, and what it holds is being removed.
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_index_is_written_and_read() {
        for (index, text, json) in [
            (Index::on("age"), "age", r#"{"paths":["age"],"unique":false}"#),
            (Index::on("$value.age").map(Index::unique), "unique age", r#"{"paths":["age"],"unique":true}"#),
            (Index::over(["a b", "$meta.x"]), "\"a b\", $meta.x", r#"{"paths":["\"a b\"","$meta.x"],"unique":false}"#),
        ] {
            let index = index.expect("an index");
            assert_eq!(index.to_string(), text);
            let kind = if index.is_unique() { "unique index on " } else { "index on " };
            assert_eq!(format!("{index:#}"), format!("{kind}{}", text.trim_start_matches("unique ")));
            assert_eq!(serde_json::to_string(&index).expect("writes"), json);
            assert_eq!(serde_json::from_str::<Index>(json).expect("reads"), index);
        }
        assert!(serde_json::from_str::<Index>(r#"{"paths":[]}"#).is_err());
    }

    #[test]
    fn what_cannot_be_an_index_is_refused() {
        let none: [&str; 0] = [];
        for (index, kind) in [
            (Index::over(none), ErrorKind::Invalid),
            (Index::on("$key"), ErrorKind::Invalid),
            (Index::on("a..b"), ErrorKind::Invalid),
            (Index::over(["a", "b", "$value.a"]), ErrorKind::Invalid),
            (Index::over(["a[]", "b[].c"]), ErrorKind::Invalid),
            (Index::over(["a", "b", "c", "d", "e", "f", "g", "h", "i"]), ErrorKind::Limit),
        ] {
            assert_eq!(index.map_err(|error| error.kind()), Err(kind));
        }
    }
}
