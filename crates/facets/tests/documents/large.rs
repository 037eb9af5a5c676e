//! A schema that changes over many documents, while others write: page by page, and in bounded memory.
//!
//! `LARDER_SOAK=1` makes it 100,000 documents instead of some thousands.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use larder::{
    ErrorKind, Result,
    documents::{Collection, Patch, Progress, Survey},
};
use serde_json::json;

use crate::place::everywhere;

/// Every so many documents one violates the schema that is to come.
const EVERY: u64 = 500;
/// How many documents are judged at once at most.
const PAGE_MAX: u64 = 1024;

fn documents() -> u64 {
    if std::env::var_os("LARDER_SOAK").is_some() { 100_000 } else { 3_000 }
}

async fn fill(collection: &Collection) -> Result<()> {
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let collection = collection.clone();
            tokio::spawn(async move {
                for n in (task..documents()).step_by(32) {
                    let age = if n.is_multiple_of(EVERY) { -1 } else { 30 };
                    let text = "x".repeat(200);
                    collection.insert(&json!({"age": age, "text": text})).id(format!("{n:06}")).await?;
                }
                Ok::<_, larder::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("nobody panics")?;
    }
    Ok(())
}

/// Rewrites documents that are valid, without pause, until it is told to stop.
async fn rewrite(collection: Collection, stop: Arc<AtomicBool>) -> Result<u64> {
    let mut written = 0;
    while !stop.load(Ordering::SeqCst) {
        collection.replace(format!("{:06}", 1 + written % (EVERY - 1)), &json!({"age": written})).await?;
        written += 1;
    }
    Ok(written)
}

/// The most memory that this process has ever taken, where the system tells.
fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:").map(|peak| peak.trim().to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_schema_changes_over_many_documents() -> Result<()> {
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]});
    // The file first: what it takes is to be told apart from what the other one keeps in memory.
    for place in everywhere().await?.into_iter().rev() {
        let collection = place.collection("people")?;
        fill(&collection).await?;
        let filled = peak();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..8).map(|_| tokio::spawn(rewrite(collection.clone(), stop.clone()))).collect();

        let seen: Mutex<Vec<Progress>> = Mutex::default();
        let progress = |progress: Progress| seen.lock().expect("nobody panics").push(progress);
        let begun = Instant::now();
        let refused = collection.set_schema(schema.clone()).progress(progress).await.expect_err("some violate it");
        assert_eq!(refused.kind(), ErrorKind::InvalidState, "{refused}");
        let survey = refused.cause::<Survey>().expect("the cause tells which").clone();
        assert_eq!((survey.looked_at, survey.violating), (documents(), documents().div_ceil(EVERY)), "{}", place.engine);
        let surveyed = begun.elapsed();

        // All of them, however many are told at once.
        let mut found = survey.found;
        while !found.is_empty() {
            for violator in &found {
                let patch = Patch::operations(&json!([
                    {"op": "test", "path": "/age", "value": -1},
                    {"op": "replace", "path": "/age", "value": 0},
                ]))?;
                collection.patch(&violator.id, patch).if_revision(violator.revision).await?;
            }
            found = collection.survey(schema.clone(), |_| ()).await?.found;
        }
        let begun = Instant::now();
        let changed = collection.set_schema(schema.clone()).progress(progress).await?;
        let changing = begun.elapsed();
        stop.store(true, Ordering::SeqCst);
        let mut rewritten = 0;
        for writer in writers {
            rewritten += writer.await.expect("nobody panics")?;
        }
        assert_eq!((changed.version, changed.unchanged), (1, false));
        assert_eq!(collection.survey(schema.clone(), |_| ()).await?.violating, 0);

        let seen = seen.into_inner().expect("nobody panics");
        let steps = std::iter::once(seen[0].looked_at)
            .chain(seen.windows(2).map(|pair| pair[1].looked_at.saturating_sub(pair[0].looked_at)));
        assert!(steps.max() <= Some(PAGE_MAX), "no more than a page is held at once");
        println!(
            "{}: {} documents judged in {surveyed:?}, changed in {changing:?} under {rewritten} writes; peak {filled:?} filled, {:?} after",
            place.engine,
            documents(),
            peak()
        );
    }
    Ok(())
}
