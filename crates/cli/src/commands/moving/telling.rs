//! How far a move is, for who watches a terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use larder::moving::{Step, Told};

use crate::{
    session::Session,
    text::{counted, grouped, size},
};

/// How often progress is shown.
const EVERY: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Telling {
    began: Instant,
    /// When it was last shown; `None` where nobody watches.
    shown: Option<Instant>,
    /// What had arrived when this run began.
    first: Option<u64>,
}

impl Telling {
    pub(crate) fn begin(session: &Session) -> Self {
        let watched = io::stderr().is_terminal() && !session.output.quiet;
        let began = Instant::now();
        Self { began, shown: watched.then_some(began), first: None }
    }

    pub(crate) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows how far a copy is.
    pub(crate) fn told(&mut self, told: &Told) {
        let progress = &told.progress;
        let arrived = progress.entries + progress.commits;
        let first = *self.first.get_or_insert(arrived);
        let rate = (arrived - first) as f64 / self.began.elapsed().as_secs_f64();
        self.show(|| match (progress.step, told.indexed) {
            _ if told.verified.is_some() => {
                format!("{} compared", counted(told.verified.unwrap_or(0), "entry", "entries"))
            }
            (_, Some(entries)) => format!("{} in the index", counted(entries, "entry", "entries")),
            (Step::Entries, _) => {
                let all = told.entries.map_or_else(String::new, |all| format!(" of {}", grouped(all.max(progress.entries))));
                let (entries, bytes) = (grouped(progress.entries), size(progress.bytes));
                format!("{entries}{all} entries, {bytes}, {} a second", grouped(rate as u64))
            }
            _ => {
                let behind = told.head.map_or(0, |head| head.get().saturating_sub(progress.position().revision.get()));
                let commits = counted(progress.commits, "commit", "commits");
                format!("{commits} repeated, {} revisions behind, {} a second", grouped(behind), grouped(rate as u64))
            }
        });
    }

    /// Shows how much was looked at.
    pub(crate) fn looked(&mut self, entries: u64) {
        self.show(|| counted(entries, "entry", "entries"));
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        let Some(shown) = self.shown.as_mut().filter(|shown| shown.elapsed() >= EVERY) else { return };
        *shown = Instant::now();
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{}", text());
    }

    /// Takes the progress away again.
    pub(crate) fn end(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
