//! Ranges as conditions in SQL.
//!
//! A bound of a range may hold a NUL, which no text of PostgreSQL does, and no key either. Everything from the first NUL
//! on is cut off: what is at or after `a\0` is what is after `a`, and what is before `a\0` is what is before or at `a`.

use std::fmt::Write as _;

use larder_core::Range;

/// What no row fulfils.
const NOTHING: &str = "FALSE";

/// `text` up to its first NUL, and whether there was one.
pub(crate) fn cut(text: &str) -> (&str, bool) {
    text.split_once('\0').map_or((text, false), |(before, _)| (before, true))
}

/// A condition for the rows of a range, and its parameters, numbered from `first`.
pub(crate) fn within(range: &Range, first: usize) -> (String, Vec<String>) {
    let mut edges = Vec::new();
    let mut number = |text: &str| {
        edges.push(text.to_owned());
        format!("${}", first + edges.len() - 1)
    };
    let (start, end) = (range.start(), range.end());
    if range.is_one_key() {
        if cut(&start.namespace).1 || cut(&start.key).1 {
            return (NOTHING.to_owned(), Vec::new());
        }
        let condition = format!("namespace = {} AND key = {}", number(&start.namespace), number(&start.key));
        return (condition, edges);
    }
    // With the namespace fixed the index is read from the first key to the last; else row values are compared.
    if let Some((namespace, from, to)) = range.within_namespace() {
        let (namespace, beyond) = cut(namespace);
        if beyond {
            return (NOTHING.to_owned(), Vec::new());
        }
        let mut condition = format!("namespace = {}", number(namespace));
        if !from.is_empty() {
            let (from, after) = cut(from);
            let compare = if after { ">" } else { ">=" };
            write!(condition, " AND key {compare} {}", number(from)).expect("writing to a String does not fail");
        }
        if let Some(to) = to {
            let (to, through) = cut(to);
            let compare = if through { "<=" } else { "<" };
            write!(condition, " AND key {compare} {}", number(to)).expect("writing to a String does not fail");
        }
        return (condition, edges);
    }
    let mut parts = Vec::new();
    if *start != *Range::all().start() {
        parts.push(match (cut(&start.namespace), cut(&start.key)) {
            ((namespace, true), _) => format!("namespace > {}", number(namespace)),
            ((namespace, _), (key, true)) => format!("(namespace, key) > ({}, {})", number(namespace), number(key)),
            ((namespace, _), (key, _)) => format!("(namespace, key) >= ({}, {})", number(namespace), number(key)),
        });
    }
    if let Some(end) = end {
        parts.push(match (cut(&end.namespace), cut(&end.key)) {
            ((namespace, true), _) => format!("namespace <= {}", number(namespace)),
            ((namespace, _), (key, true)) => format!("(namespace, key) <= ({}, {})", number(namespace), number(key)),
            ((namespace, _), (key, _)) => format!("(namespace, key) < ({}, {})", number(namespace), number(key)),
        });
    }
    let condition = if parts.is_empty() { "TRUE".to_owned() } else { parts.join(" AND ") };
    (condition, edges)
}

/// A condition for the rows in any of `ranges`, and its parameters, numbered from `first`; without ranges it is every row.
pub(crate) fn within_any(ranges: &[Range], first: usize) -> (String, Vec<String>) {
    let mut condition = String::new();
    let mut edges = Vec::new();
    for range in ranges {
        let (part, part_edges) = within(range, first + edges.len());
        let joint = if condition.is_empty() { "" } else { " OR " };
        write!(condition, "{joint}({part})").expect("writing to a String does not fail");
        edges.extend(part_edges);
    }
    if condition.is_empty() { ("TRUE".to_owned(), edges) } else { (format!("({condition})"), edges) }
}

#[cfg(test)]
mod tests {
    use larder_core::{Address, Key, Namespace};

    use super::*;

    fn check(range: &Range, expected: &str, edges: &[&str]) {
        let (condition, found) = within(range, 3);
        assert_eq!((&*condition, found.iter().map(String::as_str).collect()), (expected, edges.to_vec()), "{range:?}");
        assert!(found.iter().all(|edge| !edge.contains('\0')));
    }

    #[test]
    fn no_bound_of_a_range_holds_a_nul() {
        let a = Namespace::new("a").expect("valid");
        let at = |key: &str| Address::new(a.clone(), Key::new(key).expect("valid"));
        check(&Range::all(), "TRUE", &[]);
        check(&Range::key(&at("k")), "namespace = $3 AND key = $4", &["a", "k"]);
        check(&Range::namespace(&a), "namespace = $3", &["a"]);
        check(&Range::prefix(&a, "k"), "namespace = $3 AND key >= $4 AND key < $5", &["a", "k", "l"]);
        check(&Range::prefix(&a, "k").after(&at("kb")), "namespace = $3 AND key > $4 AND key < $5", &["a", "kb", "l"]);
        check(&Range::namespace(&a).through(&at("kb")), "namespace = $3 AND key <= $4", &["a", "kb"]);
        check(&Range::all().after(&at("k")), "(namespace, key) > ($3, $4)", &["a", "k"]);
        check(&Range::all().through(&at("k")), "(namespace, key) <= ($3, $4)", &["a", "k"]);
        check(&Range::after_namespace(&a), "namespace > $3", &["a"]);
        check(&Range::prefix(&a, "k\0x"), "namespace = $3 AND key > $4 AND key <= $5", &["a", "k", "k"]);
    }
}
