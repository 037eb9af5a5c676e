//! `doc get` and `doc find`.

use clap::Args;
use larder::{Error, ErrorKind, Key, Question, documents};

use super::told;
use crate::{
    commands::{moment::AsOfArgument, query, read::print_value},
    failure::Failure,
    session::{Missing, Session},
};

/// Print a document, byte for byte as it was written; with --json everything the store keeps of it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  larder doc get people ann
  larder doc get people ann --json
  larder doc get people ann --as-of '2h ago'")]
pub(crate) struct GetArguments {
    /// The collection
    collection: String,
    /// The document's id; one that begins with - goes after --
    id: String,
    #[command(flatten)]
    as_of: AsOfArgument,
}

/// Print the documents that a filter lets through, some of their fields, or an answer about all of them
#[derive(Args, Debug)]
#[command(after_help = "\
The filter is that of `larder query`, whose help tells all of it.

Examples:
  larder doc find people
  larder doc find people 'age >= 18 and name ^= \"A\" sort -age limit 20'
  larder doc find people 'tags[] = \"new\" fields name, age'
  larder doc find people 'age >= 18 count'
  larder doc find people 'group city' --json")]
pub(crate) struct FindArguments {
    /// The collection
    collection: String,

    /// The question; without it, every document
    #[arg(value_name = "FILTER", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    question: String,

    #[command(flatten)]
    as_of: AsOfArgument,
}

pub(crate) async fn get(session: &mut Session, arguments: GetArguments) -> Result<(), Failure> {
    let (name, id) = (arguments.collection, Key::new(arguments.id)?);
    let namespace = documents::namespace_of(&name)?;
    let store = session.open(Missing::Tell).await?.in_namespace(&namespace)?;
    let Some(entry) = arguments.as_of.of(store).await?.get(&id).await? else {
        let message = format!("there is no document {id:?} in the collection {name:?}");
        return Err(told(session, &name, Some(&id), Error::new(ErrorKind::NotFound, message)));
    };
    let output = &mut session.output;
    if output.json {
        return Ok(output.line(entry.to_json())?);
    }
    print_value(output, &entry.value)
}

pub(crate) async fn find(session: &mut Session, arguments: FindArguments) -> Result<(), Failure> {
    let question = Question::parse(&arguments.question)?;
    let namespace = documents::namespace_of(&arguments.collection)?;
    let store = session.open(Missing::Tell).await?.in_namespace(&namespace)?;
    query::answer(session, arguments.as_of.of(store).await?, question).await
}
