//! Filters as SQL: conditions on columns exactly, conditions on JSON so that nothing is left out.
//!
//! The text depends on the shape of a filter alone: paths and values are parameters. Of JSON, SQL answers loosely, and the
//! answer is asked again of what comes back. So it is enough that SQLite finds what it should, however oddly it was written:
//! * Numbers are compared with room to spare on both sides, for SQLite reads some a little wrong, and large ones as floats.
//!   In an entry of more than 64 KiB a number may have an exponent of which it reads a part only; such entries all pass.
//! * A name with `\u0000` in it ends there for SQLite, so entries with such an escape all pass. They are found with GLOB, to
//!   which a backslash is itself: it leaps to the first one, where `instr` goes from character to character.
//! * A text stands in JSON as itself, or there is a backslash: so it is found without a path where SQLite has none.

use larder_core::{
    Filter, Timestamp,
    query::{Condition, Fit, Json, Node, Number, Root, Step, Test},
};
use rusqlite::types::Value;

/// Of more values at once, or of larger shapes, SQL knows nothing: the statements that are kept stay few and short.
const VALUES_MAX: usize = 16;
const PARAMETERS_MAX: usize = 256;

/// A condition in SQL on the rows of the table `entries`.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    pub(crate) text: String,
    /// The values of its parameters.
    pub(crate) parameters: Vec<Value>,
    /// The number of the first of them.
    first: usize,
}

impl Sql {
    /// What of the native part of a filter SQL can say, with parameters numbered from `first`; `None` when that is too large.
    pub(crate) fn of(filter: &Filter, first: usize) -> Option<Self> {
        let mut sql = Self { first, ..Self::default() };
        sql.filter(filter);
        (sql.parameters.len() <= PARAMETERS_MAX).then_some(sql)
    }

    fn filter(&mut self, filter: &Filter) {
        match filter.node() {
            Node::All(filters) => self.joined(filters, " AND ", "TRUE"),
            Node::Any(filters) => self.joined(filters, " OR ", "FALSE"),
            Node::Not(inside) => {
                self.text.push_str("NOT ");
                self.filter(inside);
            }
            Node::Condition(condition) => match self.condition(condition) {
                // Nobody asks for what is not supported.
                Fit::None => self.text.push_str("TRUE"),
                Fit::Loose | Fit::Exact => {}
            },
            Node::Wrong(_) => self.text.push_str("FALSE"),
        }
    }

    /// Halves of halves, for SQLite bounds how deep an expression may be.
    fn joined(&mut self, filters: &[Filter], word: &str, empty: &str) {
        match filters {
            [] => self.text.push_str(empty),
            [filter] => self.filter(filter),
            _ => {
                let (left, right) = filters.split_at(filters.len() / 2);
                self.text.push('(');
                self.joined(left, word, empty);
                self.text.push_str(word);
                self.joined(right, word, empty);
                self.text.push(')');
            }
        }
    }

    /// Binds `value` and says how the parameter is named.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.parameters.push(value.into());
        format!("?{}", self.first + self.parameters.len() - 1)
    }

    fn put(&mut self, fit: Fit, text: &str) -> Fit {
        self.text.push_str(text);
        fit
    }

    /// Writes `condition` and says how well; where it says [`Fit::None`], nothing was written.
    fn condition(&mut self, condition: &Condition) -> Fit {
        let (path, test) = (condition.path(), condition.test());
        match path.root() {
            Root::Key => self.column("key", test, |json| match json {
                Json::Text(text) => Compared::With(Value::Text(text.clone())),
                _ => Compared::Never,
            }),
            Root::Version => self.column("version", test, |json| match json {
                Json::Number(number) => match number.as_whole().map(i64::try_from) {
                    Some(Ok(whole)) => Compared::With(Value::Integer(whole)),
                    _ => Compared::Unknown,
                },
                _ => Compared::Never,
            }),
            Root::Created => self.column("created_at", test, millis),
            Root::Updated => self.column("updated_at", test, millis),
            Root::Metadata => self.json("metadata", path.steps(), test),
            Root::Value => self.json("value", path.steps(), test),
        }
    }

    /// A condition on a column that is never NULL and compares in SQL as it does here.
    fn column(&mut self, column: &str, test: &Test, value: impl Fn(&Json) -> Compared) -> Fit {
        let (other, operator, otherwise) = match test {
            Test::Eq(other) => (other, "=", "FALSE"),
            Test::Ne(other) => (other, "<>", "TRUE"),
            Test::Gt(other) => (other, ">", "FALSE"),
            Test::Gte(other) => (other, ">=", "FALSE"),
            Test::Lt(other) => (other, "<", "FALSE"),
            Test::Lte(other) => (other, "<=", "FALSE"),
            Test::In(others) => return self.among(column, others, "IN", "FALSE", value),
            Test::Nin(others) => return self.among(column, others, "NOT IN", "TRUE", value),
            Test::Exists(exists) => return self.put(Fit::Exact, if *exists { "TRUE" } else { "FALSE" }),
            Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) if column != "key" => return Fit::None,
            Test::Contains(Json::Text(part)) => {
                let part = self.bind(part.clone());
                return self.put(Fit::Exact, &format!("instr(key, {part}) > 0"));
            }
            Test::Contains(_) => return self.put(Fit::Exact, "FALSE"),
            Test::StartsWith(start) => {
                let (count, start) = (self.bind(characters(start)), self.bind(start.clone()));
                return self.put(Fit::Exact, &format!("substr(key, 1, {count}) = {start}"));
            }
            Test::EndsWith(end) if end.is_empty() => return self.put(Fit::Exact, "TRUE"),
            Test::EndsWith(end) => {
                let (count, end) = (self.bind(-characters(end)), self.bind(end.clone()));
                return self.put(Fit::Exact, &format!("substr(key, {count}) = {end}"));
            }
        };
        match value(other) {
            Compared::With(value) => {
                let other = self.bind(value);
                self.put(Fit::Exact, &format!("{column} {operator} {other}"))
            }
            Compared::Never => self.put(Fit::Exact, otherwise),
            Compared::Unknown => Fit::None,
        }
    }

    fn among(
        &mut self,
        column: &str,
        others: &[Json],
        operator: &str,
        otherwise: &str,
        value: impl Fn(&Json) -> Compared,
    ) -> Fit {
        let mut values = Vec::new();
        for other in others {
            match value(other) {
                Compared::With(value) => values.push(value),
                Compared::Never => {}
                Compared::Unknown => return Fit::None,
            }
        }
        if values.len() > VALUES_MAX {
            return Fit::None;
        }
        if values.is_empty() {
            return self.put(Fit::Exact, otherwise);
        }
        let names: Vec<String> = values.into_iter().map(|value| self.bind(value)).collect();
        self.put(Fit::Exact, &format!("{column} {operator} ({})", names.join(", ")))
    }

    /// A condition on JSON: what it holds for is let through, and some of the rest.
    fn json(&mut self, column: &str, steps: &[Step], test: &Test) -> Fit {
        if column == "metadata" && steps.is_empty() {
            // Where there is none, it is an empty object, which stands nowhere.
            return Fit::None;
        }
        let path = path(steps);
        if let Test::In(others) = test {
            return self.any_of(column, steps, others);
        }
        // What is not there is not looked for: it might be there for SQLite alone.
        let Some(path) = path.filter(|_| *test != Test::Exists(false)) else {
            return match test {
                // Wherever it is, it is somewhere in the text.
                Test::Eq(Json::Text(text)) | Test::Contains(Json::Text(text)) => self.text_in(column, text),
                Test::StartsWith(text) | Test::EndsWith(text) => self.text_in(column, text),
                _ => Fit::None,
            };
        };
        let found = match test {
            Test::Eq(Json::Number(number)) => {
                let (low, high) = around(*number);
                let (low, high) = (self.bind(low), self.bind(high));
                Ask::Value(format!("BETWEEN {low} AND {high}"))
            }
            Test::Gt(Json::Number(number)) | Test::Gte(Json::Number(number)) => {
                let low = self.bind(around(*number).0);
                Ask::Value(format!(">= {low}"))
            }
            Test::Lt(Json::Number(number)) | Test::Lte(Json::Number(number)) => {
                let high = self.bind(around(*number).1);
                Ask::Value(format!("<= {high}"))
            }
            Test::Eq(Json::Text(text)) if !text.contains('\0') => Ask::Value(format!("= {}", self.bind(text.clone()))),
            Test::Gt(Json::Text(text)) | Test::Gte(Json::Text(text)) if !text.contains('\0') => {
                Ask::Value(format!(">= {}", self.bind(text.clone())))
            }
            Test::Lt(Json::Text(text)) | Test::Lte(Json::Text(text)) if !text.contains('\0') => {
                Ask::Value(format!("<= {}", self.bind(text.clone())))
            }
            Test::Eq(other) => Ask::Kind(format!("= '{}'", kind(other))),
            Test::Contains(Json::Text(text)) if stands_for_itself(text) => return self.text_in(column, text),
            Test::StartsWith(text) | Test::EndsWith(text) if stands_for_itself(text) => return self.text_in(column, text),
            Test::Contains(Json::Text(_)) => Ask::Kind("IN ('text', 'array')".to_owned()),
            Test::Contains(_) => Ask::Kind("= 'array'".to_owned()),
            Test::StartsWith(_) | Test::EndsWith(_) => Ask::Kind("= 'text'".to_owned()),
            // Among what is there, most is another value.
            Test::Ne(_) | Test::Nin(_) | Test::Exists(_) => Ask::Kind("IS NOT NULL".to_owned()),
            Test::Gt(_) | Test::Gte(_) | Test::Lt(_) | Test::Lte(_) | Test::In(_) => return Fit::None,
        };
        let path = self.bind(path);
        let asked = match found {
            Ask::Value(asked) => format!("json_extract({column}, {path}) {asked}"),
            Ask::Kind(asked) => format!("json_type({column}, {path}) {asked}"),
        };
        self.put(
            Fit::Loose,
            &format!(
                "CASE WHEN typeof({column}) <> 'text' THEN FALSE WHEN {asked} THEN TRUE \
                 ELSE octet_length({column}) > 65536 OR {column} GLOB '*\\u0000*' END"
            ),
        )
    }

    /// One of `others`.
    fn any_of(&mut self, column: &str, steps: &[Step], others: &[Json]) -> Fit {
        if others.is_empty() || others.len() > VALUES_MAX {
            return Fit::None;
        }
        let (text, parameters) = (self.text.len(), self.parameters.len());
        self.text.push('(');
        for (index, other) in others.iter().enumerate() {
            self.text.push_str(if index == 0 { "" } else { " OR " });
            if self.json(column, steps, &Test::Eq(other.clone())) == Fit::None {
                self.text.truncate(text);
                self.parameters.truncate(parameters);
                return Fit::None;
            }
        }
        self.put(Fit::Loose, ")")
    }

    /// `text` is somewhere in the JSON, as it is or with something escaped.
    fn text_in(&mut self, column: &str, text: &str) -> Fit {
        if !stands_for_itself(text) {
            return Fit::None;
        }
        let text = self.bind(text.to_owned());
        self.put(
            Fit::Loose,
            &format!(
                "CASE WHEN typeof({column}) <> 'text' THEN FALSE \
                 ELSE instr({column}, {text}) > 0 OR {column} GLOB '*\\*' END"
            ),
        )
    }
}

/// How well SQL answers `condition`.
pub(crate) fn fit(condition: &Condition) -> Fit {
    Sql::default().condition(condition)
}

/// What a column is compared with.
enum Compared {
    With(Value),
    /// It is of another type, and therefore neither the same nor larger.
    Never,
    Unknown,
}

/// What is asked of the value at a path.
enum Ask {
    Value(String),
    Kind(String),
}

fn millis(json: &Json) -> Compared {
    match json {
        Json::Text(text) => {
            Timestamp::parse(text).map_or(Compared::Unknown, |time| Compared::With(Value::Integer(time.as_millis())))
        }
        _ => Compared::Never,
    }
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// Whether JSON that holds this text, and no backslash, holds it as it is.
fn stands_for_itself(text: &str) -> bool {
    !text.is_empty() && !text.contains(|char: char| matches!(char, '"' | '\\') || char.is_control())
}

/// The path as SQLite writes it; `None` where it has no such thing: a step to every element, or by a name that it could
/// misread. Digits are a name in an object and an index in an array, which for SQLite are two paths.
fn path(steps: &[Step]) -> Option<String> {
    steps.iter().try_fold("$".to_owned(), |path, step| match step {
        Step::Name(name) if step.index().is_none() && (name.is_empty() || stands_for_itself(name)) => {
            Some(format!("{path}.\"{name}\""))
        }
        _ => None,
    })
}

/// Floats below and above `number`, a little away from it.
fn around(number: Number) -> (f64, f64) {
    let float = number.as_f64();
    let room = float.abs() * 1e-9 + 1e-290;
    (float - room, float + room)
}

/// What SQLite calls the type of `json`, which is no number.
fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(false) => "false",
        Json::Bool(true) => "true",
        Json::Number(_) => "integer",
        Json::Text(_) => "text",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}
