//! Namespaces: named, isolated parts of a store.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
};

use crate::{
    error::{Error, Result},
    key::check,
};

/// The name of an isolated part of a store: 1 to 255 bytes of UTF-8 in one of three forms.
///
/// | form | example | rule |
/// | --- | --- | --- |
/// | plain | `users` | no `/`, `:` or `*` |
/// | scoped | `wasm:data-processor` | a kind, then id parts, joined by `:`; none empty, none with `/` or `*` |
/// | principal | `principal://<key>`, `principal://<key>/namespace/<name>` | key and name are plain |
#[derive(Clone)]
pub struct Namespace(Arc<str>);

/// Which of the three forms a namespace has, and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceForm<'a> {
    /// A name without structure.
    Plain(&'a str),
    /// A kind and what follows the first `:`.
    Scoped {
        /// What comes before the first `:`, such as `wasm`.
        kind: &'a str,
        /// The id parts, joined by `:`.
        id: &'a str,
    },
    /// What belongs to a principal.
    Principal {
        /// The principal's public key.
        key: &'a str,
        /// The named namespace of that principal, if it is not the principal's own.
        name: Option<&'a str>,
    },
}

static DEFAULT: LazyLock<Namespace> = LazyLock::new(|| Namespace(Arc::from("default")));

impl Namespace {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// A checked namespace.
    ///
    /// # Errors
    /// `Invalid` when the name has none of the three forms.
    pub fn new(name: impl AsRef<str> + Into<Arc<str>>) -> Result<Self> {
        check("namespace", name.as_ref(), Self::MAX_BYTES)?;
        parse(name.as_ref())?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form and its parts.
    pub fn form(&self) -> NamespaceForm<'_> {
        parse(&self.0).expect("a namespace is parsed before it is made")
    }

    /// Whether this is `default`, which always exists and cannot be deleted.
    pub fn is_default(&self) -> bool {
        &*self.0 == "default"
    }

    /// Whether the name begins with `larder:`: such namespaces hold what the store keeps about itself.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with("larder:")
    }
}

fn parse(name: &str) -> Result<NamespaceForm<'_>> {
    let plain = |part: &str| !part.is_empty() && !part.contains(['/', ':', '*']);
    if let Some(rest) = name.strip_prefix("principal://") {
        let (key, named) = match rest.split_once('/') {
            None => (rest, None),
            Some((key, tail)) => (key, Some(tail.strip_prefix("namespace/").unwrap_or_default())),
        };
        if plain(key) && named.is_none_or(plain) {
            return Ok(NamespaceForm::Principal { key, name: named });
        }
        return Err(Error::invalid(
            "a principal's namespace is principal://<key> or principal://<key>/namespace/<name>, without / : * in key and name",
        ));
    }
    match name.split_once(':') {
        None if plain(name) => Ok(NamespaceForm::Plain(name)),
        Some((kind, id)) if plain(kind) && id.split(':').all(plain) => Ok(NamespaceForm::Scoped { kind, id }),
        _ => Err(Error::invalid(
            "a namespace is plain (no / : *), scoped (kind:id, no empty part, no / *) or principal://<key>[/namespace/<name>]",
        )),
    }
}

// Handles clone one `Arc` into every address they make, so most comparisons are of one pointer with itself.
impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Namespace {}

impl PartialOrd for Namespace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Namespace {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl Hash for Namespace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Default for Namespace {
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl TryFrom<&str> for Namespace {
    type Error = Error;
    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str) -> Option<String> {
        Namespace::new(name).ok().map(|namespace| format!("{:?}", namespace.form()))
    }

    #[test]
    fn the_three_forms_parse() {
        assert_eq!(form("users").as_deref(), Some(r#"Plain("users")"#));
        assert_eq!(form("wasm:a:b").as_deref(), Some(r#"Scoped { kind: "wasm", id: "a:b" }"#));
        assert_eq!(form("principal://k").as_deref(), Some(r#"Principal { key: "k", name: None }"#));
        assert_eq!(form("principal://k/namespace/n").as_deref(), Some(r#"Principal { key: "k", name: Some("n") }"#));
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let long = "n".repeat(256);
        for bad in [
            "",
            "a/b",
            "a*",
            ":",
            "a:",
            ":a",
            "a::b",
            "a:b/c",
            "a:*",
            "principal://",
            "principal://k/",
            "principal://k/n",
            "principal://k/namespace/",
            "principal://k/namespace/a/b",
            "principal://k:l",
            "a\n",
            &long,
        ] {
            assert_eq!(form(bad), None, "{bad:?}");
        }
    }
}
