//! An import of which every commit is known before it is made, so that whoever watches it can be checked.
//!
//! Groups of neighbours share a namespace and the next group has the other one, which makes each group a commit of its
//! own. What is imported over something makes two commits: one that deletes what is there, one that creates.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Child, ChildStdin, Stdio},
};

use larder::{Change, ChangeKind};
use serde_json::Value;

use crate::{
    sandbox::Sandbox,
    watching::{number, text},
};

/// The namespaces that take turns.
pub(crate) const NAMESPACES: [&str; 2] = ["n0", "n1"];
/// How many prefixes the keys of a namespace begin with.
pub(crate) const PREFIXES: usize = 32;

/// Every so often a group is large: as JSON it is more than a pipe holds, so a watch can only be killed inside of it.
const LARGE_EVERY: usize = 61;
const LARGE: usize = 400;

/// A number of `small` for every day, and of `full` where `LARDER_SOAK` is 1.
pub(crate) fn size(small: usize, full: usize) -> usize {
    if std::env::var("LARDER_SOAK").is_ok_and(|soak| soak == "1") { full } else { small }
}

/// What a watcher has to be told of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) namespace: String,
    pub(crate) key: String,
    pub(crate) kind: &'static str,
    /// The value: of what was created, or of what was deleted.
    pub(crate) value: String,
}

impl Told {
    /// As `larder watch --json` tells it.
    pub(crate) fn by_line(event: &Value) -> Self {
        let (kind, side) = match text(event, "kind") {
            "created" => ("created", "entry"),
            "deleted" => ("deleted", "previous"),
            other => panic!("nothing was {other}"),
        };
        Self {
            namespace: text(event, "namespace").to_owned(),
            key: text(event, "key").to_owned(),
            kind,
            value: number(&event[side], "value").to_string(),
        }
    }

    /// As the library tells it.
    pub(crate) fn by_change(change: &Change) -> Self {
        let (kind, side) = match change.kind {
            ChangeKind::Created => ("created", &change.after),
            ChangeKind::Deleted => ("deleted", &change.before),
            other => panic!("nothing was {}", other.as_str()),
        };
        let entry = side.as_ref().expect("a change has the side that it is about");
        Self {
            namespace: change.address.namespace.as_str().to_owned(),
            key: change.address.key.as_str().to_owned(),
            kind,
            value: String::from_utf8(entry.value.bytes().to_vec()).expect("numbers are text"),
        }
    }
}

/// The commits of an import, in order.
pub(crate) struct Script {
    commits: Vec<Vec<Told>>,
    /// The lines of the export, with the number of changes up to the group to which each belongs.
    lines: Vec<(usize, String)>,
    changes: usize,
}

impl Script {
    /// At least `changes_min` changes; a quarter of them create keys that are new.
    pub(crate) fn new(changes_min: usize) -> Self {
        // As many keys in each namespace; enough that no group has one twice.
        let keys = (changes_min / 8).max(LARGE);
        let mut script = Self { commits: Vec::new(), lines: Vec::new(), changes: 0 };
        let mut standing: BTreeMap<(usize, usize), String> = BTreeMap::new();
        let mut next = [0; 2];
        let mut value = 0;
        for group in 0.. {
            if script.changes >= changes_min {
                break;
            }
            let turn = group % 2;
            let large = group % LARGE_EVERY == LARGE_EVERY - 1;
            let (mut deleted, mut created) = (Vec::new(), Vec::new());
            for _ in 0..if large { LARGE } else { 1 + group * 7 % 5 } {
                let place = next[turn] % keys;
                next[turn] += 1;
                value += 1;
                let key = format!("p{:02}/{place}", place % PREFIXES);
                let told = |kind, value| Told { namespace: NAMESPACES[turn].to_owned(), key: key.clone(), kind, value };
                if let Some(before) = standing.insert((turn, place), value.to_string()) {
                    deleted.push(told("deleted", before));
                }
                script.lines.push((script.changes, record(NAMESPACES[turn], &key, value)));
                created.push(told("created", value.to_string()));
            }
            for commit in [deleted, created].into_iter().filter(|commit| !commit.is_empty()) {
                script.changes += commit.len();
                script.commits.push(commit);
            }
        }
        script
    }

    pub(crate) fn changes(&self) -> usize {
        self.changes
    }

    pub(crate) fn commits(&self) -> &[Vec<Told>] {
        &self.commits
    }

    /// The process that makes it true; it goes on as it is fed.
    pub(crate) fn writer(&self, sandbox: &Sandbox) -> Writer<'_> {
        let mut command = sandbox.command(["import", "-", "--overwrite", "--quiet", "--durability", "relaxed"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("the input is a pipe");
        input.write_all(b"{\"larder\":\"export\",\"format\":1}\n").expect("the writer reads");
        Writer { child, input, lines: self.lines.iter(), entries: self.lines.len() }
    }
}

fn record(namespace: &str, key: &str, value: usize) -> String {
    let at = "2020-01-01T00:00:00Z";
    format!(
        "{{\"namespace\":\"{namespace}\",\"key\":\"{key}\",\"version\":1,\"created_at\":\"{at}\",\"updated_at\":\"{at}\",\
         \"metadata\":{{}},\"value\":{value}}}\n"
    )
}

/// A `larder import` that runs.
pub(crate) struct Writer<'a> {
    child: Child,
    input: ChildStdin,
    lines: std::slice::Iter<'a, (usize, String)>,
    entries: usize,
}

impl Writer<'_> {
    /// Hands over what makes the first `changes` changes, as far as that has not been done. What of it belongs to the last
    /// group may be committed only when the next begins.
    pub(crate) fn feed(&mut self, changes: usize) {
        let rest = self.lines.as_slice();
        let (some, rest) = rest.split_at(rest.partition_point(|(before, _)| *before < changes));
        let text: String = some.iter().map(|(_, line)| line.as_str()).collect();
        self.input.write_all(text.as_bytes()).expect("the writer reads");
        self.lines = rest.iter();
    }

    /// Hands over the rest, and gives the process, which ends when it has done its work.
    pub(crate) fn finish(mut self) -> Child {
        self.feed(usize::MAX);
        let end = format!("{{\"larder\":\"end\",\"entries\":{}}}\n", self.entries);
        self.input.write_all(end.as_bytes()).expect("the writer reads");
        self.child
    }
}
