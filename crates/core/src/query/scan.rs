//! Finding a few values in JSON text without reading the rest of it.
//!
//! The text was checked when it was stored. Where it was damaged since, nothing is found; nothing here panics, and nothing
//! recurses further than a path has `[]` in it.

use std::borrow::Cow;

use super::path::Step;

/// Shows `visit` each value of `text` that `steps` reach, in order, until it answers true. Whether it did.
pub(super) fn reach<'a>(text: &'a [u8], steps: &[Step], visit: &mut dyn FnMut(&'a [u8]) -> bool) -> bool {
    from(text, blank(text, 0), steps, visit)
}

/// Shows `visit` each element of the array that `text` is, as [`reach`].
pub(super) fn elements<'a>(text: &'a [u8], visit: &mut dyn FnMut(&'a [u8]) -> bool) -> bool {
    reach(text, &[Step::Each], visit)
}

/// Shows `visit` every text inside of the array or object `text`, names aside, in the order in which they stand: what is
/// between the quotes.
pub(super) fn texts<'a>(text: &'a [u8], visit: &mut dyn FnMut(&'a [u8])) {
    let mut at = 0;
    while let Some(quote) = text[at..].iter().position(|byte| *byte == b'"') {
        let start = at + quote;
        let Some(end) = string(text, start) else { return };
        at = end;
        if text.get(blank(text, end)) != Some(&b':') {
            visit(&text[start + 1..end - 1]);
        }
    }
}

fn from<'a>(text: &'a [u8], mut at: usize, steps: &[Step], visit: &mut dyn FnMut(&'a [u8]) -> bool) -> bool {
    for (taken, step) in steps.iter().enumerate() {
        let found = match (text.get(at), step) {
            (Some(b'{'), Step::Name(name)) => field(text, at, name),
            (Some(b'['), Step::Name(_)) => step.index().and_then(|index| element(text, at, index)),
            (Some(b'['), Step::Each) => {
                let rest = &steps[taken + 1..];
                return items(text, at, &mut |item| from(text, item, rest, visit)).is_some();
            }
            _ => None,
        };
        match found {
            Some(found) => at = found,
            None => return false,
        }
    }
    value(text, at).is_some_and(|end| visit(&text[at..end]))
}

/// Where the value of the field `name` begins, in the object that begins at `at`.
fn field(text: &[u8], at: usize, name: &str) -> Option<usize> {
    let mut at = blank(text, at + 1);
    while text.get(at) == Some(&b'"') {
        let end = string(text, at)?;
        let found = &text[at + 1..end - 1];
        at = blank(text, end);
        if text.get(at) != Some(&b':') {
            return None;
        }
        at = blank(text, at + 1);
        let same = found == name.as_bytes() || found.contains(&b'\\') && unescape(found).is_some_and(|found| found == name);
        if same {
            return Some(at);
        }
        at = blank(text, value(text, at)?);
        if text.get(at) != Some(&b',') {
            return None;
        }
        at = blank(text, at + 1);
    }
    None
}

/// Where the element `index` begins, in the array that begins at `at`.
fn element(text: &[u8], at: usize, index: usize) -> Option<usize> {
    let mut left = index;
    let stop = |_| {
        let found = left == 0;
        left = left.wrapping_sub(1);
        found
    };
    items(text, at, &mut { stop })
}

/// Shows `visit` where each element begins, in the array that begins at `at`, until it answers true. The element of which
/// it did.
fn items(text: &[u8], at: usize, visit: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
    let mut at = blank(text, at + 1);
    if text.get(at) == Some(&b']') {
        return None;
    }
    loop {
        if visit(at) {
            return Some(at);
        }
        at = blank(text, value(text, at)?);
        if text.get(at) != Some(&b',') {
            return None;
        }
        at = blank(text, at + 1);
    }
}

/// Where the white space that may be at `at` ends.
fn blank(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where the value that begins at `at` ends.
pub(super) fn value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string(text, at),
        b'[' | b'{' => nested(text, at),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\n' | b'\r');
            let length = text[at..].iter().position(ends).unwrap_or(text.len() - at);
            (length > 0).then_some(at + length)
        }
    }
}

/// Where the text that begins at `at` ends.
fn string(text: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the array or object that begins at `at` ends.
fn nested(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string(text, at)?;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 1 => return Some(at + 1),
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// What a text stands for, given what is between its quotes.
pub(super) fn unescape(inside: &[u8]) -> Option<Cow<'_, str>> {
    if !inside.contains(&b'\\') {
        return std::str::from_utf8(inside).ok().map(Cow::Borrowed);
    }
    let mut quoted = Vec::with_capacity(inside.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(inside);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok().map(Cow::Owned)
}
