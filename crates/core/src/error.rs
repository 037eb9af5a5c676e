//! Errors that tell the caller what to do.
//!
//! One opaque struct, one pointer wide. Messages carry sizes and names, never values and never secrets.

use std::{error::Error as StdError, fmt};

use crate::{commit::Conflict, id::CommitId, id::Revision};

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed: fix it.
    Invalid,
    /// The request is larger than what is allowed: make it smaller.
    Limit,
    /// What the request needs is not there.
    NotFound,
    /// What the request would create is there already.
    AlreadyExists,
    /// What the request would delete still holds something.
    NotEmpty,
    /// What is there cannot do what was asked, whatever is sent.
    InvalidState,
    /// A condition did not hold: read again, try again.
    Conflict,
    /// The caller may not do this.
    Denied,
    /// A budget is used up.
    Quota,
    /// This engine or build cannot do this.
    Unsupported,
    /// The log no longer reaches back that far: start over from the present.
    Trimmed,
    /// The engine cannot be reached or used at the moment: wait, send the same again.
    Unavailable,
    /// The commit may or may not have happened: resolve its id before sending it again.
    OutcomeUnknown,
    /// Stored data is damaged: stop, restore.
    Corrupt,
    /// The store was closed.
    Closed,
    /// A bug in Larder: report it.
    Internal,
}

impl ErrorKind {
    /// The name that stands in JSON; it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Limit => "limit",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::NotEmpty => "not_empty",
            Self::InvalidState => "invalid_state",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Quota => "quota",
            Self::Unsupported => "unsupported",
            Self::Trimmed => "trimmed",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Corrupt => "corrupt",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }

    /// The exit status a program ends with when this is why; never 0 and never 2, which is for usage.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::NotFound => 3,
            Self::Conflict | Self::AlreadyExists | Self::NotEmpty => 4,
            Self::Invalid | Self::Limit | Self::InvalidState | Self::Unsupported | Self::Trimmed => 5,
            Self::Denied | Self::Quota => 6,
            Self::Unavailable | Self::OutcomeUnknown | Self::Closed => 7,
            Self::Corrupt => 8,
        }
    }
}

/// Why something failed, and what to do about it.
pub struct Error(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    engine: Option<&'static str>,
    operation: Option<&'static str>,
    message: String,
    detail: Option<Detail>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
enum Detail {
    Conflict(Conflict),
    Trimmed { oldest: Revision },
    Unknown { id: CommitId },
}

impl Error {
    /// An error of `kind`; the message is lower case and says what was attempted.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Parts { kind, engine: None, operation: None, message: message.into(), detail: None, source: None }))
    }

    /// Malformed input.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Input beyond a limit.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// A condition that did not hold.
    pub fn conflict(conflict: Conflict) -> Self {
        let mut error = Self::new(ErrorKind::Conflict, conflict.to_string());
        error.0.detail = Some(Detail::Conflict(conflict));
        error
    }

    /// A quota that the commit does not keep to.
    pub fn quota(conflict: Conflict) -> Self {
        let mut error = Self::new(ErrorKind::Quota, format!("the quota of the namespace: {conflict}"));
        error.0.detail = Some(Detail::Conflict(conflict));
        error
    }

    /// The log was trimmed; changes after `oldest` are still there.
    pub fn trimmed(oldest: Revision) -> Self {
        let mut error = Self::new(
            ErrorKind::Trimmed,
            format!("the log no longer reaches that far: it holds what came after revision {oldest}"),
        );
        error.0.detail = Some(Detail::Trimmed { oldest });
        error
    }

    /// Nobody heard what became of the commit `id`.
    pub fn outcome_unknown(id: CommitId, why: impl fmt::Display) -> Self {
        let mut error =
            Self::new(ErrorKind::OutcomeUnknown, format!("{why}; whether commit {id} happened can be resolved by its id"));
        error.0.detail = Some(Detail::Unknown { id });
        error
    }

    /// The commit `id` arrived after somebody was told that it never happens.
    pub fn fenced(id: CommitId) -> Self {
        Self::new(ErrorKind::InvalidState, format!("commit {id} arrived after it was resolved as never having happened"))
    }

    /// The commit `id` arrived too late to know whether it is here for the second time.
    pub fn forgotten(id: CommitId) -> Self {
        Self::outcome_unknown(id, "the id is older than what the store remembers")
    }

    /// Names the engine that failed.
    #[must_use]
    pub fn engine(mut self, engine: &'static str) -> Self {
        self.0.engine = Some(engine);
        self
    }

    /// Names what was attempted.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Keeps the error of a library underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same cause under another kind, for a caller who knows better what it means.
    #[must_use]
    pub fn as_kind(mut self, kind: ErrorKind, message: impl Into<String>) -> Self {
        self.0.kind = kind;
        self.0.message = message.into();
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without engine, operation and source.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The error underneath, where it is a `T`: what a facet or a library has to say beyond the message.
    pub fn cause<T: StdError + 'static>(&self) -> Option<&T> {
        self.0.source.as_ref().and_then(|source| source.downcast_ref())
    }

    /// The condition that failed and what was met, where that is why.
    pub fn as_conflict(&self) -> Option<&Conflict> {
        match &self.0.detail {
            Some(Detail::Conflict(conflict)) => Some(conflict),
            _ => None,
        }
    }

    /// How far back the log still reaches, where that is why.
    pub fn oldest(&self) -> Option<Revision> {
        match self.0.detail {
            Some(Detail::Trimmed { oldest }) => Some(oldest),
            _ => None,
        }
    }

    /// The commit whose outcome is unknown, where that is why.
    pub fn unknown_commit(&self) -> Option<CommitId> {
        match self.0.detail {
            Some(Detail::Unknown { id }) => Some(id),
            _ => None,
        }
    }

    /// Whether the very same request may succeed later without having happened twice.
    ///
    /// A conflict is not retryable in this sense: the same request meets the same conflict until the caller has read
    /// again. An unknown outcome is not either: it has to be resolved first.
    pub fn is_retryable(&self) -> bool {
        self.0.kind == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        if let Some(engine) = parts.engine {
            write!(f, "{engine}: ")?;
        }
        if let Some(operation) = parts.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&parts.message)?;
        if let Some(source) = &parts.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

impl StdError for Error {
    // The display already tells the source; a reporter that walks the chain would print it twice, but one that does
    // not would hide it, and most do not.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().and_then(|source| source.source())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn the_display_names_engine_operation_and_source() {
        let error = Error::new(ErrorKind::Unavailable, "the file is locked")
            .engine("sqlite")
            .during("commit")
            .caused_by(std::io::Error::other("busy"));
        assert_eq!(error.to_string(), "sqlite: commit: the file is locked: busy");
        assert!(error.is_retryable());
    }

    #[test]
    fn the_cause_is_had_back_as_what_it_is() {
        let error = Error::invalid("refused").caused_by(std::io::Error::other("busy"));
        assert_eq!(error.cause::<std::io::Error>().map(ToString::to_string).as_deref(), Some("busy"));
        assert!(error.cause::<fmt::Error>().is_none() && Error::invalid("refused").cause::<std::io::Error>().is_none());
    }
}
