//! `set`: one value under one key, with everything that can go with it.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use larder::{Condition, Key, Revision, Timestamp, Value, Version};
use serde::Serialize;

use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::one_line,
};

/// Keep a value under a key
#[derive(Args, Debug)]
#[command(after_help = "\
A value that is JSON is kept as JSON, byte for byte; any other as opaque bytes. Metadata stays unless some is given; an \
expiry ends unless one is given.

Examples:
  larder set greeting 'hello'
  larder set config @config.json --as-json        a file, refused if it is not JSON
  tar c . | larder set snapshot -                 the standard input
  larder set handle @alice --literal              a text that begins with @
  larder set session '{\"user\":1}' --ttl 30m --meta owner=web
  larder set counter 7 --if-version 6             only if nobody was faster; else exit status 4
  larder set lock me --if-absent --ttl 10s        only if it is not there")]
pub(crate) struct SetArguments {
    /// The key: 1 to 1024 bytes of text without control characters; one that begins with - goes after --
    key: String,

    /// The value, or @FILE, or - for the standard input
    #[arg(allow_negative_numbers = true)]
    value: OsString,

    /// Take VALUE as it is, also when it is - or begins with @
    #[arg(long)]
    literal: bool,

    /// Keep the value as opaque bytes, even if it is JSON
    #[arg(long)]
    opaque: bool,

    /// Refuse a value that is not JSON
    #[arg(long, conflicts_with = "opaque")]
    as_json: bool,

    /// The entry expires after this time: 500ms, 10m, 1h30m, 2d
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    ttl: Option<Duration>,

    /// The entry expires at this moment: 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = input::moment, conflicts_with = "ttl")]
    expires_at: Option<Timestamp>,

    /// Metadata instead of what is there, name=value, once or more; a value that is JSON is taken as such
    #[arg(long, value_name = "NAME=VALUE")]
    meta: Vec<String>,

    #[command(flatten)]
    condition: IfArguments,
}

/// On what a write may depend; one thing at most.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct IfArguments {
    /// Only if the key has this version; 0 means that it is absent
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,

    /// Only if the key is absent
    #[arg(long)]
    if_absent: bool,

    /// Only if the key was written last at this revision
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,

    /// Only if the key holds this value: text, @FILE or -
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    if_value: Option<OsString>,
}

impl IfArguments {
    fn condition(&self) -> Result<Option<Condition>, Failure> {
        Ok(if self.if_absent {
            Some(Condition::Absent)
        } else if let Some(version) = self.if_version {
            Some(Condition::Version(Version::new(version)))
        } else if let Some(revision) = self.if_revision {
            Some(Condition::Revision(Revision::new(revision)))
        } else if let Some(value) = &self.if_value {
            Some(Condition::Value(input::value(value, false)?.into()))
        } else {
            None
        })
    }
}

/// What a write left behind, for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Stamped<'a> {
    pub(crate) key: &'a str,
    pub(crate) version: u64,
    pub(crate) revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<bool>,
}

impl Stamped<'_> {
    /// Tells it: `verb` is what was done.
    pub(crate) fn tell(&self, session: &mut Session, verb: &str) -> Result<(), Failure> {
        let text = format!("{verb} {}: version {}, revision {}", one_line(self.key), self.version, self.revision);
        Ok(session.output.done(self, text)?)
    }
}

pub(crate) async fn set(session: &mut Session, arguments: SetArguments) -> Result<(), Failure> {
    let key = Key::new(arguments.key)?;
    let condition = arguments.condition.condition()?;
    let bytes = input::value(&arguments.value, arguments.literal)?;
    let value = match (arguments.opaque, arguments.as_json) {
        (true, _) => Value::opaque(bytes),
        (_, true) => Value::json(bytes)?,
        _ => Value::detect(bytes),
    };
    let metadata = (!arguments.meta.is_empty()).then(|| input::metadata(&arguments.meta)).transpose()?;

    let store = session.open(Missing::Create).await?;
    let mut set = store.set(&key, value);
    if let Some(condition) = condition {
        set = set.only_if(condition);
    }
    if let Some(metadata) = metadata {
        set = set.metadata(metadata);
    }
    if let Some(ttl) = arguments.ttl {
        set = set.ttl(ttl);
    }
    if let Some(at) = arguments.expires_at {
        set = set.expires_at(at);
    }
    let stamp = set.await?;
    let (version, revision) = (stamp.version.get(), stamp.revision.get());
    Stamped { key: &key, version, revision, created: Some(!stamp.existed) }.tell(session, "set")
}
