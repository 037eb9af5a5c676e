//! Documents in a transaction: judged, and written with whatever else it writes, or not at all.

use larder_core::{Error, ErrorKind, IntoKey, Key, Result, Transaction, Value};
use serde::{Serialize, de::DeserializeOwned};

use super::{Collection, Document, Patch, settings::Stored};

/// A collection as a transaction sees it.
#[derive(Debug)]
pub struct Within<'a> {
    collection: &'a Collection,
    transaction: &'a mut Transaction,
}

impl Collection {
    /// The documents of this collection in `transaction`, which concerns their namespace from here on.
    ///
    /// ```
    /// # use larder::{Result, documents::Documents};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
    /// # let store = larder::open("memory:").await?;
    /// let orders = Documents::new(&store).collection("orders")?;
    /// store.transact(async |mut t| {
    ///     t.add("orders/open", 1, 0..=100).await?;
    ///     orders.within(&mut t)?.insert("4711", &serde_json::json!({"amount": 12})).await
    /// }).await?;
    /// assert_eq!(orders.get::<serde_json::Value>("4711").await?.unwrap().content["amount"], 12);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` when the transaction is in another store.
    pub fn within<'a>(&'a self, transaction: &'a mut Transaction) -> Result<Within<'a>> {
        transaction.within(&self.documents)?;
        Ok(Within { collection: self, transaction })
    }
}

impl Within<'_> {
    /// The document `id`, if there is one. What this transaction has written has revision 0 until it is committed.
    ///
    /// # Errors
    /// As [`Collection::get`] and [`Transaction::get`].
    pub async fn get<T: DeserializeOwned>(&mut self, id: impl IntoKey) -> Result<Option<Document<T>>> {
        self.transaction.get(id).await?.map(Document::read).transpose()
    }

    /// Inserts a document.
    ///
    /// # Errors
    /// `Invalid` when it violates the schema, `AlreadyExists` when there is a document with this id, `Unavailable` while the
    /// schema is being changed, and as [`Transaction::set`]. [`Scope::transact`](larder_core::Scope::transact) tries again by
    /// itself when the schema was changed.
    pub async fn insert<T: Serialize + ?Sized>(&mut self, id: impl IntoKey, content: &T) -> Result<()> {
        let id = id.into_key()?;
        if self.transaction.exists(&id).await? {
            let message = format!("there is a document {id:?} in the collection {:?} already", self.collection.name);
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        self.write(&id, super::write::json(content)?).await
    }

    /// Makes the document `id` say something else.
    ///
    /// # Errors
    /// `NotFound` when there is no such document, and as [`Within::insert`].
    pub async fn replace<T: Serialize + ?Sized>(&mut self, id: impl IntoKey, content: &T) -> Result<()> {
        let id = id.into_key()?;
        if !self.transaction.exists(&id).await? {
            return Err(self.collection.absent(&id));
        }
        self.write(&id, super::write::json(content)?).await
    }

    /// Changes the document `id` as `patch` says.
    ///
    /// # Errors
    /// `NotFound` when there is no such document, and as [`Patch::apply`] and [`Within::insert`].
    pub async fn patch(&mut self, id: impl IntoKey, patch: &Patch) -> Result<()> {
        let id = id.into_key()?;
        let Some(entry) = self.transaction.get(&id).await? else { return Err(self.collection.absent(&id)) };
        self.write(&id, patch.apply(entry.value.bytes())?).await
    }

    /// Makes the document `id` absent.
    ///
    /// # Errors
    /// As [`Transaction::delete`].
    pub fn delete(&mut self, id: impl IntoKey) -> Result<()> {
        self.transaction.delete(id)
    }

    /// Writes `value` if it keeps to the schema; that the schema is in force is read, so the commit depends on it.
    async fn write(&mut self, id: &Key, value: Value) -> Result<()> {
        let Self { collection, transaction } = self;
        let entry = transaction.within(&collection.settings)?.get(&*collection.name).await;
        transaction.within(&collection.documents)?;
        let entry = entry?;
        if Stored::read(entry.as_ref())?.is_closed(collection.world.now()) {
            return Err(changing(collection));
        }
        let in_force = collection.known_by(entry.as_ref()).await?.ok_or_else(|| changing(collection))?;
        collection.judge(&in_force, id, &value)?;
        transaction.set(id, value)
    }
}

fn changing(collection: &Collection) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the schema of the collection {:?} is being changed", collection.name))
}
