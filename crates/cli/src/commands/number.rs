//! `add`: counting without reading first.

use clap::Args;
use larder::Key;
use serde_json::json;

use crate::{
    failure::Failure,
    session::{Missing, Session},
};

/// Add to the whole number under a key and print the sum; an absent key counts as 0
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  larder add visits 1\n  larder add stock -3 --floor 0        exit status 4 if there are fewer"
)]
pub(crate) struct AddArguments {
    /// The key
    key: String,

    /// What to add; may be negative
    #[arg(allow_negative_numbers = true, value_name = "N")]
    number: i64,

    /// Refuse a sum below this
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = i64::MIN, hide_default_value = true)]
    floor: i64,

    /// Refuse a sum above this
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = i64::MAX, hide_default_value = true)]
    ceiling: i64,
}

pub(crate) async fn add(session: &mut Session, arguments: AddArguments) -> Result<(), Failure> {
    let key = Key::new(arguments.key)?;
    let store = session.open(Missing::Create).await?;
    let receipt = store.commit().add(&key, arguments.number, arguments.floor..=arguments.ceiling).await?;
    let written = receipt.writes[0];
    let output = &mut session.output;
    if output.json {
        let (version, revision) = (written.version.get(), receipt.revision.get());
        return Ok(
            output.json(&json!({ "key": key.as_str(), "sum": written.number, "version": version, "revision": revision }))?
        );
    }
    let sum = written.number.ok_or_else(|| larder::Error::new(larder::ErrorKind::Internal, "there is no sum"))?;
    Ok(output.line(sum)?)
}
