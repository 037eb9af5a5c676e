//! Why a command failed, as text or JSON, and with which exit status it ends.
//!
//! The library says what was met; here it is said what to type next. This module must not know which command it was,
//! apart from the hint that the command itself has left.

use std::io::{self, Write as _};

use larder::{
    Conflict, Error, ErrorKind, Expected, Found, Resource,
    documents::{Survey, Violations, Violator},
};
use serde_json::{Value, json};

use crate::text::{grouped, one_line, shell};

/// How many violated rules of one document people are told.
const TOLD_MAX: usize = 20;

/// Why a command ends with another exit status than 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments do not fit together in a way that the parser of arguments cannot see.
    Usage(String),
    /// The store, or a file, said no.
    Store {
        /// What was met.
        error: Error,
        /// What to do next, where the command knows better than the kind of the error tells.
        hint: Option<String>,
    },
    /// What was to be printed could not be.
    Output(io::Error),
    /// The answer was no, and it has been given already.
    Answered(u8),
}

impl Failure {
    /// An error, and what to do next.
    pub(crate) fn hinted(error: Error, hint: impl Into<String>) -> Self {
        Self::Store { error, hint: Some(hint.into()) }
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Store { error, .. } => error.kind().exit_status(),
            // Who closed the pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => ErrorKind::Unavailable.exit_status(),
            Self::Answered(status) => *status,
        }
    }

    /// Says on the standard error stream what went wrong.
    pub(crate) fn tell(&self, json: bool) {
        let text = match self {
            Self::Answered(_) => return,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
            _ if json => json!({ "error": self.as_json() }).to_string(),
            Self::Usage(message) => format!("error: {message}\n\nFor more information, try '--help'."),
            Self::Output(error) => format!("error: the output cannot be written: {error}"),
            Self::Store { error, hint } => match hint.clone().or_else(|| next_step(error)) {
                Some(hint) => format!("error: {}\n next: {hint}", worded(error)),
                None => format!("error: {}", worded(error)),
            },
        };
        // When even that stream is closed there is nobody left to tell; the exit status still does.
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn as_json(&self) -> Value {
        match self {
            Self::Usage(message) => json!({ "code": "usage", "message": message }),
            Self::Output(error) => {
                json!({ "code": "unavailable", "message": format!("the output cannot be written: {error}") })
            }
            Self::Answered(_) => Value::Null,
            Self::Store { error, hint } => {
                let mut body = json!({ "code": error.kind().code(), "message": error.to_string() });
                let mut set = |name: &str, value: Value| body[name] = value;
                if let Some(hint) = hint.clone().or_else(|| next_step(error)) {
                    set("next", hint.into());
                }
                if let Some(conflict) = error.as_conflict() {
                    if let Some(address) = &conflict.address {
                        set("namespace", address.namespace.as_str().into());
                        set("key", address.key.as_str().into());
                    }
                    set("expected", expected(&conflict.expected));
                    set("found", found(conflict.found));
                }
                if let Some(violations) = error.cause::<Violations>() {
                    set("violations", json!(violations.all));
                }
                if let Some(survey) = error.cause::<Survey>() {
                    set("documents", violators(survey));
                }
                if let Some(oldest) = error.oldest() {
                    set("oldest", oldest.get().into());
                }
                if let Some(id) = error.unknown_commit() {
                    set("commit", id.to_string().into());
                }
                body
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store { error, hint: None }
    }
}

/// Only ever from writing to the standard output; files name themselves, see [`crate::input`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// The error for people: violated rules stand on lines of their own.
fn worded(error: &Error) -> String {
    let (message, lines) = if let Some(violations) = error.cause::<Violations>() {
        (error.message().to_owned(), violation_lines(violations))
    } else if let Some(survey) = error.cause::<Survey>() {
        let (violating, looked_at) = (grouped(survey.violating), grouped(survey.looked_at));
        (format!("{}: {violating} of {looked_at} documents violate it", error.message()), violator_lines(survey))
    } else {
        return error.to_string();
    };
    let lines: String = lines.into_iter().map(|line| format!("\n  {line}")).collect();
    format!("{message}:{lines}")
}

fn violation_lines(violations: &Violations) -> Vec<String> {
    let mut lines: Vec<String> = violations.all.iter().take(TOLD_MAX).map(|rule| one_line(&rule.to_string())).collect();
    if let more @ 1.. = violations.total.saturating_sub(TOLD_MAX as u64) {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Which documents violate a schema, a line for each violated rule.
pub(crate) fn violator_lines(survey: &Survey) -> Vec<String> {
    let of = |found: &Violator| {
        let id = one_line(&found.id);
        violation_lines(&found.violations).into_iter().map(|line| format!("{id}: {line}")).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = survey.found.iter().flat_map(of).collect();
    if let more @ 1.. = survey.violating.saturating_sub(survey.found.len() as u64) {
        lines.push(format!("and {more} documents more"));
    }
    lines
}

/// Which documents violate a schema, for `--json`.
pub(crate) fn violators(survey: &Survey) -> Value {
    let row = |found: &Violator| json!({ "id": found.id.as_str(), "revision": found.revision.get(), "violations": found.violations.all });
    survey.found.iter().map(row).collect()
}

fn next_step(error: &Error) -> Option<String> {
    let step = match error.kind() {
        ErrorKind::Conflict | ErrorKind::AlreadyExists => return error.as_conflict().and_then(after_conflict),
        ErrorKind::Unavailable => "wait a little and send the same again",
        ErrorKind::OutcomeUnknown => "look whether it happened before you send it again",
        ErrorKind::Corrupt => "stop writing, keep a copy of the file, and restore a backup or an export",
        ErrorKind::Internal => "this is a bug in larder: please report it",
        _ => return None,
    };
    Some(step.to_owned())
}

fn after_conflict(conflict: &Conflict) -> Option<String> {
    let address = conflict.address.as_ref()?;
    let key = shell(&address.key);
    Some(match (&conflict.expected, conflict.found) {
        (Expected::Unique(index), _) => {
            format!("another entry has what the {index:#} allows once; choose another one, or change that entry first")
        }
        (Expected::Within { .. }, _) => format!("nothing was added; `larder get {key}` shows the number as it is"),
        (_, Found::Absent) => "somebody may have deleted it; to create it anew, expect version 0".to_owned(),
        (_, Found::Entry { version, .. }) => {
            format!("read it again with `larder get {key} --json`, and if you still want to, expect version {version}")
        }
        _ => format!("read it again with `larder get {key} --json`"),
    })
}

fn expected(expected: &Expected) -> Value {
    match expected {
        Expected::Absent => json!({ "absent": true }),
        Expected::Exists => json!({ "exists": true }),
        Expected::Version(version) => json!({ "version": version.get() }),
        Expected::Revision(revision) => json!({ "revision": revision.get() }),
        Expected::SameValue => json!({ "same_value": true }),
        Expected::Unchanged(since) => json!({ "unchanged_since": since.get() }),
        Expected::Within { floor, ceiling } => json!({ "floor": floor, "ceiling": ceiling }),
        Expected::AtMost(Resource::Entries, most) => json!({ "entries": most }),
        Expected::AtMost(Resource::Bytes, most) => json!({ "bytes": most }),
        Expected::AtMost(Resource::LogBytes, most) => json!({ "log_bytes": most }),
        Expected::Unique(index) => json!({ "unique": index }),
    }
}

fn found(found: Found) -> Value {
    match found {
        Found::Absent => json!({ "absent": true, "version": 0 }),
        Found::Entry { version, revision } => json!({ "version": version.get(), "revision": revision.get() }),
        Found::Changed(revision) => json!({ "changed_at": revision.get() }),
        Found::Expired => json!({ "expired": true }),
        Found::Trimmed(oldest) => json!({ "oldest": oldest.get() }),
        Found::Head(head) => json!({ "head": head.get() }),
        Found::Number(number) => json!({ "number": number }),
        Found::Usage(usage) => json!({ "number": usage }),
        Found::Taken => json!({ "taken": true }),
    }
}
