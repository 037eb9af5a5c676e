//! Pointers into JSON, as RFC 6901 says: how an operation names a place.

use std::borrow::Cow;

use larder_core::{Error, Result};

/// The steps to a place; none is the whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer<'a>(Vec<Cow<'a, str>>);

impl<'a> Pointer<'a> {
    /// # Errors
    /// `Invalid` when `text` is no pointer.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(steps) = text.strip_prefix('/') else {
            return Err(Error::invalid(format!("{text:?} is no JSON pointer: one is empty or begins with /")));
        };
        let unescaped = |step: &'a str| -> Option<Cow<'a, str>> {
            if !step.contains('~') {
                return Some(step.into());
            }
            let whole = step.split('~').skip(1).all(|tail| tail.starts_with(['0', '1']));
            whole.then(|| step.replace("~1", "/").replace("~0", "~").into())
        };
        let faulty = || Error::invalid(format!("{text:?} is no JSON pointer: ~ is written as ~0 and / as ~1"));
        steps.split('/').map(unescaped).collect::<Option<_>>().map(Self).ok_or_else(faulty)
    }

    /// The steps to the place around, and the last one; `None` for the whole document.
    pub(super) fn split(&self) -> Option<(&[Cow<'a, str>], &Cow<'a, str>)> {
        self.0.split_last().map(|(last, before)| (before, last))
    }

    pub(super) fn steps(&self) -> &[Cow<'a, str>] {
        &self.0
    }

    /// Whether this is a place in what `other` names, and not that itself.
    pub(super) fn is_inside(&self, other: &Pointer<'_>) -> bool {
        self.0.len() > other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| one == other)
    }
}

/// A step as the place of an element: digits without leading zeros.
pub(super) fn index(step: &str) -> Option<usize> {
    let digits = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (step == "0" || !step.starts_with('0'))).then(|| step.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_without_their_escapes() {
        for (text, steps) in [("", &[][..]), ("/", &[""]), ("/a//b", &["a", "", "b"]), ("/~01~1", &["~1/"])] {
            assert_eq!(Pointer::parse(text).expect("a pointer").steps(), steps, "{text}");
        }
        for bad in ["a", "/~", "/~2", "/a~", "#/a"] {
            assert!(Pointer::parse(bad).is_err(), "{bad}");
        }
        for (step, place) in [("0", Some(0)), ("10", Some(10)), ("01", None), ("", None), ("-", None), ("+1", None)] {
            assert_eq!(index(step), place, "{step}");
        }
        assert_eq!(index(&"9".repeat(30)), None);
    }
}
