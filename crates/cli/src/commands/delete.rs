//! `delete`: keys by name, each by itself.

use clap::Args;
use larder::{Error, ErrorKind, Key};
use serde_json::json;

use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::one_line,
};

/// Delete keys; exit status 3 if one of them was not there
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  larder delete greeting\n  larder delete a b c\n  larder delete -- -odd-key")]
pub(crate) struct DeleteArguments {
    /// The keys; each is deleted by itself
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

pub(crate) async fn delete(session: &mut Session, arguments: DeleteArguments) -> Result<(), Failure> {
    let keys: Vec<Key> = arguments.keys.into_iter().map(Key::new).collect::<Result<_, _>>()?;
    let store = session.open(Missing::Tell).await?;
    let (mut deleted, mut absent, mut failed) = (Vec::new(), Vec::new(), None);
    for (key, answer) in keys.iter().zip(store.delete_many(&keys).await) {
        match answer {
            Ok(true) => deleted.push(key.as_str()),
            Ok(false) => absent.push(key.as_str()),
            Err(error) => failed = failed.or(Some(error)),
        }
    }

    let output = &mut session.output;
    if output.json {
        output.json(&json!({ "deleted": deleted, "absent": absent }))?;
    } else if !output.quiet {
        for key in &deleted {
            output.line(format_args!("deleted {}", one_line(key)))?;
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    let namespace = store.namespace();
    let message = match absent.as_slice() {
        [] => return Ok(()),
        [key] => format!("there was no key {key:?} in namespace {namespace:?}"),
        keys => format!("there were no keys {keys:?} in namespace {namespace:?}"),
    };
    Err(Error::new(ErrorKind::NotFound, message).into())
}
