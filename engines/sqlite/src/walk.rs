//! Walks along an index: pages of entries in the order of what they have.
//!
//! A walk goes in stretches: from a row up to a term. Wherever one ends early the rest of it is a stretch again, so going on
//! with the next page and leaping over keys that nobody asked for are the same step.

use larder_core::{
    Address, Entry, Namespace, Result, Revision, Snapshot,
    engine::{IndexWalk, Place, Walked},
    index::{IndexId, Span, Term},
};
use rusqlite::{Connection, ToSql, types::ValueRef};

use crate::{
    error::{corrupt, explain},
    kept::number,
    read::PAGE_BYTES_MAX,
    row::{self, ENTRY},
    shelf::Shelf,
};

/// How many rows a call looks at: some for each item that is wanted, between these bounds.
const ROWS_PER_ITEM: usize = 8;
const ROWS_MIN: usize = 512;
const ROWS_MAX: usize = 8192;
/// For so many items there is room from the beginning.
const ITEMS_LIKELY: usize = 64;
/// After so many rows of one term in a row that nobody asked for, it leaps to those that somebody did.
const ROWS_IN_VAIN: usize = 16;

pub(crate) fn walk(connection: &Connection, walk: &IndexWalk) -> Result<Option<Snapshot<Walked>>> {
    const HEAD: &str = "SELECT revision, namespace FROM store LEFT JOIN indexes ON indexes.id = ?1 AND state = 'ready'";
    let mut statement = connection.prepare_cached(HEAD).map_err(explain)?;
    // Until these rows are let go, all that is read is of one moment.
    let mut rows = statement.query([number(walk.index)]).map_err(explain)?;
    let row = rows.next().map_err(explain)?.ok_or_else(|| corrupt("the table store is empty"))?;
    let revision = Revision::new(row::number(row, 0)?.cast_unsigned());
    if row.get_ref(1).map_err(explain)? == ValueRef::Null {
        return Ok(None);
    }
    let namespace = row::namespace(row, 1)?;
    Ok(Some(Snapshot { revision, value: page(connection, walk, &namespace)? }))
}

/// The keys of the namespace that were asked for: from one on, and before another.
struct Keys<'a> {
    from: &'a str,
    to: Option<&'a str>,
}

impl Keys<'_> {
    fn are_all(&self) -> bool {
        self.from.is_empty() && self.to.is_none()
    }

    fn contain(&self, key: &str) -> bool {
        key >= self.from && self.to.is_none_or(|to| key < to)
    }
}

/// Rows that stand together.
#[derive(Clone, Debug)]
enum Stretch {
    /// Those of all terms from one on, up to another and without that.
    Terms { from: Vec<u8>, to: Vec<u8> },
    /// Those of one term, from a key on.
    Keys { term: Vec<u8>, from: String },
}

impl Stretch {
    fn of(span: &Span) -> Self {
        Self::Terms { from: span.from.clone(), to: span.to.clone() }
    }

    /// What is left of it from (`term`, `key`) on, the first part last.
    fn rest(self, term: &[u8], key: String, falling: bool) -> Vec<Self> {
        let mut rest = self.behind(term, falling);
        rest.push(Self::Keys { term: term.to_vec(), from: key });
        rest
    }

    /// What is left of it behind all rows of `term`.
    fn behind(self, term: &[u8], falling: bool) -> Vec<Self> {
        match self {
            Self::Terms { from, .. } if falling => vec![Self::Terms { from, to: term.to_vec() }],
            Self::Terms { to, .. } => vec![Self::Terms { from: next(term), to }],
            Self::Keys { .. } => Vec::new(),
        }
    }

    /// What is left of it behind a row whose key nobody asked for: that which has a key that somebody did.
    fn leap(self, passed: &Place, keys: &Keys<'_>, falling: bool) -> Vec<Self> {
        let term = passed.term.as_bytes();
        if passed.key.as_str() < keys.from {
            self.rest(term, keys.from.to_owned(), falling)
        } else {
            self.behind(term, falling)
        }
    }

    fn edges(&self) -> [&dyn ToSql; 2] {
        match self {
            Self::Terms { from, to } => [from, to],
            Self::Keys { term, from } => [term, from],
        }
    }
}

/// What comes right after `term`.
fn next(term: &[u8]) -> Vec<u8> {
    [term, &[0]].concat()
}

fn page(connection: &Connection, walk: &IndexWalk, namespace: &Namespace) -> Result<Walked> {
    let mut walked = Walked { items: Vec::with_capacity(walk.limit.min(ITEMS_LIKELY)), through: None };
    if !walk.range.meets(namespace) {
        return Ok(walked);
    }
    let (start, end) = (walk.range.start(), walk.range.end());
    let keys = Keys {
        from: if start.namespace == namespace.as_str() { &start.key } else { "" },
        to: end.filter(|end| end.namespace == namespace.as_str()).map(|end| end.key.as_str()),
    };
    // The next one last.
    let mut stretches: Vec<Stretch> = walk.spans.iter().rev().map(Stretch::of).collect();
    if let Some(Place { term, key }) = &walk.after
        && let Some(first) = stretches.pop()
    {
        stretches.extend(first.rest(term.as_bytes(), format!("{}\0", key.as_str()), walk.reverse));
    }
    let also = ready(connection, &walk.also)?;
    let limit = walk.limit.max(1);
    let rows_max = limit.saturating_mul(ROWS_PER_ITEM).clamp(ROWS_MIN, ROWS_MAX);
    let (mut rows, mut bytes, mut shelf) = (0, 0, Shelf::default());
    // The row behind the last item that was passed over, if there is one, and how many of its term were.
    let (mut passed, mut in_vain) = (None::<Place>, 0);
    while let Some(stretch) = stretches.pop() {
        let query = query(&stretch, walk.reverse, &keys, also.len());
        let mut statement = connection.prepare_cached(&query).map_err(explain)?;
        let (index, [from, to]) = (number(walk.index), stretch.edges());
        let parameters: [&dyn ToSql; 5] = [&index, from, to, &keys.from, &keys.to];
        let others = also.iter().flat_map(|(id, term)| [id as &dyn ToSql, term]);
        for (index, value) in parameters.into_iter().chain(others).enumerate().take(statement.parameter_count()) {
            statement.raw_bind_parameter(index + 1, value).map_err(explain)?;
        }
        let mut found = statement.raw_query();
        loop {
            let Walked { items, through } = &mut walked;
            if items.len() == limit || bytes >= PAGE_BYTES_MAX || rows == rows_max {
                let place = |(term, entry): &(Term, Entry)| Place { term: term.clone(), key: entry.address.key.clone() };
                *through = passed.or_else(|| items.last().map(place));
                return Ok(walked);
            }
            let Some(row) = found.next().map_err(explain)? else { break };
            rows += 1;
            let term = || Ok::<_, larder_core::Error>(Term::from_bytes(row::bytes(row, 0)?));
            if keys.contain(row::name(row, 1)?) {
                let address = || Ok(Address::new(namespace.clone(), row::key(row, 1)?));
                match row::entry_on(&mut shelf, row, 2, address)? {
                    Some(entry) if !entry.is_expired(walk.now) => {
                        bytes += entry.bytes();
                        items.push((term()?, entry));
                        passed = None;
                        continue;
                    }
                    None if also.is_empty() => return Err(corrupt("an index names an entry that is not there")),
                    _ => in_vain = 0,
                }
            } else {
                let term = row::bytes(row, 0)?;
                let same = passed.as_ref().is_some_and(|place| place.term.as_bytes() == term);
                in_vain = if same { in_vain + 1 } else { 1 };
            }
            passed = Some(Place { term: term()?, key: row::key(row, 1)? });
            if in_vain == ROWS_IN_VAIN {
                in_vain = 0;
                let passed = passed.as_ref().expect("it was passed just now");
                stretches.extend(stretch.clone().leap(passed, &keys, walk.reverse));
                break;
            }
        }
    }
    Ok(walked)
}

/// Those of `also` that can be asked.
fn ready(connection: &Connection, also: &[(IndexId, Term)]) -> Result<Vec<(i64, Vec<u8>)>> {
    let mut ready = Vec::with_capacity(also.len());
    for (id, term) in also {
        let mut statement =
            connection.prepare_cached("SELECT 1 FROM indexes WHERE id = ?1 AND state = 'ready'").map_err(explain)?;
        if statement.exists([number(*id)]).map_err(explain)? {
            ready.push((number(*id), term.as_bytes().to_vec()));
        }
    }
    Ok(ready)
}

/// The rows of a stretch, each with its entry where its key was asked for and has so many terms in other indexes, too.
fn query(stretch: &Stretch, falling: bool, keys: &Keys<'_>, also: usize) -> String {
    let asked = (!keys.are_all()).then(|| "terms.key >= ?4 AND (?5 IS NULL OR terms.key < ?5)".to_owned());
    let crossed = (0..also).map(|other| {
        let (id, term) = (6 + 2 * other, 7 + 2 * other);
        format!("EXISTS (SELECT 1 FROM terms AS other WHERE other.index_id = ?{id} AND other.term = ?{term} AND other.key = terms.key)")
    });
    let conditions: Vec<String> = asked.into_iter().chain(crossed).collect();
    let entry =
        if conditions.is_empty() { "entry".to_owned() } else { format!("iif({}, entry, NULL)", conditions.join(" AND ")) };
    let (rows, order) = match stretch {
        // SQLite would compare each row with both edges again if a stretch began within the rows of a term.
        Stretch::Keys { .. } => ("terms", "WHERE index_id = ?1 AND term = ?2 AND terms.key >= ?3 ORDER BY terms.key"),
        Stretch::Terms { .. } if !falling => {
            ("terms", "WHERE index_id = ?1 AND term >= ?2 AND term < ?3 ORDER BY term, terms.key")
        }
        // To be in the order of keys within each term, SQLite would sort all that have it. So it is told to find the terms
        // first, and then the rows of each: a cross join is one that it does not turn round.
        Stretch::Terms { .. } => (
            "(SELECT DISTINCT term AS one FROM terms WHERE index_id = ?1 AND term >= ?2 AND term < ?3 \
             ORDER BY term DESC LIMIT -1) CROSS JOIN terms ON index_id = ?1 AND term = one",
            "ORDER BY one DESC",
        ),
    };
    format!("SELECT term, terms.key, {ENTRY} FROM {rows} LEFT JOIN entries ON entries.id = {entry} {order}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Keys<'_> = Keys { from: "", to: None };
    const SOME: Keys<'_> = Keys { from: "a", to: Some("b") };

    #[test]
    fn nothing_is_sorted_that_grows_with_the_index() {
        let connection = Connection::open_in_memory().expect("opens");
        connection.execute_batch(crate::SCHEMA).expect("the schema is good SQL");
        let terms = Stretch::of(&Span::all());
        let one = Stretch::Keys { term: vec![0x21], from: String::new() };
        let ways = [(&terms, false), (&terms, true), (&one, false)];
        let asked = [(&ALL, 0), (&SOME, 0), (&ALL, 2), (&SOME, 1)];
        for ((stretch, falling), (keys, also)) in ways.into_iter().flat_map(|way| asked.map(|asked| (way, asked))) {
            let sql = format!("EXPLAIN QUERY PLAN {}", query(stretch, falling, keys, also));
            let mut statement = connection.prepare(&sql).expect("the query is good SQL");
            let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
            let plan = steps.expect("there is a plan").join("; ");
            assert!(plan.contains("SEARCH terms USING PRIMARY KEY (index_id=? AND "), "{plan}");
            assert!(plan.contains("SEARCH entries USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("AUTOMATIC"), "{plan}");
            let crossed = plan.matches("SEARCH other USING PRIMARY KEY (index_id=? AND term=? AND key=?)").count();
            assert_eq!(crossed, also, "{plan}");
        }
    }
}
