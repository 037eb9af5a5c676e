//! Walks along an index: pages of entries in the order of what they have.
//!
//! The server walks by itself, over parts that are said here: from one row to another, or the rows of one term.

use larder_core::{
    Address, Key, Namespace, Result, Snapshot,
    engine::{IndexWalk, Place, Walked},
    index::{IndexId, Span},
};

use crate::{
    entry,
    error::corrupt,
    kept::number,
    read::{PAGE_BYTES_MAX, SMALL, head},
    readers::Readers,
    row,
    session::Call,
};

/// How many rows a call looks at: some for each item that is wanted, between these bounds.
const ROWS_PER_ITEM: usize = 8;
const ROWS_MIN: usize = 512;
const ROWS_MAX: usize = 8192;

pub(crate) async fn walk(readers: &Readers, walk: &IndexWalk) -> Result<Option<Snapshot<Walked>>> {
    // Mostly nobody asks for more than is in one namespace. Who does, learns from the server which one the index is of.
    let mut namespace = walk.range.within_namespace().and_then(|(name, ..)| Namespace::new(name).ok()).unwrap_or_default();
    loop {
        let asked = Asked::of(walk, &namespace);
        let mut answers = readers.ask(walk.limit <= SMALL, asked.call(readers, walk, &namespace)).await?;
        let revision = head(readers, &mut answers)?.revision;
        let Some(name) = answers.bytes()? else { return Ok(None) };
        if name != namespace.as_str().as_bytes() {
            let name = std::str::from_utf8(&name).ok().and_then(|name| Namespace::new(name).ok());
            namespace = name.ok_or_else(|| corrupt("an index is of a namespace that nobody can have created"))?;
            continue;
        }
        let mut found = answers.list()?;
        let mut walked = Walked { items: Vec::with_capacity(found.len() / 2), through: None };
        while found.len() > 0 {
            let (term, key) = row::read(&found.some_bytes()?)?;
            let bytes = found.bytes()?.ok_or_else(|| corrupt("an index names an entry that is not there"))?;
            walked.items.push((term, entry::read(Address::new(namespace.clone(), key), bytes)?));
        }
        let last = answers.bytes()?.map(|last| row::read(&last)).transpose()?;
        walked.through = last.map(|(term, key)| Place { term, key });
        return Ok(Some(Snapshot { revision, value: walked }));
    }
}

/// What is asked for, if the index is of a certain namespace.
struct Asked<'a> {
    /// The first key, and that behind the last; nothing where there is no bound.
    keys: (&'a str, &'a str),
    parts: Vec<Part>,
}

/// A part of a walk.
struct Part {
    /// What its rows begin with, if they are all of one term.
    term: Vec<u8>,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl<'a> Asked<'a> {
    fn of(walk: &'a IndexWalk, namespace: &Namespace) -> Self {
        if !walk.range.meets(namespace) {
            return Self { keys: ("", ""), parts: Vec::new() };
        }
        let (start, end) = (walk.range.start(), walk.range.end());
        let from = if start.namespace == namespace.as_str() { &*start.key } else { "" };
        let to = end.filter(|end| end.namespace == namespace.as_str()).map_or("", |end| &*end.key);
        let mut parts: Vec<Part> = walk.spans.iter().map(Part::of).collect();
        if let (Some(after), false) = (&walk.after, parts.is_empty()) {
            let rest = parts.remove(0).rest(after, (from, to), walk.reverse);
            parts.splice(..0, rest);
        }
        Self { keys: (from, to), parts }
    }

    fn call(&self, readers: &Readers, walk: &IndexWalk, namespace: &Namespace) -> Call {
        let limit = walk.limit.max(1);
        let rows = limit.saturating_mul(ROWS_PER_ITEM).clamp(ROWS_MIN, ROWS_MAX);
        let call = readers.function("walk").arg(number(walk.index)).arg(namespace.as_str());
        let call = call.number(walk.now.as_millis()).number(limit).number(rows).number(PAGE_BYTES_MAX);
        let mut call = call.flag(walk.reverse).arg(self.keys.0).arg(self.keys.1).number(walk.also.len());
        for (id, term) in &walk.also {
            call = call.arg(number(*id)).arg(row::beginning(term.as_bytes()));
        }
        for Part { term, from, to } in &self.parts {
            call = call.arg(term).arg(from).arg(to);
        }
        call
    }
}

/// A bound with what it stands at in it, and one without.
fn with(row: &[u8]) -> Vec<u8> {
    [b"[", row].concat()
}

fn without(row: &[u8]) -> Vec<u8> {
    [b"(", row].concat()
}

impl Part {
    fn of(span: &Span) -> Self {
        let (from, to) = (with(&row::beginning(&span.from)), without(&row::beginning(&span.to)));
        Self { term: Vec::new(), from, to }
    }

    /// What is left of it behind `place`, of which keys between these two are asked for.
    fn rest(self, place: &Place, keys: (&str, &str), falling: bool) -> Vec<Self> {
        let Place { term, key } = place;
        let here = row::row(term, key);
        if !falling && keys == ("", "") {
            return vec![Self { from: without(&here), ..self }];
        }
        let (term, behind) = (row::beginning(term.as_bytes()), row::behind(term.as_bytes()));
        let bound = |key: &str| [&*term, key.as_bytes()].concat();
        let from = if keys.0 > Key::as_str(key) { with(&bound(keys.0)) } else { without(&here) };
        let to = if keys.1.is_empty() { without(&behind) } else { without(&bound(keys.1)) };
        let others = match falling {
            true => Self { to: without(&term), ..self },
            false => Self { from: with(&behind), ..self },
        };
        vec![Self { term, from, to }, others]
    }
}

pub(crate) async fn estimate(readers: &Readers, id: IndexId, spans: &[Span], most: usize) -> Result<usize> {
    let mut call = readers.function("estimate").arg(number(id)).number(most);
    for Part { from, to, .. } in spans.iter().map(Part::of) {
        call = call.arg(from).arg(to);
    }
    let mut answers = readers.ask(true, call).await?;
    head(readers, &mut answers)?;
    Ok(usize::try_from(answers.number()?).unwrap_or(most).min(most))
}
