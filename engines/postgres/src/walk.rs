//! Walks along an index: pages of entries in the order of what they have.
//!
//! A walk goes in stretches: from a row up to a term. Wherever one ends early the rest of it is a stretch again, so going on
//! with the next page and leaping over keys that nobody asked for are the same step. A statement answers so many rows of a
//! stretch as there is room for items, and the next one twice as many: where nothing is passed over one of them is enough.

use std::{fmt::Write as _, sync::Arc};

use futures_util::future::join;
use larder_core::{
    Address, Entry, Key, Namespace, Result, Snapshot,
    engine::{IndexWalk, Place, Walked},
    index::{IndexId, Span, Term},
};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    error::Attempt,
    kept::number,
    range::cut,
    read::PAGE_BYTES_MAX,
    readers::{BEGIN, END, Readers},
    row::{self, cell, signed},
    session::Session,
};

/// How many rows a call looks at: some for each item that is wanted, between these bounds.
const ROWS_PER_ITEM: usize = 8;
const ROWS_MIN: usize = 512;
const ROWS_MAX: usize = 8192;
/// After so many rows of one term in a row that nobody asked for, it leaps to those that somebody did.
const ROWS_IN_VAIN: usize = 16;

pub(crate) async fn walk(readers: &Arc<Readers>, walk: IndexWalk) -> Result<Option<Snapshot<Walked>>> {
    let walk = Arc::new(walk);
    readers.one_moment(move |session| look(session, walk.clone())).await
}

async fn look(session: Arc<Session>, walk: Arc<IndexWalk>) -> Attempt<Option<Snapshot<Walked>>> {
    const HEAD: &str = "SELECT revision, namespace FROM store LEFT JOIN indexes ON indexes.id = $1 AND state = 'ready'";
    let id = number(walk.index);
    let parameters: [&(dyn ToSql + Sync); 1] = [&id];
    session.prepare(&[HEAD]).await?;
    let (began, head) = join(session.run(BEGIN), session.row(HEAD, &parameters)).await;
    began?;
    let head = head?;
    let walked = match cell::<Option<&str>>(&head, 1)? {
        None => None,
        Some(_) => {
            let value = page(&session, &walk, &row::namespace(&head, 1)?).await?;
            Some(Snapshot { revision: row::revision(&head, 0)?, value })
        }
    };
    session.run(END).await?;
    Ok(walked)
}

/// The keys of the namespace that were asked for: from one on, and before another.
#[derive(Clone, Copy)]
struct Keys<'a> {
    from: &'a str,
    to: Option<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(walk: &'a IndexWalk, namespace: &Namespace) -> Self {
        let (start, end) = (walk.range.start(), walk.range.end());
        Self {
            from: if start.namespace == namespace.as_str() { &start.key } else { "" },
            to: end.filter(|end| end.namespace == namespace.as_str()).map(|end| &*end.key),
        }
    }

    fn contain(&self, key: &str) -> bool {
        key >= self.from && self.to.is_none_or(|to| key < to)
    }
}

/// Rows from (`term`, `key`) on, up to the term `to` and without that. A key that ends in NUL is what comes right after one.
#[derive(Clone, Debug)]
struct Stretch {
    term: Vec<u8>,
    key: String,
    to: Vec<u8>,
    /// The terms from the last to the first, the keys of each in their order all the same.
    falling: bool,
}

impl Stretch {
    fn of(span: &Span, falling: bool) -> Self {
        Self { term: span.from.clone(), key: String::new(), to: span.to.clone(), falling }
    }

    /// What is left of it from (`term`, `key`) on: in two parts where it falls, the first of them last.
    fn rest(self, term: &[u8], key: String) -> Vec<Self> {
        let term = term.to_vec();
        if !self.falling {
            return vec![Self { term, key, ..self }];
        }
        let same = Self { to: next(&term), term: term.clone(), key, falling: false };
        vec![Self { to: term, ..self }, same]
    }

    /// What is left of it behind a row.
    fn behind(self, passed: &Place) -> Vec<Self> {
        self.rest(passed.term.as_bytes(), format!("{}\0", passed.key.as_str()))
    }

    /// What is left of it behind a row whose key nobody asked for: that which has a key that somebody did.
    fn leap(self, passed: &Place, keys: &Keys<'_>) -> Vec<Self> {
        let term = passed.term.as_bytes();
        if passed.key.as_str() < keys.from {
            self.rest(term, keys.from.to_owned())
        } else if self.falling {
            vec![Self { to: term.to_vec(), ..self }]
        } else {
            vec![Self { term: next(term), key: String::new(), ..self }]
        }
    }
}

/// What comes right after `term`.
fn next(term: &[u8]) -> Vec<u8> {
    [term, &[0]].concat()
}

/// A page as it comes about.
struct Walking<'a> {
    walk: &'a IndexWalk,
    namespace: &'a Namespace,
    keys: Keys<'a>,
    /// Those of the other terms that can be asked about.
    also: Vec<(i64, &'a [u8])>,
    walked: Walked,
    rows: usize,
    bytes: u64,
    /// The row behind the last item that was passed over, if there is one, and how many of its term were.
    passed: Option<Place>,
    in_vain: usize,
}

async fn page(session: &Session, walk: &IndexWalk, namespace: &Namespace) -> Attempt<Walked> {
    let walked = Walked { items: Vec::new(), through: None };
    if !walk.range.meets(namespace) {
        return Ok(walked);
    }
    let (keys, also) = (Keys::of(walk, namespace), ready(session, &walk.also).await?);
    let mut page = Walking { walk, namespace, keys, also, walked, rows: 0, bytes: 0, passed: None, in_vain: 0 };
    // The next one last.
    let mut stretches: Vec<Stretch> = walk.spans.iter().rev().map(|span| Stretch::of(span, walk.reverse)).collect();
    if let Some(after) = &walk.after
        && let Some(first) = stretches.pop()
    {
        stretches.extend(first.behind(after));
    }
    // One more than asked for tells whether there is more.
    let mut room = walk.limit.max(1).saturating_add(1);
    'stretches: while let Some(stretch) = stretches.pop() {
        let most = if page.is_full() { 1 } else { room.min(ROWS_MAX) };
        let rows = page.ask(session, &stretch, most).await?;
        for row in &rows {
            if page.is_full() {
                page.walked.through = page.last();
                return Ok(page.walked);
            }
            page.take(row)?;
            if page.in_vain == ROWS_IN_VAIN {
                page.in_vain = 0;
                stretches.extend(stretch.leap(page.passed.as_ref().expect("it was passed just now"), &page.keys));
                continue 'stretches;
            }
        }
        let bytes = rows.last().map_or(Ok(0), |row| row::number(row, 11))?;
        if (rows.len() == most || bytes >= PAGE_BYTES_MAX)
            && let Some(last) = page.last()
        {
            stretches.extend(stretch.behind(&last));
        }
        room = room.saturating_mul(2);
    }
    Ok(page.walked)
}

impl Walking<'_> {
    /// Whether there is an end to it, if there is one more row.
    fn is_full(&self) -> bool {
        let limit = self.walk.limit.max(1);
        let rows_max = limit.saturating_mul(ROWS_PER_ITEM).clamp(ROWS_MIN, ROWS_MAX);
        self.walked.items.len() == limit || self.bytes >= PAGE_BYTES_MAX.cast_unsigned() || self.rows == rows_max
    }

    /// The last row that was looked at.
    fn last(&self) -> Option<Place> {
        let place = |(term, entry): &(Term, Entry)| Place { term: term.clone(), key: entry.address.key.clone() };
        self.passed.clone().or_else(|| self.walked.items.last().map(place))
    }

    /// Takes one more row.
    fn take(&mut self, row: &Row) -> Result<()> {
        let (term, key) = (Term::from_bytes(cell::<&[u8]>(row, 0)?), Key::new(cell::<&str>(row, 1)?)?);
        self.rows += 1;
        let address = || Ok(Address::new(self.namespace.clone(), key.clone()));
        if let Some(entry) = row::entry(row, 2, address)? {
            self.bytes += entry.bytes();
            self.walked.items.push((term, entry));
            self.passed = None;
            return Ok(());
        }
        self.in_vain = if self.keys.contain(&key) {
            0
        } else if self.passed.as_ref().is_some_and(|place| place.term == term) {
            self.in_vain + 1
        } else {
            1
        };
        self.passed = Some(Place { term, key });
        Ok(())
    }

    /// The first rows of a stretch, each with its entry where its key was asked for and has so many terms in other indexes,
    /// too, and with the bytes of the entries up to it.
    async fn ask(&self, session: &Session, stretch: &Stretch, most: usize) -> Attempt<Vec<Row>> {
        let mut asking = Asking::default();
        let now = asking.number(self.walk.now.as_millis());
        let rows = asking.rows(number(self.walk.index), stretch, most);
        let mut joined = String::new();
        let mut key = "walked.key".to_owned();
        for (place, (id, term)) in self.also.iter().enumerate() {
            let (id, term) = (asking.number(*id), asking.number(*term));
            write!(
                joined,
                "LEFT JOIN LATERAL (SELECT key FROM terms WHERE index_id = {id} AND term = {term} AND key = {key} LIMIT 1) \
                 AS t{place} ON TRUE "
            )
            .expect("writing to a String does not fail");
            key = format!("t{place}.key");
        }
        let namespace = asking.number(self.namespace.as_str());
        let keys = asking.within(&self.keys);
        let bytes = "octet_length(entries.key) + octet_length(value) + coalesce(octet_length(metadata), 0)";
        // Behind a limit each is looked up for the row it belongs to, whatever the statistics say.
        let sql = format!(
            "SELECT term, key, version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value, running \
             FROM (SELECT nth, walked.term, walked.key, version, revision, created_at, updated_at, expires_at, json, encodings, \
             metadata, value, coalesce({bytes}, 0) AS bytes, \
             coalesce(sum({bytes}) OVER (ORDER BY nth ROWS UNBOUNDED PRECEDING), 0) AS running \
             FROM (SELECT *, row_number() OVER () AS nth FROM ({rows}) AS rows) AS walked \
             {joined}LEFT JOIN LATERAL (SELECT * FROM entries WHERE namespace = {namespace} AND entries.key = {key} \
             AND (expires_at IS NULL OR expires_at > {now}){keys} LIMIT 1) AS entries ON TRUE) AS page WHERE running - bytes < {PAGE_BYTES_MAX} ORDER BY nth"
        );
        let parameters: Vec<_> = asking.parameters.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect();
        session.query(&sql, &parameters).await
    }
}

/// The parameters of a statement that is being written.
#[derive(Default)]
struct Asking<'a> {
    parameters: Vec<Box<dyn ToSql + Send + Sync + 'a>>,
}

impl<'a> Asking<'a> {
    /// Takes one more, and answers how it is called.
    fn number(&mut self, parameter: impl ToSql + Send + Sync + 'a) -> String {
        self.parameters.push(Box::new(parameter));
        format!("${}", self.parameters.len())
    }

    /// The first rows of a stretch.
    fn rows(&mut self, index: i64, stretch: &'a Stretch, most: usize) -> String {
        let id = self.number(index);
        let (from, to, most) = (self.number(&*stretch.term), self.number(&*stretch.to), self.number(signed(most as u64)));
        if stretch.falling {
            // To be in the order of keys within each term, PostgreSQL would sort all that have it. So it finds one term
            // after the other, and then the rows of each.
            let below = |to: &str| {
                format!(
                    "SELECT term FROM terms WHERE index_id = {id} AND term >= {from} AND term < {to} \
                     ORDER BY index_id DESC, term DESC, key DESC LIMIT 1"
                )
            };
            return format!(
                "WITH RECURSIVE steps (step) AS (SELECT ({first}) UNION ALL SELECT ({next}) FROM steps WHERE step IS NOT NULL) \
                 SELECT found.term, found.key FROM steps CROSS JOIN LATERAL (SELECT term, key FROM terms \
                 WHERE index_id = {id} AND term = step ORDER BY index_id, term, key) AS found LIMIT {most}",
                first = below(&to),
                next = below("step")
            );
        }
        let (key, after) = cut(&stretch.key);
        let (compare, key) = (if after { ">" } else { ">=" }, self.number(key));
        format!(
            "SELECT term, key FROM terms WHERE index_id = {id} AND (term, key) {compare} ({from}, {key}) AND term < {to} \
             ORDER BY index_id, term, key LIMIT {most}"
        )
    }

    /// The condition that sorts out keys that nobody asked for.
    fn within(&mut self, keys: &Keys<'a>) -> String {
        let mut condition = String::new();
        if !keys.from.is_empty() {
            let (from, after) = cut(keys.from);
            let compare = if after { ">" } else { ">=" };
            write!(condition, " AND walked.key {compare} {}", self.number(from)).expect("writing to a String does not fail");
        }
        if let Some(to) = keys.to {
            let (to, through) = cut(to);
            let compare = if through { "<=" } else { "<" };
            write!(condition, " AND walked.key {compare} {}", self.number(to)).expect("writing to a String does not fail");
        }
        condition
    }
}

/// Those of `also` that can be asked.
async fn ready<'a>(session: &Session, also: &'a [(IndexId, Term)]) -> Attempt<Vec<(i64, &'a [u8])>> {
    if also.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = also.iter().map(|(id, _)| number(*id)).collect();
    let rows = session.query("SELECT id FROM indexes WHERE id = ANY($1) AND state = 'ready'", &[&ids]).await?;
    let ready = rows.iter().map(|row| row::number(row, 0)).collect::<Result<Vec<_>>>()?;
    let also = also.iter().map(|(id, term)| (number(*id), term.as_bytes()));
    Ok(also.filter(|(id, _)| ready.contains(id)).collect())
}
