//! Values: bytes that come back exactly as they were written.

use std::{fmt, str::FromStr, sync::Arc};

use bytes::Bytes;

use crate::{
    error::{Error, Result},
    json,
};

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentKind {
    /// JSON in the sense of [`json::check`]; queries can look inside.
    Json,
    /// Anything.
    Opaque,
}

/// What a layer did to the bytes before they were stored, such as `zstd`; as in HTTP's content-encoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Encoding(Arc<str>);

impl Encoding {
    /// A checked name: 1 to 32 of `a-z`, `0-9` and `-`.
    ///
    /// # Errors
    /// `Invalid` otherwise.
    pub fn new(name: &str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            return Err(Error::invalid("an encoding is named by 1 to 32 of a-z, 0-9 and -"));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The encodings of a value in the order they were applied; mostly none. Written joined by `,`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encodings(Option<Arc<[Encoding]>>);

impl Encodings {
    /// How many encodings a value may have.
    pub const MAX: usize = 8;

    /// Whether the bytes are as the caller wrote them.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The encodings in the order they were applied.
    pub fn as_slice(&self) -> &[Encoding] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Encodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, encoding) in self.as_slice().iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { "," }, encoding.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Encodings {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let encodings: Vec<Encoding> = text.split(',').map(Encoding::new).collect::<Result<_>>()?;
        if encodings.len() > Self::MAX {
            return Err(Error::limit(format!("{} encodings are too many: at most {}", encodings.len(), Self::MAX)));
        }
        Ok(Self(Some(encodings.into())))
    }
}

/// Bytes, and what they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    bytes: Bytes,
    kind: ContentKind,
    encodings: Encodings,
}

impl Value {
    /// Bytes that are nobody's business.
    pub fn opaque(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), kind: ContentKind::Opaque, encodings: Encodings::default() }
    }

    /// JSON text, kept byte for byte.
    ///
    /// # Errors
    /// `Invalid` when the bytes are not JSON in the sense of [`json::check`].
    pub fn json(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        json::check(&bytes)?;
        Ok(Self { bytes, kind: ContentKind::Json, encodings: Encodings::default() })
    }

    /// JSON where the bytes are JSON, opaque where they are not.
    pub fn detect(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let kind = if json::check(&bytes).is_ok() { ContentKind::Json } else { ContentKind::Opaque };
        Self { bytes, kind, encodings: Encodings::default() }
    }

    /// A value as a layer encoded it or an engine stored it: `kind` is that of the plain bytes.
    ///
    /// Only for what was a checked value before: nothing is checked again.
    pub fn from_stored(bytes: impl Into<Bytes>, kind: ContentKind, encodings: Encodings) -> Self {
        Self { bytes: bytes.into(), kind, encodings }
    }

    /// The bytes as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What the plain bytes are.
    pub fn kind(&self) -> ContentKind {
        self.kind
    }

    /// What was done to the plain bytes.
    pub fn encodings(&self) -> &Encodings {
        &self.encodings
    }

    /// The number, where the value is plain JSON and a whole number that an i64 holds.
    pub fn as_integer(&self) -> Option<i64> {
        if self.kind != ContentKind::Json || !self.encodings.is_empty() {
            return None;
        }
        std::str::from_utf8(&self.bytes).ok()?.trim_matches([' ', '\t', '\n', '\r']).parse().ok()
    }

    /// A whole number as JSON.
    pub fn integer(number: i64) -> Self {
        Self { bytes: number.to_string().into(), kind: ContentKind::Json, encodings: Encodings::default() }
    }
}

// The bytes themselves stay out of logs and messages.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes", self.kind, self.bytes.len())?;
        if !self.encodings.is_empty() {
            write!(f, ", {}", self.encodings)?;
        }
        f.write_str(")")
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::opaque(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::opaque(bytes)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::opaque(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::opaque(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::opaque(Bytes::copy_from_slice(bytes))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_whole_json_numbers() {
        let integer = |text: &str| Value::detect(text.to_owned()).as_integer();
        assert_eq!(integer(" -7\n"), Some(-7));
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        for other in ["9223372036854775808", "1.0", "1e3", "\"1\"", "+1", "x"] {
            assert_eq!(integer(other), None, "{other}");
        }
    }

    #[test]
    fn encodings_read_back() {
        for text in ["", "zstd", "zstd,seal-1"] {
            assert_eq!(text.parse::<Encodings>().map(|encodings| encodings.to_string()).ok().as_deref(), Some(text));
        }
        assert!("Zstd".parse::<Encodings>().is_err() && "a,,b".parse::<Encodings>().is_err());
        assert!(["a"; 9].join(",").parse::<Encodings>().is_err());
    }
}
