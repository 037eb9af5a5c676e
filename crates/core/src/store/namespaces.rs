//! Namespaces: created, listed, deleted.
//!
//! Registrations are entries of the reserved namespace `larder:namespaces`, keyed by name; a name in `larder:deleting`
//! is being deleted, and every commit that writes to a namespace checks that its name is not there. A deletion works only
//! while that mark is still the one it has seen.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{Pages, Scope, Select, Store, View, moment::PAGE_ITEMS, refuse_reserved, retention};
use crate::{
    address::{Address, Range},
    commit::{Action, Check, Condition, MetadataChange},
    engine::Scan,
    error::{Error, ErrorKind, Result},
    id::Revision,
    index::IndexStatus,
    key::Key,
    metadata::Metadata,
    namespace::Namespace,
    value::Value,
};

static REGISTERED: LazyLock<Namespace> = LazyLock::new(|| Namespace::new("larder:namespaces").expect("a valid name"));
static DELETING: LazyLock<Namespace> = LazyLock::new(|| Namespace::new("larder:deleting").expect("a valid name"));

/// How often is looked again when others came in between; far more often than they do by chance.
const LOOKS_MAX: usize = 100;

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

/// Namespaces as they are found; `default` is there from the beginning.
struct Found(BTreeMap<Namespace, NamespaceInfo>);

impl Default for Found {
    fn default() -> Self {
        let mut found = Self(BTreeMap::new());
        found.used(Namespace::default());
        found
    }
}

impl Found {
    /// Something is in `namespace`.
    fn used(&mut self, namespace: Namespace) {
        if !namespace.is_reserved() {
            let info = NamespaceInfo { namespace: namespace.clone(), registered: false, metadata: Metadata::default() };
            self.0.insert(namespace, info);
        }
    }

    /// These were created by name.
    async fn created(&mut self, mut registrations: Pages<'_>) -> Result<()> {
        while let Some(page) = registrations.next().await? {
            for entry in page {
                let namespace = Namespace::new(entry.address.key.as_str())?;
                let info = NamespaceInfo { namespace: namespace.clone(), registered: true, metadata: entry.metadata };
                self.0.insert(namespace, info);
            }
        }
        Ok(())
    }
}

/// What a deletion finds.
struct Seen {
    /// What was there before the mark was looked at: where there is one, they are of what is being deleted.
    indexes: Vec<IndexStatus>,
    /// The revision of the registration.
    registration: Option<Revision>,
    /// The revision of the mark that a deletion has set.
    mark: Option<Revision>,
    /// When there are no entries, the check that it is still so.
    empty: Option<Check>,
}

impl Seen {
    fn is_nothing(&self) -> bool {
        self.registration.is_none() && self.mark.is_none() && self.empty.is_some() && self.indexes.is_empty()
    }
}

impl Store {
    /// Creates a namespace by name, empty, with metadata of its own.
    ///
    /// # Errors
    /// `AlreadyExists` when it was created before, or holds anything; `InvalidState` while it is being deleted; `Denied`
    /// for reserved names; `Conflict` when others write there without end.
    pub async fn create_namespace(&self, namespace: &Namespace, metadata: Metadata) -> Result<()> {
        refuse_reserved(namespace)?;
        let exists = || Err(Error::new(ErrorKind::AlreadyExists, format!("the namespace {namespace:?} exists already")));
        if namespace.is_default() {
            return exists();
        }
        for _ in 0..LOOKS_MAX {
            let now = self.world().now();
            let range = Range::namespace(namespace);
            let found = self.engine().list(Scan { range: range.clone(), reverse: false, limit: 1, now }).await?;
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
        Err(contended(namespace))
    }

    /// Deletes a namespace and its indexes, and answers how many entries went with it.
    ///
    /// With `recursive` it may hold entries. That is many commits; meanwhile the namespace refuses writes, and when it
    /// ends half-way it goes on doing so until the deletion is called again and ends. Deletions that overlap work
    /// together: the first that finds the namespace empty ends them all, and what is created after that stays.
    ///
    /// # Errors
    /// `NotFound` when there is no such namespace, `NotEmpty` when it holds entries and `recursive` is not given,
    /// `Denied` for `default` and reserved names, `Conflict` when others write there without end.
    pub async fn delete_namespace(&self, namespace: &Namespace, recursive: bool) -> Result<u64> {
        let bound = self.in_namespace(namespace)?;
        if namespace.is_default() {
            return Err(Error::new(ErrorKind::Denied, "the namespace \"default\" always exists; clear it instead"));
        }
        let mut gone = 0;
        // The mark that this deletion works under: its own, or that of another one which it joins.
        let mut held: Option<Revision> = None;
        for _ in 0..LOOKS_MAX {
            let seen = self.look(namespace).await?;
            if held.is_some() && seen.mark != held {
                // A mark goes when a deletion has found the namespace empty. Whatever is there now came later.
                return Ok(gone);
            }
            if seen.is_nothing() {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no namespace {namespace:?}")));
            }
            let marked = marked(namespace);
            // Indexes go under the mark, so that who creates the namespace anew keeps those that are created with it.
            if let (Some(_), Some(mark)) = (&seen.empty, seen.mark)
                && !seen.indexes.is_empty()
            {
                held = Some(mark);
                self.drop_indexes(namespace, seen.indexes).await?;
                continue;
            }
            if let Some(unchanged) = seen.empty.clone().filter(|_| seen.indexes.is_empty()) {
                let ended = bound
                    .commit()
                    .check_at(still(marked.clone(), seen.mark))
                    .check_at(still(registered(namespace), seen.registration))
                    .check_at(unchanged)
                    .at(registered(namespace), Action::Delete)
                    .at(marked, Action::Delete)
                    .at(retention::kept(namespace), Action::Delete)
                    .send()
                    .await;
                match ended {
                    Ok(_) => return Ok(gone),
                    // Something has moved, which need not matter: look again.
                    Err(error) if error.as_conflict().is_some() => continue,
                    Err(error) => return Err(error),
                }
            }
            if !recursive && seen.empty.is_none() {
                let message = format!("the namespace {namespace:?} is not empty; delete it recursively, or clear it first");
                return Err(Error::new(ErrorKind::NotEmpty, message));
            }
            let done = match seen.mark {
                None => {
                    let mark = Action::Put { value: Value::opaque(""), expires_at: None, metadata: MetadataChange::Keep };
                    let marking = bound.commit().check_at(not_being_deleted(namespace)).at(marked, mark);
                    // Where nothing may go but indexes, nothing may have come meanwhile.
                    let marking = seen.empty.into_iter().fold(marking, |marking, empty| marking.check_at(empty));
                    marking.send().await.map(|receipt| held = Some(receipt.revision))
                }
                Some(mark) => {
                    held = seen.mark;
                    let before = gone;
                    let progress = |cleared| gone = before + cleared;
                    let clear = bound.clear(Select::all()).only_while(still(marked, Some(mark))).progress(progress);
                    clear.await.map(|_| ())
                }
            };
            // A conflict means that somebody else has marked the namespace or ended its deletion: the next look tells.
            if let Err(error) = done
                && error.as_conflict().is_none()
            {
                return Err(error);
            }
        }
        Err(contended(namespace))
    }

    /// What of `namespace` there is.
    async fn look(&self, namespace: &Namespace) -> Result<Seen> {
        let indexes = match self.engine().indexes() {
            Some(indexes) => indexes.list(Some(namespace.clone())).await?,
            None => Vec::new(),
        };
        let now = self.world().now();
        let range = Range::namespace(namespace);
        let found = self.engine().list(Scan { range: range.clone(), reverse: false, limit: 1, now }).await?;
        let own = vec![registered(namespace), marked(namespace)];
        let mut own = self.engine().get(own, now).await?.value.into_iter();
        let mut revision = || own.next().flatten().map(|entry| entry.revision);
        let unchanged = Check::Unchanged { range, since: found.revision, read_at: now };
        let empty = found.value.items.is_empty().then_some(unchanged);
        Ok(Seen { indexes, registration: revision(), mark: revision(), empty })
    }

    /// Every namespace that was created or holds an entry, and `default`, sorted bytewise.
    ///
    /// # Errors
    /// What the engine meets.
    pub async fn list_namespaces(&self) -> Result<Vec<NamespaceInfo>> {
        // From each namespace jump over all of its entries to the next one.
        let mut found = Found::default();
        let now = self.world().now();
        let mut range = Range::all();
        while let Some(address) = {
            let scan = Scan { range: range.clone(), reverse: false, limit: 1, now };
            self.engine().list(scan).await?.value.items.pop()
        } {
            range = Range::after_namespace(&address.namespace);
            found.used(address.namespace);
        }
        found.created(self.moved(&REGISTERED).pages(Select::all())).await?;
        Ok(found.0.into_values().collect())
    }

    /// The namespaces that there were at the moment of `view`, which is of this store; else as
    /// [`Store::list_namespaces`].
    ///
    /// # Errors
    /// `Invalid` when `view` is of another store, `Trimmed` when the log of a namespace no longer reaches back to it; else
    /// what the engine meets.
    pub async fn list_namespaces_at(&self, view: &View) -> Result<Vec<NamespaceInfo>> {
        let view = view.within(&self.moved(&REGISTERED))?;
        let mut found = Found::default();
        let mut moment = view.moment();
        let (mut rest, mut limit) = (Some(Range::all()), 1);
        while let Some(range) = rest {
            let (page, behind) = moment.page::<Address>(self, &range, false, limit).await?;
            (rest, limit) = match page.into_iter().next() {
                Some(Address { namespace, .. }) => {
                    let next = Range::after_namespace(&namespace);
                    found.used(namespace);
                    (Some(next), 1)
                }
                // What is there now was not there then: there may be more of that.
                None => (behind, PAGE_ITEMS),
            };
        }
        found.created(view.pages(Select::all())).await?;
        Ok(found.0.into_values().collect())
    }
}

fn name(namespace: &Namespace) -> Key {
    Key::new(namespace.as_str()).expect("the name of a namespace is shorter than a key, and has no control characters")
}

fn registered(namespace: &Namespace) -> Address {
    Address::new(REGISTERED.clone(), name(namespace))
}

/// Where it says that a namespace is being deleted.
pub(super) fn marked(namespace: &Namespace) -> Address {
    Address::new(DELETING.clone(), name(namespace))
}

fn absent(within: &Namespace, namespace: &Namespace) -> Check {
    Check::Key { address: Address::new(within.clone(), name(namespace)), condition: Condition::Absent }
}

/// The check that `address` is as it was seen: with this revision, or absent.
fn still(address: Address, seen: Option<Revision>) -> Check {
    Check::Key { address, condition: seen.map_or(Condition::Absent, Condition::Revision) }
}

impl Scope {
    /// Refuses what would outlive a namespace that is being deleted.
    pub(super) async fn is_not_being_deleted(&self) -> Result<()> {
        match self.engine().get(vec![marked(self.namespace())], self.world().now()).await?.value.pop().flatten() {
            Some(_) if self.namespace().is_default() => Err(Store::closed(self).await),
            Some(_) => Err(being_deleted(self.namespace())),
            None => Ok(()),
        }
    }
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

fn contended(namespace: &Namespace) -> Error {
    Error::new(ErrorKind::Conflict, format!("others came in between {LOOKS_MAX} times while looking at {namespace:?}"))
}
