//! The elements of one array inside a JSON document of any size, one at a time.
//!
//! The document is never in memory: the parser reads on only when an element has been taken, and what is beside the
//! path to the array is read over.

use std::{fmt, io::Read};

use larder::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::batch::Stop;

/// Gives every element of the array at `path` to `each`, as it is written.
///
/// # Errors
/// `Invalid` when the document is not JSON or has no array there.
pub(super) fn elements(
    reader: impl Read,
    path: &[String],
    each: &mut dyn FnMut(Box<RawValue>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let mut progress = Progress { each, elements: 0, found: false, stop: None };
    let parsed = Walk { path, progress: &mut progress }.deserialize(&mut parser).and_then(|()| parser.end());
    if let Some(stop) = progress.stop {
        return Err(stop);
    }
    let whole = path.join(".");
    if let Err(error) = parsed {
        if error.is_io() {
            return Err(Stop::Failed(crate::input::unreadable("the input", error.into())));
        }
        let place = match (progress.found, progress.elements) {
            (false, _) => format!("before the array {whole:?}"),
            (true, 0) => "at the first record".to_owned(),
            (true, elements) => format!("after record {elements}"),
        };
        return Err(Stop::Failed(Error::invalid(format!("{place} the document cannot be read: {error}"))));
    }
    if !progress.found {
        let message = format!("the document has no array {whole:?}, so --items names nothing in it");
        return Err(Stop::Failed(Error::invalid(message)));
    }
    Ok(())
}

struct Progress<'a> {
    each: &'a mut dyn FnMut(Box<RawValue>) -> Result<(), Stop>,
    elements: u64,
    found: bool,
    /// Why `each` wants no more; it takes its way out through the parser as an error.
    stop: Option<Stop>,
}

/// Goes down `path` and then through the array.
struct Walk<'a, 'b> {
    path: &'a [String],
    progress: &'a mut Progress<'b>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() { deserializer.deserialize_seq(self) } else { deserializer.deserialize_map(self) }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            [] => f.write_str("the array of records"),
            [name, ..] => write!(f, "an object with {name:?} in it"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match self.path.split_first() {
                Some((first, path)) if *first == name => {
                    map.next_value_seed(Walk { path, progress: &mut *self.progress })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.progress.found = true;
        while let Some(element) = elements.next_element::<Box<RawValue>>()? {
            self.progress.elements += 1;
            if let Err(stop) = (self.progress.each)(element) {
                self.progress.stop = Some(stop);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str, path: &[&str]) -> Result<Vec<String>, String> {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        let mut found = Vec::new();
        let read = elements(document.as_bytes(), &path, &mut |raw| {
            found.push(raw.get().to_owned());
            Ok(())
        });
        match read {
            Ok(()) => Ok(found),
            Err(Stop::Failed(error)) => Err(error.to_string()),
            Err(Stop::Gone) => Err("gone".to_owned()),
        }
    }

    #[test]
    fn elements_come_as_they_are_written() {
        let document = r#"{"x":[0],"a":{"y":{},"b":[ {"n" : 1.0} ,2,"é"],"z":1},"b":[3]} "#;
        assert_eq!(read(document, &["a", "b"]), Ok(vec![r#"{"n" : 1.0}"#.to_owned(), "2".to_owned(), r#""é""#.to_owned()]));
        assert_eq!(read("[1,[2]]", &[]), Ok(vec!["1".to_owned(), "[2]".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (document, path, part) in [
            (r#"{"a":1}"#, &["b"][..], "no array \"b\""),
            (r#"{"a":1}"#, &["a"], "expected the array of records"),
            (r#"{"a":1}"#, &["a", "b"], "an object with \"b\" in it"),
            ("[1,2,x]", &[], "after record 2"),
            ("[1,2", &[], "after record 2"),
            ("[1] 2", &[], "after record 1"),
        ] {
            let error = read(document, path).expect_err(document);
            assert!(error.contains(part), "{document}: {error}");
        }
    }
}
