//! From the errors of Redis and of the way to it to ours.

use larder_core::{Error, ErrorKind};
use redis::RedisError;

/// Why something at the server did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection is gone: nobody heard the answer.
    Lost(Error),
    /// The server refused, or what it answered is not what we stored.
    Refused(Error),
    /// The server has made a part of a change.
    Torn(Error),
}

pub(crate) type Attempt<T> = Result<T, Failure>;

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let explained = explain(&error);
        if error.code().is_some() { Self::Refused(explained) } else { Self::Lost(explained) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(error) | Failure::Refused(error) | Failure::Torn(error) => error,
        }
    }
}

/// What an error of the server, or of the connection to it, tells the caller to do.
pub(crate) fn explain(error: &RedisError) -> Error {
    let Some(code) = error.code() else {
        let why = if error.is_timeout() { "the server has not answered" } else { "the connection to the server was lost" };
        return unavailable(why).caused_by(error.to_string());
    };
    // What is refused at its end says behind this why.
    let code = match error.detail().and_then(|detail| detail.strip_prefix("Transaction discarded because of: ")) {
        Some(why) => why.split(' ').next().unwrap_or(code),
        None => code,
    };
    let (kind, message) = match code {
        "OOM" => (ErrorKind::Unavailable, "the server has no memory left for this; nothing was written"),
        "MISCONF" => (ErrorKind::Unavailable, "the server cannot write to its disk; nothing was written"),
        "READONLY" => (ErrorKind::Unavailable, "the server takes no writes; it is a replica"),
        "NOREPLICAS" => (ErrorKind::Unavailable, "the server has too few replicas to take writes; nothing was written"),
        "LOADING" => (ErrorKind::Unavailable, "the server is still loading its data"),
        "BUSY" => (ErrorKind::Unavailable, "the server is busy with somebody's script"),
        "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => (ErrorKind::Unavailable, "the server is cut off from the others"),
        "MOVED" | "ASK" => (ErrorKind::Unavailable, "the store is on another server of the cluster"),
        "NOAUTH" => (ErrorKind::Denied, "the server asks for a password, and was given none"),
        "WRONGPASS" => (ErrorKind::Denied, "the server does not let us in"),
        "NOPERM" => (ErrorKind::Denied, "the user may not do this at the server; nothing was written"),
        "WRONGTYPE" => return corrupt("a key holds what we do not write there").caused_by(error.to_string()),
        _ => (ErrorKind::Internal, "Redis did what it should not"),
    };
    Error::new(kind, message).engine("redis").caused_by(error.to_string())
}

pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message).engine("redis")
}

/// The same error for somebody else.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message()).engine("redis")
}

/// What stands under the prefix is not what we write there.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the store is damaged: {what}; restore it from a backup")).engine("redis")
}

/// A change was made by half, because of `error`.
pub(crate) fn torn(error: &Error) -> Error {
    corrupt("somebody has taken away rights or keys in the middle of a change").caused_by(error.to_string())
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed").engine("redis")
}
