//! A `larder watch` that runs, and what it prints.

use std::process::Child;

use serde_json::Value;

use crate::{
    pipes::Lines,
    sandbox::{Answer, Sandbox, answer},
};

/// Fewer lines than this come before an end that is waited for.
const REST_LINES_MAX: usize = 20_000;

/// A watch that runs; it is ended when the test is.
pub(crate) struct Watching {
    pub(crate) child: Child,
    out: Option<Lines>,
}

impl Watching {
    pub(crate) fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut child = sandbox.command(["watch"].iter().chain(arguments)).spawn().expect("the program starts");
        let out = child.stdout.take().map(Lines::new);
        Self { child, out }
    }

    fn next(&self) -> Vec<u8> {
        self.out.as_ref().expect("the pipe is open").next()
    }

    /// The next line, once it is there.
    pub(crate) fn line(&self) -> String {
        let line = String::from_utf8(self.next()).expect("lines are text");
        line.strip_suffix('\n').unwrap_or_else(|| panic!("the watch ended after {line:?}")).to_owned()
    }

    pub(crate) fn event(&self) -> Value {
        event(&self.line())
    }

    /// The whole lines up to the end of what it prints. The last one may be cut, in the middle of a character even.
    pub(crate) fn rest(&self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.next().strip_suffix(b"\n") {
            lines.push(String::from_utf8(line.to_owned()).expect("lines are text"));
            assert!(lines.len() < REST_LINES_MAX, "it does not end, and tells {:?}", lines.last());
        }
        lines
    }

    /// Kills it, and gives the whole lines that were on the way.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it runs");
        self.rest()
    }

    /// Closes the read end of its pipe.
    pub(crate) fn close(&mut self) {
        if let Some(out) = self.out.take() {
            out.close();
        }
    }

    /// How it ends after the read end of its pipe is closed.
    pub(crate) fn unread(mut self) -> (i32, String) {
        self.close();
        let Answer { status, error, .. } = answer(&mut self.child);
        (status, error)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself; a test that fails must leave nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn event(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

pub(crate) fn events(answer: &Answer) -> Vec<Value> {
    answer.lines().into_iter().map(event).collect()
}

/// What `watch` with `arguments` printed before it had `count` events.
pub(crate) fn first(sandbox: &Sandbox, count: usize, arguments: &[&str]) -> Answer {
    sandbox.ok(["watch", "--count", &count.to_string()].iter().chain(arguments))
}

pub(crate) fn number(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("{field} is no number in {event}"))
}

pub(crate) fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {event}"))
}
