//! `txn`: a transaction from the standard input, a line a command, by hand or from a script.

mod line;
mod work;

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::Args;
use larder::{Error, ErrorKind, Expected};
use serde_json::json;

use crate::{
    failure::Failure,
    input,
    output::Output,
    session::{Missing, Session},
    text::counted,
};
use line::{COMMANDS, Line};
use work::{Answer, Work};

/// The longest line: the largest value, every byte of it escaped, and what stands around it.
const LINE_BYTES_MAX: u64 = 3 << 20;

/// Read and write as one transaction, with commands from the standard input, one a line
#[derive(Args, Debug)]
#[command(after_help = help())]
pub(crate) struct TxnArguments {}

fn help() -> String {
    format!(
        "\
Commands, with words as a shell splits them, what has spaces or quotes in quotes, and # before a comment:
{COMMANDS}

Everything that is read is as of one moment, with what was written before it in the same transaction. It happens at the \
commit, as if it had been alone: when anything that was read has changed by then, keys that came or went in a range \
included, nothing is written and the exit status is 4; run it again then.

Each answer goes out at once: key, tab, value for get, scan and add; lists end with how many keys there are. With --json \
an answer is one line of JSON, and what this transaction has written itself has revision 0. From a script the first error \
ends it, and so does an end of the input without commit or rollback: nothing is written then, and the exit status is not \
0. What comes after commit or rollback is not read.

Examples:
  larder txn                                    by hand, at a terminal
  printf '%s\\n' 'add from -5' 'add to 5' commit | larder txn
  larder txn --json < transfer.txt"
    )
}

pub(crate) async fn run(session: &mut Session) -> Result<(), Failure> {
    let store = session.open(Missing::Create).await?;
    let output = &mut session.output;
    let mut input = Input { number: 0, by_hand: io::stdin().is_terminal() };
    let mut work = Work::begin(store);
    loop {
        let line = match input.next() {
            Ok(None) => return Err(unfinished(input.number)),
            Ok(Some(text)) => Line::parse(&text),
            Err(error) => return Err(error.into()),
        };
        let answer = match line {
            Ok(None) => continue,
            Ok(Some(Line::Commit)) => return commit(output, work, input.number).await,
            Ok(Some(Line::Rollback)) => {
                return Ok(output.done(&json!({ "command": "rollback" }), "rolled back")?);
            }
            Ok(Some(line)) => work.answer(input.number, line).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => tell(output, &answer)?,
            // Who sits there can try another one.
            Err(error) if input.by_hand => Failure::from(error).tell(output.json),
            Err(error) => return Err(at(input.number, error, "rolled back, and nothing was written").into()),
        }
    }
}

async fn commit(output: &mut Output, work: Work, line: u64) -> Result<(), Failure> {
    let receipt = match work.commit().await {
        Ok(receipt) => receipt,
        Err(error) if error.kind() == ErrorKind::Conflict && !is_taken(&error) => {
            let hint = "run it again: it reads what is there by then";
            return Err(Failure::hinted(at(line, error, ""), hint));
        }
        Err(error) => return Err(at(line, error, "").into()),
    };
    let (writes, revision) = (receipt.writes.len() as u64, receipt.revision);
    let json = json!({ "command": "commit", "revision": revision.get(), "writes": writes });
    Ok(output.done(&json, format_args!("committed {}: revision {revision}", counted(writes, "write", "writes")))?)
}

/// Whether a unique index is the reason, which is the same when it runs again.
fn is_taken(error: &Error) -> bool {
    error.as_conflict().is_some_and(|conflict| matches!(conflict.expected, Expected::Unique(_)))
}

fn tell(output: &mut Output, answer: &Answer) -> Result<(), Failure> {
    if output.json {
        output.line(&answer.json)?;
    } else if !(output.quiet && answer.is_said_only) {
        for line in &answer.lines {
            output.line(line)?;
        }
    }
    // Whoever asked may be waiting for it with the next line.
    Ok(output.flush()?)
}

/// The same error, with its line and what came of it.
fn at(line: u64, error: Error, outcome: &str) -> Error {
    let kind = error.kind();
    let outcome = if outcome.is_empty() { String::new() } else { format!("; {outcome}") };
    let message = format!("line {line}: {}{outcome}", error.message());
    error.as_kind(kind, message)
}

fn unfinished(lines: u64) -> Failure {
    let message = format!("the input ended after line {lines} without commit or rollback: nothing was written");
    Failure::hinted(Error::invalid(message), "a line `commit` at its end makes it happen")
}

/// The lines of the standard input.
struct Input {
    /// The line that was read last; the first is 1.
    number: u64,
    /// Whether somebody types them.
    by_hand: bool,
}

impl Input {
    fn next(&mut self) -> Result<Option<String>, Error> {
        const NAME: &str = "the standard input";
        if self.by_hand {
            // Without a prompt it works as well.
            let _ = write!(io::stderr(), "> ");
        }
        let mut bytes = Vec::new();
        let most = LINE_BYTES_MAX + 1;
        io::stdin().lock().take(most).read_until(b'\n', &mut bytes).map_err(|error| input::unreadable(NAME, error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let line = |message: &str| Error::invalid(format!("line {}: {message}; nothing was written", self.number));
        if bytes.len() as u64 == most {
            return Err(line("it is longer than any that could be understood"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(line("it is not UTF-8")),
        }
    }
}
