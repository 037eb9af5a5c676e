//! From what a member answers, or does not, to what it means for whoever asked.

use larder_core::{Error, ErrorKind};
use tonic::{Code, ConnectError, Status};

/// Why a request did not end well.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) so: So,
    pub(crate) error: Error,
}

/// What is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum So {
    /// There was no way to the member: nothing was sent.
    Unreached,
    /// The member sent it away unseen; another one, or the same one later, may take it.
    Away,
    /// The member does not know us any more: nothing was done.
    Stranger,
    /// The cluster refused, and will do so again: nothing was done.
    Refused,
    /// The cluster has no room any more. What it was asked for may all the same have been done, and if not never will be.
    Full,
    /// What was at that revision has been forgotten.
    Forgotten,
    /// The member has not come to that revision yet.
    Behind,
    /// Nobody heard the answer. It may have been done, or may yet be.
    Lost,
}

pub(crate) type Attempt<T> = Result<T, Failure>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { so: So::Refused, error }
    }
}

/// What a member has said, by the words that etcd has for it, which are the same in all its versions.
const SAYINGS: &[(&str, So, ErrorKind, &str)] = &[
    (
        "required revision has been compacted",
        So::Forgotten,
        ErrorKind::Unavailable,
        "what was being read has been compacted away",
    ),
    ("required revision is a future", So::Behind, ErrorKind::Unavailable, "the member is behind the others"),
    (
        "database space exceeded",
        So::Full,
        ErrorKind::Unavailable,
        "the cluster has no room left (alarm NOSPACE): compact and defragment it, and disarm the alarm",
    ),
    ("request is too large", So::Refused, ErrorKind::Limit, "the cluster takes only smaller requests; nothing was written"),
    (
        "message larger than max",
        So::Refused,
        ErrorKind::Limit,
        "the cluster takes only smaller requests; nothing was written",
    ),
    (
        "too many operations",
        So::Refused,
        ErrorKind::Limit,
        "the cluster takes fewer operations at once; nothing was written",
    ),
    ("too many requests", So::Away, ErrorKind::Unavailable, "the cluster is busy"),
    ("etcdserver: no leader", So::Away, ErrorKind::Unavailable, "the cluster has no leader"),
    ("not supported for learner", So::Away, ErrorKind::Unavailable, "the member is a learner"),
    ("invalid auth token", So::Stranger, ErrorKind::Denied, "the cluster does not let us in"),
    ("revision of auth store is old", So::Stranger, ErrorKind::Denied, "the cluster has changed who may do what"),
    (
        "user name is empty",
        So::Stranger,
        ErrorKind::Denied,
        "the cluster asks for a user and a password, and was given none",
    ),
    ("invalid user ID or password", So::Refused, ErrorKind::Denied, "the cluster does not let the user in: wrong password"),
    ("permission denied", So::Refused, ErrorKind::Denied, "the user may not do this in the cluster; nothing was written"),
    (
        "authentication is not enabled",
        So::Refused,
        ErrorKind::Denied,
        "the cluster knows no users: leave user and password out of the URL",
    ),
    ("corrupt cluster", So::Refused, ErrorKind::Corrupt, "the cluster says that its data is damaged (alarm CORRUPT)"),
];

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if was_not_sent(&status) {
            return Self { so: So::Unreached, error: explained(ErrorKind::Unavailable, "it cannot be reached", &status) };
        }
        let said = SAYINGS.iter().find(|(words, ..)| status.message().contains(words));
        if let Some((_, so, kind, message)) = said {
            return Self { so: *so, error: explained(*kind, message, &status) };
        }
        match status.code() {
            // A server checks what it is asked before it does any of it.
            Code::InvalidArgument | Code::Unimplemented | Code::FailedPrecondition => {
                Self { so: So::Refused, error: explained(ErrorKind::Internal, "etcd did what it should not", &status) }
            }
            _ => Self { so: So::Lost, error: explained(ErrorKind::Unavailable, "the cluster has not answered", &status) },
        }
    }
}

/// Whether it failed before anything was sent.
fn was_not_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn explained(kind: ErrorKind, message: &str, status: &Status) -> Error {
    let mut cause = format!("{:?}: {}", status.code(), status.message());
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        cause = format!("{cause}: {error}");
        source = error.source();
    }
    Error::new(kind, message).engine("etcd").caused_by(cause)
}

/// Nobody answered in time.
pub(crate) fn silent() -> Failure {
    Failure { so: So::Lost, error: unavailable("the cluster has not answered in time") }
}

pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message).engine("etcd")
}

/// What was answered is not what was asked for.
pub(crate) fn odd() -> Error {
    Error::new(ErrorKind::Internal, "the cluster answers what it was not asked").engine("etcd")
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed").engine("etcd")
}
