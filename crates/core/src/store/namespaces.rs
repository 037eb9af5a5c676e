//! Namespaces: created, listed, deleted.
//!
//! Registrations are entries of the reserved namespace `larder:namespaces`, keyed by name; a name in `larder:deleting`
//! is being deleted, and every commit that writes to a namespace checks that its name is not there.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{Select, Store, refuse_reserved};
use crate::{
    address::{Address, Range},
    commit::{Action, Check, Condition, MetadataChange},
    engine::Scan,
    error::{Error, ErrorKind, Result},
    key::Key,
    metadata::Metadata,
    namespace::Namespace,
    value::Value,
};

static REGISTERED: LazyLock<Namespace> = LazyLock::new(|| Namespace::new("larder:namespaces").expect("a valid name"));
static DELETING: LazyLock<Namespace> = LazyLock::new(|| Namespace::new("larder:deleting").expect("a valid name"));

/// A namespace that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// Its name.
    pub namespace: Namespace,
    /// Whether it was created by name; else it exists because something is in it, or because it is `default`.
    pub registered: bool,
    /// What it was created with.
    pub metadata: Metadata,
}

impl Store {
    /// Creates a namespace by name, empty, with metadata of its own.
    ///
    /// # Errors
    /// `AlreadyExists` when it was created before, or holds anything; `Denied` for reserved names.
    pub async fn create_namespace(&self, namespace: &Namespace, metadata: Metadata) -> Result<()> {
        refuse_reserved(namespace)?;
        let exists = || Err(Error::new(ErrorKind::AlreadyExists, format!("the namespace {namespace:?} exists already")));
        if namespace.is_default() {
            return exists();
        }
        loop {
            let now = self.world.now();
            let range = Range::namespace(namespace);
            let found = self.engine.list(Scan { range: range.clone(), reverse: false, limit: 1, now }).await?;
            if !found.value.items.is_empty() {
                return exists();
            }
            let value = Value::opaque("");
            let registration = Action::Put { value, expires_at: None, metadata: MetadataChange::Replace(metadata.clone()) };
            let created = self
                .commit()
                .check_at(absent(&REGISTERED, namespace))
                .check_at(not_being_deleted(namespace))
                .check_at(Check::Unchanged { range, since: found.revision, read_at: now })
                .at(registered(namespace), registration)
                .send()
                .await;
            match created {
                Ok(_) => return Ok(()),
                Err(error) => match error.as_conflict().map(|conflict| conflict.part) {
                    Some(crate::Part::Check(0)) => return exists(),
                    Some(crate::Part::Check(1)) => return Err(being_deleted(namespace)),
                    // Somebody wrote there meanwhile: look again.
                    Some(_) => {}
                    None => return Err(error),
                },
            }
        }
    }

    /// Deletes a namespace and answers how many entries went with it.
    ///
    /// With `recursive` it may hold entries. That is many commits; meanwhile the namespace refuses writes, and when it
    /// ends half-way it goes on doing so until the deletion is called again and ends.
    ///
    /// # Errors
    /// `NotFound` when there is no such namespace, `NotEmpty` when it holds entries and `recursive` is not given,
    /// `Denied` for `default` and reserved names.
    pub async fn delete_namespace(&self, namespace: &Namespace, recursive: bool) -> Result<u64> {
        let bound = self.in_namespace(namespace)?;
        if namespace.is_default() {
            return Err(Error::new(ErrorKind::Denied, "the namespace \"default\" always exists; clear it instead"));
        }
        let now = self.world.now();
        let mark = Address::new(DELETING.clone(), name(namespace));
        let range = Range::namespace(namespace);
        let found = self.engine.list(Scan { range: range.clone(), reverse: false, limit: 1, now }).await?;
        let known = self.engine.get(vec![registered(namespace), mark.clone()], now).await?.value;
        let empty = found.value.items.is_empty();
        if empty && known.iter().all(Option::is_none) {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no namespace {namespace:?}")));
        }
        let not_empty = || {
            let message = format!("the namespace {namespace:?} is not empty; delete it recursively, or clear it first");
            Err(Error::new(ErrorKind::NotEmpty, message))
        };
        if !recursive {
            if !empty {
                return not_empty();
            }
            let unchanged = Check::Unchanged { range, since: found.revision, read_at: now };
            let deleted = bound
                .commit()
                .check_at(unchanged)
                .at(registered(namespace), Action::Delete)
                .at(mark, Action::Delete)
                .send()
                .await;
            return match deleted {
                Ok(_) => Ok(0),
                Err(error) if error.as_conflict().is_some() => not_empty(),
                Err(error) => Err(error),
            };
        }
        let marked = Action::Put { value: Value::opaque(""), expires_at: None, metadata: MetadataChange::Keep };
        bound.commit().at(mark.clone(), marked).send().await?;
        let gone = bound.clear(Select::all()).unguarded().await?;
        bound.commit().at(registered(namespace), Action::Delete).at(mark, Action::Delete).send().await?;
        Ok(gone)
    }

    /// Every namespace that was created or holds an entry, and `default`, sorted bytewise.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn list_namespaces(&self) -> Result<Vec<NamespaceInfo>> {
        let mut found = BTreeMap::new();
        let mut add = |namespace: Namespace, registration: Option<Metadata>| {
            let registered = registration.is_some();
            let info =
                NamespaceInfo { namespace: namespace.clone(), registered, metadata: registration.unwrap_or_default() };
            found.insert(namespace, info);
        };

        // From each namespace jump over all of its entries to the next one.
        let now = self.world.now();
        let mut range = Range::all();
        while let Some(address) = {
            let scan = Scan { range: range.clone(), reverse: false, limit: 1, now };
            self.engine.list(scan).await?.value.items.pop()
        } {
            range = Range::after_namespace(&address.namespace);
            if !address.namespace.is_reserved() {
                add(address.namespace, None);
            }
        }
        add(Namespace::default(), None);
        let itself = Self { namespace: REGISTERED.clone(), ..self.clone() };
        let mut pages = itself.pages(Select::all());
        while let Some(page) = pages.next().await? {
            for entry in page {
                add(Namespace::new(entry.address.key.as_str())?, Some(entry.metadata));
            }
        }
        Ok(found.into_values().collect())
    }
}

fn name(namespace: &Namespace) -> Key {
    Key::new(namespace.as_str()).expect("the name of a namespace is shorter than a key, and has no control characters")
}

fn registered(namespace: &Namespace) -> Address {
    Address::new(REGISTERED.clone(), name(namespace))
}

fn absent(within: &Namespace, namespace: &Namespace) -> Check {
    Check::Key { address: Address::new(within.clone(), name(namespace)), condition: Condition::Absent }
}

/// The check that every commit to `namespace` carries.
pub(super) fn not_being_deleted(namespace: &Namespace) -> Check {
    absent(&DELETING, namespace)
}

/// What is told when that check fails.
pub(super) fn being_deleted(namespace: &Namespace) -> Error {
    let message = format!("the namespace {namespace:?} is being deleted and takes no writes until that has ended");
    Error::new(ErrorKind::InvalidState, message)
}
