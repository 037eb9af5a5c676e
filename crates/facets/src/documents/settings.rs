//! What the store keeps about a collection: which version of its schema is in force, and every version there was.
//!
//! All of it lies in the namespace `facet:documents`. The entry named as the collection says what is in force, and every write
//! of a document depends on it as on a lock: who changes it is seen by whoever writes, in the same commit. The entry
//! `NAME/0000000007` is version 7 of the schema as it was written, and never changes. A name holds no `/`, so none is taken
//! for the other.

use larder_core::{
    CommitBuilder, Condition, ContentKind, Entry, Error, ErrorKind, Key, Namespace, Result, Revision, Timestamp, Value,
};
use serde::{Deserialize, Serialize};

use super::Schema;

/// Where settings are.
pub(super) fn namespace() -> Namespace {
    Namespace::new("facet:documents").expect("a valid name")
}

/// Where the documents of the collection `name` are.
pub(super) fn documents(name: &str) -> Result<Namespace> {
    Namespace::new(format!("{DOCUMENTS}{name}")).map_err(|error| {
        let message = format!("{name:?} is no name of a collection: no / and *, no empty part between :, at most 245 bytes");
        Error::invalid(message).caused_by(error)
    })
}

/// What the namespaces of collections begin with.
pub(super) const DOCUMENTS: &str = "documents:";

/// What is in force, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// Which version of the schema; 0 before the first one.
    pub(super) version: u64,
    /// Until when nobody writes, in milliseconds since the epoch, so that a change of the schema comes to its end. It is a
    /// courtesy: nothing hangs on its being kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) closed_until_ms: Option<i64>,
}

impl Stored {
    pub(super) fn read(entry: Option<&Entry>) -> Result<Self> {
        let Some(entry) = entry else { return Ok(Self::default()) };
        let read = (entry.value.kind() == ContentKind::Json).then(|| serde_json::from_slice(entry.value.bytes()).ok());
        read.flatten().ok_or_else(|| {
            let message = format!("what is kept about the collection {:?} cannot be read", entry.address.key);
            Error::new(ErrorKind::Corrupt, format!("{message}: it was written by a newer version, or damaged"))
        })
    }

    pub(super) fn write(&self) -> Value {
        let text = serde_json::to_vec(self).expect("two numbers can be written as JSON");
        Value::json(text).expect("what was written as JSON is JSON")
    }

    pub(super) fn is_closed(&self, now: Timestamp) -> bool {
        self.closed_until_ms.is_some_and(|until| now.as_millis() < until)
    }
}

/// The key of a version of the schema.
pub(super) fn version_key(name: &str, version: u64) -> Result<Key> {
    Key::new(format!("{name}/{version:010}"))
}

/// The version that is stored under `key`.
pub(super) fn version_of(key: &Key) -> Option<u64> {
    key.rsplit_once('/').and_then(|(_, version)| version.parse().ok())
}

/// The schema in force, and the revision that says so.
#[derive(Clone, Debug, Default)]
pub(super) struct InForce {
    /// When the entry that says so was written; `None` where there is none.
    pub(super) since: Option<Revision>,
    pub(super) version: u64,
    /// With the revision at which this version was stored: after a collection was dropped, numbers begin anew.
    pub(super) schema: Option<(Revision, Schema)>,
}

impl InForce {
    /// What must hold of the collection's entry for this to be in force.
    pub(super) fn condition(&self) -> Condition {
        self.since.map_or(Condition::Absent, Condition::Revision)
    }

    /// Makes `commit`, which concerns the settings, depend on this being in force.
    pub(super) fn guard<'a>(&self, commit: CommitBuilder<'a>, name: &str) -> CommitBuilder<'a> {
        commit.check(name, self.condition())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_a_format() {
        let closed = Stored { version: 3, closed_until_ms: Some(1_000) };
        assert_eq!(Stored { version: 3, closed_until_ms: None }.write().bytes(), r#"{"version":3}"#);
        assert_eq!(closed.write().bytes(), r#"{"version":3,"closed_until_ms":1000}"#);
        let at = Timestamp::from_millis_saturating;
        assert!(closed.is_closed(at(999)) && !closed.is_closed(at(1_000)));
        assert_eq!(version_key("people", 7).expect("a key").as_str(), "people/0000000007");
        assert_eq!(version_of(&version_key("a:b", 12).expect("a key")), Some(12));
        assert_eq!(version_of(&Key::new("a:b").expect("a key")), None);
        for bad in ["", "a/b", "a*", ":a", "a::b", &"x".repeat(246)] {
            assert_eq!(documents(bad).map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{bad:?}");
        }
        assert!(documents("people").is_ok() && documents("a:b").is_ok() && documents(&"x".repeat(245)).is_ok());
    }
}
