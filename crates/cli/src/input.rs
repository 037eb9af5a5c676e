//! What comes in beside the store: values, files, durations, metadata. It knows no command.

use std::{
    borrow::Cow,
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use larder::{Error, ErrorKind, Filter, Limits, Metadata, Result, Timestamp};

/// The bytes that a VALUE argument stands for: itself, `@FILE`, or `-` for the standard input.
pub(crate) fn value(argument: &OsStr, literal: bool) -> Result<Vec<u8>> {
    let bytes = argument.as_encoded_bytes();
    if literal || !(bytes == b"-" || bytes.starts_with(b"@")) {
        return Ok(bytes.to_vec());
    }
    let name = argument.to_str().ok_or_else(|| Error::invalid("the name of a file after @ has to be UTF-8"))?;
    Ok(bounded(name, "one value", Limits::FLOOR.value_bytes)?.0)
}

/// The question that a FILTER argument stands for: itself, `@FILE`, or `-` for the standard input. A shell hands over no
/// more than 128 KiB as one argument, and a filter may be longer.
pub(crate) fn question(argument: &str) -> Result<Cow<'_, str>> {
    if !(argument == "-" || argument.starts_with('@')) {
        return Ok(Cow::Borrowed(argument));
    }
    let (bytes, name) = bounded(argument, "one question", Filter::MAX_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{name} is no text: it is not UTF-8")))?;
    Ok(Cow::Owned(text))
}

/// What is in `@FILE` or comes from the standard input, and how to call that in messages.
fn bounded(argument: &str, what: &str, most: usize) -> Result<(Vec<u8>, String)> {
    let (mut reader, name) = open(argument.strip_prefix('@').unwrap_or(argument), argument == "-")?;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know, and an endless file does no harm.
    reader.by_ref().take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&name, error))?;
    if bytes.len() > most {
        return Err(Error::limit(format!("{name} is too large for {what}: at most {most} bytes are allowed")));
    }
    Ok((bytes, name))
}

/// A FILE argument, or `-` for the standard input, and how to call it in messages.
pub(crate) fn file(argument: &str) -> Result<(Box<dyn Read + Send>, String)> {
    open(argument, argument == "-")
}

fn open(path: &str, standard: bool) -> Result<(Box<dyn Read + Send>, String)> {
    if standard {
        return Ok((Box::new(io::stdin()), "the standard input".to_owned()));
    }
    let name = format!("the file {path:?}");
    let file = File::open(Path::new(path)).map_err(|error| unreadable(&name, error))?;
    Ok((Box::new(file), name))
}

/// The error for something called `name` that cannot be read.
pub(crate) fn unreadable(name: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        io::ErrorKind::IsADirectory => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{name} cannot be read")).caused_by(error)
}

/// A duration such as `10m`, `1h30m`, `500ms` or `2d`.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| Error::invalid(format!("{text:?} is no duration; write it as in 500ms, 10m, 1h30m or 2d")))?;
    if duration.is_zero() {
        return Err(Error::invalid("a time to live has to be longer than zero"));
    }
    Ok(duration)
}

/// A size such as `500000`, `100kB` or `10MiB`.
pub(crate) fn size(text: &str) -> Result<u64> {
    let faulty = || Error::invalid(format!("{text:?} is no size; write it as in 500000, 100kB, 10MiB or 1GiB"));
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(faulty()),
    };
    number.parse().ok().and_then(|number: u64| number.checked_mul(unit)).ok_or_else(faulty)
}

/// A moment such as `2030-01-31T12:00:00Z`.
pub(crate) fn moment(text: &str) -> Result<Timestamp> {
    Timestamp::parse(text)
}

/// Metadata from `name=value` pairs, where a value that is JSON is taken as such and any other as text; or from one
/// JSON object.
pub(crate) fn metadata(fields: &[String]) -> Result<Metadata> {
    if let [object] = fields
        && object.trim_start().starts_with('{')
    {
        return Metadata::parse(object.as_bytes());
    }
    let mut text = String::from("{");
    let mut names = std::collections::BTreeSet::new();
    for field in fields {
        let Some((name, value)) = field.split_once('=') else {
            return Err(Error::invalid(format!("the metadata {field:?} is not of the form name=value")));
        };
        if !names.insert(name) {
            return Err(Error::invalid(format!("the metadata field {name:?} is given twice")));
        }
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&quoted(name));
        text.push(':');
        match larder::json::check(value.as_bytes()) {
            Ok(()) => text.push_str(value),
            Err(_) => text.push_str(&quoted(value)),
        }
    }
    text.push('}');
    Metadata::parse(text.as_bytes())
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can always be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_is_in_bytes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("500000", Some(500_000)),
            ("12B", Some(12)),
            ("100kB", Some(100_000)),
            ("10MiB", Some(10 << 20)),
            ("10 MiB", Some(10 << 20)),
            ("1GiB", Some(1 << 30)),
            ("2GB", Some(2_000_000_000)),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.5MiB", None),
            ("1mib", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text:?}");
        }
    }
}
