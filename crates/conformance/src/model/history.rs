//! A history: one step after the other, each told to the engine and to the oracle.
//!
//! A step is nothing but a seed. What it does it draws from that and from what there is, so a step can be left out of a
//! history and the others remain what they are, as far as they do not build on it.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use futures_lite::future::block_on;
use larder_core::{
    Action, Address, Change, ChangesQuery, Check, Commit, Condition, Durability, Engine, ErrorKind, LogOrder, Outcome,
    Range, Timestamp, Trim, Write,
    engine::{Resolution, Scan},
};

use super::{
    Tally,
    answers::{Verdict, brief, good, holds, same},
    draw::{Draw, addresses, brief_commit, brief_range, clock},
    oracle::{Oracle, Prediction},
};
use crate::{Site, TestWorld, random::Random};

/// How many handles a history works with at most.
const HANDLES: u64 = 4;

/// A place with a store in it, what the store must be, and who works with it.
pub(super) struct History<'a> {
    site: &'a dyn Site,
    handles: Vec<Arc<dyn Engine>>,
    oracle: Oracle,
    now: Timestamp,
    /// Every commit of this history that was sent, or whose id somebody has asked for.
    sent: Vec<Commit>,
    pub(super) tally: Tally,
    /// What was done and answered, where somebody wants to read it.
    pub(super) told: Option<Vec<String>>,
}

impl<'a> History<'a> {
    /// The empty history of a fresh place.
    pub(super) fn new(site: &'a dyn Site, aloud: bool) -> Verdict<Self> {
        let first = good("opening a fresh place", block_on(site.open()))?;
        let status = good("the status of a fresh place", block_on(first.status(TestWorld::START)))?;
        let mut history = Self {
            site,
            handles: vec![first],
            oracle: Oracle::new(status.lineage),
            now: TestWorld::START,
            sent: Vec::new(),
            tally: Tally::default(),
            told: None,
        };
        // Every history begins where something has been before, the first one too.
        let commit = history.draw(&mut Random::new(0)).commit();
        history.commit(0, vec![commit])?;
        history.wipe()?;
        history.told = aloud.then(Vec::new);
        Ok(history)
    }

    /// Takes every step, looks at everything, and leaves the place empty for the next history.
    pub(super) fn run(&mut self, steps: &[u64]) -> Verdict {
        for step in steps {
            self.step(&mut Random::new(*step))?;
            self.tally.steps += 1;
        }
        for handle in 0..self.handles.len() {
            self.look_at_everything(handle)?;
        }
        self.tally.histories += 1;
        self.wipe()
    }

    fn step(&mut self, random: &mut Random) -> Verdict {
        let handle = random.below(self.handles.len() as u64) as usize;
        match random.below(40) {
            0..13 => {
                let count = 1 + random.below(3);
                let group = (0..count).map(|_| self.draw(random).commit()).collect();
                self.commit(handle, group)
            }
            13..15 => match self.sent_before(random) {
                Some(commit) => self.commit(handle, vec![commit]),
                None => Ok(()),
            },
            15 | 16 => {
                // Half of the time it is one that has yet to arrive: it is sent later like the others.
                let commit = if random.once_in(2) { None } else { self.sent_before(random) };
                let commit = commit.unwrap_or_else(|| self.draw(random).commit());
                self.resolve(handle, commit)
            }
            17..19 => self.get(handle, random),
            19..22 => self.scan(handle, random),
            22 if random.once_in(2) => self.count(handle, random),
            22 => self.usage(handle, random),
            23 => self.undo(handle, random),
            24..27 => {
                let query = self.draw(random).changes();
                self.changes(handle, &query)
            }
            27 => self.sweep(handle, random),
            28 => self.status(handle),
            29..33 => {
                let now = self.draw(random).clock();
                self.now = now;
                self.tell(|| format!("the clock is set to {}", clock(now)));
                Ok(())
            }
            33 | 34 => {
                let trim = self.draw(random).trim();
                self.trim(handle, trim)
            }
            35 => self.open_another(handle, random),
            36 => self.reopen(handle),
            37 | 38 => self.give_up(handle, random),
            _ => self.crash(handle, random),
        }
    }

    fn draw<'b>(&'b self, random: &'b mut Random) -> Draw<'b> {
        Draw { random, oracle: &self.oracle, now: self.now }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told.is_some() {
            let line = what();
            self.told.iter_mut().for_each(|told| told.push(line.clone()));
        }
    }

    /// A commit that has been sent, or whose id somebody has asked for.
    ///
    /// Not chosen by its place: it stays the same one when another is left out (rendezvous hashing, Thaler and
    /// Ravishankar 1998).
    fn sent_before(&self, random: &mut Random) -> Option<Commit> {
        let lot = random.bits();
        let drawn = |commit: &&Commit| {
            let chance = commit.id.as_bytes().last_chunk().expect("an id has 16 bytes");
            Random::new(lot ^ u64::from_be_bytes(*chance)).bits()
        };
        self.sent.iter().min_by_key(drawn).cloned()
    }

    fn commit(&mut self, handle: usize, group: Vec<Commit>) -> Verdict {
        let answers = block_on(self.handles[handle].commit(group.clone()));
        holds("an engine answers every commit of a group", answers.len() == group.len(), &answers.len())?;
        for (commit, answer) in group.iter().zip(answers) {
            self.tally.commits += 1;
            self.tell(|| format!("handle {handle} commits {}\n   -> {}", brief_commit(commit), brief(&answer)));
            self.oracle.answered(commit, answer)?;
        }
        self.sent.extend(group);
        Ok(())
    }

    fn resolve(&mut self, handle: usize, commit: Commit) -> Verdict {
        let found = good("resolving", block_on(self.handles[handle].resolve(commit.id)))?;
        self.tell(|| format!("handle {handle} resolves {}\n   -> {found:?}", commit.id));
        same("what became of a commit", &found, &self.oracle.resolve(commit.id))?;
        self.sent.push(commit);
        Ok(())
    }

    fn get(&mut self, handle: usize, random: &mut Random) -> Verdict {
        let all = addresses();
        let asked: Vec<Address> = (0..random.below(9)).map(|_| random.pick(&all)).collect();
        let now = self.draw(random).near();
        let found = good("reading", block_on(self.handles[handle].get(asked.clone(), now)))?;
        self.tell(|| format!("handle {handle} gets {asked:?} at {}", clock(now)));
        self.oracle.got(&asked, now, &found)
    }

    fn scan(&mut self, handle: usize, random: &mut Random) -> Verdict {
        let (scan, entries) = (self.draw(random).scan(), random.once_in(2));
        self.tell(|| {
            let (what, order) = (if entries { "scans" } else { "lists" }, if scan.reverse { ", reversed" } else { "" });
            let range = brief_range(&scan.range);
            format!("handle {handle} {what} {range}{order}, at most {}, at {}", scan.limit, clock(scan.now))
        });
        let engine = &self.handles[handle];
        if entries {
            let found = good("scanning", block_on(engine.scan(scan.clone())))?;
            self.oracle.paged(&scan, &found, Clone::clone)
        } else {
            let found = good("listing", block_on(engine.list(scan.clone())))?;
            self.oracle.paged(&scan, &found, |entry| entry.address.clone())
        }
    }

    fn count(&mut self, handle: usize, random: &mut Random) -> Verdict {
        let (range, now) = (self.draw(random).range(), self.draw(random).near());
        self.tell(|| format!("handle {handle} counts {} at {}", brief_range(&range), clock(now)));
        let found = good("counting", block_on(self.handles[handle].count(range.clone(), now)))?;
        let expected = self.oracle.within(&range, now).count() as u64;
        same("revision and count", &(found.revision, found.value), &(self.oracle.head, expected))
    }

    fn changes(&mut self, handle: usize, query: &ChangesQuery) -> Verdict {
        self.tell(|| {
            let ranges: Vec<String> = query.ranges.iter().map(brief_range).collect();
            let (after, limit, order) = (query.after, query.limit, query.order);
            format!("handle {handle} reads the log after {after}, of {ranges:?}, at most {limit}, {order:?}")
        });
        let found = block_on(self.handles[handle].changes(query.clone()));
        self.oracle.told(query, found)
    }

    fn undo(&mut self, handle: usize, random: &mut Random) -> Verdict {
        let undo = self.draw(random).undo();
        self.tell(|| {
            let range = brief_range(&undo.range);
            format!(
                "handle {handle} undoes {range} after {}, reversed: {}, at most {}",
                undo.after, undo.reverse, undo.limit
            )
        });
        let found = block_on(self.handles[handle].undo(undo.clone()));
        self.oracle.went_back(&undo, found)
    }

    fn usage(&mut self, handle: usize, random: &mut Random) -> Verdict {
        let namespace = self.draw(random).namespace();
        self.tell(|| format!("handle {handle} is asked what {namespace:?} takes"));
        let found = good("the usage", block_on(self.handles[handle].usage(namespace.clone())))?;
        same("what a namespace takes", &(found.revision, found.value), &(self.oracle.head, self.oracle.usage(&namespace)))
    }

    /// Finds what has expired, and deletes it as a keeper does.
    fn sweep(&mut self, handle: usize, random: &mut Random) -> Verdict {
        let limit = random.below(4) as usize;
        let found = good("finding what has expired", block_on(self.handles[handle].expired(self.now, limit)))?;
        self.tell(|| format!("handle {handle} looks for {limit} that have expired\n   -> {found:?}"));
        self.oracle.swept(self.now, limit, &found)?;
        let group = found.into_iter().map(|address| {
            let check = Check::Key { address: address.clone(), condition: Condition::Absent };
            let writes = vec![Write { address, action: Action::Delete }];
            Commit { now: self.now, checks: vec![check], writes, ..self.draw(random).commit() }
        });
        let group: Vec<Commit> = group.collect();
        if group.is_empty() { Ok(()) } else { self.commit(handle, group) }
    }

    fn status(&mut self, handle: usize) -> Verdict {
        let found = good("the status", block_on(self.handles[handle].status(self.now)))?;
        self.tell(|| format!("handle {handle} is asked for the status"));
        self.oracle.stands(self.now, &found)
    }

    fn trim(&mut self, handle: usize, trim: Trim) -> Verdict {
        let found = good("trimming", block_on(self.handles[handle].trim(trim.clone())))?;
        self.tally.trims += 1;
        self.tell(|| {
            let (space, through) = (&trim.namespace, trim.through);
            format!("handle {handle} trims {space:?} through {through}, ids before {} -> {found:?}", clock(trim.ids_before))
        });
        same("what was trimmed", &found, &self.oracle.trim(&trim))
    }

    fn open(&self) -> Verdict<Arc<dyn Engine>> {
        good("opening", block_on(self.site.open()))
    }

    fn open_another(&mut self, handle: usize, random: &mut Random) -> Verdict {
        if self.handles.len() as u64 > random.below(HANDLES) {
            return self.reopen(handle);
        }
        self.tell(|| "one more handle is opened".to_owned());
        self.handles.push(self.open()?);
        Ok(())
    }

    fn reopen(&mut self, handle: usize) -> Verdict {
        self.tally.reopened += 1;
        self.tell(|| format!("handle {handle} is closed and opened again"));
        let engine = self.handles.remove(handle);
        // Where nothing outlives the process, closing would end the store.
        if engine.capabilities().durability != Durability::Volatile {
            good("closing", block_on(engine.close()))?;
            let late = block_on(engine.status(self.now)).map_err(|error| error.kind());
            same("a closed handle says that it is", &late, &Err::<larder_core::engine::EngineStatus, _>(ErrorKind::Closed))?;
        }
        drop(engine);
        self.handles.insert(handle, self.open()?);
        Ok(())
    }

    /// Begins to commit, and goes away: only the ids tell what became of it.
    fn give_up(&mut self, handle: usize, random: &mut Random) -> Verdict {
        let group: Vec<Commit> = (0..=random.below(2)).map(|_| self.draw(random).commit()).collect();
        let (polls, with_handle) = (random.below(3), random.once_in(3));
        let engine = self.handles[handle].clone();
        let mut committing = engine.commit(group.clone());
        for _ in 0..polls {
            if committing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
        }
        drop(committing);
        self.tally.given_up += 1;
        if with_handle {
            drop((engine, self.handles.remove(handle)));
            self.handles.insert(handle, self.open()?);
        }
        self.tell(|| format!("handle {handle} gives up a commit after {polls} polls; it is dropped: {with_handle}"));
        let asked = random.below(self.handles.len() as u64) as usize;
        self.learn(asked, group)
    }

    /// Ends all handles, sometimes in the middle of a commit, where the place can do that, and opens the store anew.
    fn crash(&mut self, handle: usize, random: &mut Random) -> Verdict {
        // Half of the time nothing is under way, and everything that was acknowledged has to be there.
        let busy = random.once_in(2);
        let group: Vec<Commit> = (0..u64::from(busy)).map(|_| self.draw(random).commit()).collect();
        let engine = self.handles[handle].clone();
        let mut committing = busy.then(|| engine.commit(group.clone()));
        if let Some(committing) = committing.as_mut().filter(|_| random.once_in(2)) {
            let _ = committing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        let Some(crashing) = self.site.crash() else {
            // Nothing here outlives the process; going away is all that can happen.
            drop(committing);
            return self.learn(handle, group);
        };
        good("crashing", block_on(crashing))?;
        drop(committing);
        // Of a process that died nobody waits for what it would still have tried.
        let dead = (engine, std::mem::take(&mut self.handles));
        std::thread::spawn(move || drop(dead));
        self.handles.push(self.open()?);
        self.tally.crashed += 1;
        self.tell(|| format!("everything crashed, a commit was under way: {busy}; one handle is open"));
        self.learn(0, group)?;
        self.look_at_everything(0)
    }

    /// Asks what became of a group that nobody waited for; the oracle follows.
    fn learn(&mut self, handle: usize, group: Vec<Commit>) -> Verdict {
        for commit in &group {
            let found = good("resolving", block_on(self.handles[handle].resolve(commit.id)))?;
            self.tell(|| format!("   what became of {}\n   -> {found:?}", brief_commit(commit)));
            match (found, self.oracle.predict(commit)) {
                (Resolution::Committed(receipt), Prediction::Happens(_)) => {
                    self.oracle.answered(commit, Ok(Outcome::Committed(receipt)))?;
                }
                // It never arrived, and now never will.
                (found, _) => same("what became of a commit", &found, &self.oracle.resolve(commit.id))?,
            }
        }
        self.sent.extend(group);
        Ok(())
    }

    fn look_at_everything(&mut self, handle: usize) -> Verdict {
        self.status(handle)?;
        let engine = &self.handles[handle];
        for reverse in [false, true] {
            let scan = Scan { range: Range::all(), reverse, limit: 1_000, now: Timestamp::EPOCH };
            let found = good("scanning", block_on(engine.scan(scan.clone())))?;
            self.oracle.paged(&scan, &found, Clone::clone)?;
            let found = good("listing", block_on(engine.list(scan.clone())))?;
            self.oracle.paged(&scan, &found, |entry| entry.address.clone())?;
        }
        for order in [LogOrder::OldestFirst, LogOrder::NewestFirst { before: None }] {
            let query = ChangesQuery { order, gaps: true, ..ChangesQuery::after(self.oracle.lineage, self.oracle.oldest) };
            self.changes(handle, &query)?;
        }
        Ok(())
    }

    /// Deletes and forgets everything, so that the next history finds the place as good as new.
    fn wipe(&mut self) -> Verdict {
        let writes = self.oracle.entries.keys().map(|address| Write { address: address.clone(), action: Action::Delete });
        let bits = u128::from(self.tally.histories) << 64;
        // Later than any clock of this history, so that none of its ids is in the way of the next one's.
        self.now = self.sent.iter().map(|commit| commit.id.made_at()).fold(self.now, Timestamp::max);
        self.now = self.now.after(std::time::Duration::from_secs(3600));
        let id = larder_core::CommitId::new(self.now, bits);
        let commit = Commit { id, now: self.now, checks: vec![], writes: writes.collect() };
        self.commit(0, vec![commit])?;
        self.trim(0, Trim::new(self.oracle.head, Timestamp::MAX))?;
        self.sent.clear();
        let nothing: &[Change] = &[];
        same("what is left of the log", &&*self.oracle.log, &nothing)
    }
}
