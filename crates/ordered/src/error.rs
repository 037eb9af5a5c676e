//! Errors that are the same whatever the map is.

use larder_core::{Error, ErrorKind};

pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// The same error for somebody else.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message())
}

/// What stands in the map is not what we write there.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the store is damaged: {what}; restore it from a backup"))
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed")
}
