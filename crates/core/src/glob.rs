//! Globs: patterns in which only `*` is special.

use crate::error::{Error, Result};

/// A pattern over keys: `*` stands for any text, also none and also with `/` in it; all else means itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// The longest pattern, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// A checked pattern.
    ///
    /// # Errors
    /// `Limit` when the pattern is longer than 4096 bytes.
    pub fn new(pattern: impl Into<String>) -> Result<Self> {
        let pattern = pattern.into();
        if pattern.len() > Self::MAX_BYTES {
            return Err(Error::limit(format!("a glob of {} bytes is too long: at most {}", pattern.len(), Self::MAX_BYTES)));
        }
        Ok(Self(pattern))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What every match begins with.
    pub fn literal_prefix(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// Whether `key` matches, in time at most the product of their lengths.
    pub fn matches(&self, key: &str) -> bool {
        let (pattern, key) = (self.0.as_bytes(), key.as_bytes());
        let (mut p, mut k) = (0, 0);
        // Where the last star stood, and how much of the key it has eaten so far: only the last one ever needs to grow.
        let mut star: Option<(usize, usize)> = None;
        while k < key.len() {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p, k));
                p += 1;
            } else if pattern.get(p) == Some(&key[k]) {
                p += 1;
                k += 1;
            } else if let Some((at, eaten)) = star {
                star = Some((at, eaten + 1));
                p = at + 1;
                k = eaten + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_star_is_special() {
        let matches = |pattern: &str, key: &str| Glob::new(pattern).is_ok_and(|glob| glob.matches(key));
        for (pattern, key) in
            [("*", "a/b"), ("a*", "a"), ("a*c", "abc"), ("*b*", "abc"), ("a**c", "ac"), ("*a*a*", "aa"), ("?", "?")]
        {
            assert!(matches(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in
            [("a", "A"), ("a%", "ab"), ("_", "a"), ("?", "a"), ("[a]", "a"), ("a*c", "abd"), ("*a*a*", "a"), ("", "a")]
        {
            assert!(!matches(pattern, key), "{pattern} {key}");
        }
    }
}
