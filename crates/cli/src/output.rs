//! The standard output, for people or as JSON; it decides nothing and knows no store.

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal, Stdout, Write},
};

use serde::Serialize;

/// Where answers go. What is written stays in a buffer until [`Output::flush`].
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, out: BufWriter::with_capacity(64 << 10, io::stdout()) }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.out.get_ref().is_terminal()
    }

    /// An answer that was asked for.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// What was done: `json` says it for programs, `text` for people who did not ask for quiet.
    pub(crate) fn done(&mut self, json: &impl Serialize, text: impl Display) -> io::Result<()> {
        match (self.json, self.quiet) {
            (true, _) => self.json(json),
            (false, false) => self.line(text),
            (false, true) => Ok(()),
        }
    }

    /// A JSON answer, on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.raw(b"\n")
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
