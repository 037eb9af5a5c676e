//! `clear`: many keys at once, and never all of them by accident.

use clap::Args;
use larder::{Error, Glob, Select};
use serde_json::json;

use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::grouped,
};

/// Delete every key that begins with a prefix, or matches a glob, or all of a namespace
#[derive(Args, Debug)]
#[command(after_help = "\
Clearing is many commits and not atomic: what is deleted stays deleted, and clearing again goes on.

Examples:
  larder clear workloads/
  larder clear --glob '*/tmp/*'
  larder clear --all -n scratch")]
#[group(required = true, multiple = false)]
pub(crate) struct ClearArguments {
    /// Keys that begin with this text, taken literally
    prefix: Option<String>,

    /// Keys that match this pattern, in which * stands for any text
    #[arg(long, value_name = "PATTERN")]
    glob: Option<String>,

    /// Every key of the namespace
    #[arg(long)]
    all: bool,
}

impl ClearArguments {
    fn select(self) -> Result<Select, Error> {
        match (self.prefix, self.glob) {
            // Most likely a variable of a shell script that was never set.
            (Some(prefix), _) if prefix.is_empty() => {
                Err(Error::invalid("every key begins with an empty prefix; write --all if all are meant"))
            }
            (Some(prefix), _) => Ok(Select::prefix(prefix)),
            (_, Some(pattern)) => Ok(Select::glob(Glob::new(pattern)?)),
            (None, None) => Ok(Select::all()),
        }
    }
}

pub(crate) async fn clear(session: &mut Session, arguments: ClearArguments) -> Result<(), Failure> {
    let select = arguments.select()?;
    let store = session.open(Missing::Tell).await?;
    let cleared = store.clear(select).await?;
    Ok(session.output.done(&json!({ "cleared": cleared }), format_args!("cleared {} keys", grouped(cleared)))?)
}
