//! From the errors of PostgreSQL and of the way to it to ours.

use std::{error::Error as _, io};

use larder_core::{Error, ErrorKind};
use tokio_postgres::error::SqlState;

/// Why something at the server did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection is gone: nobody heard the answer.
    Lost(Error),
    /// The server refused, or what it answered is not what we stored.
    Refused(Error),
}

pub(crate) type Attempt<T> = Result<T, Failure>;

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let ended = match error.code() {
            // The server says so before it hangs up.
            Some(code) => code.code().starts_with("57P") || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            None => error.is_closed() || io_error(&error).is_some(),
        };
        let explained = explain(&error);
        if ended { Self::Lost(explained) } else { Self::Refused(explained) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    // Not `From`: a public conversion into the contract's error would make `?` ambiguous for everybody who uses this crate.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Lost(error) | Self::Refused(error) => error,
        }
    }
}

/// What an error of the server, or of the connection to it, tells the caller to do.
///
/// What the server says is kept without its details: they may hold what was to be stored.
pub(crate) fn explain(error: &tokio_postgres::Error) -> Error {
    let Some(said) = error.as_db_error() else {
        if error.is_closed() {
            return unavailable("the connection to the server was lost");
        }
        return match io_error(error) {
            Some(io) => unavailable("the connection to the server was lost").caused_by(io.to_string()),
            None => Error::new(ErrorKind::Internal, "the driver did what it should not")
                .engine("postgres")
                .caused_by(error.to_string()),
        };
    };
    let code = said.code();
    let (kind, message) = match code.code() {
        "55P03" => (ErrorKind::Unavailable, "another process has been committing for too long; nothing was written"),
        "57014" => (ErrorKind::Unavailable, "somebody cancelled this at the server"),
        "25P03" => (ErrorKind::Unavailable, "this process stood still for so long that the server gave up on it"),
        "25006" => (ErrorKind::Unavailable, "the server takes no writes; it is a standby, or was told so"),
        "53100" => (ErrorKind::Unavailable, "the server's disk is full; nothing of this was written"),
        "53200" => (ErrorKind::Unavailable, "the server has no memory left; nothing of this was written"),
        "53300" => (ErrorKind::Unavailable, "the server has no connection left for us"),
        "42501" => (ErrorKind::Denied, "the user may not do this at the server"),
        "42P01" | "3F000" => (ErrorKind::NotFound, "the tables of the store are gone"),
        code if code.starts_with("22") => (ErrorKind::Unsupported, "PostgreSQL cannot read this, or not compute with it"),
        "54000" => (ErrorKind::Limit, "this is larger than PostgreSQL takes"),
        code if code.starts_with("57P") || code.starts_with("08") => {
            (ErrorKind::Unavailable, "the server ended the connection")
        }
        code if code.starts_with("XX00") && code != "XX000" => {
            (ErrorKind::Corrupt, "the server says that its data is damaged; restore it from a backup")
        }
        code if code.starts_with("40") => (ErrorKind::Unavailable, "the server gave up on this in favour of somebody else"),
        _ => (ErrorKind::Internal, "PostgreSQL did what it should not"),
    };
    Error::new(kind, message).engine("postgres").caused_by(format!("{} ({})", said.message(), code.code()))
}

pub(crate) fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message).engine("postgres")
}

/// The same error for somebody else.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message()).engine("postgres")
}

/// What stands in the tables is not what we write there.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the tables are damaged: {what}; restore them from a backup")).engine("postgres")
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed").engine("postgres")
}
