//! `explain`: how a query is answered, and what that took.

use clap::Args;
use larder::{
    Query, Question,
    index::{Choice, Order},
};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
};

/// Answer a query, and print how that was done instead of the answer
#[derive(Args, Debug)]
#[command(after_help = "\
The question is one as for `larder query`. Of one that asks for a single answer, such as a count, it is explained how the \
entries are found that it is about.

  engine     what keeps the store
  keys       where was looked: what the filter says of $key narrows it
  index      which index was walked and how many ranges of it, and whether what was found there needed no sorting
  and        in which other index that was looked up before an entry was read
  native     what of the filter the engine sorts out by itself; true: nothing, or nothing is to be sorted out
  residual   what is asked again of that, entry by entry; true: nothing
  examined   how many entries were looked at
  returned   how many are in the answer

Examples:
  larder explain 'age >= 18 and tags[] = \"x\"'
  larder explain '$key ^= \"workloads/\" and state != \"running\" limit 20' --json")]
pub(crate) struct ExplainArguments {
    /// The question, or @FILE, or - for the standard input; without it, every entry
    #[arg(value_name = "FILTER", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    question: String,
}

pub(crate) async fn run(session: &mut Session, arguments: ExplainArguments) -> Result<(), Failure> {
    let query = match Question::parse(&input::question(&arguments.question)?)? {
        Question::Entries(query) | Question::Fields(query, _) => query,
        Question::Aggregate(aggregate) => Query::new(aggregate.filter),
    };
    let explained = session.open(Missing::Tell).await?.explain(query).await?;
    let output = &mut session.output;
    if output.json {
        output.json(&json!({
            "engine": explained.engine,
            "keys": explained.keys(),
            "index": explained.index.as_ref().map(used),
            "also": explained.also.iter().map(used).collect::<Vec<_>>(),
            "native": explained.plan.native.to_string(),
            "residual": explained.plan.residual.to_string(),
            "examined": explained.examined,
            "returned": explained.returned,
        }))?;
    } else {
        output.line(explained)?;
    }
    Ok(())
}

fn used(choice: &Choice) -> Value {
    json!({
        "paths": choice.index.paths().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unique": choice.index.is_unique(),
        "ranges": choice.spans.len(),
        "order": match choice.order {
            Order::Other => "other",
            Order::Forward => "forward",
            Order::Reverse => "reverse",
        },
    })
}
