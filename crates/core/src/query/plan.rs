//! Plans: which part of a filter an engine answers by itself, and what is left to do.

use std::fmt;

use super::{
    condition::Condition,
    filter::{Filter, Node},
};

/// How well an engine answers a condition by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Not at all.
    None,
    /// It lets through everything for which the condition holds, and perhaps more.
    Loose,
    /// It lets through that for which the condition holds, and nothing else.
    Exact,
}

/// A filter, in two parts: who passes both passes the filter, and the other way round.
///
/// ```
/// use larder_core::query::{Filter, Fit, Path, Plan};
///
/// let filter = Filter::parse(r#"$version > 1 and name = "Ann" and (tags[] = "x" or $version = 7)"#)?;
/// let plan = Plan::of(&filter, &|condition| match condition.path().to_string().as_str() {
///     "$version" => Fit::Exact,
///     "name" => Fit::Loose,
///     _ => Fit::None,
/// });
/// assert_eq!(plan.native.to_string(), r#"$version > 1 and name = "Ann""#);
/// assert_eq!(plan.residual.to_string(), r#"name = "Ann" and (tags[] = "x" or $version = 7)"#);
/// # Ok::<_, larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the engine sorts out by itself: it lets through everything that the filter does.
    pub native: Filter,
    /// What remains to be asked about what comes back.
    pub residual: Filter,
}

impl Plan {
    /// Divides `filter` for an engine that answers conditions as `fit` says.
    pub fn of(filter: &Filter, fit: &dyn Fn(&Condition) -> Fit) -> Self {
        let conjuncts = match filter.node() {
            Node::All(filters) => filters.as_slice(),
            _ => std::slice::from_ref(filter),
        };
        let parts: Vec<(Filter, Fit)> = conjuncts.iter().map(|filter| native(filter, fit)).collect();
        let left = conjuncts.iter().zip(&parts).filter(|(_, (_, fit))| *fit < Fit::Exact);
        Self {
            residual: Filter::all(left.map(|(filter, _)| filter.clone())),
            native: Filter::all(parts.into_iter().map(|(native, _)| native)),
        }
    }

    /// Everything is left to do.
    pub fn residual(filter: &Filter) -> Self {
        Self { native: Filter::everything(), residual: filter.clone() }
    }
}

/// A filter that lets through everything that `filter` does, made of what the engine can answer, and how well it does.
fn native(filter: &Filter, fit: &dyn Fn(&Condition) -> Fit) -> (Filter, Fit) {
    match filter.node() {
        Node::All(filters) => {
            let (parts, fits): (Vec<_>, Vec<_>) = filters.iter().map(|filter| native(filter, fit)).unzip();
            let found = fits.into_iter().min().unwrap_or(Fit::Exact);
            let all = Filter::all(parts);
            // Of several, those that can be answered sort out something.
            let found = if found == Fit::None && !all.is_everything() { Fit::Loose } else { found };
            (all, found)
        }
        Node::Any(filters) => {
            let (parts, fits): (Vec<_>, Vec<_>) = filters.iter().map(|filter| native(filter, fit)).unzip();
            match fits.into_iter().min().unwrap_or(Fit::Exact) {
                Fit::None => (Filter::everything(), Fit::None),
                found => (Filter::any(parts), found),
            }
        }
        // The opposite of too much is too little.
        Node::Not(inside) => match native(inside, fit) {
            (native, Fit::Exact) => (!native, Fit::Exact),
            _ => (Filter::everything(), Fit::None),
        },
        Node::Condition(condition) => match fit(condition) {
            Fit::None => (Filter::everything(), Fit::None),
            found => (filter.clone(), found),
        },
        Node::Wrong(_) => (Filter::everything(), Fit::None),
    }
}

/// Two lines, for people.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "native    {}\nresidual  {}", self.native, self.residual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that answers `e...` exactly, `l...` loosely and nothing else.
    fn fit(condition: &Condition) -> Fit {
        match condition.path().to_string().as_bytes()[0] {
            b'e' => Fit::Exact,
            b'l' => Fit::Loose,
            _ => Fit::None,
        }
    }

    #[test]
    fn plans_are_these() {
        for (filter, native, residual) in [
            ("e = 1", "e = 1", "true"),
            ("l = 1", "l = 1", "l = 1"),
            ("n = 1", "true", "n = 1"),
            ("true", "true", "true"),
            ("false", "false", "true"),
            ("e = 1 and l = 1 and n = 1", "e = 1 and l = 1", "l = 1 and n = 1"),
            ("e = 1 or e = 2", "e = 1 or e = 2", "true"),
            ("e = 1 or l = 1", "e = 1 or l = 1", "e = 1 or l = 1"),
            ("e = 1 or n = 1", "true", "e = 1 or n = 1"),
            ("not e = 1", "not e = 1", "true"),
            ("not l = 1", "true", "not l = 1"),
            ("not n = 1", "true", "not n = 1"),
            ("not (e = 1 or not e = 2)", "not (e = 1 or not e = 2)", "true"),
            ("not (e = 1 and l = 1)", "true", "not (e = 1 and l = 1)"),
            ("e = 1 and not (e = 2 or n = 1)", "e = 1", "not (e = 2 or n = 1)"),
            ("e = 1 or (e = 2 and n = 1)", "e = 1 or e = 2", "e = 1 or e = 2 and n = 1"),
            ("n = 1 or (n = 2 and n = 3)", "true", "n = 1 or n = 2 and n = 3"),
            ("not true", "not true", "true"),
        ] {
            let filter = Filter::parse(filter).expect("a filter");
            let plan = Plan::of(&filter, &fit);
            let [expected_native, expected_residual] = [native, residual].map(|text| Filter::parse(text).expect("a filter"));
            assert_eq!(plan, Plan { native: expected_native, residual: expected_residual }, "{filter}");
            assert_eq!(plan.to_string(), format!("native    {native}\nresidual  {residual}"), "{filter}");
        }
    }
}
