//! A line of a transaction, understood or refused; it knows no store.

use larder::{Error, Key, Result, Value};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Get(Key),
    List(String),
    Scan(String),
    Count(String),
    Set(Key, Value),
    Delete(Key),
    Add(Key, i64),
    Commit,
    Rollback,
    Help,
}

/// The commands and their words, as help tells them.
pub(super) const COMMANDS: &str = "  get KEY            its value
  list [PREFIX]      keys
  scan [PREFIX]      keys and values
  count [PREFIX]     how many keys there are
  set KEY VALUE
  delete KEY
  add KEY N          to a whole number; an absent key counts as 0
  commit             all of it, or nothing
  rollback           nothing of it";

impl Line {
    /// Reads a line; one that is blank or a comment asks for nothing.
    pub(super) fn parse(text: &str) -> Result<Option<Self>> {
        let words =
            shlex::split(text).ok_or_else(|| Error::invalid("a quote is not closed, or a backslash ends the line"))?;
        let Some((command, words)) = words.split_first() else { return Ok(None) };
        let key = |word: &String| Key::new(word.as_str());
        Ok(Some(match (command.as_str(), words) {
            ("get", [name]) => Self::Get(key(name)?),
            ("list", []) => Self::List(String::new()),
            ("list", [prefix]) => Self::List(prefix.clone()),
            ("scan", []) => Self::Scan(String::new()),
            ("scan", [prefix]) => Self::Scan(prefix.clone()),
            ("count", []) => Self::Count(String::new()),
            ("count", [prefix]) => Self::Count(prefix.clone()),
            ("set", [name, value]) => Self::Set(key(name)?, Value::detect(value.clone())),
            ("delete", [name]) => Self::Delete(key(name)?),
            ("add", [name, number]) => {
                let faulty = |_| Error::invalid(format!("{number:?} is no whole number of 64 bits"));
                Self::Add(key(name)?, number.parse().map_err(faulty)?)
            }
            ("commit", []) => Self::Commit,
            ("rollback", []) => Self::Rollback,
            ("help", []) => Self::Help,
            _ => return Err(misunderstood(command)),
        }))
    }
}

/// Why `command` is refused with the words it has.
fn misunderstood(command: &str) -> Error {
    let known = COMMANDS.lines().map(str::trim_start).find(|line| line.split_whitespace().next() == Some(command));
    Error::invalid(match known.and_then(|line| line.split("  ").next()) {
        Some(usage) => format!("expected {usage:?}, where a word with spaces goes in quotes"),
        None => {
            let known = "get, list, scan, count, set, delete, add, commit, rollback and help";
            format!("there is no command {command:?} in a transaction; there are {known}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let key = |name: &str| Key::new(name).expect("a valid key");
        let set = |name: &str, value: &str| Some(Line::Set(key(name), Value::detect(value.to_owned())));
        for (text, line) in [
            ("", None),
            ("   # nothing", None),
            ("get a", Some(Line::Get(key("a")))),
            (" get  'a b' # and why", Some(Line::Get(key("a b")))),
            ("set a ''", set("a", "")),
            (r#"set a '{"x": "it''s"}'"#, set("a", r#"{"x": "its"}"#)),
            (r#"set "a\"b" x\ y"#, set("a\"b", "x y")),
            ("set a#1 b", set("a#1", "b")),
            ("add n -5", Some(Line::Add(key("n"), -5))),
            ("list", Some(Line::List(String::new()))),
            ("count 'a/'", Some(Line::Count("a/".to_owned()))),
            ("commit", Some(Line::Commit)),
        ] {
            assert_eq!(Line::parse(text).expect("understood"), line, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for (text, part) in [
            ("set 'a b", "a quote is not closed"),
            ("set a", "expected \"set KEY VALUE\""),
            ("set a b c", "in quotes"),
            ("get", "expected \"get KEY\""),
            ("get ''", "key"),
            ("add n many", "\"many\" is no whole number"),
            ("commit now", "expected \"commit\""),
            ("drop table", "no command \"drop\""),
        ] {
            let error = Line::parse(text).expect_err("refused").to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
