//! What queries mean, operator by operator, and what must hold of all of them.

mod hostile;
mod indexes;
mod operators;
mod orders;
mod random;
mod texts;

use crate::{
    address::Address,
    entry::Entry,
    id::{Revision, Version},
    key::Key,
    metadata::Metadata,
    namespace::Namespace,
    time::Timestamp,
    value::Value,
};

/// An entry with this value and metadata.
fn entry(key: &str, value: Value, metadata: &str) -> Entry {
    Entry {
        address: Address::new(Namespace::default(), Key::new(key).expect("valid")),
        value,
        version: Version::new(7),
        revision: Revision::new(9),
        created_at: Timestamp::from_millis(1_000_000_000_000).expect("in range"),
        updated_at: Timestamp::from_millis(1_700_000_000_120).expect("in range"),
        expires_at: None,
        metadata: Metadata::parse(metadata.as_bytes()).expect("valid"),
    }
}

fn json(text: &str) -> Value {
    Value::json(text.to_owned()).expect("JSON")
}
