//! A folder in which the program runs, and what it answers.

use std::{
    borrow::BorrowMut,
    ffi::OsStr,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::pipes::{PATIENCE, all_of};

pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// What one run of the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: String,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("text was expected")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the test") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("the test can write its files");
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command.args(arguments).current_dir(self.folder.path()).env_remove("LARDER_STORE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program with `arguments`.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Answer {
        answer(self.command(arguments).spawn().expect("the program starts"))
    }

    /// Runs the program, which has to end well, and gives what it printed.
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.status, 0, "{answer:?}");
        answer
    }

    /// Runs the program with `input` on its standard input.
    pub(crate) fn feed<A: AsRef<OsStr>>(&self, input: impl AsRef<[u8]>, arguments: impl IntoIterator<Item = A>) -> Answer {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("the input is a pipe");
        // A program that refuses its arguments does not read; that is its right.
        let _ = stdin.write_all(input.as_ref());
        drop(stdin);
        answer(child)
    }
}

/// What `child` prints until it ends, which it has to do in time.
pub(crate) fn answer(mut child: impl BorrowMut<Child>) -> Answer {
    let child = child.borrow_mut();
    drop(child.stdin.take());
    let (out, error) = (all_of(child.stdout.take()), all_of(child.stderr.take()));
    let (Ok(bytes), Ok(error)) = (out.recv_timeout(PATIENCE), error.recv_timeout(PATIENCE)) else {
        // It hangs, and nobody else would end it.
        let _ = child.kill();
        let _ = child.wait();
        panic!("the program does not end");
    };
    let status = child.wait().expect("a child can be waited for");
    Answer {
        status: status.code().expect("the program ends by itself"),
        bytes,
        error: String::from_utf8(error).expect("messages are text"),
    }
}
