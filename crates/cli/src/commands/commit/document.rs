//! The document of a commit: parsed strictly, and turned into the library's commit.
//!
//! Checks and writes are flat objects with a table of what goes with what, and not enums: serde would read those through
//! a buffer that forgets how numbers and white space were written.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use larder::{
    Action, Address, CommitBuilder, Condition, Error, ExpiryChange, Key, Metadata, MetadataChange, Namespace, Result,
    Revision, Store, Timestamp, Value, Version,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::input;

/// A commit as it was written down.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    id: Option<String>,
    #[serde(default)]
    checks: Vec<CheckItem>,
    #[serde(default)]
    writes: Vec<WriteItem>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckItem {
    key: String,
    namespace: Option<String>,
    absent: Option<bool>,
    exists: Option<bool>,
    version: Option<u64>,
    revision: Option<u64>,
    #[serde(default, deserialize_with = "raw")]
    value_is: Option<Box<RawValue>>,
    text_is: Option<String>,
    base64_is: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteItem {
    namespace: Option<String>,
    set: Option<String>,
    delete: Option<String>,
    add: Option<String>,
    merge: Option<String>,
    touch: Option<String>,
    #[serde(default, deserialize_with = "raw")]
    value: Option<Box<RawValue>>,
    text: Option<String>,
    base64: Option<String>,
    metadata: Option<Box<RawValue>>,
    ttl: Option<String>,
    expires_at: Option<String>,
    never: Option<bool>,
    by: Option<i64>,
    floor: Option<i64>,
    ceiling: Option<i64>,
}

/// A value of `null` is a value that is there; serde alone would take it for none.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl Document {
    pub(super) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The commit, and the address of each of its writes.
    pub(super) fn build<'a>(&self, store: &'a Store) -> Result<(CommitBuilder<'a>, Vec<Address>)> {
        let mut commit = store.commit();
        if let Some(id) = &self.id {
            commit = commit.id(id.parse()?);
        }
        for (index, check) in self.checks.iter().enumerate() {
            let place = format!("check {}", index + 1);
            let namespace = namespace(store, check.namespace.as_deref()).map_err(|error| at(&place, error))?;
            let key = Key::new(check.key.as_str()).map_err(|error| at(&place, error))?;
            let condition = check.condition().map_err(|error| at(&place, error))?;
            let scope = store.scope(&namespace).map_err(|error| at(&place, error))?;
            commit = commit.within(&scope).check(key, condition);
        }
        let mut places = Vec::with_capacity(self.writes.len());
        for (index, write) in self.writes.iter().enumerate() {
            let place = format!("write {}", index + 1);
            let namespace = namespace(store, write.namespace.as_deref()).map_err(|error| at(&place, error))?;
            let (key, action) = write.action(store.world().now()).map_err(|error| at(&place, error))?;
            places.push(Address::new(namespace.clone(), key.clone()));
            let scope = store.scope(&namespace).map_err(|error| at(&place, error))?;
            commit = commit.within(&scope).action(key, action);
        }
        Ok((commit, places))
    }
}

fn at(place: &str, error: Error) -> Error {
    let (kind, message) = (error.kind(), format!("{place}: {}", error.message()));
    error.as_kind(kind, message)
}

fn namespace(store: &Store, name: Option<&str>) -> Result<Namespace> {
    name.map_or_else(|| Ok(store.namespace().clone()), Namespace::new)
}

fn decoded(base64: &str) -> Result<Vec<u8>> {
    BASE64_STANDARD.decode(base64).map_err(|error| Error::invalid("this is not base64").caused_by(error))
}

impl CheckItem {
    fn condition(&self) -> Result<Condition> {
        let mut found = Vec::new();
        if let Some(absent) = self.absent {
            found.push(if absent { Condition::Absent } else { Condition::Exists });
        }
        if let Some(exists) = self.exists {
            found.push(if exists { Condition::Exists } else { Condition::Absent });
        }
        found.extend(self.version.map(|version| Condition::Version(Version::new(version))));
        found.extend(self.revision.map(|revision| Condition::Revision(Revision::new(revision))));
        found.extend(self.value_is.as_ref().map(|raw| Condition::Value(raw.get().to_owned().into())));
        found.extend(self.text_is.as_ref().map(|text| Condition::Value(text.clone().into())));
        if let Some(base64) = &self.base64_is {
            found.push(Condition::Value(decoded(base64)?.into()));
        }
        match (found.pop(), found.is_empty()) {
            (Some(condition), true) => Ok(condition),
            _ => Err(Error::invalid(
                "a check takes exactly one of absent, exists, version, revision, value_is, text_is and base64_is",
            )),
        }
    }
}

impl WriteItem {
    fn action(&self, now: Timestamp) -> Result<(Key, Action)> {
        let verbs = [
            ("set", &self.set),
            ("delete", &self.delete),
            ("add", &self.add),
            ("merge", &self.merge),
            ("touch", &self.touch),
        ];
        let mut given = verbs.iter().filter_map(|(verb, key)| key.as_ref().map(|key| (*verb, key)));
        let (Some((verb, key)), None) = (given.next(), given.next()) else {
            return Err(Error::invalid("a write takes exactly one of set, delete, add, merge and touch"));
        };
        self.takes_only(match verb {
            "set" => &["value", "text", "base64", "metadata", "ttl", "expires_at"],
            "add" => &["by", "floor", "ceiling"],
            "merge" => &["metadata"],
            "touch" => &["ttl", "expires_at", "never"],
            _ => &[],
        })
        .map_err(|field| Error::invalid(format!("{verb} takes no {field}")))?;
        let action = match verb {
            "set" => Action::Put {
                value: self.value()?,
                expires_at: self.expires_at(now)?,
                metadata: self.metadata()?.map_or(MetadataChange::Keep, MetadataChange::Replace),
            },
            "delete" => Action::Delete,
            "add" => Action::Add {
                delta: self.by.ok_or_else(|| Error::invalid("add needs by, the number to add"))?,
                floor: self.floor.unwrap_or(i64::MIN),
                ceiling: self.ceiling.unwrap_or(i64::MAX),
            },
            "merge" => {
                let metadata = self.metadata()?.ok_or_else(|| Error::invalid("merge needs metadata"))?;
                Action::Annotate { metadata: MetadataChange::Merge(metadata), expiry: ExpiryChange::Keep }
            }
            _ => {
                let at = self.expires_at(now)?;
                if at.is_some() == self.never.unwrap_or(false) {
                    return Err(Error::invalid("touch takes exactly one of ttl, expires_at and \"never\":true"));
                }
                Action::Annotate { metadata: MetadataChange::Keep, expiry: ExpiryChange::Set(at) }
            }
        };
        Ok((Key::new(key.as_str())?, action))
    }

    /// Whether nothing but `allowed` is given; else what is.
    fn takes_only(&self, allowed: &[&str]) -> Result<(), &'static str> {
        let fields = [
            ("value", self.value.is_some()),
            ("text", self.text.is_some()),
            ("base64", self.base64.is_some()),
            ("metadata", self.metadata.is_some()),
            ("ttl", self.ttl.is_some()),
            ("expires_at", self.expires_at.is_some()),
            ("never", self.never.is_some()),
            ("by", self.by.is_some()),
            ("floor", self.floor.is_some()),
            ("ceiling", self.ceiling.is_some()),
        ];
        match fields.iter().find(|(field, given)| *given && !allowed.contains(field)) {
            Some((field, _)) => Err(field),
            None => Ok(()),
        }
    }

    fn value(&self) -> Result<Value> {
        match (&self.value, &self.text, &self.base64) {
            (Some(raw), None, None) => Value::json(raw.get().to_owned()),
            (None, Some(text), None) => Ok(Value::opaque(text.clone())),
            (None, None, Some(base64)) => Ok(Value::opaque(decoded(base64)?)),
            _ => Err(Error::invalid("set takes exactly one of value, text and base64")),
        }
    }

    fn metadata(&self) -> Result<Option<Metadata>> {
        self.metadata.as_ref().map(|raw| Metadata::parse(raw.get().as_bytes())).transpose()
    }

    fn expires_at(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        match (&self.ttl, &self.expires_at) {
            (Some(_), Some(_)) => Err(Error::invalid("there is either a ttl or expires_at")),
            (Some(ttl), None) => Ok(Some(now.after(input::duration(ttl)?))),
            (None, Some(at)) => Ok(Some(input::moment(at)?)),
            (None, None) => Ok(None),
        }
    }
}
