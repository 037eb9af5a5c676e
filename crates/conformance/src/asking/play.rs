//! Plays a history: every answer as it should be, or what it was instead.

use std::{fmt::Debug, future::IntoFuture as _, sync::Arc};

use futures_lite::future::block_on;
use larder_core::{
    Action, Aggregated, Answer, Cursor, Entry, ErrorKind, Expected, Filter, Index, Matched, Metadata, MetadataChange, Part,
    Query, Question, Scope, Select, Store, Value, View, World as _, query::Row,
};

use super::{
    Tally,
    plain::{self, Spot},
    scene::{Act, Ask, Deed, Document, Scene},
    unique,
};
use crate::{
    Factory, TestWorld,
    fault::restless::Restless,
    ground::{Ground, namespace, seconds},
};

/// How many entries are restored in one commit.
const RESTORED: usize = 50;

/// Where histories are played, one after the other, each in a namespace of its own.
pub(super) struct Stage<'a> {
    /// Keeps the place.
    _ground: Ground<'a>,
    engine: Arc<Restless>,
    world: TestWorld,
    store: Store,
}

/// A history on its way.
struct Play<'a> {
    stage: &'a Stage<'a>,
    scope: Scope,
    /// Those that were created and not dropped.
    indexes: Vec<Index>,
    views: Vec<View>,
    tally: Tally,
    /// Whether something was asked since documents, or indexes, have changed.
    asked: (bool, bool),
}

type Told<T> = Result<T, String>;

/// `found` has to be `expected`.
fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Told<()> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n  found    {found:?}\n  expected {expected:?}"))
}

fn keys(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.address.key.as_str()).collect()
}

/// `found` has to be `expected`; where the keys differ, they say enough.
fn same_entries(what: &str, found: &[Entry], expected: &[Entry]) -> Told<()> {
    same(what, &keys(found), &keys(expected))?;
    same(what, &found, &expected)
}

impl<'a> Stage<'a> {
    pub(super) fn new(factory: &'a dyn Factory) -> Self {
        let ground = Ground::new(factory, 0);
        let seam = ground.open();
        let engine = Restless::over(seam.engine);
        let store = Store::new(engine.clone(), Arc::new(ground.world.clone()));
        Self { engine, world: ground.world.clone(), store, _ground: ground }
    }

    /// Plays `scene` in the namespace with this number, which has nothing in it yet.
    pub(super) fn play(&self, scene: &Scene, number: u64) -> Told<Tally> {
        // What time it is must not depend on the histories before.
        self.world.set(TestWorld::START);
        let scope = self.store.scope(&namespace(&format!("h{number}"))).expect("a good name");
        let tally = Tally { histories: 1, ..Tally::default() };
        let mut play = Play { stage: self, scope, indexes: Vec::new(), views: Vec::new(), tally, asked: (false, false) };
        for (n, act) in scene.0.iter().enumerate() {
            play.act(act).map_err(|difference| format!("at {}, {difference}", n + 1))?;
        }
        Ok(play.tally)
    }
}

fn commit(scope: &Scope, now: larder_core::Timestamp, deeds: &[Deed]) -> larder_core::Result<larder_core::Receipt> {
    let commit = deeds.iter().fold(scope.commit(), |commit, Deed { key, document }| match document {
        None => commit.delete(key),
        Some(Document { text, opaque, metadata, ttl }) => {
            let value = if *opaque {
                Value::opaque(text.clone())
            } else {
                Value::json(text.clone()).expect("what is drawn is JSON")
            };
            let metadata = Metadata::parse(metadata.as_bytes()).expect("what is drawn is an object");
            let expires_at = ttl.map(|ttl| now.after(seconds(ttl)));
            commit.action(key, Action::Put { value, expires_at, metadata: MetadataChange::Replace(metadata) })
        }
    });
    block_on(commit.into_future())
}

impl Play<'_> {
    fn act(&mut self, act: &Act) -> Told<()> {
        match act {
            Act::Write(deeds) => self.write(deeds),
            Act::Create(index) => self.create(index),
            Act::Drop(index) => self.drop(index),
            Act::Look => {
                self.views.push(block_on(self.scope.view()).expect("a view"));
                Ok(())
            }
            Act::Wait(n) => {
                self.stage.world.step(seconds(*n));
                Ok(())
            }
            Act::Ask(ask) => self.ask(ask),
        }
    }

    /// Everything that is there.
    fn entries(&self) -> Vec<Entry> {
        block_on(self.scope.scan(Select::all())).expect("scans").items
    }

    /// Commits, which has to be refused if a unique index does not allow it, and must not be otherwise.
    fn write(&mut self, deeds: &[Deed]) -> Told<()> {
        let before = self.entries();
        let now = self.stage.world.now();
        let answer = commit(&self.scope, now, deeds);
        let written: Vec<&str> = deeds.iter().map(|deed| deed.key.as_str()).collect();
        let unique: Vec<&Index> = self.indexes.iter().filter(|index| index.is_unique()).collect();
        match answer {
            Ok(_) => {
                let after = self.entries();
                for index in unique {
                    if unique::is_broken(index, &after) {
                        return Err(format!("two entries have the same in the index on {index}"));
                    }
                }
                self.asked.0 = false;
                Ok(())
            }
            Err(error) => {
                self.tally.refused += 1;
                same_entries("what a refused commit left", &self.entries(), &before)?;
                let after = self.after(&before, deeds);
                let long = |index: &&&Index| {
                    let written = after.iter().filter(|entry| written.contains(&entry.address.key.as_str()));
                    written.clone().any(|entry| unique::is_too_long(index, entry))
                };
                match (error.kind(), error.as_conflict().map(|conflict| &conflict.expected)) {
                    (ErrorKind::Limit, _) if unique.iter().any(|index| long(&index)) => Ok(()),
                    (_, Some(Expected::Unique(index))) => {
                        same("an index that does not exist refused", &self.indexes.contains(index), &true)?;
                        same("without need, a unique index refused", &unique::is_broken(index, &after), &true)?;
                        let conflict = error.as_conflict().expect("seen just above");
                        let named = conflict.address.as_ref().is_some_and(|address| written.contains(&address.key.as_str()));
                        same("the conflict names a write", &(matches!(conflict.part, Part::Write(_)) && named), &true)
                    }
                    _ => Err(format!("writing was refused: {error}")),
                }
            }
        }
    }

    /// What would be there after `deeds`, as far as indexes on values are concerned.
    fn after(&self, before: &[Entry], deeds: &[Deed]) -> Vec<Entry> {
        let place = self.stage.store.in_namespace(&namespace("trial")).expect("a good name");
        block_on(place.clear(Select::all()).into_future()).expect("clears");
        let now = self.stage.world.now();
        let restore = |entry: &Entry| Action::Restore {
            value: entry.value.clone(),
            version: entry.version,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
            expires_at: entry.expires_at,
            metadata: entry.metadata.clone(),
        };
        for some in before.chunks(RESTORED) {
            let all = some.iter().fold(place.commit(), |commit, entry| commit.action(&entry.address.key, restore(entry)));
            block_on(all.into_future()).expect("where there is no index nothing is refused");
        }
        commit(&place, now, deeds).expect("where there is no index nothing is refused");
        block_on(place.scan(Select::all())).expect("scans").items
    }

    fn create(&mut self, index: &Index) -> Told<()> {
        let twin = self.indexes.iter().find(|there| there.paths() == index.paths()).cloned();
        let answer = block_on(self.scope.create_index(index.clone()).into_future()).map_err(|error| error.kind());
        let entries = self.entries();
        let broken = index.is_unique() && unique::is_broken(index, &entries);
        let long = index.is_unique() && entries.iter().any(|entry| unique::is_too_long(index, entry));
        match (answer, twin) {
            (Ok(()), Some(twin)) if twin == *index => {}
            (Err(ErrorKind::AlreadyExists), Some(twin)) if twin != *index => {}
            (Ok(()), None) if !broken && !long => self.indexes.push(index.clone()),
            (Err(ErrorKind::InvalidState), None) if broken => self.tally.refused += 1,
            (Err(ErrorKind::Limit), None) if long => self.tally.refused += 1,
            (answer, _) => return Err(format!("creating answered {answer:?}; two the same: {broken}, too long: {long}")),
        }
        self.asked.1 = false;
        self.listed()
    }

    fn drop(&mut self, index: &Index) -> Told<()> {
        let at = self.indexes.iter().position(|there| there.paths() == index.paths());
        let dropped = block_on(self.scope.drop_index(index)).map_err(|error| error.to_string())?;
        same("dropping answers whether there was one", &dropped, &at.is_some())?;
        at.map(|at| self.indexes.remove(at));
        self.asked.1 = false;
        self.listed()
    }

    fn listed(&self) -> Told<()> {
        let listed = block_on(self.scope.indexes()).expect("lists");
        same("all are ready", &listed.iter().all(|info| info.building.is_none()), &true)?;
        let listed: Vec<Index> = listed.into_iter().map(|info| info.index).collect();
        same("the indexes, in the order in which they were created", &listed, &self.indexes)
    }

    fn ask(&mut self, ask: &Ask) -> Told<()> {
        self.tally.questions += 1;
        self.tally.documents += u64::from(!self.asked.0);
        self.tally.indexes += u64::from(!self.asked.1);
        self.asked = (true, true);
        let scope = self.scope.narrowed(ask.prefix).expect("the handle sees everything");
        let view = ask.then.filter(|_| !self.views.is_empty()).map(|then| &self.views[then % self.views.len()]);
        let view = view.map(|view| view.within(&scope).expect("a handle to the same namespace"));
        let entries = match &view {
            Some(view) => block_on(view.scan(Select::all())),
            None => block_on(scope.scan(Select::all())),
        };
        let entries = entries.expect("scans").items;
        self.stage.engine.between_walks(None);
        let walked = match &ask.question {
            Question::Aggregate(aggregate) => {
                let asked = ask.question.clone();
                let answer = match &view {
                    Some(view) => block_on(view.ask(asked)),
                    None => block_on(scope.ask(asked)),
                };
                let kind = |answer: larder_core::Result<Aggregated>| answer.map_err(|error| error.kind());
                let answer = answer.map(|answer| match answer {
                    Answer::Aggregate(answer) => answer,
                    other => panic!("an aggregate was answered {other:?}"),
                });
                same("the answer", &kind(answer), &kind(plain::aggregate(&entries, aggregate)))?;
                self.stage.engine.walks() > 0
            }
            Question::Fields(query, fields) => {
                let answer = match &view {
                    Some(view) => block_on(view.query_fields(query.clone(), fields)),
                    None => block_on(scope.query_fields(query.clone(), fields)),
                };
                let (expected, more) = plain::page(&entries, query, None);
                let rows: Vec<Row> = expected.iter().map(|entry| Row::of(entry, fields)).collect();
                let answer = answer.expect("answers");
                same("the rows", &answer.items, &rows)?;
                same("whether there is more", &answer.next.is_some(), &more)?;
                self.stage.engine.walks() > 0
            }
            Question::Entries(query) => self.pages(ask, query, &scope, view.as_ref(), &entries)?,
        };
        self.tally.walked += u64::from(walked);
        Ok(())
    }

    /// Page by page, while others write in the middle of each and between them. Whether an index was walked.
    fn pages(&mut self, ask: &Ask, query: &Query, scope: &Scope, view: Option<&View>, entries: &[Entry]) -> Told<bool> {
        let answer = |query: Query| -> Matched<Entry> {
            match view {
                Some(view) => block_on(view.query(query)),
                None => block_on(scope.query(query)),
            }
            .expect("answers")
        };
        let mut query = query.clone();
        let mut start = None;
        if let Some(behind) = ask.behind {
            // The cursor of a page of everything that ends there.
            let all = Query { filter: Filter::everything(), limit: Some(behind + 1), offset: 0, ..query.clone() };
            let page = answer(all);
            if let (Some(cursor), Some(last)) = (page.next, page.items.last()) {
                start = Some(Spot::of(last, &query.sort));
                query.after = Some(cursor);
            }
        }
        let (mut entries, mut walked, mut deeds) = (entries.to_vec(), false, ask.meanwhile.iter());
        loop {
            self.meanwhile(&ask.meanwhile);
            let found = answer(query.clone());
            walked |= self.stage.engine.walks() > 0;
            self.stage.engine.between_walks(None);
            if view.is_none() && !ask.meanwhile.is_empty() {
                entries = self.at(scope, &found)?;
            }
            let (expected, more) = plain::page(&entries, &query, start.as_ref());
            same_entries("the page", &found.items, &expected)?;
            same("whether there is more", &found.next.is_some(), &more)?;
            let next: Option<(Cursor, &Entry)> = found.next.zip(found.items.last());
            let Some((cursor, last)) = next.filter(|_| ask.on) else { return Ok(walked) };
            start = Some(Spot::of(last, &query.sort));
            query = Query { after: Some(cursor.to_string().parse().expect("a cursor reads back")), ..query };
            self.tally.pages += 1;
            if let Some(deed) = deeds.next() {
                drop(commit(&self.scope, self.stage.world.now(), std::slice::from_ref(deed)));
            }
        }
    }

    /// Lets `deeds` happen one after the other, between the pieces of an index; what uniqueness does not allow does not.
    fn meanwhile(&self, deeds: &[Deed]) {
        let (scope, world) = (self.scope.clone(), self.stage.world.clone());
        let mut deeds = Vec::from(deeds).into_iter();
        let act = move || {
            if let Some(deed) = deeds.next() {
                drop(commit(&scope, world.now(), &[deed]));
            }
        };
        self.stage.engine.between_walks(Some(Box::new(act)));
    }

    /// What was there at the moment that an answer names, as far as it has not expired since.
    fn at(&self, scope: &Scope, found: &Matched<Entry>) -> Told<Vec<Entry>> {
        let now = self.stage.world.now();
        let view = block_on(scope.view_at(found.revision)).map_err(|error| format!("no such moment: {error}"))?;
        let mut entries = block_on(view.scan(Select::all())).expect("scans").items;
        entries.retain(|entry| !entry.is_expired(now));
        Ok(entries)
    }
}
