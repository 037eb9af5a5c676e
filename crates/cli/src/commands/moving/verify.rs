//! `verify`: whether a store is what it says, or the same as another one.

use clap::Args;
use larder::{
    Store,
    moving::{self, Digest},
};
use serde_json::json;

use super::{no_namespace, shown, telling::Telling};
use crate::{
    commands::holding::Holding,
    failure::Failure,
    session::{Missing, Session},
    text::{counted, one_line, size},
};

/// The exit status of what is not the same, or not as it has to be.
pub(crate) const DIFFERS: u8 = 4;
const BROKEN: u8 = 8;

/// Print a digest of each namespace; check that a store is what it says, or the same as another one
#[derive(Args, Debug)]
#[command(after_help = "\
With one store, everything in it is read: values that are JSON have to be JSON, what is counted has to be there, and indexes \
have to hold what the entries make. Each namespace has a digest: SHA-256 over its entries in order, without revisions, which \
are numbers of one store.

With two, the digests are compared, as of one moment each: exit status 0 says that they are the same, 4 that they are not. \
`larder diff` shows where.

Examples:
  larder verify                                     the store of --store
  larder verify sqlite:./app.db
  larder verify sqlite:./app.db 'postgres://app@db/app?schema=larder'")]
pub(crate) struct VerifyArguments {
    /// The store to verify: a URL; that of --store, unless it is given
    store: Option<String>,

    /// Another one, which has to hold the same
    other: Option<String>,
}

pub(crate) async fn run(session: &mut Session, VerifyArguments { store, other }: VerifyArguments) -> Result<(), Failure> {
    no_namespace(session)?;
    let url = store.unwrap_or_else(|| session.settings.store.clone());
    let store = session.open_at(&url, Missing::Tell).await?;
    match other {
        None => alone(session, &store, &url).await,
        Some(other_url) => {
            let other = session.open_at(&other_url, Missing::Tell).await?;
            against(session, (&store, &url), (&other, &other_url)).await
        }
    }
}

async fn alone(session: &mut Session, store: &Store, url: &str) -> Result<(), Failure> {
    let mut telling = Telling::begin(session);
    let holding = Holding::begin(store, "verify", store.view().await?.position()).await?;
    let verified = moving::verify(store, |entries| telling.looked(entries)).await;
    holding.end().await;
    telling.end();
    let verified = verified?;
    let output = &mut session.output;
    if output.json {
        let namespaces: Vec<_> = verified.namespaces.iter().map(as_json).collect();
        output.json(&json!({ "namespaces": namespaces, "indexes": verified.indexes, "faults": verified.faults }))?;
    } else {
        for digest in &verified.namespaces {
            output.line(line(digest, " "))?;
        }
        for fault in &verified.faults {
            output.line(format_args!("! {}", one_line(fault)))?;
        }
        if verified.faults.is_empty() && !output.quiet {
            let indexes = counted(verified.indexes, "index", "indexes");
            output.line(format_args!("{} is what it says: {indexes} held against the entries", shown(url)))?;
        }
    }
    if verified.faults.is_empty() { Ok(()) } else { Err(Failure::Answered(BROKEN)) }
}

async fn against(
    session: &mut Session,
    (one, one_url): (&Store, &str),
    (other, other_url): (&Store, &str),
) -> Result<(), Failure> {
    let mut telling = Telling::begin(session);
    let (first, second) = (one.view().await?, other.view().await?);
    let now = first.time().max(second.time());
    let holdings =
        [Holding::begin(one, "verify", first.position()).await?, Holding::begin(other, "verify", second.position()).await?];
    let found = async {
        let first = moving::digests(one, first.position(), now, |entries| telling.looked(entries)).await?;
        let second = moving::digests(other, second.position(), now, |entries| telling.looked(entries)).await?;
        Ok::<_, Failure>((first, second))
    }
    .await;
    for holding in holdings {
        holding.end().await;
    }
    telling.end();
    let (first, second) = found?;
    let differs = |digest: &&Digest, others: &[Digest]| !others.contains(digest);
    let same = first == second;
    let output = &mut session.output;
    if output.json {
        let all = |digests: &[Digest]| digests.iter().map(as_json).collect::<Vec<_>>();
        output.json(&json!({ "same": same, "first": all(&first), "second": all(&second) }))?;
    } else {
        for digest in &first {
            output.line(line(digest, if differs(&digest, &second) { "-" } else { " " }))?;
        }
        for digest in second.iter().filter(|digest| differs(digest, &first)) {
            output.line(line(digest, "+"))?;
        }
        if !output.quiet {
            let said = if same { "hold the same" } else { "do not hold the same" };
            output.line(format_args!("{} and {} {said}", shown(one_url), shown(other_url)))?;
        }
    }
    if same { Ok(()) } else { Err(Failure::Answered(DIFFERS)) }
}

fn line(digest: &Digest, sign: &str) -> String {
    let name = one_line(digest.namespace.as_str());
    format!("{sign} {digest}  {name}\t{}, {}", counted(digest.entries, "entry", "entries"), size(digest.bytes))
}

fn as_json(digest: &Digest) -> serde_json::Value {
    json!({
        "namespace": digest.namespace.as_str(),
        "entries": digest.entries,
        "bytes": digest.bytes,
        "sha256": digest.to_string(),
    })
}
