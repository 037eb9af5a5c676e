//! What to look for, in words: read from what people type.
//!
//! The text is bounded before anything of it is looked at.

use super::word::each_word;
use crate::{
    error::{Error, Result},
    query::{IntoPath, Path},
};

/// Words to look for, and where.
///
/// | text | finds what holds |
/// | --- | --- |
/// | `rust async` | either word, and better both |
/// | `"green thread"` | these words, one right behind the other |
/// | `asyn*`, `"green thr"*` | a word that begins so |
/// | `+rust async` | the first one, and better also the second |
/// | `rust -async` | the first one, and not the second |
///
/// Case, accents and punctuation do not count: what stands together with punctuation in it, such as `serde_json` or
/// `don't`, is looked for as if it were quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    phrases: Vec<Phrase>,
    paths: Vec<Path>,
}

/// One word, or several that stand one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// The words, folded; at least one.
    pub words: Vec<String>,
    /// Whether the last one may go on.
    pub prefix: bool,
    /// Whether it has to be there, or must not.
    pub need: Need,
}

/// Whether a phrase has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// One of those that are wanted has to be.
    Any,
    /// It has to be.
    Must,
    /// It must not be.
    Not,
}

impl Words {
    /// The longest text, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024;
    /// The most words in all.
    pub const MAX_WORDS: usize = 256;
    /// The most words of a phrase.
    pub const MAX_PHRASE: usize = 64;
    /// The most paths.
    pub const MAX_PATHS: usize = 32;

    /// Reads the words that people type.
    ///
    /// # Errors
    /// `Invalid`, with the column and what was expected there, also when nothing is to be found; `Limit` when it is too long.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > Self::MAX_BYTES {
            let (found, most) = (text.len(), Self::MAX_BYTES);
            return Err(Error::limit(format!("words of {found} bytes are too long: at most {most} are allowed")));
        }
        let mut reader = Reader { text, at: 0, start: 0 };
        let (mut phrases, mut words): (Vec<Phrase>, usize) = (Vec::new(), 0);
        while let Some(phrase) = reader.phrase()? {
            let Some(phrase) = phrase else { continue };
            words += phrase.words.len();
            if words > Self::MAX_WORDS {
                return Err(Error::limit(format!("at most {} words are looked for at once", Self::MAX_WORDS)));
            }
            match phrases.iter_mut().find(|there| (&there.words, there.prefix) == (&phrase.words, phrase.prefix)) {
                Some(there) if (there.need == Need::Not) == (phrase.need == Need::Not) => {
                    there.need = there.need.max(phrase.need);
                }
                Some(_) => {
                    let message = "expected something else: this is both looked for, and must not be there";
                    return Err(reader.fault(reader.start, message));
                }
                None => phrases.push(phrase),
            }
        }
        if phrases.iter().all(|phrase| phrase.need == Need::Not) {
            let expected = if phrases.is_empty() { "expected a word" } else { "expected a word that is to be found, too" };
            return Err(reader.fault(text.len(), expected));
        }
        Ok(Self { phrases, paths: Vec::new() })
    }

    /// Only in the texts at `paths`, and in what they reach. Without any, those of the whole value.
    ///
    /// # Errors
    /// `Invalid` for a bad path and for one that is named twice; `Limit` beyond [`Words::MAX_PATHS`].
    pub fn within<P: IntoPath>(mut self, paths: impl IntoIterator<Item = P>) -> Result<Self> {
        for path in paths {
            let path = path.into_path()?;
            if self.paths.contains(&path) {
                return Err(Error::invalid(format!("the path {path} is named twice")));
            }
            if self.paths.len() == Self::MAX_PATHS {
                return Err(Error::limit(format!("words are looked for at {} paths at most", Self::MAX_PATHS)));
            }
            self.paths.push(path);
        }
        Ok(self)
    }

    /// What is looked for.
    pub fn phrases(&self) -> &[Phrase] {
        &self.phrases
    }

    /// Where; empty is the whole value.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where the last phrase began.
    start: usize,
}

impl Reader<'_> {
    /// The next phrase; `Some(None)` where punctuation stands alone, `None` at the end.
    fn phrase(&mut self) -> Result<Option<Option<Phrase>>> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        self.start = self.at;
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let (need, sign) = match first {
            '+' => (Need::Must, 1),
            '-' => (Need::Not, 1),
            _ => (Need::Any, 0),
        };
        let start = self.at + sign;
        let (inside, end) = match self.text[start..].strip_prefix('"') {
            Some(quoted) => match quoted.find('"') {
                Some(length) => (start + 1..start + 1 + length, start + length + 2),
                None => return Err(self.fault(start, "expected a closing quote")),
            },
            None => {
                let rest = &self.text[start..];
                let length = rest.find(|char: char| char.is_whitespace() || matches!(char, '"' | '*')).unwrap_or(rest.len());
                (start..start + length, start + length)
            }
        };
        let mut words = Vec::new();
        each_word(&self.text[inside], &mut |_, word| words.push(word.to_owned()));
        let prefix = self.text[end..].starts_with('*');
        self.at = end + usize::from(prefix);
        if words.is_empty() {
            if sign == 0 && !prefix {
                return Ok(Some(None));
            }
            let message = if prefix { "expected a word before *" } else { "expected a word right behind + or -" };
            return Err(self.fault(if prefix { end } else { start }, message));
        }
        if prefix && self.text[self.at..].starts_with(|char: char| !char.is_whitespace()) {
            return Err(self.fault(self.at, "expected the end of the word: * stands for what a word ends with"));
        }
        if words.len() > Words::MAX_PHRASE {
            let (found, most) = (words.len(), Words::MAX_PHRASE);
            return Err(Error::limit(format!("a phrase of {found} words is too long: at most {most} are allowed")));
        }
        Ok(Some(Some(Phrase { words, prefix, need })))
    }

    fn fault(&self, at: usize, message: &str) -> Error {
        let column = self.text[..at].chars().count() + 1;
        Error::invalid(format!("in the words, at column {column}: {message}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn written(text: &str) -> String {
        let phrases = Words::parse(text).expect("words").phrases;
        let written = phrases.iter().map(|phrase| {
            let sign = match phrase.need {
                Need::Any => "",
                Need::Must => "+",
                Need::Not => "-",
            };
            format!("{sign}{}{}", phrase.words.join("_"), if phrase.prefix { "*" } else { "" })
        });
        written.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_read_as_people_type_them() {
        for (text, expected) in [
            ("rust async", "rust async"),
            ("  Rust\tASYNC\n", "rust async"),
            ("\"Green  Thread\" asyn* \"green thr\"*", "green_thread asyn* green_thr*"),
            ("+rust -async -\"green thread\"", "+rust -async -green_thread"),
            ("serde_json don't", "serde_json don_t"),
            ("serde_js*", "serde_js*"),
            ("rust & async, \"\"", "rust async"),
            ("C++ -std", "c -std"),
            ("rust Rust +RUST rust", "+rust"),
            ("rust rust*", "rust rust*"),
            ("a\"b c\"d", "a b_c d"),
            ("Größe", "grosse"),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_where() {
        for (text, column, expected) in [
            ("", 1, "expected a word"),
            (" ?! ", 5, "expected a word"),
            ("größe - rust", 8, "expected a word right behind + or -"),
            ("+", 2, "expected a word right behind + or -"),
            ("rust *", 6, "expected a word before *"),
            ("*rust", 1, "expected a word before *"),
            ("ru*st", 4, "expected the end of the word"),
            ("größe \"a b", 7, "expected a closing quote"),
            ("-rust", 6, "expected a word that is to be found, too"),
            ("größe -Größe", 7, "expected something else"),
        ] {
            let error = Words::parse(text).expect_err("is wrong");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            let message = error.to_string();
            assert!(message.contains(&format!("at column {column}: {expected}")), "{text}: {message}");
        }
    }

    #[test]
    fn words_are_bounded() {
        let many = |count: usize| (0..count).map(|n| format!("w{n} ")).collect::<String>();
        assert!(Words::parse(&many(256)).is_ok());
        assert!(Words::parse(&format!("\"{}\"", many(64))).is_ok());
        for text in [many(257), format!("\"{}\"", many(65)), "a".repeat(1 << 20), "a ".repeat(1 << 19), "\"".repeat(1 << 20)]
        {
            assert_eq!(Words::parse(&text).map_err(|error| error.kind()), Err(ErrorKind::Limit));
        }
        let paths = |count: usize| {
            Words::parse("a").expect("words").within((0..count).map(|n| format!("p{n}")).collect::<Vec<_>>().iter())
        };
        assert!(paths(32).is_ok());
        assert_eq!(paths(33).map_err(|error| error.kind()), Err(ErrorKind::Limit));
        let twice = Words::parse("a").expect("words").within(["a", "$value.a"]);
        assert_eq!(twice.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), "[-+*\" aä_'漢]{0,30}"]) {
            match Words::parse(&text) {
                Ok(words) => {
                    assert!(words.phrases.iter().any(|phrase| phrase.need != Need::Not), "there is something to be found");
                    assert!(words.phrases.iter().all(|phrase| (1..=Words::MAX_PHRASE).contains(&phrase.words.len())));
                }
                Err(error) => assert!(error.to_string().contains("at column ") || error.kind() == ErrorKind::Limit, "{error}"),
            }
        }
    }
}
