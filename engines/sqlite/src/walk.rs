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
    read::{PAGE_BYTES_MAX, one_moment},
    row::{self, ENTRY},
};

/// How many rows a call looks at: some for each item that is wanted, between these bounds.
const ROWS_PER_ITEM: usize = 8;
const ROWS_MIN: usize = 512;
const ROWS_MAX: usize = 8192;
/// After so many rows of one term in a row that nobody asked for, it leaps to those that somebody did.
const ROWS_IN_VAIN: usize = 16;

pub(crate) fn walk(connection: &Connection, walk: &IndexWalk) -> Result<Option<Snapshot<Walked>>> {
    one_moment(connection, |connection| {
        const HEAD: &str = "SELECT revision, namespace FROM store LEFT JOIN indexes ON indexes.id = ?1 AND state = 'ready'";
        let mut statement = connection.prepare_cached(HEAD).map_err(explain)?;
        let mut rows = statement.query([number(walk.index)]).map_err(explain)?;
        let row = rows.next().map_err(explain)?.ok_or_else(|| corrupt("the table store is empty"))?;
        let revision = Revision::new(row::number(row, 0)?.cast_unsigned());
        if row.get_ref(1).map_err(explain)? == ValueRef::Null {
            return Ok(None);
        }
        let namespace = row::namespace(row, 1)?;
        Ok(Some(Snapshot { revision, value: page(connection, walk, &namespace)? }))
    })
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

/// Rows from (`term`, `key`) on, up to the term `to` and without that.
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

fn page(connection: &Connection, walk: &IndexWalk, namespace: &Namespace) -> Result<Walked> {
    let mut walked = Walked { items: Vec::new(), through: None };
    if !walk.range.meets(namespace) {
        return Ok(walked);
    }
    let (start, end) = (walk.range.start(), walk.range.end());
    let keys = Keys {
        from: if start.namespace == namespace.as_str() { &start.key } else { "" },
        to: end.filter(|end| end.namespace == namespace.as_str()).map(|end| end.key.as_str()),
    };
    // The next one last.
    let mut stretches: Vec<Stretch> = walk.spans.iter().rev().map(|span| Stretch::of(span, walk.reverse)).collect();
    if let Some(Place { term, key }) = &walk.after
        && let Some(first) = stretches.pop()
    {
        stretches.extend(first.rest(term.as_bytes(), format!("{}\0", key.as_str())));
    }
    let also = ready(connection, &walk.also)?;
    let limit = walk.limit.max(1);
    let rows_max = limit.saturating_mul(ROWS_PER_ITEM).clamp(ROWS_MIN, ROWS_MAX);
    let (mut rows, mut bytes) = (0, 0);
    // The row behind the last item that was passed over, if there is one, and how many of its term were.
    let (mut passed, mut in_vain) = (None::<Place>, 0);
    while let Some(stretch) = stretches.pop() {
        let mut statement = connection.prepare_cached(&query(stretch.falling, &keys, also.len())).map_err(explain)?;
        let parameters: [&dyn ToSql; 6] =
            [&number(walk.index), &stretch.term, &stretch.to, &stretch.key, &keys.from, &keys.to];
        let others = also.iter().flat_map(|(id, term)| [id as &dyn ToSql, term]);
        for (index, value) in parameters.into_iter().chain(others).enumerate().take(statement.parameter_count()) {
            statement.raw_bind_parameter(index + 1, value).map_err(explain)?;
        }
        let mut found = statement.raw_query();
        while let Some(row) = found.next().map_err(explain)? {
            let Walked { items, through } = &mut walked;
            if items.len() == limit || bytes >= PAGE_BYTES_MAX || rows == rows_max {
                let place = |(term, entry): &(Term, Entry)| Place { term: term.clone(), key: entry.address.key.clone() };
                *through = passed.or_else(|| items.last().map(place));
                return Ok(walked);
            }
            rows += 1;
            let (term, key) = (Term::from_bytes(row.get(0).map_err(explain)?), row::key(row, 1)?);
            if keys.contain(&key) {
                let address = Address::new(namespace.clone(), key.clone());
                match row::entry(row, 2, || Ok(address))? {
                    Some(entry) if !entry.is_expired(walk.now) => {
                        bytes += entry.bytes();
                        items.push((term, entry));
                        passed = None;
                        continue;
                    }
                    None if also.is_empty() => return Err(corrupt("an index names an entry that is not there")),
                    _ => in_vain = 0,
                }
            } else {
                in_vain = if passed.as_ref().is_some_and(|place| place.term == term) { in_vain + 1 } else { 1 };
            }
            passed = Some(Place { term, key });
            if in_vain == ROWS_IN_VAIN {
                in_vain = 0;
                stretches.extend(stretch.clone().leap(passed.as_ref().expect("it was passed just now"), &keys));
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
fn query(falling: bool, keys: &Keys<'_>, also: usize) -> String {
    let asked = (!keys.are_all()).then(|| "terms.key >= ?5 AND (?6 IS NULL OR terms.key < ?6)".to_owned());
    let crossed = (0..also).map(|other| {
        let (id, term) = (7 + 2 * other, 8 + 2 * other);
        format!("EXISTS (SELECT 1 FROM terms AS other WHERE other.index_id = ?{id} AND other.term = ?{term} AND other.key = terms.key)")
    });
    let conditions: Vec<String> = asked.into_iter().chain(crossed).collect();
    let entry =
        if conditions.is_empty() { "entry".to_owned() } else { format!("iif({}, entry, NULL)", conditions.join(" AND ")) };
    let entries = format!("LEFT JOIN entries ON entries.id = {entry}");
    if falling {
        // To be in the order of keys within each term, SQLite would sort all that have it. So it is told to find the terms
        // first, and then the rows of each: a cross join is one that it does not turn round.
        return format!(
            "SELECT term, terms.key, {ENTRY} FROM (SELECT DISTINCT term AS one FROM terms \
             WHERE index_id = ?1 AND term >= ?2 AND term < ?3 ORDER BY term DESC LIMIT -1) \
             CROSS JOIN terms ON index_id = ?1 AND term = one {entries} ORDER BY one DESC"
        );
    }
    format!(
        "SELECT term, terms.key, {ENTRY} FROM terms {entries} \
         WHERE index_id = ?1 AND term < ?3 AND (term, terms.key) >= (?2, ?4) ORDER BY term, terms.key"
    )
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
        for (falling, keys, also) in
            [(false, &ALL, 0), (false, &SOME, 0), (true, &ALL, 0), (true, &SOME, 0), (false, &ALL, 2), (true, &SOME, 1)]
        {
            let sql = format!("EXPLAIN QUERY PLAN {}", query(falling, keys, also));
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
