//! `meta`: the JSON object beside a value.

use clap::{Args, Subcommand};
use larder::Key;

use super::{moment::AsOfArgument, set::Stamped};
use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
};

#[derive(Debug, Subcommand)]
pub(crate) enum MetaCommand {
    /// Print the metadata of a key as JSON
    Get {
        /// The key
        key: String,
        #[command(flatten)]
        as_of: AsOfArgument,
    },
    /// Replace the metadata of a key
    #[command(after_help = "Examples:\n  larder meta set config owner=web retries=3\n  larder meta set config '{}'")]
    Set(Fields),
    /// Lay fields over the metadata of a key
    #[command(
        after_help = "Examples:\n  larder meta merge config owner=web\n  larder meta merge config '{\"tags\":[\"a\"]}'"
    )]
    Merge(Fields),
}

#[derive(Args, Debug)]
pub(crate) struct Fields {
    /// The key; it has to be there
    key: String,
    /// One JSON object, or name=value once or more, where a value that is JSON is taken as such
    #[arg(required = true, value_name = "JSON|NAME=VALUE")]
    fields: Vec<String>,
}

pub(crate) async fn run(session: &mut Session, command: MetaCommand) -> Result<(), Failure> {
    match command {
        MetaCommand::Get { key, as_of } => {
            let key = Key::new(key)?;
            let sight = as_of.of(session.open(Missing::Tell).await?).await?;
            let Some(entry) = sight.get(&key).await? else {
                return Err(sight.absent(session, &key));
            };
            Ok(session.output.line(entry.metadata.as_str())?)
        }
        MetaCommand::Set(fields) => change(session, fields, false).await,
        MetaCommand::Merge(fields) => change(session, fields, true).await,
    }
}

async fn change(session: &mut Session, Fields { key, fields }: Fields, merge: bool) -> Result<(), Failure> {
    let key = Key::new(key)?;
    let metadata = input::metadata(&fields)?;
    let store = session.open(Missing::Tell).await?;
    let stamp = match merge {
        true => store.merge_metadata(&key, metadata).await?,
        false => store.set_metadata(&key, metadata).await?,
    };
    let (version, revision) = (stamp.version.get(), stamp.revision.get());
    Stamped { key: &key, version, revision, created: None }.tell(session, "set metadata of")
}
