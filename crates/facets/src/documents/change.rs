//! Changing the schema of a collection while others write to it.
//!
//! What is there is judged first, as of one moment, and what has changed since is judged again and again until nothing has:
//! the commit that puts the schema in force depends on both the schema before and every document being as they were seen. So
//! nothing can slip through, whatever else happens.
//!
//! Where others write without pause that commit would never meet a quiet moment. Then the collection is closed for as long as
//! it takes to judge the last few: whoever writes waits. That is a courtesy and nothing hangs on it; it ends by itself when
//! whoever asked for it is gone.

use std::{fmt, future::IntoFuture, time::Duration};

use larder_core::{BoxFuture, Entry, Error, ErrorKind, Part, Result, Revision, Scope, Select, Timestamp, View};

use super::{
    Collection, IntoSchema, Progress, Schema, Survey,
    settings::{self, InForce, Stored},
};

/// For how long a collection is closed at most, if nobody opens it again.
const CLOSED_FOR: Duration = Duration::from_secs(10);
/// Up to how many changes are few enough to close the collection over.
const FEW_CHANGES: u64 = 1000;
/// How often what has changed is judged before the collection is closed whatever it takes.
const OPEN_ROUNDS: usize = 8;
/// How often it is tried in all.
const ROUNDS_MAX: usize = 100;

/// What to do where documents violate a schema that is to be put in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// The schema is refused, and nothing changes.
    #[default]
    Refuse,
    /// The schema is put in force for every write from then on, and the violations are reported. These documents stay as
    /// they are until somebody writes them.
    Report,
}

/// A change of a schema being put together; awaiting it makes it.
#[must_use = "a schema does not change until this is awaited"]
pub struct SetSchema<'a> {
    collection: &'a Collection,
    schema: Result<Schema>,
    existing: Existing,
    expected: Option<u64>,
    progress: Box<dyn FnMut(Progress) + Send + 'a>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// Which version is in force now.
    pub version: u64,
    /// Whether it was in force before: the same text is no new version.
    pub unchanged: bool,
    /// What was found among the documents.
    pub survey: Survey,
}

impl Collection {
    /// Puts a schema in force: from then on every document that is written keeps to it.
    ///
    /// Every document that is there is judged first, in bounded memory, while others read and write. The schema `true` lets
    /// everything through.
    ///
    /// ```
    /// # use larder::{ErrorKind, Result, documents::{Documents, Existing, Survey}};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
    /// # let store = larder::open("memory:").await?;
    /// # let people = Documents::new(&store).collection("people")?;
    /// people.insert(&serde_json::json!({"name": "Ann"})).id("ann").await?;
    /// let strict = r#"{"required": ["email"]}"#;
    ///
    /// let refused = people.set_schema(strict).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidState);
    /// assert_eq!(refused.cause::<Survey>().unwrap().found[0].id.as_str(), "ann");
    ///
    /// let change = people.set_schema(strict).existing(Existing::Report).await?;
    /// assert_eq!((change.version, change.survey.violating), (1, 1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for what is no schema; `InvalidState`, with a [`Survey`] as the cause, when documents violate it and that was
    /// not to be reported only; `Conflict` when somebody else changes the schema at the same time; `Denied` for a guest;
    /// `Trimmed` when the log no longer reaches back to when it began; else what the engine meets.
    pub fn set_schema(&self, schema: impl IntoSchema) -> SetSchema<'_> {
        let schema = schema.into_schema();
        SetSchema { collection: self, schema, existing: Existing::default(), expected: None, progress: Box::new(|_| ()) }
    }

    /// Judges every document by `schema`, as of one moment, and changes nothing.
    ///
    /// # Errors
    /// `Invalid` for what is no schema, `Trimmed` when the log no longer reaches back to when it began; else what the engine
    /// meets.
    pub async fn survey(&self, schema: impl IntoSchema, progress: impl FnMut(Progress) + Send) -> Result<Survey> {
        let schema = schema.into_schema()?;
        survey(&self.documents, &schema, &self.documents.view().await?, progress).await
    }
}

/// Every document of `view`.
async fn survey(
    documents: &Scope,
    schema: &Schema,
    view: &View,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Survey> {
    let view = view.within(documents)?;
    let of = documents.count(Select::all()).await?;
    let mut survey = Survey { revision: view.revision(), ..Survey::default() };
    let mut pages = view.pages(Select::all());
    while let Some(page) = pages.next().await? {
        survey.judge(schema, &page)?;
        progress(Progress { looked_at: survey.looked_at, violating: survey.violating, of });
    }
    Ok(survey)
}

impl<'a> SetSchema<'a> {
    /// What to do about documents that violate it; it is refused unless this says otherwise.
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Only if this version of the schema is in force, where 0 is none; else `Conflict`.
    pub fn if_version(mut self, version: u64) -> Self {
        self.expected = Some(version);
        self
    }

    /// Tells `progress` after every page how many documents have been judged.
    pub fn progress(mut self, progress: impl FnMut(Progress) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    async fn run(self) -> Result<SchemaChange> {
        let Self { collection, schema, existing, expected, progress } = self;
        let schema = schema?;
        let Some(documents) = &collection.all else {
            let message = format!("this handle to the collection {:?} does not change its schema", collection.name);
            return Err(Error::new(ErrorKind::Denied, message));
        };
        let before = collection.load().await?;
        if let Some(expected) = expected.filter(|expected| *expected != before.version) {
            let message = format!("expected version {expected} of the schema, found version {}", before.version);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let unchanged = before.schema.as_ref().is_some_and(|(_, in_force)| *in_force == schema);
        let change = Change { collection, documents, schema: &schema, before: &before, since: before.since };
        match existing {
            Existing::Refuse => change.after_judging(unchanged, progress).await,
            Existing::Report => change.before_judging(unchanged, progress).await,
        }
    }
}

/// One change under way.
struct Change<'a> {
    collection: &'a Collection,
    documents: &'a Scope,
    schema: &'a Schema,
    before: &'a InForce,
    /// The revision of the collection's entry, as this change knows it: its own, once it has closed the collection.
    since: Option<Revision>,
}

impl Change<'_> {
    /// First in force, then judged as of that commit: what came after it was judged when it was written.
    async fn before_judging(self, unchanged: bool, progress: Box<dyn FnMut(Progress) + Send + '_>) -> Result<SchemaChange> {
        let view = if unchanged {
            self.documents.view().await?
        } else {
            let revision = self.put_in_force(None).await.map_err(|error| self.overtaken(error))?;
            self.documents.view_at(revision).await?
        };
        let survey = survey(self.documents, self.schema, &view, progress).await?;
        Ok(SchemaChange { version: self.version(unchanged), unchanged, survey })
    }

    async fn after_judging(
        mut self,
        unchanged: bool,
        progress: Box<dyn FnMut(Progress) + Send + '_>,
    ) -> Result<SchemaChange> {
        let view = self.documents.view().await?;
        let survey = survey(self.documents, self.schema, &view, progress).await?;
        if survey.violating > 0 {
            return Err(self.refused(survey));
        }
        if unchanged {
            return Ok(SchemaChange { version: self.before.version, unchanged, survey });
        }
        let result = self.until_quiet(view, survey).await;
        if result.is_err() && self.since != self.before.since {
            // Where this fails, too, the collection opens by itself.
            let _ = self.mark(None).await;
        }
        result
    }

    /// Puts the schema in force at a moment at which every document has been judged.
    async fn until_quiet(&mut self, mut view: View, mut survey: Survey) -> Result<SchemaChange> {
        for round in 0..ROUNDS_MAX {
            match self.put_in_force(Some(&view)).await {
                Ok(revision) => {
                    survey.revision = revision;
                    return Ok(SchemaChange { version: self.version(false), unchanged: false, survey });
                }
                // A conflict over no address is one over the range of the documents.
                Err(error) if error.as_conflict().is_some_and(|conflict| conflict.address.is_none()) => {}
                Err(error) => return Err(self.overtaken(error)),
            }
            if round >= OPEN_ROUNDS || (round > 0 && survey.looked_at <= FEW_CHANGES) {
                let until = self.collection.world.now().after(CLOSED_FOR);
                self.since = Some(self.mark(Some(until)).await.map_err(|error| self.overtaken(error))?);
            }
            let later = self.documents.view().await?;
            survey = self.changed(&view, &later).await?;
            if survey.violating > 0 {
                return Err(self.refused(survey));
            }
            view = later;
        }
        let message = format!("others write to the collection {:?} without end", self.collection.name);
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// Judges what is not the same in two views.
    async fn changed(&self, earlier: &View, later: &View) -> Result<Survey> {
        let mut survey = Survey { revision: later.revision(), ..Survey::default() };
        let mut differences = self.documents.diff("", earlier, later)?;
        while let Some(page) = differences.next().await? {
            let now: Vec<Entry> = page.into_iter().filter_map(|difference| difference.after).collect();
            survey.judge(self.schema, &now)?;
        }
        Ok(survey)
    }

    /// Commits the schema, if the collection's entry is as it was seen, and, where `judged` is given, so are all documents.
    async fn put_in_force(&self, judged: Option<&View>) -> Result<Revision> {
        let Self { collection, schema, .. } = self;
        let version = self.before.version + 1;
        let text = larder_core::Value::json(schema.text().clone())?;
        let settings = collection.settings.commit();
        let mut commit = settings
            .check(&*collection.name, InForce { since: self.since, ..InForce::default() }.condition())
            .set(settings::version_key(&collection.name, version)?, text)
            .set(&*collection.name, Stored { version, closed_until_ms: None }.write())
            .within(self.documents);
        if let Some(view) = judged {
            commit = commit.check_unchanged("", view.revision(), view.time());
        }
        Ok(commit.await?.revision)
    }

    /// Closes the collection until a moment, or opens it.
    async fn mark(&self, until: Option<Timestamp>) -> Result<Revision> {
        let stored = Stored { version: self.before.version, closed_until_ms: until.map(Timestamp::as_millis) };
        let name = &*self.collection.name;
        let in_force = InForce { since: self.since, ..InForce::default() };
        let commit = in_force.guard(self.collection.settings.commit(), name);
        Ok(commit.set(name, stored.write()).await?.revision)
    }

    fn version(&self, unchanged: bool) -> u64 {
        self.before.version + u64::from(!unchanged)
    }

    /// A conflict over the collection's entry means that somebody else changes the schema.
    fn overtaken(&self, error: Error) -> Error {
        match error.as_conflict().map(|conflict| conflict.part) {
            Some(Part::Check(0)) => {
                let message = format!("somebody else has changed the schema of {:?} meanwhile", self.collection.name);
                error.as_kind(ErrorKind::Conflict, message)
            }
            _ => error,
        }
    }

    fn refused(&self, survey: Survey) -> Error {
        let message = format!("the schema cannot be put in force in the collection {:?}", self.collection.name);
        Error::new(ErrorKind::InvalidState, message).caused_by(survey)
    }
}

impl fmt::Debug for SetSchema<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSchema").field("collection", &self.collection.name).finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for SetSchema<'a> {
    type Output = Result<SchemaChange>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
