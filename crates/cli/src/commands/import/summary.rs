//! What an import tells: while it runs, on a terminal; at its end, to everyone.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{batch::Place, writer::Totals};
use crate::{
    commands::read::get_command,
    failure::Failure,
    session::Session,
    text::{counted, grouped, seconds, size},
};

/// How many bad records are told in detail.
const BAD_SHOWN: usize = 10;
/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Summary {
    began: Instant,
    /// When progress was last shown; `None` where nobody watches.
    shown: Option<Instant>,
    bad: u64,
    first_bad: Vec<Bad>,
}

#[derive(Debug, Serialize)]
struct Bad {
    place: String,
    reason: String,
}

#[derive(Serialize)]
struct Row<'a> {
    entries: u64,
    bytes: u64,
    milliseconds: u64,
    revision: Option<u64>,
    created: u64,
    overwritten: u64,
    repeated: u64,
    skipped_existing: u64,
    skipped_bad: u64,
    bad: &'a [Bad],
    namespaces: u64,
    indexes: u64,
}

impl Summary {
    pub(super) fn begin(session: &Session) -> Self {
        let watched = io::stderr().is_terminal() && !session.output.quiet;
        let began = Instant::now();
        Self { began, shown: watched.then_some(began), bad: 0, first_bad: Vec::new() }
    }

    pub(super) fn bad(&mut self, place: Place, reason: String) {
        self.bad += 1;
        if self.first_bad.len() < BAD_SHOWN {
            self.first_bad.push(Bad { place: place.to_string(), reason });
        }
    }

    pub(super) fn progress(&mut self, totals: &Totals) {
        let Some(shown) = self.shown.as_mut().filter(|shown| shown.elapsed() >= PROGRESS_EVERY) else { return };
        *shown = Instant::now();
        let rate = totals.entries() as f64 / self.began.elapsed().as_secs_f64();
        let entries = counted(totals.entries(), "entry", "entries");
        let (bytes, rate) = (size(totals.bytes), grouped(rate as u64));
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{entries}, {bytes}, {rate} a second");
    }

    /// Takes the progress away again.
    pub(super) fn progress_ends(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    pub(super) fn tell(&self, session: &mut Session, totals: &Totals) -> Result<(), Failure> {
        let took = self.began.elapsed();
        let revision = totals.revision.map(|revision| revision.get());
        if session.output.json {
            let row = Row {
                entries: totals.entries(),
                bytes: totals.bytes,
                milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                revision,
                created: totals.created,
                overwritten: totals.overwritten,
                repeated: totals.repeated,
                skipped_existing: totals.existing,
                skipped_bad: self.bad,
                bad: &self.first_bad,
                namespaces: totals.namespaces,
                indexes: totals.indexes,
            };
            return Ok(session.output.json(&row)?);
        }
        self.tell_bad();
        if session.output.quiet {
            return Ok(());
        }
        let entries = counted(totals.entries(), "entry", "entries");
        let mut text = format!("imported {entries}, {}, in {}", size(totals.bytes), seconds(took));
        if let Some(revision) = revision {
            text.push_str(&format!(", at revision {revision}"));
        }
        let output = &mut session.output;
        output.line(text)?;
        for (count, one, many) in [
            (totals.overwritten, "replaced what was there", "replaced what was there"),
            (
                totals.repeated,
                "record was replaced by a later one with the same key",
                "records were replaced by later ones with the same key",
            ),
            (
                totals.existing,
                "record was left out, as its key was there",
                "records were left out, as their keys were there",
            ),
            (totals.namespaces, "namespace was created", "namespaces were created"),
            (totals.indexes, "index was created", "indexes were created"),
            (self.bad, "bad record was skipped", "bad records were skipped"),
        ] {
            if count > 0 {
                output.line(format_args!("  {}", counted(count, one, many)))?;
            }
        }
        Self::tell_next(session, totals)
    }

    /// Bad records are told on the error stream, also to those who want quiet.
    fn tell_bad(&self) {
        let mut text = String::new();
        for bad in &self.first_bad {
            text.push_str(&format!("skipped {}: {}\n", bad.place, bad.reason));
        }
        let more = self.bad - self.first_bad.len() as u64;
        if more > 0 {
            text.push_str(&format!("skipped {} more\n", grouped(more)));
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }

    fn tell_next(session: &mut Session, totals: &Totals) -> Result<(), Failure> {
        let Some((namespace, key)) = &totals.sample else { return Ok(()) };
        // An export may have filled other namespaces than the one of this call.
        if session.settings.namespace.is_none() && !namespace.is_default() {
            session.settings.namespace = Some(namespace.as_str().to_owned());
        }
        let (call, get) = (session.call(), get_command(session, key));
        let output = &mut session.output;
        output.line(format_args!("\nTry next:\n  {call} list --limit 5\n  {get}\n  {call} status"))?;
        Ok(())
    }
}
