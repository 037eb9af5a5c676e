//! What a transaction does line by line, and why it could not happen.

use larder::{Error, ErrorKind, Isolation, Key, Receipt, Result, Revision, Store, Transaction};
use serde_json::json;

use super::line::Line;
use crate::{commands::read::value_line, text::one_line};

/// An answer in both forms.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) json: String,
    pub(super) lines: Vec<String>,
    /// Whether it says only what was done, which nobody may have asked for.
    pub(super) is_said_only: bool,
}

impl Answer {
    fn told(json: impl ToString, lines: Vec<String>) -> Self {
        Self { json: json.to_string(), lines, is_said_only: false }
    }

    fn said(json: impl ToString, line: String) -> Self {
        Self { json: json.to_string(), lines: vec![line], is_said_only: true }
    }
}

/// A transaction, and what each line of it has read.
#[derive(Debug)]
pub(super) struct Work {
    store: Store,
    transaction: Transaction,
    reads: Vec<Read>,
}

#[derive(Debug)]
struct Read {
    line: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Key(Key),
    Prefix(String),
}

impl Work {
    pub(super) fn begin(store: Store) -> Self {
        let transaction = store.begin(Isolation::Serializable);
        Self { store, transaction, reads: Vec::new() }
    }

    /// Does what `line`, the one of this number, asks for.
    pub(super) async fn answer(&mut self, number: u64, line: Line) -> Result<Answer> {
        let what = match &line {
            Line::Get(key) | Line::Add(key, _) => Some(What::Key(key.clone())),
            Line::List(prefix) | Line::Scan(prefix) | Line::Count(prefix) => Some(What::Prefix(prefix.clone())),
            _ => None,
        };
        self.reads.extend(what.map(|what| Read { line: number, what }));
        let transaction = &mut self.transaction;
        Ok(match line {
            Line::Get(key) => {
                let entry = transaction.get(&key).await?;
                let shown = one_line(&key);
                let line = match &entry {
                    Some(entry) => format!("{shown}\t{}", value_line(&entry.value, usize::MAX)),
                    None => format!("{shown} is absent"),
                };
                let entry = entry.map_or_else(|| "null".to_owned(), |entry| entry.to_json_line());
                let key = json!(key.as_str());
                Answer::told(format_args!("{{\"command\":\"get\",\"key\":{key},\"entry\":{entry}}}"), vec![line])
            }
            Line::List(prefix) => {
                let keys = transaction.list(prefix.as_str()).await?.items;
                let json = json!({ "command": "list", "keys": keys.iter().map(|key| key.as_str()).collect::<Vec<_>>() });
                Answer::told(json, counted(keys.iter().map(|key| one_line(key)).collect()))
            }
            Line::Scan(prefix) => {
                let entries = transaction.scan(prefix.as_str()).await?.items;
                let all = entries.iter().map(|entry| entry.to_json_line()).collect::<Vec<_>>().join(",");
                let line = |entry: &larder::Entry| {
                    format!("{}\t{}", one_line(&entry.address.key), value_line(&entry.value, usize::MAX))
                };
                let lines = counted(entries.iter().map(line).collect());
                Answer::told(format_args!("{{\"command\":\"scan\",\"entries\":[{all}]}}"), lines)
            }
            Line::Count(prefix) => {
                let count = transaction.count(prefix.as_str()).await?;
                Answer::told(json!({ "command": "count", "count": count }), vec![count.to_string()])
            }
            Line::Set(key, value) => {
                transaction.set(&key, value)?;
                Answer::said(json!({ "command": "set", "key": key.as_str() }), format!("set {}", one_line(&key)))
            }
            Line::Delete(key) => {
                transaction.delete(&key)?;
                Answer::said(json!({ "command": "delete", "key": key.as_str() }), format!("deleted {}", one_line(&key)))
            }
            Line::Add(key, number) => {
                let sum = transaction.add(&key, number, i64::MIN..=i64::MAX).await?;
                let line = format!("{}\t{sum}", one_line(&key));
                Answer::told(json!({ "command": "add", "key": key.as_str(), "sum": sum }), vec![line])
            }
            Line::Help => {
                let lines: Vec<String> = super::line::COMMANDS.lines().map(str::to_owned).collect();
                Answer::told(json!({ "command": "help", "commands": lines }), lines)
            }
            Line::Commit | Line::Rollback => {
                return Err(Error::new(ErrorKind::Internal, "the end of a transaction is no line of it"));
            }
        })
    }

    /// Makes it happen; a conflict says what was read and has changed.
    pub(super) async fn commit(self) -> Result<Receipt> {
        let Self { store, transaction, reads } = self;
        let read_at = transaction.revision();
        match transaction.commit().await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let mut changed = Vec::new();
                for read in &reads {
                    // Whoever reads the message looks for it by himself where the store does not say.
                    let found = read.changed(&store, read_at.unwrap_or_default()).await.unwrap_or_default();
                    changed.extend(found.map(|what| format!("line {} read {what}", read.line)));
                }
                let why = if changed.is_empty() { error.message().to_owned() } else { changed.join("; ") };
                Err(error.as_kind(ErrorKind::Conflict, format!("{why}; nothing was written")))
            }
            answer => answer,
        }
    }
}

impl Read {
    /// What of it has changed since the revision `since`, and at which.
    async fn changed(&self, store: &Store, since: Revision) -> Result<Option<String>> {
        match &self.what {
            What::Key(key) => {
                let last = store.history(key, 1, None).await?.changes.into_iter().next();
                let last = last.filter(|change| change.revision > since);
                Ok(last.map(|change| format!("{key:?}, which was {} at revision {}", change.kind.as_str(), change.revision)))
            }
            What::Prefix(prefix) => {
                let (earlier, later) = (store.view_at(since).await?, store.view().await?);
                let first = store.diff(prefix, &earlier, &later)?.next().await?.and_then(|page| page.into_iter().next());
                let read = if prefix.is_empty() { "all keys".to_owned() } else { format!("the keys of {prefix:?}") };
                Ok(first.map(|first| format!("{read}, of which {:?} is not as it was", first.address.key)))
            }
        }
    }
}

/// A list that says where it ends.
fn counted(mut lines: Vec<String>) -> Vec<String> {
    let count = lines.len();
    lines.push(if count == 1 { "1 key".to_owned() } else { format!("{count} keys") });
    lines
}
