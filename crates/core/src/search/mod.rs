//! Search: by words and by vectors, with one meaning on every engine.
//!
//! Everything here is pure, and knows no store. What it answers depends on the entries that the filter and the handle let
//! through, and on nothing else: not on the engine, not on an index, and not on neighbours.
//!
//! # Words
//!
//! Words are looked for in every text at and below the paths that were named, or of the whole value: in a text, in the texts of
//! an array, in those of an object; in names of fields, in numbers and in what is not JSON they are not. A text is divided
//! into words where [Unicode](https://unicode.org/reports/tr29/) says, and besides at everything that is neither a letter
//! nor a digit. Case does not count, nor do accents and what Unicode calls compatible: `CAFÉ` is `cafe`, `Straße` is
//! `strasse`, `ﬁne` is `fine`. Words are not stemmed: `run*` finds `running`, `run` does not. Of a word of more than 256
//! bytes the first 256 count. What can be typed is said by [`Words`].
//!
//! What was found is ranked by [BM25](https://doi.org/10.1561/1500000019), with k1 = 1.2 and b = 0.75. It compares an entry
//! with others: how rare a word is, and how long texts are. Those others are the entries that were found, and no more; so
//! nobody learns from a score how often his neighbours use a word. Because all of them hold something that was asked for,
//! the weight of a word is ln(1 + (n + 1) / (m + 0.5)) where m of n hold it: above 0 also where all do.
//!
//! # Vectors
//!
//! Vectors are arrays of numbers; how near two are is the cosine of the angle between them. Every vector that the filter
//! lets through is compared. What is said of them is said by [`Near`].
//!
//! # Both
//!
//! With words and a vector there are two lists, each with its best [`Search::FUSED`], or as many as are wanted if that is
//! more. An entry that is number a in one and number b in the other has the score 1 / (60 + a) + 1 / (60 + b); where it is
//! missing in one, it has the other part alone ([reciprocal rank fusion](https://doi.org/10.1145/1571941.1572114)).
//!
//! What has equal scores is in the order of its keys. Scores can be compared within one answer, and not beyond.

mod highlight;
mod look;
mod rank;
mod vector;
mod word;
mod words;

pub use highlight::Highlight;
pub(crate) use highlight::Marker;
pub(crate) use look::{Finder, Seen};
pub(crate) use rank::{Best, Corpus, Scored, fused};
pub use vector::Near;
pub(crate) use word::each_word;
pub use words::{Need, Phrase, Words};

use crate::{
    error::{Error, Result},
    query::{Filter, IntoPath},
};

impl From<Words> for Search {
    fn from(words: Words) -> Self {
        Self::new(Some(words), None)
    }
}

impl From<Near> for Search {
    fn from(near: Near) -> Self {
        Self::new(None, Some(near))
    }
}

/// What to look for, among which entries, and how much of it is wanted.
///
/// ```
/// # use larder_core::{Search, field};
/// let words = Search::words("rust +async -\"green threads\"")?.within(["title", "body"])?;
/// let among = words.filter(field("lang").eq("en")).limit(5);
/// let near = Search::near("embedding", [0.1, -0.7, 0.2])?;
/// let both = Search::words("async")?.and_near("embedding", [0.1, -0.7, 0.2])?;
/// # let _ = (among, near, both);
/// # Ok::<_, larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Among which entries.
    pub filter: Filter,
    /// Which words.
    pub words: Option<Words>,
    /// Near to which vector.
    pub near: Option<Near>,
    /// At most so many; 10 unless it is said.
    pub limit: usize,
}

impl Search {
    /// How many are wanted where nobody says.
    pub const LIMIT: usize = 10;
    /// How much of each of two lists is looked at, at least, to make one of them.
    pub const FUSED: usize = 1000;

    fn new(words: Option<Words>, near: Option<Near>) -> Self {
        Self { filter: Filter::everything(), words, near, limit: Self::LIMIT }
    }

    /// What holds these words, as [`Words`] says.
    ///
    /// # Errors
    /// As [`Words::parse`].
    pub fn words(text: &str) -> Result<Self> {
        Ok(Self::new(Some(Words::parse(text)?), None))
    }

    /// What is near to `vector` at `path`.
    ///
    /// # Errors
    /// As [`Near::new`].
    pub fn near<N: Into<f64>>(path: impl IntoPath, vector: impl IntoIterator<Item = N>) -> Result<Self> {
        Ok(Self::new(None, Some(Near::new(path, vector)?)))
    }

    /// The words only in the texts at `paths`.
    ///
    /// # Errors
    /// As [`Words::within`]; `Invalid` when there are no words.
    pub fn within<P: IntoPath>(self, paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let Some(words) = self.words else { return Err(Error::invalid("there are no words that could be at a path")) };
        Ok(Self { words: Some(words.within(paths)?), ..self })
    }

    /// What holds the words or is near to `vector` at `path`; best both.
    ///
    /// # Errors
    /// As [`Near::new`].
    pub fn and_near<N: Into<f64>>(self, path: impl IntoPath, vector: impl IntoIterator<Item = N>) -> Result<Self> {
        Ok(Self { near: Some(Near::new(path, vector)?), ..self })
    }

    /// Only among what `filter` lets through.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }

    /// At most so many; 0 is none.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}
