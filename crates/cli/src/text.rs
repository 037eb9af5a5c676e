//! Making text fit for eyes, terminals and shells; it knows nothing of stores.

use std::{borrow::Cow, time::Duration};

/// `text` as one word of a shell's command line.
pub(crate) fn shell(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !text.is_empty() && !text.starts_with('-') && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` with everything that would move a cursor or start a line written as an escape.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// The first `characters_max` characters of `text`, and an ellipsis if there are more.
pub(crate) fn shortened(text: &str, characters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Whether a terminal shows `text` as it is: nothing in it but line ends and tabs controls anything.
pub(crate) fn is_printable(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t'))
}

/// `number` with a comma after each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `number` of something, as people say it.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} bytes"),
        1_000..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    format!("{:.1} {name}", bytes as f64 / unit)
}

/// A duration for people.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

/// A span of time for people and for `--ttl`, in whole seconds where it has any.
pub(crate) fn span(duration: Duration) -> String {
    let whole = Duration::from_secs(duration.as_secs());
    humantime::format_duration(if whole.is_zero() { duration } else { whole }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_it_as_one_word() {
        for (text, word) in [
            ("a/b", "a/b"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("-n", "'-n'"),
            ("registry+x#a@1.0", "'registry+x#a@1.0'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(shell(text), word);
        }
    }

    #[test]
    fn numbers_are_easy_to_read() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (number, text) in [(0, "0 entries"), (1, "1 entry"), (1_776, "1,776 entries")] {
            assert_eq!(counted(number, "entry", "entries"), text);
        }
        assert_eq!((size(999), size(1_500), size(2_000_000)), ("999 bytes".into(), "1.5 kB".into(), "2.0 MB".into()));
    }

    #[test]
    fn a_span_is_read_at_a_glance() {
        for (millis, text) in [(0, "0s"), (250, "250ms"), (59_999, "59s"), (3_600_000, "1h"), (5_400_500, "1h 30m")] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        for (text, characters_max, short) in
            [("", 0, ""), ("äöü", 3, "äöü"), ("äöü", 2, "äö…"), ("äöü", 0, "…"), ("äöü", usize::MAX, "äöü")]
        {
            assert_eq!(shortened(text, characters_max), short);
        }
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(one_line("a\tb\n\u{1b}[2Jc\u{9b}ü"), "a\\tb\\n\\u{1b}[2Jc\\u{9b}ü");
        assert!(is_printable("two\nlines\t") && !is_printable("\u{1b}[2J") && !is_printable("\r"));
    }
}
