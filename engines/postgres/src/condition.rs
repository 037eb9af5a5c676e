//! Filters as SQL: conditions on columns exactly, conditions on JSON so that nothing is left out.
//!
//! The text depends on the shape of a filter alone: paths and values are parameters. Of JSON the server answers loosely, and
//! the answer is asked again of what comes back, so it is enough that it finds what it should, however oddly it was written:
//! * Numbers are compared as NUMERIC, which is exact, with room to spare on both sides, because here they are what an f64 makes
//!   of them. What is of another type than the number comes before or after all numbers, and may pass.
//! * JSONB cannot hold `\u0000`, so entries with such an escape all pass, and so do those of more than 64 KiB.
//! * A text stands in JSON as itself, or there is a backslash: so it is found without a path, and without reading the JSON.

use larder_core::{
    Filter, Timestamp,
    query::{Condition, Fit, Json, Node, Number, Root, Step, Test},
};
use tokio_postgres::types::ToSql;

/// Of more values at once, or of larger shapes, SQL knows nothing: the statements that are kept stay few and short.
const VALUES_MAX: usize = 16;
const PARAMETERS_MAX: usize = 256;

/// The value of a parameter.
pub(crate) type Bound = Box<dyn ToSql + Sync + Send>;

/// A condition in SQL on the rows of the table `entries`.
#[derive(Default)]
pub(crate) struct Sql {
    pub(crate) text: String,
    /// The values of its parameters.
    pub(crate) parameters: Vec<Bound>,
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
                self.text.push_str("NOT (");
                self.filter(inside);
                self.text.push(')');
            }
            Node::Condition(condition) => match self.condition(condition) {
                // Nobody asks for what is not supported.
                Fit::None => self.text.push_str("TRUE"),
                Fit::Loose | Fit::Exact => {}
            },
            Node::Wrong(_) => self.text.push_str("FALSE"),
        }
    }

    fn joined(&mut self, filters: &[Filter], word: &str, empty: &str) {
        if filters.is_empty() {
            self.text.push_str(empty);
        }
        for (index, filter) in filters.iter().enumerate() {
            self.text.push_str(if index == 0 { "(" } else { word });
            self.filter(filter);
        }
        if !filters.is_empty() {
            self.text.push(')');
        }
    }

    /// Binds `value` and says how the parameter is named.
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.parameters.push(Box::new(value));
        format!("${}", self.first + self.parameters.len() - 1)
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
                Json::Text(text) if !text.contains('\0') => Compared::With(Box::new(text.clone())),
                // Where it would stand among the keys cannot be said, and it is none of them.
                Json::Text(_) => Compared::Unknown,
                _ => Compared::Never,
            }),
            Root::Version => self.column("version", test, |json| match json {
                Json::Number(number) => match number.as_whole().map(i64::try_from) {
                    Some(Ok(whole)) => Compared::With(Box::new(whole)),
                    _ => Compared::Unknown,
                },
                _ => Compared::Never,
            }),
            Root::Created => self.column("created_at", test, millis),
            Root::Updated => self.column("updated_at", test, millis),
            Root::Metadata => self.json(Column::METADATA, path.steps(), test),
            Root::Value => self.json(Column::VALUE, path.steps(), test),
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
            Test::Contains(Json::Text(part)) | Test::StartsWith(part) | Test::EndsWith(part) => {
                if part.contains('\0') {
                    return self.put(Fit::Exact, "FALSE");
                }
                let end = part.chars().count();
                let part = self.bind(part.clone());
                let text = match test {
                    Test::StartsWith(_) => format!("starts_with(key, {part}::text)"),
                    Test::EndsWith(_) => format!("right(key, {end}) = {part}"),
                    _ => format!("strpos(key, {part}::text) > 0"),
                };
                return self.put(Fit::Exact, &text);
            }
            Test::Contains(_) => return self.put(Fit::Exact, "FALSE"),
        };
        match value(other) {
            Compared::With(value) => {
                self.parameters.push(value);
                let text = format!("{column} {operator} ${}", self.first + self.parameters.len() - 1);
                self.put(Fit::Exact, &text)
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
        let first = self.first + self.parameters.len();
        let names: Vec<String> = (first..first + values.len()).map(|number| format!("${number}")).collect();
        self.parameters.extend(values);
        self.put(Fit::Exact, &format!("{column} {operator} ({})", names.join(", ")))
    }

    /// A condition on JSON: what it holds for is let through, and some of the rest.
    fn json(&mut self, column: Column, steps: &[Step], test: &Test) -> Fit {
        if column == Column::METADATA && steps.is_empty() {
            // Where there is none, it is an empty object, which stands nowhere.
            return Fit::None;
        }
        if let Test::In(others) = test {
            return self.any_of(column, steps, others);
        }
        let within = match test {
            // Wherever it is, it is somewhere in the text.
            Test::Contains(Json::Text(text)) | Test::StartsWith(text) | Test::EndsWith(text) => Some(text),
            Test::Eq(Json::Text(text)) if path(steps).is_none() => Some(text),
            _ => None,
        };
        if let Some(text) = within.filter(|text| stands_for_itself(text)) {
            return self.text_in(column, text);
        }
        // What is not there is not looked for: it might be there for the server alone.
        let Some(path) = path(steps).filter(|_| *test != Test::Exists(false)) else { return Fit::None };
        let is_plain = |text: &str| !text.contains('\0');
        // What is asked, in front of the path and behind it.
        let (before, after) = match test {
            Test::Eq(Json::Number(number)) => {
                let (low, high) = around(*number);
                let (low, high) = (self.bind(low), self.bind(high));
                ("", format!(" BETWEEN to_jsonb({low}::text::numeric) AND to_jsonb({high}::text::numeric)"))
            }
            Test::Gt(Json::Number(number)) | Test::Gte(Json::Number(number)) => {
                let low = self.bind(around(*number).0);
                ("", format!(" >= to_jsonb({low}::text::numeric)"))
            }
            Test::Lt(Json::Number(number)) | Test::Lte(Json::Number(number)) => {
                let high = self.bind(around(*number).1);
                ("", format!(" <= to_jsonb({high}::text::numeric)"))
            }
            Test::Eq(Json::Text(text)) if is_plain(text) => ("", format!(" = to_jsonb({}::text)", self.bind(text.clone()))),
            Test::Gt(Json::Text(text)) | Test::Gte(Json::Text(text)) if is_plain(text) => {
                (">", format!(" COLLATE \"C\" >= {}::text", self.bind(text.clone())))
            }
            Test::Lt(Json::Text(text)) | Test::Lte(Json::Text(text)) if is_plain(text) => {
                (">", format!(" COLLATE \"C\" <= {}::text", self.bind(text.clone())))
            }
            // What holds a NUL is not in JSONB.
            Test::Eq(Json::Text(_)) => return Fit::None,
            Test::Eq(Json::Null) => ("", " = 'null'::jsonb".to_owned()),
            Test::Eq(Json::Bool(truth)) => ("", format!(" = '{truth}'::jsonb")),
            Test::Eq(Json::Array(_)) => ("typeof", " = 'array'".to_owned()),
            Test::Eq(Json::Object(_)) => ("typeof", " = 'object'".to_owned()),
            Test::Contains(Json::Text(_)) => ("typeof", " IN ('string', 'array')".to_owned()),
            Test::Contains(_) => ("typeof", " = 'array'".to_owned()),
            Test::StartsWith(_) | Test::EndsWith(_) => ("typeof", " = 'string'".to_owned()),
            // Among what is there, most is another value.
            Test::Ne(_) | Test::Nin(_) | Test::Exists(_) => ("", " IS NOT NULL".to_owned()),
            Test::Gt(_) | Test::Gte(_) | Test::Lt(_) | Test::Lte(_) | Test::In(_) => return Fit::None,
        };
        let Column { text, .. } = column;
        let path = self.bind(path);
        let asked = match before {
            "typeof" => format!("jsonb_typeof({text}::jsonb #> {path}){after}"),
            ">" => format!("({text}::jsonb #>> {path}){after}"),
            _ => format!("({text}::jsonb #> {path}){after}"),
        };
        let Column { there, bytes, .. } = column;
        self.put(
            Fit::Loose,
            &format!(
                "CASE WHEN NOT ({there}) THEN FALSE WHEN octet_length({bytes}) > 65536 OR strpos({text}, '\\u0000') > 0 \
                 THEN TRUE ELSE coalesce({asked}, FALSE) END"
            ),
        )
    }

    /// One of `others`.
    fn any_of(&mut self, column: Column, steps: &[Step], others: &[Json]) -> Fit {
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
    fn text_in(&mut self, column: Column, text: &str) -> Fit {
        let part = self.bind(text.to_owned());
        let Column { there, text, .. } = column;
        self.put(
            Fit::Loose,
            &format!(
                "CASE WHEN NOT ({there}) THEN FALSE ELSE strpos({text}, {part}::text) > 0 OR strpos({text}, '\\') > 0 END"
            ),
        )
    }
}

/// How well SQL answers `condition`.
pub(crate) fn fit(condition: &Condition) -> Fit {
    Sql::default().condition(condition)
}

/// Where JSON stands.
#[derive(Clone, Copy, PartialEq)]
struct Column {
    /// Whether there is any that filters can see.
    there: &'static str,
    /// Its text.
    text: &'static str,
    bytes: &'static str,
}

impl Column {
    const VALUE: Self = Self { there: "json AND encodings IS NULL", text: "convert_from(value, 'UTF8')", bytes: "value" };
    const METADATA: Self = Self { there: "metadata IS NOT NULL", text: "metadata", bytes: "metadata" };
}

/// What a column is compared with.
enum Compared {
    With(Bound),
    /// It is of another type, and therefore neither the same nor larger.
    Never,
    Unknown,
}

fn millis(json: &Json) -> Compared {
    match json {
        Json::Text(text) => {
            Timestamp::parse(text).map_or(Compared::Unknown, |time| Compared::With(Box::new(time.as_millis())))
        }
        _ => Compared::Never,
    }
}

/// Whether JSON that holds this text, and no backslash, holds it as it is.
fn stands_for_itself(text: &str) -> bool {
    !text.is_empty() && !text.contains(|char: char| matches!(char, '"' | '\\') || char.is_control())
}

/// The path as the server takes it; `None` where it has no such thing: a step to every element, or by a name with a NUL. Of an
/// array it knows more elements, from the end, and by numbers that are written with zeros in front.
fn path(steps: &[Step]) -> Option<Vec<String>> {
    let name = |step: &Step| match step {
        Step::Name(name) if !name.contains('\0') => Some(name.clone()),
        _ => None,
    };
    steps.iter().map(name).collect()
}

/// Numbers below and above `number`, a little away from it.
fn around(number: Number) -> (String, String) {
    let float = number.as_f64();
    let room = float.abs() * 1e-9 + 1e-290;
    // Beyond the largest float there is nothing, and no infinity among these numbers.
    let text = |float: f64| format!("{:e}", float.clamp(f64::MIN, f64::MAX));
    (text(float - room), text(float + room))
}
