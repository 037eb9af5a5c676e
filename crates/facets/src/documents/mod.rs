//! Documents: collections of JSON, each under a schema if it has one.
//!
//! A document is an ordinary entry: of the namespace `documents:NAME`, under its id, with its JSON as the value. So whatever
//! there is for entries is there for documents: watches, histories, views of the past, queries, quotas, transactions.
//!
//! ```
//! use larder::{ErrorKind, Result, documents::{Documents, Patch, Violations}, field};
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Person { name: String, age: u8 }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
//! let store = larder::open("memory:").await?;
//! let people = Documents::new(&store).collection("people")?;
//! people.set_schema(json!({
//!     "type": "object",
//!     "properties": { "name": { "type": "string" }, "age": { "type": "integer", "minimum": 0 } },
//!     "required": ["name"],
//! })).await?;
//!
//! let ann = people.insert(&Person { name: "Ann".into(), age: 31 }).id("ann").await?;
//! people.patch("ann", Patch::merge(&json!({ "age": 32 }))?).if_version(ann.version).await?;
//!
//! let refused = people.insert(&json!({ "age": -1 })).await.unwrap_err();
//! assert_eq!(refused.kind(), ErrorKind::Invalid);
//! let rules: Vec<_> = refused.cause::<Violations>().unwrap().all.iter().map(|violation| &*violation.schema_path).collect();
//! assert!(rules.contains(&"/required") && rules.contains(&"/properties/age/minimum"));
//!
//! let adults = people.find::<Person>(field("age").gte(18)).await?;
//! assert_eq!(adults.items[0].content.age, 32);
//! # Ok(()) }
//! ```
//!
//! # Schemas
//!
//! [`Schema`] says which drafts there are and what is refused. Every version that was ever in force stays in the store. A
//! write is judged by the schema in force *in the commit that writes it*: the commit depends on that schema, and is begun
//! anew when it was changed. [`Collection::set_schema`] judges what is there first, and refuses, or reports, what violates it;
//! nothing that others write meanwhile slips through.
//!
//! A schema is a program: one that refers to itself in two places on thirty levels takes a billion steps. Take schemas from
//! whom you would take code.
//!
//! # Numbers
//!
//! A document is kept byte for byte as it was inserted, and a patch leaves what it does not touch as it was spelled. Rules
//! compare exactly over i64 and u64; every other number is, to a rule as to a query, the f64 that it stands for.
//!
//! # What is not guarded
//!
//! Who writes to the namespace by other means, such as [`Store::scope`] or an import, is judged by nobody; what is there then
//! is found by [`Collection::survey`].

mod change;
mod collection;
mod document;
mod patch;
mod schema;
mod settings;
mod stack;
mod survey;
mod violation;
mod within;
mod write;

use larder_core::{Error, ErrorKind, Namespace, Result, Revision, Select, Store};

pub use change::{Existing, SchemaChange, SetSchema};
pub use collection::Collection;
pub use document::Document;
pub use patch::Patch;
pub use schema::{IntoSchema, Schema};
pub use survey::{Progress, Survey, Violator};
pub use violation::{Violation, Violations};
pub use within::Within;
pub use write::{Insert, Patching, Replace, Saved};

use settings::Stored;

/// The collections of a store.
#[derive(Clone, Debug)]
pub struct Documents {
    store: Store,
}

/// A collection that exists: because it has a schema, or because a document is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionInfo {
    /// Its name.
    pub name: String,
    /// Which version of its schema is in force; 0 where it has none.
    pub schema_version: u64,
    /// How many documents it holds.
    pub documents: u64,
}

/// A version of a schema that was put in force.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaVersion {
    /// Its number, from 1 on.
    pub version: u64,
    /// The revision from which on it was in force.
    pub revision: Revision,
    /// The schema.
    pub schema: Schema,
}

impl Documents {
    /// The collections of `store`.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// A handle to a collection, which need not exist yet. Keep it, and clone it: it remembers the schema.
    ///
    /// # Errors
    /// `Invalid` when `name` is not plain, nor parts joined by `:`: no `/` and `*`, at most 245 bytes.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        Collection::new(&self.store, name)
    }

    /// Every collection, in bytewise order of their names.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn collections(&self) -> Result<Vec<CollectionInfo>> {
        let mut found = std::collections::BTreeMap::new();
        for info in self.store.list_namespaces().await? {
            if let Some(name) = info.namespace.as_str().strip_prefix(settings::DOCUMENTS) {
                let documents = self.store.scope(&info.namespace)?.count(Select::all()).await?;
                found.insert(name.to_owned(), (0, documents));
            }
        }
        let settings = self.store.scope(&settings::namespace())?;
        let mut pages = settings.pages(Select::all());
        while let Some(page) = pages.next().await? {
            for entry in page.iter().filter(|entry| !entry.address.key.contains('/')) {
                let stored = Stored::read(Some(entry))?;
                found.entry(entry.address.key.as_str().to_owned()).or_insert((0, 0)).0 = stored.version;
            }
        }
        let info = |(name, (schema_version, documents))| CollectionInfo { name, schema_version, documents };
        Ok(found.into_iter().map(info).collect())
    }

    /// Deletes a collection with its documents and its schemas, and answers how many documents went.
    ///
    /// That is many commits: when it ends half-way, calling it again goes on. What others insert meanwhile may stay.
    ///
    /// # Errors
    /// `NotFound` when there is no such collection; else what the engine meets.
    pub async fn drop_collection(&self, name: &str) -> Result<u64> {
        let gone = match self.store.delete_namespace(&settings::documents(name)?, true).await {
            Ok(gone) => Some(gone),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let settings = self.store.scope(&settings::namespace())?;
        let had_schema = settings.delete(name).await?;
        let versions = settings.clear(Select::prefix(format!("{name}/"))).await?;
        if gone.is_none() && !had_schema && versions == 0 {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no collection {name:?}")));
        }
        Ok(gone.unwrap_or(0))
    }
}

impl Collection {
    /// The schema in force, if there is one.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read; else what the engine meets.
    pub async fn schema(&self) -> Result<Option<SchemaVersion>> {
        let in_force = self.load().await?;
        let version = in_force.version;
        Ok(in_force.schema.clone().map(|(revision, schema)| SchemaVersion { version, revision, schema }))
    }

    /// Every schema that was in force, the oldest first.
    ///
    /// # Errors
    /// As [`Collection::schema`].
    pub async fn schemas(&self) -> Result<Vec<SchemaVersion>> {
        let mut schemas = Vec::new();
        let mut pages = self.settings.pages(Select::prefix(format!("{}/", self.name)));
        while let Some(page) = pages.next().await? {
            for entry in page {
                let Some(version) = settings::version_of(&entry.address.key) else { continue };
                let schema = Schema::parse(entry.value.bytes().clone())?;
                schemas.push(SchemaVersion { version, revision: entry.revision, schema });
            }
        }
        Ok(schemas)
    }
}

/// The namespace that the documents of the collection `name` are entries of.
///
/// # Errors
/// As [`Documents::collection`].
pub fn namespace_of(name: &str) -> Result<Namespace> {
    settings::documents(name)
}
