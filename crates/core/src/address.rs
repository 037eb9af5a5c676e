//! Addresses: a namespace and a key together, and ranges of them.
//!
//! Every engine orders entries by namespace, then key, both bytewise; a range is a piece of that order.

use std::fmt;

use crate::{key::Key, namespace::Namespace};

/// Where an entry lives: its namespace and its key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The isolated part of the store.
    pub namespace: Namespace,
    /// The name in it.
    pub key: Key,
}

impl Address {
    /// The address of `key` in `namespace`.
    pub fn new(namespace: Namespace, key: Key) -> Self {
        Self { namespace, key }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in namespace {:?}", self.key, self.namespace)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.namespace, self.key)
    }
}

/// A bound of a range: a namespace and a text to compare keys with, which need not be a valid key.
///
/// A bound with an empty key stands before every key of its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Compared first.
    pub namespace: String,
    /// Compared second.
    pub key: String,
}

/// A piece of the order of all addresses: everything from `start` on and before `end`.
///
/// `start` is part of the range, `end` is not; `None` is the end of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    start: Edge,
    end: Option<Edge>,
}

impl Range {
    /// Every address there is.
    pub fn all() -> Self {
        Self { start: Edge { namespace: String::new(), key: String::new() }, end: None }
    }

    /// Everything in `namespace`.
    pub fn namespace(namespace: &Namespace) -> Self {
        Self::prefix(namespace, "")
    }

    /// One address alone.
    pub fn key(address: &Address) -> Self {
        let Address { namespace, key } = address;
        let edge = |key: &str| Edge { namespace: namespace.as_str().to_owned(), key: key.to_owned() };
        Self { start: edge(key), end: Some(edge(&after_name(key))) }
    }

    /// The keys of `namespace` that begin with `prefix`, taken literally.
    pub fn prefix(namespace: &Namespace, prefix: &str) -> Self {
        let namespace = namespace.as_str();
        let end = match after_prefix(prefix) {
            Some(key) => Edge { namespace: namespace.to_owned(), key },
            None => Edge { namespace: after_name(namespace), key: String::new() },
        };
        Self { start: Edge { namespace: namespace.to_owned(), key: prefix.to_owned() }, end: Some(end) }
    }

    /// The keys of `namespace` from the text `start` on and before the text `end`; `None` is the end of the namespace.
    pub fn keys(namespace: &Namespace, start: &str, end: Option<&str>) -> Self {
        let edge = |key: &str| Edge { namespace: namespace.as_str().to_owned(), key: key.to_owned() };
        let end = end.map_or_else(|| Edge { namespace: after_name(namespace.as_str()), key: String::new() }, edge);
        Self { start: edge(start), end: Some(end) }
    }

    /// Everything in namespaces that come after `namespace`.
    pub fn after_namespace(namespace: &Namespace) -> Self {
        Self { start: Edge { namespace: after_name(namespace.as_str()), key: String::new() }, end: None }
    }

    /// What stores keep about themselves: every namespace that begins with `larder:`.
    pub fn reserved() -> Self {
        let edge = |namespace: &str| Edge { namespace: namespace.to_owned(), key: String::new() };
        Self { start: edge("larder:"), end: Some(edge("larder;")) }
    }

    /// Everything else: what comes before that, and what comes behind it.
    pub fn not_reserved() -> [Self; 2] {
        let Self { start, end } = Self::reserved();
        let before = Self { end: Some(start), ..Self::all() };
        [before, Self { start: end.unwrap_or_else(|| Self::all().start), end: None }]
    }

    /// The part of this range that comes after `address`.
    #[must_use]
    pub fn after(mut self, address: &Address) -> Self {
        let edge = Edge { namespace: address.namespace.as_str().to_owned(), key: after_name(&address.key) };
        self.start = self.start.max(edge);
        self
    }

    /// The part of this range that comes before `address`.
    #[must_use]
    pub fn before(mut self, address: &Address) -> Self {
        let edge = Edge { namespace: address.namespace.as_str().to_owned(), key: address.key.as_str().to_owned() };
        self.end = Some(self.end.map_or(edge.clone(), |end| end.min(edge)));
        self
    }

    /// The part of this range that comes before or at `address`.
    #[must_use]
    pub fn through(mut self, address: &Address) -> Self {
        let edge = Edge { namespace: address.namespace.as_str().to_owned(), key: after_name(&address.key) };
        self.end = Some(self.end.map_or(edge.clone(), |end| end.min(edge)));
        self
    }

    /// The part of this range that comes at or after `address`.
    #[must_use]
    pub fn from(mut self, address: &Address) -> Self {
        let edge = Edge { namespace: address.namespace.as_str().to_owned(), key: address.key.as_str().to_owned() };
        self.start = self.start.max(edge);
        self
    }

    /// Where the range begins; the bound is part of it.
    pub fn start(&self) -> &Edge {
        &self.start
    }

    /// Where the range ends; the bound is not part of it.
    pub fn end(&self) -> Option<&Edge> {
        self.end.as_ref()
    }

    /// Whether this is the range of a single address.
    pub fn is_one_key(&self) -> bool {
        let Some((_, start, Some(end))) = self.within_namespace() else { return false };
        !start.is_empty() && end.strip_suffix('\0') == Some(start)
    }

    /// Whether nothing can be in this range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `address` is in this range.
    pub fn contains(&self, address: &Address) -> bool {
        let at = (address.namespace.as_str(), address.key.as_str());
        at >= (&*self.start.namespace, &*self.start.key)
            && self.end.as_ref().is_none_or(|end| at < (&*end.namespace, &*end.key))
    }

    /// Whether an address of `namespace` can be in this range.
    pub fn meets(&self, namespace: &Namespace) -> bool {
        let first = (namespace.as_str(), "");
        !self.is_empty()
            && &*self.start.namespace <= namespace.as_str()
            && self.end.as_ref().is_none_or(|end| (&*end.namespace, &*end.key) > first)
    }

    /// What of this range is in `other`, too.
    #[must_use]
    pub fn intersect(mut self, other: &Self) -> Self {
        self.start = self.start.max(other.start.clone());
        self.end = match (self.end, &other.end) {
            (Some(end), Some(other)) => Some(end.min(other.clone())),
            (end, other) => end.or_else(|| other.clone()),
        };
        self
    }

    /// The smallest range that holds this one and `other`.
    #[must_use]
    pub fn cover(mut self, other: &Self) -> Self {
        self.start = self.start.min(other.start.clone());
        self.end = self.end.zip(other.end.clone()).map(|(end, other)| end.max(other));
        self
    }

    /// The namespace all of this range lies in, if it is one, with the bounds of its keys.
    ///
    /// An upper bound of `None` is the end of the namespace. Engines that index by namespace and key ask this first.
    pub fn within_namespace(&self) -> Option<(&str, &str, Option<&str>)> {
        let end = self.end.as_ref()?;
        if end.namespace == self.start.namespace {
            Some((&self.start.namespace, &self.start.key, Some(&end.key)))
        } else if end.key.is_empty() && end.namespace.strip_suffix('\0') == Some(&self.start.namespace) {
            Some((&self.start.namespace, &self.start.key, None))
        } else {
            None
        }
    }
}

/// The first text after `name` in byte order: nothing fits between a text and itself with a NUL behind it.
fn after_name(name: &str) -> String {
    let mut next = String::with_capacity(name.len() + 1);
    next.push_str(name);
    next.push('\0');
    next
}

/// The first text after every text that begins with `prefix`, if there is one.
///
/// The last character is replaced by the next one. Byte order of UTF-8 is the order of code points, so no valid text
/// lies between; the surrogates, which no text holds, are jumped over.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut head = prefix.to_owned();
    while let Some(last) = head.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(last as u32 + 1),
        };
        if let Some(next) = next {
            head.push(next);
            return Some(head);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(namespace: &str, key: &str) -> Address {
        Address::new(Namespace::new(namespace).expect("valid"), Key::new(key).expect("valid"))
    }

    #[test]
    fn a_prefix_is_literal_and_ends_where_it_ends() {
        let inside = |prefix: &str, key: &str| Range::prefix(&Namespace::default(), prefix).contains(&at("default", key));
        assert!(inside("a", "a") && inside("a", "ab") && inside("a", "a\u{10ffff}"));
        assert!(!inside("a", "b") && !inside("a", "A") && !inside("%", "a"));
        assert!(inside("\u{10ffff}", "\u{10ffff}x") && inside("\u{d7ff}", "\u{d7ff}z") && !inside("\u{d7ff}", "\u{e000}"));
        assert!(!Range::prefix(&Namespace::default(), "").contains(&at("default2", "a")));
    }

    #[test]
    fn a_range_in_one_namespace_knows_it() {
        let namespace = Namespace::default();
        assert_eq!(Range::namespace(&namespace).within_namespace(), Some(("default", "", None)));
        assert_eq!(Range::prefix(&namespace, "a").within_namespace(), Some(("default", "a", Some("b"))));
        assert_eq!(Range::all().within_namespace(), None);
        assert!(Range::key(&at("default", "a")).is_one_key() && !Range::prefix(&namespace, "a").is_one_key());
        assert_eq!(Range::after_namespace(&namespace).within_namespace(), None);
    }

    #[test]
    fn a_range_knows_which_namespaces_it_meets() {
        let named = |name: &str| Namespace::new(name).expect("valid");
        let meets = |range: &Range, name: &str| range.meets(&named(name));
        let one = Range::prefix(&named("b"), "k");
        assert!(meets(&one, "b") && !meets(&one, "a") && !meets(&one, "ba") && !meets(&one, "c"));
        assert!(meets(&Range::all(), "b") && meets(&Range::after_namespace(&named("b")), "ba"));
        assert!(!meets(&Range::after_namespace(&named("b")), "b"));
        let none = one.clone().intersect(&Range::namespace(&named("c")));
        assert!(none.is_empty() && !meets(&none, "b") && !meets(&none, "c"));
        assert_eq!(one.clone().intersect(&Range::all()), one);
        assert_eq!(Range::namespace(&named("b")).intersect(&one), one);
    }

    #[test]
    fn a_range_between_texts_holds_its_start_and_not_its_end() {
        let inside =
            |end: Option<&str>, key: &str| Range::keys(&Namespace::default(), "b", end).contains(&at("default", key));
        assert!(inside(Some("d"), "b") && inside(Some("d"), "c") && !inside(Some("d"), "d") && !inside(Some("d"), "a"));
        assert!(inside(None, "\u{10ffff}") && !inside(None, "a") && !inside(Some("b"), "b"));
        assert!(!Range::keys(&Namespace::default(), "", None).contains(&at("default2", "a")));
    }

    #[test]
    fn after_and_before_cut() {
        let all = Range::namespace(&Namespace::default());
        let cut = all.clone().after(&at("default", "b")).before(&at("default", "d"));
        assert!(
            !cut.contains(&at("default", "b")) && cut.contains(&at("default", "b ")) && cut.contains(&at("default", "c"))
        );
        assert!(!cut.contains(&at("default", "d")));
        let inside = all.clone().from(&at("default", "b")).through(&at("default", "d"));
        assert!(inside.contains(&at("default", "b")) && inside.contains(&at("default", "d")));
        assert!(!inside.contains(&at("default", "a")) && !inside.contains(&at("default", "da")));
        assert!(cut.after(&at("default", "d")).is_empty());
    }
}
