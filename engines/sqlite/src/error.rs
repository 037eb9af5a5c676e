//! From SQLite's errors to ours.

use larder_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// What an error of SQLite tells the caller to do.
pub(crate) fn explain(error: rusqlite::Error) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Unavailable, "another process has been writing to the file for too long; nothing was written")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::Unavailable, "the disk is full; nothing of this was written"),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (ErrorKind::Denied, "the file or its directory cannot be written to")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Corrupt, "the file is damaged; restore it from a backup")
        }
        Some(ErrorCode::CannotOpen) => (ErrorKind::Unavailable, "the file or one beside it cannot be opened"),
        Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => {
            (ErrorKind::Unavailable, "the file cannot be read or written")
        }
        Some(ErrorCode::TooBig) => (ErrorKind::Limit, "this is larger than SQLite takes"),
        _ => (ErrorKind::Internal, "SQLite did what it should not"),
    };
    Error::new(kind, message).engine("sqlite").caused_by(error)
}

/// The same error for somebody else.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message()).engine("sqlite")
}

/// Whether a failed COMMIT surely left nothing behind.
///
/// The lock and the space are asked for before the last page of a commit is written. Of any other failure, a sync that
/// did not succeed above all, nobody knows what the medium kept.
pub(crate) fn wrote_nothing(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull | ErrorCode::ReadOnly)
    )
}

/// What stands in the file is not what we write there.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the file is damaged: {what}; restore it from a backup")).engine("sqlite")
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed").engine("sqlite")
}
