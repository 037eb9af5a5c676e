//! The words of a text: where they stand, and what they are when case and accents do not count.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation as _;

/// The longest word that is told apart, folded and in bytes: of longer ones this much counts.
pub(crate) const WORD_BYTES_MAX: usize = 256;

/// Shows `visit` each word of `text`, in order: where it stands, and folded.
///
/// Boundaries are those of [Unicode](https://unicode.org/reports/tr29/#Word_Boundaries), and everything besides that is
/// neither a letter, a digit nor a mark on one of them: `serde_json` is two words, and so is `don't`.
pub(crate) fn each_word(text: &str, visit: &mut dyn FnMut(Range<usize>, &str)) {
    if text.is_ascii() {
        return each_ascii(text, visit);
    }
    let mut folded = String::new();
    for (start, segment) in text.unicode_word_indices() {
        let mut part: Option<Range<usize>> = None;
        for (at, char) in segment.char_indices() {
            if is_silent(char) {
                continue;
            }
            if is_part(char) {
                let end = start + at + char.len_utf8();
                part.get_or_insert(start + at..end).end = end;
            } else if let Some(range) = part.take() {
                show(text, range, &mut folded, visit);
            }
        }
        if let Some(range) = part {
            show(text, range, &mut folded, visit);
        }
    }
}

/// As the general way; a test compares them.
fn each_ascii(text: &str, visit: &mut dyn FnMut(Range<usize>, &str)) {
    let bytes = text.as_bytes();
    let (mut folded, mut at) = (String::new(), 0);
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_alphanumeric) {
        let start = at + start;
        at = bytes[start..].iter().position(|byte| !byte.is_ascii_alphanumeric()).map_or(bytes.len(), |end| start + end);
        let word = &text[start..at.min(start + WORD_BYTES_MAX)];
        folded.clear();
        folded.push_str(word);
        folded.make_ascii_lowercase();
        visit(start..at, &folded);
    }
}

fn show(text: &str, range: Range<usize>, folded: &mut String, visit: &mut dyn FnMut(Range<usize>, &str)) {
    fold(&text[range.clone()], folded);
    // A mark that stands on nothing is no word.
    if !folded.is_empty() {
        visit(range, folded);
    }
}

/// Writes `word` without case and accents, and without the differences that Unicode calls compatible.
fn fold(word: &str, folded: &mut String) {
    folded.clear();
    let plain = word.nfkd().filter(|char| is_part(*char) && !is_accent(*char)).flat_map(char::to_lowercase);
    folded.extend(plain.flat_map(alike).nfc());
    if !folded.contains(char::is_alphanumeric) {
        folded.clear();
    }
    folded.truncate(folded.floor_char_boundary(WORD_BYTES_MAX));
}

/// The letters that are two ways to write one, beyond case.
fn alike(char: char) -> impl Iterator<Item = char> + Clone {
    let (first, second) = match char {
        'ß' => ('s', Some('s')),
        'ς' => ('σ', None),
        char => (char, None),
    };
    std::iter::once(first).chain(second)
}

fn is_part(char: char) -> bool {
    char.is_alphanumeric() || is_combining_mark(char)
}

/// What stands in words without being seen: soft hyphens, joiners, the mark of byte order.
fn is_silent(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// The marks that stand on letters of every alphabet. Those of one script alone are vowels as often as accents, and stay.
fn is_accent(char: char) -> bool {
    matches!(char,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, &mut |_, word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_found_and_folded() {
        for (text, expected) in [
            ("", &[][..]),
            (" -- !? ", &[]),
            ("The quick brown fox", &["the", "quick", "brown", "fox"]),
            ("serde_json::from_str", &["serde", "json", "from", "str"]),
            ("don't, http://a.example/x?y=1", &["don", "t", "http", "a", "example", "x", "y", "1"]),
            ("3.14 and 1,000", &["3", "14", "and", "1", "000"]),
            ("Größe CAFÉ cafe\u{301}", &["grosse", "cafe", "cafe"]),
            ("STRASSE straße STRAẞE", &["strasse", "strasse", "strasse"]),
            ("ΣΊΣΥΦΟΣ Σίσυφος", &["σισυφοσ", "σισυφοσ"]),
            ("İstanbul ﬁne Ｆｕｌｌ", &["istanbul", "fine", "full"]),
            ("soft\u{ad}ly", &["softly"]),
            ("ёлка ЁЛКА", &["елка", "елка"]),
            ("हिन्दी", &["हिन्दी"]),
            ("漢字かな", &["漢", "字", "か", "な"]),
            ("カタカナ 한국어", &["カタカナ", "한국어"]),
            ("🦀 \u{301} a_\u{94d}", &["a"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn a_word_without_end_is_cut() {
        for (text, bytes) in [("a".repeat(1 << 20), 256), ("я".repeat(1 << 19), 256), ("ḿह".repeat(1 << 16), 256)] {
            let words = words(&text);
            assert_eq!(words.len(), 1, "it is one word");
            assert!(words[0].len() <= bytes && words[0].len() > bytes - 4, "{}", words[0].len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

        #[test]
        fn words_stand_in_order_whatever_the_text(text in prop_oneof![any::<String>(), "[a-zäß'._ \u{301}\u{ad}漢कि]{0,40}"]) {
            let mut last = 0;
            each_word(&text, &mut |range, word| {
                assert!(range.start >= last && range.end > range.start, "they do not overlap");
                assert!(text.get(range.clone()).is_some(), "they stand between characters");
                assert!(!word.is_empty() && word.len() <= WORD_BYTES_MAX);
                last = range.end;
            });
        }

        #[test]
        fn the_short_way_is_the_long_way(text in "[ -~\t\n]{0,60}") {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            each_ascii(&text, &mut |range, word| short.push((range, word.to_owned())));
            // Behind everything stands something that is no word and not ASCII.
            each_word(&format!("{text} …"), &mut |range, word| long.push((range, word.to_owned())));
            prop_assert_eq!(short, long);
        }
    }
}
