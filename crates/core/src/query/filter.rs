//! Filters: conditions, and how they are combined.
//!
//! A filter is kept in one form however it was built: what is nested without need is flat. So one that was written down
//! reads back as itself.

use std::sync::Arc;

use super::{
    condition::{Condition, Test},
    json::IntoJson,
    path::{IntoPath, Path},
};
use crate::error::{Error, ErrorKind, Result};

/// Which entries: a condition, or several combined.
///
/// ```
/// use larder_core::query::{Filter, field};
///
/// let adults = field("age").gte(18) & field("name").starts_with("A");
/// let either = field("role").is_in(["admin", "owner"]) | !field("expired").exists();
/// assert_eq!(adults.to_string(), r#"age >= 18 and name ^= "A""#);
/// assert_eq!(either.to_string(), r#"role in ["admin","owner"] or not expired exists"#);
/// assert!(Filter::parse("age >= 18 and name ^= \"A\"").is_ok_and(|filter| filter == adults));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    node: Node,
    depth: usize,
    conditions: usize,
}

/// What a filter is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// All of them hold; of none, that is so.
    All(Vec<Filter>),
    /// At least one of them holds; of none, that is not so.
    Any(Vec<Filter>),
    /// It does not hold, whyever: also when what it asks about is missing.
    Not(Box<Filter>),
    /// A condition.
    Condition(Condition),
    /// What was wrong when it was built; told when it is used.
    Wrong(Wrong),
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    kind: ErrorKind,
    message: Arc<str>,
}

impl Filter {
    /// How deep filters may be combined.
    pub const MAX_DEPTH: usize = 32;
    /// The most conditions in a filter; one condition may ask for many values with `in`.
    pub const MAX_CONDITIONS: usize = 1024;
    /// The longest text of a filter, in bytes.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// Every entry.
    pub fn everything() -> Self {
        Self::all([])
    }

    /// No entry.
    pub fn nothing() -> Self {
        Self::any([])
    }

    /// Where all of `filters` hold.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for filter in filters {
            match filter.node {
                Node::All(inside) => flat.extend(inside),
                _ => flat.push(filter),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::of(Node::All(flat)) }
    }

    /// Where at least one of `filters` holds.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for filter in filters {
            match filter.node {
                Node::Any(inside) => flat.extend(inside),
                _ => flat.push(filter),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::of(Node::Any(flat)) }
    }

    /// Where `condition` holds.
    pub fn condition(condition: Condition) -> Self {
        Self::of(Node::Condition(condition))
    }

    /// What it is made of.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Whether it lets everything through.
    pub fn is_everything(&self) -> bool {
        matches!(&self.node, Node::All(filters) if filters.is_empty())
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// `Invalid` when something was wrong where it was built; `Limit` when it is too deep or has too many conditions.
    pub fn check(&self) -> Result<()> {
        if self.conditions > Self::MAX_CONDITIONS {
            let (found, most) = (self.conditions, Self::MAX_CONDITIONS);
            let message = format!("{found} conditions are too many: at most {most}; `in` asks for many values at once");
            return Err(Error::limit(message));
        }
        match &self.node {
            Node::All(filters) | Node::Any(filters) => filters.iter().try_for_each(Self::check),
            Node::Not(filter) => filter.check(),
            Node::Condition(_) => Ok(()),
            Node::Wrong(wrong) => Err(Error::new(wrong.kind, &*wrong.message)),
        }
    }

    pub(super) fn wrong(error: &Error) -> Self {
        Self::of(Node::Wrong(Wrong { kind: error.kind(), message: error.to_string().into() }))
    }

    fn of(node: Node) -> Self {
        let (depth, conditions) = match &node {
            Node::All(filters) | Node::Any(filters) => (
                1 + filters.iter().map(|filter| filter.depth).max().unwrap_or(0),
                filters.iter().map(|filter| filter.conditions).sum(),
            ),
            Node::Not(filter) => (1 + filter.depth, filter.conditions),
            Node::Condition(_) | Node::Wrong(_) => (0, 1),
        };
        if depth > Self::MAX_DEPTH {
            // Nothing of it is kept: what goes through filters may then recurse.
            let message = format!("a filter is combined more than {} levels deep", Self::MAX_DEPTH);
            return Self::wrong(&Error::limit(message));
        }
        Self { node, depth, conditions }
    }
}

impl std::ops::BitAnd for Filter {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self::all([self, other])
    }
}

impl std::ops::BitOr for Filter {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self::any([self, other])
    }
}

impl std::ops::Not for Filter {
    type Output = Self;
    fn not(self) -> Self {
        Self::of(Node::Not(Box::new(self)))
    }
}

impl From<Condition> for Filter {
    fn from(condition: Condition) -> Self {
        Self::condition(condition)
    }
}

/// A field, to say something about; what is wrong with its path is told when the filter is used.
pub fn field(path: impl IntoPath) -> Field {
    Field(path.into_path())
}

/// A field of which something is about to be said.
#[must_use = "a field alone is no filter"]
#[derive(Debug)]
pub struct Field(Result<Path>);

macro_rules! compare {
    ($($(#[$doc:meta])* $name:ident => $test:ident;)*) => { $(
        $(#[$doc])*
        pub fn $name(self, value: impl IntoJson) -> Filter {
            self.with(value.into_json().map(Test::$test))
        }
    )* };
}

macro_rules! among {
    ($($(#[$doc:meta])* $name:ident => $test:ident;)*) => { $(
        $(#[$doc])*
        pub fn $name<T: IntoJson>(self, values: impl IntoIterator<Item = T>) -> Filter {
            self.with(values.into_iter().map(T::into_json).collect::<Result<_>>().map(Test::$test))
        }
    )* };
}

impl Field {
    compare! {
        /// It is the same value.
        eq => Eq;
        /// It is there, and another value.
        ne => Ne;
        /// It is a larger number, or a text that comes later.
        gt => Gt;
        /// It is as large or larger.
        gte => Gte;
        /// It is a smaller number, or a text that comes earlier.
        lt => Lt;
        /// It is as small or smaller.
        lte => Lte;
        /// It is a text with this text in it, or an array with this value in it.
        contains => Contains;
    }
    among! {
        /// It is one of these.
        is_in => In;
        /// It is there, and none of these.
        not_in => Nin;
    }

    /// It is a text that begins with `text`.
    pub fn starts_with(self, text: impl Into<String>) -> Filter {
        self.with(Ok(Test::StartsWith(text.into())))
    }

    /// It is a text that ends with `text`.
    pub fn ends_with(self, text: impl Into<String>) -> Filter {
        self.with(Ok(Test::EndsWith(text.into())))
    }

    /// It is there, even if it is null.
    pub fn exists(self) -> Filter {
        self.with(Ok(Test::Exists(true)))
    }

    /// It is not there.
    pub fn missing(self) -> Filter {
        self.with(Ok(Test::Exists(false)))
    }

    fn with(self, test: Result<Test>) -> Filter {
        let condition = self.0.and_then(|path| Condition::new(path, test?));
        condition.map_or_else(|error| Filter::wrong(&error), Filter::condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_without_need_is_flat() {
        let [a, b, c] = ["a", "b", "c"].map(|name| field(name).eq(1));
        assert_eq!((a.clone() & b.clone()) & c.clone(), Filter::all([a.clone(), b.clone(), c.clone()]));
        assert_eq!(a.clone() | (b.clone() | c.clone()), Filter::any([a.clone(), b, c]));
        assert_eq!(Filter::any([Filter::all([a.clone()])]), a);
        assert_eq!(Filter::all([Filter::everything(), Filter::everything()]), Filter::everything());
    }

    #[test]
    fn what_is_wrong_is_told_when_it_is_used() {
        for (filter, kind) in [
            (field("a..b").eq(1), ErrorKind::Invalid),
            (field("a").gt(f64::NAN) | field("b").eq(1), ErrorKind::Invalid),
            (!field("$created").gte("yesterday"), ErrorKind::Invalid),
            (Filter::all((0..1025).map(|n| field("a").eq(n))), ErrorKind::Limit),
        ] {
            assert_eq!(filter.check().map_err(|error| error.kind()), Err(kind));
        }
        assert!(Filter::all((0..1024).map(|n| field("a").eq(n))).check().is_ok());
    }

    /// Also a hundred thousand levels neither overflow the stack here nor when they are dropped.
    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| (0..levels).fold(field("a").eq(1), |filter, _| !filter);
        assert!(deep(32).check().is_ok());
        assert_eq!(deep(33).check().map_err(|error| error.kind()), Err(ErrorKind::Limit));
        assert_eq!(deep(100_000).check().map_err(|error| error.kind()), Err(ErrorKind::Limit));
    }
}
