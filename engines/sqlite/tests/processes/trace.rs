//! System calls of a child, as `strace` recorded them.

use std::{collections::BTreeMap, fs, path::Path, process::Child};

/// What a child did that matters here, in order.
#[derive(Debug)]
pub(crate) enum Call {
    /// Bytes went to a place in a file.
    Write { file: String, at: usize, bytes: Vec<u8> },
    /// A file got another length.
    Truncate { file: String, length: usize },
    /// What was written to a file before is safe from now on.
    Sync { file: String },
    /// The file is gone.
    Unlink { file: String },
    /// The parent was told.
    Say { line: String },
}

/// The command line that records into `file`.
pub(crate) fn recorder(file: &str) -> Vec<&str> {
    let calls = "--trace=write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat";
    vec![
        "strace",
        "--follow-forks",
        "--decode-fds=path",
        "--strings-in-hex=all",
        "--string-limit=1000000",
        calls,
        "-o",
        file,
    ]
}

/// Waits for a recorded child, which must end well, and reads what it did.
pub(crate) fn read(child: Child, file: &Path) -> Vec<Call> {
    let output = child.wait_with_output().expect("the child ends");
    assert!(output.status.success(), "the child ended with {}", output.status);
    let text = fs::read_to_string(file).expect("strace has written its record");
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (process, rest) = line.split_once(' ').expect("every line begins with a process");
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(process, begun);
        } else if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let begun = unfinished.remove(process).expect("what is resumed was begun");
            calls.extend(call(&format!("{begun}{end}")));
        } else {
            calls.extend(call(rest));
        }
    }
    calls
}

/// One line, if it is a call that went well and matters.
fn call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(')'))?;
    let result = result.trim().trim_start_matches("= ").trim();
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let file = || Some(unhex_path(arguments.split_once('<')?.1.split_once('>')?.0));
    match name {
        "pwrite64" => {
            let bytes = unhex(quoted(arguments)?);
            let at = arguments.rsplit_once(", ")?.1.parse().ok()?;
            assert_eq!(bytes.len(), result.parse::<usize>().ok()?, "a write went through whole");
            Some(Call::Write { file: file()?, at, bytes })
        }
        "write" => {
            let line = String::from_utf8(unhex(quoted(arguments)?)).ok()?;
            line.starts_with("ack ").then(|| Call::Say { line: line.trim_end().to_owned() })
        }
        "ftruncate" => Some(Call::Truncate { file: file()?, length: arguments.rsplit_once(", ")?.1.parse().ok()? }),
        "fsync" | "fdatasync" => Some(Call::Sync { file: file()? }),
        "unlink" | "unlinkat" => Some(Call::Unlink { file: String::from_utf8(unhex(quoted(arguments)?)).ok()? }),
        _ => None,
    }
}

/// What stands between the outermost quotation marks; written in hex it holds none itself.
fn quoted(arguments: &str) -> Option<&str> {
    let start = arguments.find('"')? + 1;
    Some(&arguments[start..arguments.rfind('"')?])
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair| u8::from_str_radix(pair, 16).expect("two hex digits");
    text.split("\\x").skip(1).map(digits).collect()
}

/// A path is written in hex or as it is, depending on the version of strace.
fn unhex_path(text: &str) -> String {
    if text.starts_with("\\x") { String::from_utf8(unhex(text)).expect("a path in UTF-8") } else { text.to_owned() }
}
