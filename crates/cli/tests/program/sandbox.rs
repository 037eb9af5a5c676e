//! A folder in which the program runs, and what it answers.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

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

pub(crate) fn answer(child: Child) -> Answer {
    let output = child.wait_with_output().expect("the program ends");
    Answer {
        status: output.status.code().expect("the program ends by itself"),
        bytes: output.stdout,
        error: String::from_utf8(output.stderr).expect("messages are text"),
    }
}
