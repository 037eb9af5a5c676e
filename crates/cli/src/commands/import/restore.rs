//! What `larder export` wrote: entries come back with versions, times, expiry and metadata.
//!
//! An export begins with a header and ends with a count, so one that was cut off is noticed. Several in a row are fine.

use std::io::BufRead;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use larder::{
    Action, ContentKind, Encodings, Error, ErrorKind, Index, Key, Metadata, Namespace, Result, Timestamp, Value, Version,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    batch::{Feed, Place, Stop},
    lines::{Line, Lines},
};
use crate::{commands::export::FORMAT, text::counted};

/// Whether a first line says that this is an export.
pub(super) fn is_header(line: &[u8]) -> bool {
    serde_json::from_slice::<Header>(line).is_ok_and(|header| header.larder == "export")
}

/// Other fields are for later versions to add.
#[derive(Deserialize)]
struct Header {
    larder: String,
    format: u64,
}

/// Every kind of line behind the header, in one flat shape: an enum would be read through a buffer that forgets how
/// values were written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    larder: Option<String>,
    // Of a namespace.
    name: Option<String>,
    // Of an index.
    index: Option<Index>,
    // Of the last line.
    entries: Option<u64>,
    // Of an entry.
    namespace: Option<String>,
    key: Option<String>,
    version: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
    expires_at: Option<String>,
    metadata: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "raw")]
    value: Option<Box<RawValue>>,
    text: Option<String>,
    base64: Option<String>,
    kind: Option<String>,
    encodings: Option<String>,
}

/// A value of `null` is a value that is there; serde alone would take it for none.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

enum Parsed {
    Entry(Namespace, Key, Action),
    Namespace(Namespace, Metadata),
    Index(Namespace, Index),
    End(u64),
}

/// Reads exports; `only` is the namespace that was asked for, if one was, and every entry has to be in it.
pub(super) fn lines(mut lines: Lines<impl BufRead>, only: Option<&Namespace>, feed: &mut Feed) -> Result<(), Stop> {
    let mut inside = false;
    let (mut good, mut bad, mut last) = (0, 0, 0);
    while let Some(Line { number, text }) =
        lines.next().map_err(|error| Stop::Failed(crate::input::unreadable("the input", error)))?
    {
        let place = Place::Line(number);
        last = number;
        if !inside {
            header(text.unwrap_or_default())
                .map_err(|error| Stop::Failed(Error::new(error.kind(), format!("{place}: {}", error.message()))))?;
            (inside, good, bad) = (true, 0, 0);
            continue;
        }
        let parsed = text.ok_or_else(|| Error::limit("the line is too long")).and_then(|text| parse(text, only));
        match parsed {
            Ok(Parsed::Entry(namespace, key, action)) => {
                good += 1;
                feed.record(&namespace, key, action)?;
            }
            Ok(Parsed::Namespace(namespace, metadata)) => feed.namespace(namespace, metadata)?,
            Ok(Parsed::Index(namespace, index)) => feed.index(namespace, index)?,
            Ok(Parsed::End(entries)) => {
                // A bad line may have been an entry.
                if !(good..=good + bad).contains(&entries) {
                    let entries = counted(entries, "entry", "entries");
                    let found = counted(good, "was", "were");
                    let message = format!("{place}: the export counts {entries}, and {found} found in it");
                    return Err(Stop::Failed(Error::invalid(message)));
                }
                inside = false;
            }
            Err(error) => {
                bad += 1;
                feed.bad(place, &error)?;
            }
        }
    }
    if inside {
        let message = format!("the export was cut off after line {last}: its last line, with the count, is missing");
        return Err(Stop::Failed(Error::invalid(message)));
    }
    Ok(())
}

fn header(line: &[u8]) -> Result<()> {
    match serde_json::from_slice::<Header>(line) {
        Ok(header) if header.larder != "export" => Err(Error::invalid("this is no export of larder")),
        Ok(Header { format: 1..=FORMAT, .. }) => Ok(()),
        Ok(Header { format, .. }) => {
            let message = format!("the export has format {format}, and this program knows {FORMAT}: take a newer one");
            Err(Error::new(ErrorKind::Unsupported, message))
        }
        Err(_) => Err(Error::invalid("an export begins here, but there is no header")),
    }
}

fn parse(line: &[u8], only: Option<&Namespace>) -> Result<Parsed> {
    let fields: Fields =
        serde_json::from_slice(line).map_err(|error| Error::invalid("this is no line of an export").caused_by(error))?;
    match fields.larder.as_deref() {
        Some("end") => Ok(Parsed::End(given(fields.entries, "entries")?)),
        Some("namespace") => {
            Ok(Parsed::Namespace(Namespace::new(given(fields.name, "name")?)?, metadata(fields.metadata.as_deref())?))
        }
        Some("index") => {
            Ok(Parsed::Index(Namespace::new(given(fields.namespace, "namespace")?)?, given(fields.index, "index")?))
        }
        Some(other) => Err(Error::invalid(format!("there are no lines of kind {other:?} in an export"))),
        None => entry(fields, only),
    }
}

fn entry(fields: Fields, only: Option<&Namespace>) -> Result<Parsed> {
    let value = value(&fields)?;
    let namespace = Namespace::new(given(fields.namespace, "namespace")?)?;
    if let Some(only) = only.filter(|only| **only != namespace) {
        let message = format!("the entry belongs to namespace {namespace:?}, not {only:?}; leave --namespace away");
        return Err(Error::invalid(message));
    }
    let version = given(fields.version, "version")?;
    if version == 0 {
        return Err(Error::invalid("version 0 means absent, so no entry has it"));
    }
    let time = |text: Option<String>, name| given(text, name).and_then(|text| Timestamp::parse(&text));
    let action = Action::Restore {
        value,
        version: Version::new(version),
        created_at: time(fields.created_at, "created_at")?,
        updated_at: time(fields.updated_at, "updated_at")?,
        expires_at: fields.expires_at.map(|text| Timestamp::parse(&text)).transpose()?,
        metadata: metadata(fields.metadata.as_deref())?,
    };
    Ok(Parsed::Entry(namespace, Key::new(given(fields.key, "key")?)?, action))
}

fn given<T>(field: Option<T>, name: &str) -> Result<T> {
    field.ok_or_else(|| Error::invalid(format!("the line has no field {name:?}")))
}

fn metadata(text: Option<&RawValue>) -> Result<Metadata> {
    text.map_or_else(|| Ok(Metadata::default()), |text| Metadata::parse(text.get().as_bytes()))
}

fn value(fields: &Fields) -> Result<Value> {
    let json = match fields.kind.as_deref() {
        None => false,
        Some("json") => true,
        Some(other) => return Err(Error::invalid(format!("there is no kind {other:?} of values"))),
    };
    let decoded = |text: &str| {
        BASE64_STANDARD.decode(text).map_err(|error| Error::invalid("the field \"base64\" is not base64").caused_by(error))
    };
    match (&fields.value, &fields.text, &fields.base64, &fields.encodings) {
        (Some(raw), None, None, None) => Value::json(raw.get().to_owned()),
        (None, Some(text), None, None) if json => Value::json(text.clone()),
        (None, Some(text), None, None) => Ok(Value::opaque(text.clone())),
        (None, None, Some(text), None) => Ok(Value::opaque(decoded(text)?)),
        (None, None, Some(text), Some(encodings)) => {
            let kind = if json { ContentKind::Json } else { ContentKind::Opaque };
            Ok(Value::from_stored(decoded(text)?, kind, encodings.parse::<Encodings>()?))
        }
        _ => Err(Error::invalid("an entry has exactly one of value, text and base64")),
    }
}
