//! What is not the same in two stores: `diff` with two URLs.

use larder::{Namespace, Range, moving};

use super::verify::DIFFERS;
use crate::{
    commands::{
        diff::{as_json, as_line},
        holding::Holding,
    },
    failure::Failure,
    session::{Missing, Session},
    text::one_line,
};

pub(crate) async fn run(session: &mut Session, one: &str, other: &str, prefix: &str) -> Result<(), Failure> {
    let named = session.settings.namespace.as_deref().map(Namespace::new).transpose()?;
    let range = match &named {
        Some(namespace) => Range::prefix(namespace, prefix),
        None if prefix.is_empty() => Range::all(),
        None => Range::prefix(&Namespace::default(), prefix),
    };
    let one = session.open_at(one, Missing::Tell).await?;
    let other = session.open_at(other, Missing::Tell).await?;
    let (first, second) = (one.view().await?, other.view().await?);
    let holdings =
        [Holding::begin(&one, "diff", first.position()).await?, Holding::begin(&other, "diff", second.position()).await?];
    let mut diff = moving::diff((&one, &first), (&other, &second), &range);
    let output = &mut session.output;
    let mut differ = false;
    let compared = async {
        while let Some(page) = diff.next().await? {
            differ = true;
            for difference in &page {
                let namespace = one_line(difference.address.namespace.as_str());
                if output.json {
                    output.line(as_json(difference))?;
                } else if named.is_some() || difference.address.namespace.is_default() {
                    output.line(as_line(difference))?;
                } else {
                    output.line(format_args!("{}\t({namespace})", as_line(difference)))?;
                }
            }
        }
        Ok(())
    }
    .await;
    for holding in holdings {
        holding.end().await;
    }
    compared.and(if differ { Err(Failure::Answered(DIFFERS)) } else { Ok(()) })
}
