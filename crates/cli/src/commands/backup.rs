//! `backup`: a copy of the whole store, as of one moment, while others work on it.

use std::path::PathBuf;

use clap::Args;
use larder::{Error, ErrorKind};
use serde_json::json;

use crate::{
    failure::Failure,
    session::{Missing, Session},
};

/// Write a copy of the store, as of one moment, to a new file, while others go on working
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  larder backup /var/backups/larder-monday.db\n  larder --store sqlite:/var/backups/larder-monday.db status"
)]
pub(crate) struct BackupArguments {
    /// The file to create; it must not exist
    file: PathBuf,
}

pub(crate) async fn run(session: &mut Session, BackupArguments { file }: BackupArguments) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let engine = store.engine();
    let Some(backup) = engine.backup() else {
        let name = engine.capabilities().engine;
        let error = Error::new(ErrorKind::Unsupported, format!("a store on {name} is no file that could be copied"));
        return Err(Failure::hinted(error, format!("`{} export --all-namespaces` writes it as text", session.call())));
    };
    let revision = backup.backup(&file).await?.get();
    let text = format!("backed up revision {revision} to {}", file.display());
    Ok(session.output.done(&json!({ "file": file.to_string_lossy(), "revision": revision }), text)?)
}
