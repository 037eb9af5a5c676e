//! `query`: entries, fields of them, or one answer about many, asked for in one text.

use std::io::{self, IsTerminal, Write as _};

use clap::Args;
use larder::{
    Aggregated, Answer, Cursor, Entry, Matched, Question,
    query::{Json, Row},
};
use serde_json::json;

use super::{
    moment::{AsOfArgument, Sight},
    read::value_line,
};
use crate::{
    failure::Failure,
    input,
    output::Output,
    session::{Missing, Session},
    text::{one_line, shortened},
};

/// How wide a column of a table may be; what is longer is cut on a terminal.
const COLUMN_CHARACTERS_MAX: usize = 60;

/// Print the entries that a filter lets through, some of their fields, or an answer about all of them
#[derive(Args, Debug)]
#[command(after_help = "\
A filter compares fields of JSON values: = != > >= < <= ^= (begins with) $= (ends with) *= (contains), in [..], not in [..], \
exists, missing; combined by and, or, not and brackets. Values are written as in JSON: texts in double quotes. Fields are \
a.b, tags.0 (an index), tags[] (any element), \"odd name\", and $key, $version, $created, $updated, $meta.owner, $value. \
Nothing is converted: 1 is not \"1\", and what is missing is not even different from something.

Behind the filter: sort -age, name   limit 20   offset 40   after CURSOR   fields name, age
Or one answer:     count   distinct a   min a   max a   sum a   group a

The same in JSON: {\"filter\": {\"all\": [{\"field\": \"age\", \"operator\": \"gte\", \"value\": 18}]}, \"sort\": [\"-age\"], \"limit\": 20}

With --json every entry, row, value or group is a line; where a limit has ended the answer and there is more, the last \
line is {\"next\": CURSOR}.

Examples:
  larder query 'age >= 18 and name ^= \"A\" sort -age limit 20'
  larder query 'dependencies[].name = \"serde\" fields name, version'
  larder query '$key ^= \"workloads/\" and state != \"running\" count'
  larder query 'group dependencies[].kind'
  larder query '{\"field\": \"age\", \"operator\": \"gte\", \"value\": 18}' --json")]
pub(crate) struct QueryArguments {
    /// The question, or @FILE, or - for the standard input; without it, every entry
    #[arg(value_name = "FILTER", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    question: String,

    #[command(flatten)]
    as_of: AsOfArgument,
}

pub(crate) async fn run(session: &mut Session, arguments: QueryArguments) -> Result<(), Failure> {
    let question = Question::parse(&input::question(&arguments.question)?)?;
    let sight = arguments.as_of.of(session.open(Missing::Tell).await?).await?;
    answer(session, sight, question).await
}

/// Asks `question` of what is seen, and prints the answer.
pub(crate) async fn answer(session: &mut Session, sight: Sight, question: Question) -> Result<(), Failure> {
    // In the order in which they were asked for; a row has them by name.
    let columns: Vec<String> = match &question {
        Question::Fields(_, paths) => paths.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let answer = sight.ask(question).await?;
    let output = &mut session.output;
    match &answer {
        Answer::Entries(found) => entries(output, found)?,
        Answer::Fields(found) => rows(output, &columns, found)?,
        Answer::Aggregate(aggregated) => aggregate(output, aggregated)?,
    }
    Ok(())
}

fn entries(output: &mut Output, found: &Matched<Entry>) -> Result<(), Failure> {
    if output.json {
        found.items.iter().try_for_each(|entry| output.line(entry.to_json_line()))?;
    } else {
        let cells = |entry: &Entry| vec![one_line(&entry.address.key), value_line(&entry.value, usize::MAX)];
        table(output, &["key", "value"], found.items.iter().map(cells).collect(), COLUMN_CHARACTERS_MAX)?;
    }
    end(output, found.next.as_ref())
}

fn rows(output: &mut Output, columns: &[String], found: &Matched<Row>) -> Result<(), Failure> {
    if output.json {
        found.items.iter().try_for_each(|row| output.line(row))?;
    } else {
        let cells = |row: &Row| {
            let fields = columns.iter().map(|name| row.fields.get(name).map_or_else(String::new, cell));
            std::iter::once(one_line(&row.key)).chain(fields).collect()
        };
        let header: Vec<&str> = std::iter::once("key").chain(columns.iter().map(String::as_str)).collect();
        table(output, &header, found.items.iter().map(cells).collect(), COLUMN_CHARACTERS_MAX)?;
    }
    end(output, found.next.as_ref())
}

/// Says where the next page begins.
fn end(output: &mut Output, next: Option<&Cursor>) -> Result<(), Failure> {
    let Some(next) = next else { return Ok(()) };
    if output.json {
        output.json(&json!({ "next": next.to_string() }))?;
    } else if !output.quiet && io::stderr().is_terminal() {
        output.flush()?;
        // Nobody waits for it, so it does not matter whether it arrives.
        let _ = writeln!(io::stderr(), "there is more: the same with `after {next}` behind it");
    }
    Ok(())
}

fn aggregate(output: &mut Output, aggregated: &Aggregated) -> Result<(), Failure> {
    match aggregated {
        Aggregated::Count(count) => output.line(count)?,
        Aggregated::Sum { sum, .. } => output.line(sum)?,
        Aggregated::Value(Some(value)) => output.line(if output.json { value.to_string() } else { cell(value) })?,
        // Null is a value; that there is none is nothing.
        Aggregated::Value(None) => {}
        Aggregated::Distinct(values) => {
            let json = output.json;
            values.iter().try_for_each(|value| output.line(if json { value.to_string() } else { cell(value) }))?;
        }
        Aggregated::Groups(groups) if output.json => {
            for group in groups {
                match &group.value {
                    Some(value) => output.json(&json!({ "value": value, "count": group.count }))?,
                    None => output.json(&json!({ "count": group.count }))?,
                }
            }
        }
        Aggregated::Groups(groups) => {
            let name = |value: &Option<Json>| value.as_ref().map_or_else(|| "(missing)".to_owned(), cell);
            let cells = groups.iter().map(|group| vec![group.count.to_string(), name(&group.value)]).collect();
            table(output, &["count", "value"], cells, COLUMN_CHARACTERS_MAX)?;
        }
    }
    Ok(())
}

/// A value as people read it: a text without its quotes.
fn cell(value: &Json) -> String {
    match value {
        Json::Text(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

/// On a terminal with a header, aligned, and no column wider than `most`; else a line a row, and tabs between.
pub(super) fn table(output: &mut Output, header: &[&str], rows: Vec<Vec<String>>, most: usize) -> io::Result<()> {
    if !output.is_terminal() {
        return rows.iter().try_for_each(|row| output.line(row.join("\t")));
    }
    aligned(header, rows, most).iter().try_for_each(|line| output.line(line))
}

fn aligned(header: &[&str], rows: Vec<Vec<String>>, most: usize) -> Vec<String> {
    let header = header.iter().map(|name| one_line(name)).collect();
    let short = |cell: String| shortened(&cell, most).into_owned();
    let rows: Vec<Vec<String>> =
        std::iter::once(header).chain(rows).map(|row: Vec<String>| row.into_iter().map(short).collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_by_characters() {
        let rows = [["größe", "1"], ["k", "two"]].map(|row| row.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(aligned(&["key", "value"], rows, 60), ["key    value", "größe  1", "k      two"]);
        let long = aligned(&["key"], vec![vec!["x".repeat(100)]], 60);
        assert_eq!(long[1].chars().count(), 61);
    }
}
