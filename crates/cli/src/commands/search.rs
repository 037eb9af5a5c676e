//! `search`: entries by words and by vectors, the best first.

use std::io::Read as _;

use clap::Args;
use larder::{
    Entry, Error, Filter, Hit, Hits, Search,
    search::{Highlight, Near},
};
use serde_json::json;

use super::{moment::AsOfArgument, query::table, read::value_line};
use crate::{
    failure::Failure,
    input,
    output::Output,
    session::{Missing, Session},
    text::one_line,
};

/// How much is read of a file with a vector: more than the longest one takes.
const VECTOR_BYTES_MAX: u64 = 1 << 20;
/// How wide a column of a table may be: what is shown of a text is as long as that.
const COLUMN_CHARACTERS_MAX: usize = 180;
/// How much of a value is shown where nothing in it is to be shown.
const VALUE_CHARACTERS_MAX: usize = 60;

/// Find entries by words, or by what is near to a vector, the best first
#[derive(Args, Debug)]
#[command(after_help = "\
Words are looked for in the texts of JSON values, whole or at the paths that are named. Case, accents and punctuation do not \
count; words are not stemmed.

  rust async         either word, and better both
  \"green thread\"     these words, one behind the other
  asyn*              words that begin so
  +rust async        the first one, and better also the second
  rust -async        the first one, and not the second

Vectors are arrays of numbers at a path; how near they are is the cosine of the angle between them. With words and a vector, \
what is found by both comes first. Scores can be compared within one answer only.

With --json every entry is a line, with its \"score\" and its \"highlights\": where its words are. Their \"marks\" say from \
which character of \"text\" to which.

An index of words at the paths that are searched, or above them, makes it quick: `larder index create --words title body`.

Examples:
  larder search 'rust +async \"green thr\"*'
  larder search 'getting started' --in title --in 'sections[].text' --where 'lang = \"en\"'
  larder search --vector 'embedding=[0.12, -0.7, 0.3]' --limit 5
  larder search 'async runtime' --vector embedding=query.json --json")]
pub(crate) struct SearchArguments {
    /// The words
    #[arg(value_name = "WORDS", required_unless_present = "vector", allow_hyphen_values = true)]
    words: Option<String>,

    /// Look for words only in the texts at this path, and below it; may be given several times
    #[arg(long = "in", value_name = "PATH", requires = "words")]
    paths: Vec<String>,

    /// Look for what is near to this vector at a path: a JSON array, or a file with one
    #[arg(long, value_name = "PATH=JSON|FILE")]
    vector: Option<String>,

    /// Only among entries that this filter lets through, as in `larder query`
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true)]
    filter: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = Search::LIMIT)]
    limit: usize,

    #[command(flatten)]
    as_of: AsOfArgument,
}

impl SearchArguments {
    fn search(&self) -> larder::Result<Search> {
        let near = self.vector.as_deref().map(vector).transpose()?;
        let search = match (&self.words, near) {
            (Some(words), near) => Search { near, ..Search::words(words)?.within(&self.paths)? },
            (None, Some(near)) => Search::from(near),
            (None, None) => return Err(Error::invalid("there is nothing to look for: neither words nor a vector")),
        };
        let filter = self.filter.as_deref().map_or_else(|| Ok(Filter::everything()), Filter::parse)?;
        Ok(search.filter(filter).limit(self.limit))
    }
}

pub(crate) async fn run(session: &mut Session, arguments: SearchArguments) -> Result<(), Failure> {
    let search = arguments.search()?;
    let sight = arguments.as_of.of(session.open(Missing::Tell).await?).await?;
    let found = sight.search(&search).await?;
    Ok(hits(&mut session.output, &found)?)
}

/// A vector as in `embedding=[1, 0.5]` or `embedding=FILE`. In a path, an equals sign stands in quotes.
fn vector(argument: &str) -> larder::Result<Near> {
    let mut quoted = false;
    let divides = |(_, char): &(usize, char)| {
        quoted ^= *char == '"';
        *char == '=' && !quoted
    };
    let Some((at, _)) = argument.char_indices().find(divides) else {
        let message = format!("the vector {argument:?} is not of the form PATH=[1, 0.5] or PATH=FILE");
        return Err(Error::invalid(message));
    };
    let (path, vector) = (&argument[..at], argument[at + 1..].trim_start());
    if vector.starts_with('[') {
        return Near::from_json(path, vector.as_bytes());
    }
    let (reader, name) = input::file(vector)?;
    let mut text = Vec::new();
    // Of what is longer, the array does not end.
    reader.take(VECTOR_BYTES_MAX).read_to_end(&mut text).map_err(|error| input::unreadable(&name, error))?;
    Near::from_json(path, &text)
}

fn hits(output: &mut Output, found: &Hits<Entry>) -> std::io::Result<()> {
    if output.json {
        return found.hits.iter().try_for_each(|hit| output.line(line(hit)));
    }
    let cells = |hit: &Hit<Entry>| {
        let shown = match hit.highlights.first() {
            Some(found) => one_line(&format!("{}: {}", found.path, found.marked("[", "]"))),
            None => value_line(&hit.item.value, VALUE_CHARACTERS_MAX),
        };
        vec![format!("{:.4}", hit.score), one_line(&hit.item.address.key), shown]
    };
    table(output, &["score", "key", "where"], found.hits.iter().map(cells).collect(), COLUMN_CHARACTERS_MAX)
}

/// The entry as a line of JSON, with its score in front.
fn line(hit: &Hit<Entry>) -> String {
    let highlights: Vec<_> = hit.highlights.iter().map(highlight).collect();
    let entry = hit.item.to_json_line();
    let fields = entry.strip_prefix('{').unwrap_or(&entry);
    format!("{{\"score\":{},\"highlights\":{},{fields}", json!(hit.score), json!(highlights))
}

fn highlight(found: &Highlight) -> serde_json::Value {
    let character = |at: usize| found.text[..at].chars().count();
    let marks: Vec<_> = found.marks.iter().map(|mark| [character(mark.start), character(mark.end)]).collect();
    json!({ "path": found.path.to_string(), "text": found.text, "marks": marks })
}
