//! The words of the text form, taken one by one as the grammar asks for them.

use super::super::{
    filter::Filter,
    json::Json,
    path::{self, Path},
    scan,
};
use crate::error::{Error, ErrorKind, Result};

/// What is left of a text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self> {
        if text.len() > Filter::MAX_BYTES {
            let (found, most) = (text.len(), Filter::MAX_BYTES);
            return Err(Error::limit(format!("a filter of {found} bytes is too long: at most {most} are allowed")));
        }
        let mut lexer = Self { text, at: 0 };
        lexer.skip();
        Ok(lexer)
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.text.len()
    }

    /// Takes `symbol` if it comes next.
    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
            self.skip();
        }
        found
    }

    /// The word that comes next, not taken.
    pub(super) fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|char: char| !char.is_alphanumeric() && !matches!(char, '_' | '-' | '.' | '[' | '$'));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// Takes `word` if it comes next.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        self.word() == word && self.symbol(word)
    }

    /// A path.
    pub(super) fn path(&mut self) -> Result<Path> {
        let rest = self.rest();
        let length = extent(rest);
        if length == 0 {
            return Err(self.expected("a field"));
        }
        let path =
            Path::read(&rest[..length]).map_err(|fault| self.fault(fault.kind, self.at + fault.at, &fault.message))?;
        self.at += length;
        self.skip();
        Ok(path)
    }

    /// A value, as in JSON.
    pub(super) fn value(&mut self) -> Result<Json> {
        let rest = self.rest();
        if !rest.starts_with(|char: char| matches!(char, '"' | '[' | '{' | '-' | '0'..='9'))
            && !["true", "false", "null"].contains(&self.word())
        {
            return Err(self.expected("a value: a number, true, false, null, or a text in quotes"));
        }
        let end = if rest.starts_with(['"', '[', '{']) {
            scan::value(rest.as_bytes(), 0)
        } else {
            let part = |char: char| char.is_alphanumeric() || matches!(char, '+' | '-' | '.');
            Some(rest.find(|char| !part(char)).unwrap_or(rest.len()))
        };
        let Some(end) = end else { return Err(self.expected(closing(rest))) };
        let Some(text) = rest.get(..end) else { return Err(self.expected("a value")) };
        if super::super::json::depth(text.as_bytes()) > crate::json::DEPTH_MAX {
            return Err(self.fault(ErrorKind::Limit, self.at, "a value is nested too deep"));
        }
        let value = Json::parse(text.as_bytes()).map_err(|_| self.expected("a value that is JSON"))?;
        self.at += end;
        self.skip();
        Ok(value)
    }

    /// Takes a whole number.
    pub(super) fn number(&mut self) -> Result<usize> {
        let rest = self.rest();
        let end = rest.find(|char: char| !char.is_alphanumeric() && char != '.' && char != '-').unwrap_or(rest.len());
        let number = rest[..end].parse::<u32>().ok().filter(|_| !rest.starts_with('+'));
        let number = number.and_then(|number| usize::try_from(number).ok());
        let number = number.ok_or_else(|| self.expected("a whole number from 0 to 4294967295"))?;
        self.at += end;
        self.skip();
        Ok(number)
    }

    /// Takes everything up to the next white space.
    pub(super) fn token(&mut self) -> &'a str {
        let rest = self.rest();
        let token = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
        self.at += token.len();
        self.skip();
        token
    }

    /// Where the lexer is, to say later that something was wrong there.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Something else was to come next.
    pub(super) fn expected(&self, what: &str) -> Error {
        let rest = self.rest();
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some(_) => {
                let words = rest.split(char::is_whitespace).next().unwrap_or_default();
                let short: String = words.chars().take(20).collect();
                format!("{:?}{}", short, if short.len() < words.len() { " and so on" } else { "" })
            }
        };
        self.fault(ErrorKind::Invalid, self.at, &format!("expected {what}, found {found}"))
    }

    /// Something is wrong at the byte `at`.
    pub(super) fn fault(&self, kind: ErrorKind, at: usize, message: &str) -> Error {
        let column = self.text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        Error::new(kind, format!("in a filter, at column {column}: {message}"))
    }

    fn skip(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }
}

/// How long the path is that `text` begins with, however right it is.
fn extent(text: &str) -> usize {
    let mut at = usize::from(text.starts_with('$'));
    while let Some(char) = text[at..].chars().next() {
        let rest = &text[at..];
        at += match char {
            // An operator may follow a name at once, but no name begins with a dash.
            '"' => match path::quoted(rest) {
                Some(length) => length,
                None => return text.len(),
            },
            '.' | '[' | ']' => 1,
            char if path::is_plain(char) => char.len_utf8(),
            _ => break,
        };
    }
    at
}

fn closing(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'"') => "a text that ends with a quote",
        Some(b'[') => "an array that ends with ]",
        _ => "an object that ends with }",
    }
}
