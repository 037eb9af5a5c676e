//! Filters and questions written in the text form; what is written reads back as the same.

use std::fmt;

use super::{
    super::{
        aggregate::Measure,
        condition::{Condition, Test},
        filter::{Filter, Node},
        json::{Json, quote},
        path::Path,
        question::Question,
    },
    parse::{CLAUSES, SYMBOLS},
};

/// Words that would be taken for something else where a path begins.
const WORDS: [&str; 7] = ["not", "true", "false", "by", "and", "or", "in"];

struct Field<'a>(&'a Path);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let reserved = WORDS.contains(&text.as_str()) || CLAUSES.contains(&text.as_str());
        f.write_str(&if reserved { quote(&text) } else { text })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Field(self.path());
        match self.test() {
            Test::Exists(true) => write!(f, "{path} exists"),
            Test::Exists(false) => write!(f, "{path} missing"),
            Test::In(values) => write!(f, "{path} in {}", Json::Array(values.clone())),
            Test::Nin(values) => write!(f, "{path} not in {}", Json::Array(values.clone())),
            test => {
                let (name, value) = test.parts();
                let symbol = SYMBOLS.iter().rev().find(|(_, other)| *other == name).map_or(name, |(symbol, _)| symbol);
                write!(f, "{path} {symbol} {value}")
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node() {
            Node::All(filters) if filters.is_empty() => f.write_str("true"),
            // What was wrong when it was built lets nothing through.
            Node::Wrong(_) => f.write_str("false"),
            Node::Any(filters) if filters.is_empty() => f.write_str("false"),
            Node::All(filters) => joined(f, filters, " and "),
            Node::Any(filters) => joined(f, filters, " or "),
            Node::Not(filter) => {
                f.write_str("not ")?;
                part(f, filter, false)
            }
            Node::Condition(condition) => condition.fmt(f),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, filters: &[Filter], word: &str) -> fmt::Result {
    for (index, filter) in filters.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { word })?;
        part(f, filter, word == " or ")?;
    }
    Ok(())
}

/// A part of a filter, in brackets where it would be taken apart otherwise.
fn part(f: &mut fmt::Formatter<'_>, filter: &Filter, within_any: bool) -> fmt::Result {
    let brackets = match filter.node() {
        Node::All(filters) => !filters.is_empty() && !within_any,
        Node::Any(filters) => !filters.is_empty(),
        Node::Not(_) | Node::Condition(_) | Node::Wrong(_) => false,
    };
    if brackets { write!(f, "({filter})") } else { write!(f, "{filter}") }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(query) | Self::Fields(query, _) => {
                write!(f, "{}", query.filter)?;
                for (index, by) in query.sort.parts().iter().enumerate() {
                    f.write_str(if index == 0 { " sort " } else { ", " })?;
                    write!(f, "{}{}", if by.descending { "-" } else { "" }, Field(&by.path))?;
                }
                query.limit.into_iter().try_for_each(|limit| write!(f, " limit {limit}"))?;
                if query.offset > 0 {
                    write!(f, " offset {}", query.offset)?;
                }
                query.after.iter().try_for_each(|cursor| write!(f, " after {cursor}"))?;
                if let Self::Fields(_, paths) = self {
                    for (index, path) in paths.iter().enumerate() {
                        write!(f, "{}{}", if index == 0 { " fields " } else { ", " }, Field(path))?;
                    }
                }
                Ok(())
            }
            Self::Aggregate(aggregate) => {
                write!(f, "{}", aggregate.filter)?;
                match &aggregate.measure {
                    Measure::Count => f.write_str(" count")?,
                    Measure::Distinct(path) => write!(f, " distinct {}", Field(path))?,
                    Measure::Min(path) => write!(f, " min {}", Field(path))?,
                    Measure::Max(path) => write!(f, " max {}", Field(path))?,
                    Measure::Sum(path) => write!(f, " sum {}", Field(path))?,
                    Measure::Group(path) => write!(f, " group {}", Field(path))?,
                }
                aggregate.limit.into_iter().try_for_each(|limit| write!(f, " limit {limit}"))
            }
        }
    }
}
