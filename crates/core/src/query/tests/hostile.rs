//! What strangers send: whatever it is, it is read or it is refused, in the time that its length takes, and nothing else
//! happens. What was read reads back as itself.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index as Place, select},
};

use super::{
    super::{Cursor, Filter, Json, Path, Question, Sort},
    random::{any_entry, any_filter, any_sort, cases},
};
use crate::{
    Namespace,
    error::{Error, ErrorKind},
    index::{Index, IndexId, IndexState, IndexStatus, choices},
};

/// Pieces of what paths are made of.
const PIECES: [&str; 16] =
    ["a", "tags", "0", ".", "..", "[]", "[", "]", "\"", "\\", "\"a b\"", "$", "$key", "$meta", "$value", "\u{1f980}"];

/// Refused with a kind that tells the caller what to do, and with words.
fn refused(error: &Error) -> Result<(), TestCaseError> {
    prop_assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Limit), "{:?}", error);
    prop_assert!(!error.message().is_empty());
    Ok(())
}

fn question(read: crate::Result<Question>) -> Result<(), TestCaseError> {
    match read {
        Ok(question) => {
            let (text, json) = (question.to_string(), question.to_json());
            prop_assert_eq!(Question::parse(&text).map_err(|error| error.to_string()), Ok(question.clone()), "{}", text);
            prop_assert_eq!(Question::parse(&json).map_err(|error| error.to_string()), Ok(question), "{}", json);
            Ok(())
        }
        Err(error) => refused(&error),
    }
}

fn path(text: &str) -> Result<(), TestCaseError> {
    match Path::parse(text) {
        Ok(path) => {
            prop_assert_eq!(Path::parse(&path.to_string()).map_err(|error| error.to_string()), Ok(path), "{}", text);
        }
        Err(error) => {
            refused(&error)?;
            let column = error.message().strip_prefix("in a path, at column ").and_then(|rest| rest.split(':').next());
            let column: usize = column.and_then(|column| column.parse().ok()).unwrap_or(0);
            prop_assert!((1..=text.chars().count() + 1).contains(&column), "{:?}: {}", text, error);
        }
    }
    Ok(())
}

fn cursor(text: &str) -> Result<(), TestCaseError> {
    match text.parse::<Cursor>() {
        Ok(cursor) => {
            prop_assert_eq!(cursor.to_string().parse().ok(), Some(cursor.clone()));
            // A place in a sort that may be another one.
            let query = super::super::Query::new(Filter::everything()).after(cursor);
            let _ = query.clone().start();
            let _ = query.sort(Sort::by_key().descending("a").expect("a sort")).start();
            Ok(())
        }
        Err(error) => refused(&error),
    }
}

fn index(json: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(index) = serde_json::from_slice::<Index>(json) {
        let written = serde_json::to_vec(&index).expect("it can be written");
        prop_assert_eq!(serde_json::from_slice::<Index>(&written).ok(), Some(index));
    }
    Ok(())
}

/// `text` with a few characters taken out, and others put in.
fn hit(text: &str, hits: &[(Place, Option<char>)]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, change) in hits {
        let at = at.index(text.len().max(1));
        match change {
            Some(char) => text.insert(at, *char),
            None if at < text.len() => {
                text.remove(at);
            }
            None => {}
        }
    }
    text.into_iter().collect()
}

fn any_hits() -> impl Strategy<Value = Vec<(Place, Option<char>)>> {
    let odd = select(&['"', '\\', '(', '[', ']', '{', '}', '.', '$', '-', '0', '=', ',', 'A', '_', 'ä', '\0', '\u{7f}'][..]);
    vec((any::<Place>(), prop_oneof![Just(None), odd.prop_map(Some)]), 1..4)
}

proptest! {
    #![proptest_config(cases(2048))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..64), text in any::<String>()) {
        for bytes in [&bytes[..], text.as_bytes()] {
            question(Question::from_json(bytes))?;
            if let Err(error) = Filter::from_json(bytes) {
                refused(&error)?;
            }
            index(bytes)?;
        }
        for text in [&*text, &*String::from_utf8_lossy(&bytes)] {
            question(Question::parse(text))?;
            path(text)?;
            cursor(text)?;
        }
    }

    #[test]
    fn what_is_nearly_json_is_read_or_refused(filter in any_filter(), hits in any_hits()) {
        let json = hit(&filter.to_json(), &hits);
        question(Question::from_json(json.as_bytes()))?;
        if let Ok(filter) = Filter::from_json(json.as_bytes()) {
            prop_assert_eq!(Filter::from_json(filter.to_json().as_bytes()).ok(), Some(filter), "{}", json);
        }
    }

    #[test]
    fn what_is_nearly_a_path_is_read_or_refused(pieces in vec(select(&PIECES[..]), 0..8), hits in any_hits()) {
        let text = pieces.concat();
        path(&text)?;
        path(&hit(&text, &hits))?;
    }

    /// Made up, or changed on the way.
    #[test]
    fn what_is_nearly_a_cursor_is_read_or_refused(sort in any_sort(), entry in any_entry(), hits in any_hits(), bytes in vec(any::<u8>(), 0..64)) {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        cursor(&hit(&Cursor::new(&sort, &sort.rank(&entry)).to_string(), &hits))?;
        let made_up = [&[1], &bytes[..]].concat();
        cursor(&BASE64_URL_SAFE_NO_PAD.encode(&made_up))?;
        let json = hit("[\"a, -b\",\"k\",[null,\"[1,{\\\"x\\\":null}]\"]]", &hits);
        cursor(&BASE64_URL_SAFE_NO_PAD.encode([&[1], json.as_bytes()].concat()))?;
    }

    #[test]
    fn what_is_nearly_an_index_is_read_or_refused(paths in vec(vec(select(&PIECES[..]), 0..4), 0..10), unique in any::<bool>(), hits in any_hits()) {
        let paths: Vec<Json> = paths.into_iter().map(|pieces| Json::Text(pieces.concat())).collect();
        let json = format!("{{\"paths\":{},\"unique\":{unique}}}", Json::Array(paths));
        index(json.as_bytes())?;
        index(hit(&json, &hits).as_bytes())?;
    }
}

/// As large as a filter may be, and an index that can help: nothing in it is looked at again for each other part of it.
#[test]
fn a_large_filter_is_planned_in_the_time_that_its_length_takes() {
    let values: Vec<String> = (0..70_000).map(|number| number.to_string()).collect();
    let many = format!("a in [{}]", values.join(","));
    let ready = |paths: &[&str]| IndexStatus {
        id: IndexId(1),
        namespace: Namespace::default(),
        index: Index::over(paths.iter().copied()).expect("an index"),
        state: IndexState::Ready,
    };
    let indexes = [ready(&["a"]), ready(&["b", "a"]), ready(&["a", "b"])];
    for (text, spans) in [
        (format!("{many} and {many}"), 1),
        (format!("b = 1 and {many} and {many}"), 1),
        (format!("{many} and a in [-1, 5, 69999, 70000]"), 2),
        (format!("({many} or a > 100000) and ({many} or a < 0)"), 1),
    ] {
        let filter = Filter::parse(&text).expect("a filter");
        let found = choices(&indexes, &filter, &Sort::by_key());
        assert!(found.iter().all(|choice| choice.spans.len() == spans), "{}", &text[..20]);
        assert!(!found.is_empty());
    }
}
