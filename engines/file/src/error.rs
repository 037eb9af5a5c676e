//! From the errors of the system to ours.

use std::io;

use larder_core::{Error, ErrorKind};

/// What an error of the system tells the caller to do; `what` was attempted.
pub(crate) fn explain(what: &str, error: io::Error) -> Error {
    let (kind, why) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (ErrorKind::Unavailable, "the disk is full"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Denied, "the system does not allow it")
        }
        _ => (ErrorKind::Unavailable, "the disk failed"),
    };
    Error::new(kind, format!("{what}: {why}")).engine("file").caused_by(error)
}

/// What stands in the directory is not what we wrote there.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the store is damaged: {what}; restore it from a backup")).engine("file")
}

/// The same error for somebody else.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message()).engine("file")
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed").engine("file")
}
