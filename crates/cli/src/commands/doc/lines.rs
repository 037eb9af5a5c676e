//! `doc insert --lines`: a document a line, many at once, in bounded memory.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
};

use larder::{
    Error, Limits, Value,
    documents::{Collection, Saved},
};
use serde_json::json;

use super::{open, told};
use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::counted,
};

/// How many lines are inserted at once: they share a durable write.
const TOGETHER: usize = 64;

pub(crate) async fn insert(
    session: &mut Session,
    name: &str,
    document: &OsStr,
    id_field: Option<String>,
) -> Result<(), Failure> {
    let argument = document.to_str().map(|text| (text.strip_prefix('@').unwrap_or(text), text));
    let Some((file, _)) = argument.filter(|(_, text)| *text == "-" || text.starts_with('@')) else {
        return Err(Failure::Usage("--lines takes @FILE, or - for the standard input".to_owned()));
    };
    let (reader, file) = input::file(file)?;
    let mut lines = Lines { reader: BufReader::new(reader), file, line: 0 };
    let collection = open(session, name, Missing::Create).await?;
    let mut inserted = 0;
    loop {
        let mut batch = Vec::with_capacity(TOGETHER);
        let mut wrong = None;
        while batch.len() < TOGETHER && wrong.is_none() {
            match lines.next() {
                Ok(Some(next)) => batch.push(next),
                Ok(None) => break,
                Err(error) => wrong = Some(error),
            }
        }
        let end = batch.len() < TOGETHER;
        let sending: Vec<_> = batch
            .into_iter()
            .map(|(line, text)| {
                let (collection, id_field) = (collection.clone(), id_field.clone());
                (line, tokio::spawn(async move { one(&collection, text, id_field.as_deref()).await }))
            })
            .collect();
        let mut first = None;
        for (line, sent) in sending {
            match sent.await.expect("inserting does not panic") {
                Ok(_) => inserted += 1,
                Err(error) => first = first.or(Some((line, error))),
            }
        }
        if let Some((line, error)) = first {
            let (kind, message) = (error.kind(), error.message().to_owned());
            let so_far = counted(inserted, "document was", "documents were");
            let error = error.as_kind(kind, format!("line {line}: {message}; {so_far} inserted"));
            return Err(told(session, name, None, error));
        }
        match wrong {
            Some(error) => return Err(error.into()),
            None if end => break,
            None => {}
        }
    }
    let text = format!("inserted {}", counted(inserted, "document", "documents"));
    Ok(session.output.done(&json!({ "inserted": inserted }), text)?)
}

async fn one(collection: &Collection, text: Vec<u8>, id_field: Option<&str>) -> larder::Result<Saved> {
    let value = Value::json(text)?;
    let id = match id_field {
        Some(field) => Some(id_of(&value, field)?),
        None => None,
    };
    let insert = collection.insert_value(Ok(value));
    match id {
        Some(id) => insert.id(id).await,
        None => insert.await,
    }
}

fn id_of(value: &Value, field: &str) -> larder::Result<String> {
    let read = larder::query::Json::parse(value.bytes())?;
    let larder::query::Json::Object(mut fields) = read else {
        return Err(Error::invalid("a document that holds its id is an object"));
    };
    match fields.remove(field) {
        Some(larder::query::Json::Text(id)) => Ok(id),
        Some(number @ larder::query::Json::Number(_)) => Ok(number.to_string()),
        _ => Err(Error::invalid(format!("there is no text and no number {field:?} to be its id"))),
    }
}

/// Lines with something on them, each with its number.
struct Lines<R> {
    reader: BufReader<R>,
    file: String,
    line: u64,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> larder::Result<Option<(u64, Vec<u8>)>> {
        // A little more than a value may be, so that an endless line is refused and not read.
        let most = Limits::FLOOR.value_bytes as u64 + 2;
        loop {
            let mut text = Vec::new();
            let read = self.reader.by_ref().take(most).read_until(b'\n', &mut text);
            read.map_err(|error| input::unreadable(&self.file, error))?;
            if text.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            if text.len() as u64 == most {
                let line = self.line;
                return Err(Error::limit(format!("line {line} of {} is longer than a document may be", self.file)));
            }
            let text = text.trim_ascii();
            if !text.is_empty() {
                return Ok(Some((self.line, text.to_vec())));
            }
        }
    }
}
