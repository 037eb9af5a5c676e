//! The grammar of the text form.

use super::{
    super::{
        aggregate::{Aggregate, Measure},
        condition::{Condition, Test},
        filter::Filter,
        json::Json,
        page::{Cursor, Query},
        path::Path,
        question::Question,
        sort::{By, Sort},
    },
    lex::Lexer,
};
use crate::error::{ErrorKind, Result};

/// The symbols of operators, longer ones before those that they begin with, and their names in JSON.
pub(super) const SYMBOLS: [(&str, &str); 10] = [
    ("!=", "ne"),
    (">=", "gte"),
    ("<=", "lte"),
    ("^=", "startsWith"),
    ("$=", "endsWith"),
    ("*=", "contains"),
    ("==", "eq"),
    ("=", "eq"),
    (">", "gt"),
    ("<", "lt"),
];

/// The words that begin a clause.
pub(super) const CLAUSES: [&str; 11] =
    ["sort", "limit", "offset", "after", "fields", "count", "distinct", "min", "max", "sum", "group"];

pub(in super::super) fn filter(text: &str) -> Result<Filter> {
    let mut parser = Parser { lexer: Lexer::new(text)?, depth: 0, conditions: 0 };
    let filter = parser.filter()?;
    if !parser.lexer.is_done() {
        return Err(parser.lexer.expected("and, or, or the end"));
    }
    filter.check()?;
    Ok(filter)
}

pub(in super::super) fn question(text: &str) -> Result<Question> {
    let mut parser = Parser { lexer: Lexer::new(text)?, depth: 0, conditions: 0 };
    let filter = if parser.lexer.is_done() || parser.at_clause() { Filter::everything() } else { parser.filter()? };
    filter.check()?;
    parser.clauses(filter)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// How many brackets and negations are open.
    depth: usize,
    conditions: usize,
}

impl Parser<'_> {
    fn filter(&mut self) -> Result<Filter> {
        let mut filters = vec![self.both()?];
        while self.lexer.keyword("or") {
            filters.push(self.both()?);
        }
        Ok(Filter::any(filters))
    }

    fn both(&mut self) -> Result<Filter> {
        let mut filters = vec![self.one()?];
        while self.lexer.keyword("and") {
            filters.push(self.one()?);
        }
        Ok(Filter::all(filters))
    }

    fn one(&mut self) -> Result<Filter> {
        if self.lexer.symbol("(") {
            self.deeper()?;
            let filter = self.filter()?;
            self.depth -= 1;
            if !self.lexer.symbol(")") {
                return Err(self.lexer.expected("and, or, or )"));
            }
            return Ok(filter);
        }
        // A word with an operator behind it is a field, whatever the word.
        if self.follows_operator() {
            return self.condition();
        }
        if self.lexer.keyword("not") {
            self.deeper()?;
            let filter = !self.one()?;
            self.depth -= 1;
            return Ok(filter);
        }
        if self.lexer.keyword("true") {
            return Ok(Filter::everything());
        }
        if self.lexer.keyword("false") {
            return Ok(Filter::nothing());
        }
        self.condition()
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > Filter::MAX_DEPTH {
            let message = format!("a filter is combined more than {} levels deep", Filter::MAX_DEPTH);
            return Err(self.lexer.fault(ErrorKind::Limit, self.lexer.place(), &message));
        }
        Ok(())
    }

    fn condition(&mut self) -> Result<Filter> {
        self.conditions += 1;
        if self.conditions > Filter::MAX_CONDITIONS {
            let message = format!("more than {} conditions; `in` asks for many values at once", Filter::MAX_CONDITIONS);
            return Err(self.lexer.fault(ErrorKind::Limit, self.lexer.place(), &message));
        }
        let begin = self.lexer.place();
        let path = self.lexer.path()?;
        let (test, at) = self.test()?;
        let condition = Condition::new(path, test);
        let condition = condition.map_err(|error| {
            let at = if error.kind() == ErrorKind::Invalid { at } else { begin };
            self.lexer.fault(error.kind(), at, &format!("expected a time: {error}"))
        });
        Ok(Filter::condition(condition?))
    }

    /// What is asked, and where its value stands.
    fn test(&mut self) -> Result<(Test, usize)> {
        let lexer = &mut self.lexer;
        if lexer.keyword("missing") {
            return Ok((Test::Exists(false), lexer.place()));
        }
        if lexer.keyword("exists") {
            return Ok((Test::Exists(true), lexer.place()));
        }
        let operator = if lexer.keyword("not") {
            if !lexer.keyword("in") {
                return Err(lexer.expected("in"));
            }
            "nin"
        } else if let Some((_, name)) = SYMBOLS.iter().find(|(symbol, _)| lexer.symbol(symbol)) {
            name
        } else if let Some(name) = Test::OPERATORS.iter().find(|name| lexer.keyword(name)) {
            name
        } else {
            return Err(lexer.expected("an operator: = != > >= < <= ^= $= *= in, exists or missing"));
        };
        let at = lexer.place();
        let value = lexer.value()?;
        let test = Test::named(operator, value);
        let test = test.map_err(|expected| {
            lexer.fault(ErrorKind::Invalid, at, &format!("expected {expected} after the operator {operator}"))
        })?;
        Ok((test, at))
    }

    /// Whether a word comes next that has the symbol of an operator behind it.
    fn follows_operator(&self) -> bool {
        let behind = self.lexer.rest().get(self.lexer.word().len()..).unwrap_or_default().trim_start();
        !self.lexer.word().is_empty() && SYMBOLS.iter().any(|(symbol, _)| behind.starts_with(symbol))
    }

    fn at_clause(&self) -> bool {
        CLAUSES.contains(&self.lexer.word()) && !self.follows_operator()
    }

    fn clauses(mut self, filter: Filter) -> Result<Question> {
        let mut query = Query::new(filter);
        let (mut fields, mut measure, mut seen) = (None, None, Vec::new());
        while !self.lexer.is_done() {
            let Some(clause) = CLAUSES.into_iter().find(|clause| self.lexer.word() == *clause) else {
                let first = seen.is_empty() && !query.filter.is_everything();
                return Err(self.lexer.expected(&format!(
                    "{}{} or the end",
                    if first { "and, or, " } else { "" },
                    CLAUSES.join(", ")
                )));
            };
            let at = self.lexer.place();
            if seen.contains(&clause) {
                return Err(self.lexer.fault(ErrorKind::Invalid, at, &format!("{clause} stands here twice")));
            }
            seen.push(clause);
            self.lexer.keyword(clause);
            match clause {
                "sort" => query.sort = self.sort()?,
                "limit" => query.limit = Some(self.lexer.number()?),
                "offset" => query.offset = self.lexer.number()?,
                "after" => query.after = Some(self.cursor()?),
                "fields" => fields = Some(self.fields()?),
                _ if measure.is_some() => {
                    return Err(self.lexer.fault(ErrorKind::Invalid, at, "one question has one answer: expected the end"));
                }
                "count" => measure = Some(Measure::Count),
                "distinct" => measure = Some(Measure::Distinct(self.lexer.path()?)),
                "min" => measure = Some(Measure::Min(self.lexer.path()?)),
                "max" => measure = Some(Measure::Max(self.lexer.path()?)),
                "sum" => measure = Some(Measure::Sum(self.lexer.path()?)),
                _ => {
                    // SQL has taught people to write "group by"; a field of that name is quoted.
                    self.lexer.keyword("by");
                    measure = Some(Measure::Group(self.lexer.path()?));
                }
            }
        }
        let Some(measure) = measure else {
            return Ok(match fields {
                Some(fields) => Question::Fields(query, fields),
                None => Question::Entries(query),
            });
        };
        if let Some(other) = seen.iter().find(|clause| CLAUSES[..5].contains(clause) && **clause != "limit") {
            let message = format!("{other} does not go together with a question that has one answer");
            return Err(self.lexer.fault(ErrorKind::Invalid, self.lexer.place(), &message));
        }
        Ok(Question::Aggregate(Aggregate { filter: query.filter, measure, limit: query.limit }))
    }

    fn sort(&mut self) -> Result<Sort> {
        let mut sort = Sort::by_key();
        loop {
            let descending = self.lexer.symbol("-");
            let at = self.lexer.place();
            let path = self.lexer.path()?;
            let then = sort.then(By { path, descending });
            sort = then.map_err(|error| self.lexer.fault(error.kind(), at, &error.to_string()))?;
            if !self.lexer.symbol(",") {
                return Ok(sort);
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<Path>> {
        let mut fields = Vec::new();
        loop {
            if fields.len() == Question::MAX_FIELDS {
                let message = format!("at most {} fields", Question::MAX_FIELDS);
                return Err(self.lexer.fault(ErrorKind::Limit, self.lexer.place(), &message));
            }
            fields.push(self.lexer.path()?);
            if !self.lexer.symbol(",") {
                return Ok(fields);
            }
        }
    }

    fn cursor(&mut self) -> Result<Cursor> {
        let at = self.lexer.place();
        let token = match self.lexer.rest().starts_with('"') {
            true => match self.lexer.value()? {
                Json::Text(text) => text,
                _ => String::new(),
            },
            false => self.lexer.token().to_owned(),
        };
        token
            .parse()
            .map_err(|error: crate::Error| self.lexer.fault(error.kind(), at, &format!("expected a cursor: {error}")))
    }
}
