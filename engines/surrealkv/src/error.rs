//! From the errors of SurrealKV to ours.

use larder_core::{Error, ErrorKind};

const ENGINE: &str = "surrealkv";

/// What an error of a read, or of opening, tells the caller to do.
pub(crate) fn explain(error: &surrealkv::Error) -> Error {
    use surrealkv::Error as E;
    let (kind, message) = match error {
        E::Io(_) => (ErrorKind::Unavailable, "the system cannot read or write the directory"),
        E::DatabaseStopped(_) | E::DatabasePoisoned(_) => {
            (ErrorKind::Unavailable, "the disk has failed, and the store takes no more writes until it is opened anew")
        }
        E::WriteStall { .. } | E::PipelineStall => {
            (ErrorKind::Unavailable, "the store is busy with what was written before")
        }
        E::BatchTooLarge => (ErrorKind::Limit, "it is too much for one commit"),
        E::CorruptedBlock(_)
        | E::CorruptedTableMetadata(_)
        | E::Corruption(_)
        | E::ManifestCorruption(_)
        | E::ManifestMissing(_)
        | E::LoadManifestFail(_)
        | E::RestoreInterrupted(_)
        | E::WalCorruption { .. }
        | E::InvalidTableFormat
        | E::InvalidBatchRecord
        | E::TableMetadataNotFound
        | E::TableNotFound(_)
        | E::SSTable(_) => (ErrorKind::Corrupt, "the store is damaged; restore it from a backup"),
        _ => (ErrorKind::Internal, "SurrealKV did what it should not"),
    };
    Error::new(kind, message).engine(ENGINE).caused_by(error.to_string())
}

/// Whether a commit that failed with `error` certainly has not happened and never will.
pub(crate) fn is_certain(error: &surrealkv::Error) -> bool {
    use surrealkv::Error as E;
    matches!(error, E::DatabasePoisoned(_) | E::BatchTooLarge | E::TransactionClosed | E::EmptyKey | E::TransactionReadOnly)
}

pub(crate) fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message).engine(ENGINE)
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::invalid(message).engine(ENGINE)
}

/// What the system says about the directory.
pub(crate) fn of_the_system(error: &std::io::Error, doing: &str) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("the system cannot {doing}")).engine(ENGINE).caused_by(error.to_string())
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed").engine(ENGINE)
}
