//! Names: where the file of an entry is.
//!
//! The file of the key `workloads/Web` of the namespace `default` is `entries/default/workloads%2f^web`. The rules:
//!
//! * `a` to `z`, `0` to `9` and `-` `_` `.` `+` `=` `,` `@` stand for themselves; `^a` to `^z` are `A` to `Z`.
//! * Everything else is `%` and two digits for each of its bytes in UTF-8; so are a `.` at the beginning or the end, and the
//!   first letter of what Windows takes for a device (`con`, `com1.txt`).
//! * What would be longer than 200 bytes that way is cut, and ends in `~` and the SHA-256 of the whole.
//!
//! So no two names differ in case alone, none has letters that a file system could write in another way, and none is longer
//! than file systems take. Two keys have one name only where SHA-256 makes them one.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The directory that the files of entries are in.
pub(crate) const ENTRIES: &str = "entries";

/// What a name takes that is not cut.
const LONG: usize = 200;

/// Where a name that is cut ends; with `~` and a digest it stays below [`LONG`].
const CUT: usize = 120;

/// What Windows takes for devices, whatever comes behind a dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// The directory of the files of a namespace.
pub(crate) fn directory(namespace: &str) -> String {
    format!("{ENTRIES}/{}", name(namespace))
}

/// The file of an entry.
pub(crate) fn path(namespace: &str, key: &str) -> String {
    format!("{}/{}", directory(namespace), name(key))
}

/// The name of the file or directory that stands for `text`, which is not empty.
pub(crate) fn name(text: &str) -> String {
    let mut name = String::with_capacity(text.len() + 8);
    let device = is_device(text);
    let mut cut = 0;
    for (at, byte) in text.bytes().enumerate() {
        if name.len() <= CUT {
            cut = name.len();
        }
        let edge = at == 0 || at + 1 == text.len();
        match byte {
            b'.' if edge => escape(&mut name, byte),
            b'a'..=b'z' | b'A'..=b'Z' if at == 0 && device => escape(&mut name, byte),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'+' | b'=' | b',' | b'@' => name.push(char::from(byte)),
            b'A'..=b'Z' => name.extend(['^', char::from(byte.to_ascii_lowercase())]),
            _ => escape(&mut name, byte),
        }
    }
    if name.len() > LONG {
        name.truncate(cut);
        name.push('~');
        for byte in Sha256::digest(text) {
            write!(name, "{byte:02x}").expect("writing to a String does not fail");
        }
    }
    name
}

fn escape(name: &mut String, byte: u8) {
    write!(name, "%{byte:02x}").expect("writing to a String does not fail");
}

fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    let numbered = |port: &str| {
        stem.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(port)) && matches!(stem.as_bytes()[3..], [b'0'..=b'9'])
    };
    DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device)) || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_are_as_documented() {
        for (text, expected) in [
            ("web", "web"),
            ("workloads/Web", "workloads%2f^web"),
            ("README.md", "^r^e^a^d^m^e.md"),
            (".hidden.", "%2ehidden%2e"),
            (".", "%2e"),
            ("..", "%2e%2e"),
            ("a b%c^d~e", "a%20b%25c%5ed%7ee"),
            ("con", "%63on"),
            ("COM7.txt", "%43^o^m7.txt"),
            ("console", "console"),
            ("principal://k", "principal%3a%2f%2fk"),
            ("caf\u{e9}", "caf%c3%a9"),
            ("cafe\u{301}", "cafe%cc%81"),
            ("k\\:*?\"<>|", "k%5c%3a%2a%3f%22%3c%3e%7c"),
        ] {
            assert_eq!(name(text), expected);
        }
    }

    /// What comes out is made of what no file system changes, and fits into a name.
    #[test]
    fn names_are_safe_on_every_file_system() {
        let long = ["k".repeat(1024), "K/".repeat(512), "\u{1f980}".repeat(256), ".".repeat(1024), "\u{e9}".repeat(127)];
        for text in long.iter().map(String::as_str).chain(["Con.", "lpt0", "a", "\u{80}"]) {
            let name = name(text);
            assert!((1..=LONG).contains(&name.len()), "{name}");
            assert!(name.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz0123456789-_.+=,@^%~".contains(&byte)), "{name}");
            assert!(!name.starts_with('.') && !name.ends_with('.') && !is_device(&name), "{name}");
        }
    }

    /// Texts that differ have names that differ: near the bound, in case, in how letters are put together, and when one is
    /// written as the name of another.
    #[test]
    fn no_two_texts_share_a_name() {
        let mut texts: Vec<String> =
            ["a", "A", "^a", "%41", "a~", "e\u{301}", "\u{e9}", "con", "%63on", "CON"].map(Into::into).into();
        for length in 60..=205 {
            texts.extend(["k".repeat(length), "K".repeat(length), "/".repeat(length), format!("{}k", "K".repeat(length))]);
        }
        for text in texts.clone() {
            let again = name(&text);
            if !texts.contains(&again) {
                texts.push(again);
            }
        }
        let mut seen = BTreeMap::new();
        for text in texts {
            if let Some(other) = seen.insert(name(&text), text.clone()) {
                panic!("{other:?} and {text:?} share {}", name(&text));
            }
        }
    }
}
