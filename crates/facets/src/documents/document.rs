//! A document as it is read: an entry of the collection's namespace, with its value as a type of the caller's.

use larder_core::{ContentKind, Entry, Error, ErrorKind, Key, Metadata, Result, Revision, Timestamp, Version};
use serde::de::DeserializeOwned;

/// A document with everything that the store keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<T> {
    /// Its key in the collection's namespace.
    pub id: Key,
    /// What it says.
    pub content: T,
    /// 1 on creation, one more with every write.
    pub version: Version,
    /// The revision of the commit that wrote it last.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// From this moment on it is absent to everyone.
    pub expires_at: Option<Timestamp>,
    /// What is kept beside it.
    pub metadata: Metadata,
}

impl<T: DeserializeOwned> Document<T> {
    /// The document that `entry` is: of a watch, a history, a view or a transaction.
    ///
    /// # Errors
    /// `InvalidState` when the value is not JSON, `Invalid` when it is something else than a `T`.
    pub fn read(entry: Entry) -> Result<Self> {
        let content = parse(&entry)?;
        let Entry { address, version, revision, created_at, updated_at, expires_at, metadata, .. } = entry;
        Ok(Self { id: address.key, content, version, revision, created_at, updated_at, expires_at, metadata })
    }
}

fn parse<T: DeserializeOwned>(entry: &Entry) -> Result<T> {
    if entry.value.kind() != ContentKind::Json {
        let message = format!("the value of the key {} was not stored as JSON", entry.address);
        return Err(Error::new(ErrorKind::InvalidState, message));
    }
    let mut parser = serde_json::Deserializer::from_slice(entry.value.bytes());
    // What is stored as JSON is no deeper than ours may be; serde_json's own bound would refuse the deepest level.
    parser.disable_recursion_limit();
    T::deserialize(&mut parser).and_then(|read| parser.end().map(|()| read)).map_err(|error| {
        Error::invalid(format!("the document {} is not of the type that was asked for", entry.address)).caused_by(error)
    })
}
