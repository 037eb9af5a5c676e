//! `meta`: the JSON object beside a value.

use clap::{Args, Subcommand};
use larder::Key;

use super::{read::absent, set::Stamped};
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
        MetaCommand::Get { key } => {
            let key = Key::new(key)?;
            let store = session.open(Missing::Tell).await?;
            let Some(metadata) = store.metadata(&key).await? else {
                return Err(absent(session, store.namespace(), &key));
            };
            Ok(session.output.line(metadata.as_str())?)
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
