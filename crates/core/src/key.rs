//! Keys: names of entries.
//!
//! A key is checked when it is made, so nothing below this module ever sees a bad one.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use crate::error::{Error, Result};

/// The name of an entry in a namespace: UTF-8, 1 to 1024 bytes, no control characters, compared bytewise.
///
/// `/` is a convention for hierarchy and means nothing here. A clone is a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// A checked key.
    ///
    /// # Errors
    /// `Invalid` when `key` is empty, longer than 1024 bytes, or holds U+0000-001F or U+007F.
    pub fn new(key: impl AsRef<str> + Into<Arc<str>>) -> Result<Self> {
        check("key", key.as_ref(), Self::MAX_BYTES)?;
        Ok(Self(key.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What keys and namespaces have in common.
pub(crate) fn check(what: &str, name: &str, bytes_max: usize) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(format!("a {what} must not be empty")));
    }
    if name.len() > bytes_max {
        return Err(Error::invalid(format!(
            "a {what} of {} bytes is too long: at most {bytes_max} are allowed",
            name.len()
        )));
    }
    if let Some(at) = name.bytes().position(|byte| byte < 0x20 || byte == 0x7f) {
        let byte = name.as_bytes()[at];
        return Err(Error::invalid(format!("a {what} must not hold control characters: U+{byte:04X} at byte {at}")));
    }
    Ok(())
}

impl Deref for Key {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// What can be taken as a key: a [`Key`], or text that is checked on the way.
pub trait IntoKey {
    /// The checked key.
    ///
    /// # Errors
    /// As [`Key::new`].
    fn into_key(self) -> Result<Key>;
}

impl IntoKey for Key {
    fn into_key(self) -> Result<Key> {
        Ok(self)
    }
}

impl IntoKey for &Key {
    fn into_key(self) -> Result<Key> {
        Ok(self.clone())
    }
}

impl IntoKey for &str {
    fn into_key(self) -> Result<Key> {
        Key::new(self)
    }
}

impl IntoKey for String {
    fn into_key(self) -> Result<Key> {
        Key::new(self)
    }
}

impl IntoKey for &String {
    fn into_key(self) -> Result<Key> {
        Key::new(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        for good in ["a", "/", "%_*", "\u{80}", "\u{1f980}", &"k".repeat(1024)] {
            assert!(Key::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "a\0", "\n", "\u{1f}", "\u{7f}", &"k".repeat(1025), &"\u{1f980}".repeat(257)] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
    }
}
