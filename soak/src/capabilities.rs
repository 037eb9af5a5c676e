//! What each engine is, as a document: which cases it passes, what it takes, when it is durable, and what it is bad at.
//!
//! It is written by a run of every case on every engine, and a test holds it against what the engines say of themselves and
//! against the list of cases.

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use larder_conformance::Case;
use larder_core::{Durability, engine::Reach};

use crate::engines::{ENGINES, Engine, is_skipped};

/// The promises, in short, and the other parts of the contract that have cases.
const PROMISES: &[(&str, &str)] = &[
    ("G1", "a commit is all or nothing"),
    ("G2", "what is acknowledged is durable"),
    ("G3", "revisions increase in the order of commits"),
    ("G4", "of racing compare-and-sets one wins"),
    ("G5", "transactions are serializable, ranges included"),
    ("G6", "a read is of one moment, over any number of pages"),
    ("G7", "a watch tells every change once, in order"),
    ("G8", "what has expired is absent, at the caller's clock"),
    ("G9", "order is bytewise"),
    ("G10", "what was written comes back exactly"),
    ("G11", "a query means what the evaluator says"),
    ("G12", "a guest sees, and uses up, nothing but its own"),
    ("G13", "bad input is refused before anything is written"),
    ("G14", "an unknown outcome can be resolved"),
    ("keeping", "expired entries and old changes are swept up"),
    ("batches", "many keys at once"),
    ("groups", "commits that share a write"),
    ("model", "histories by chance, against an oracle"),
    ("namespaces", "namespaces come, go and are listed"),
    ("writes", "what each write does"),
];

/// Runs every case on every engine, and writes the document to `path`.
///
/// # Errors
/// The engines and cases that failed; the document stays as it was.
pub(crate) fn write(path: &Path) -> Result<(), String> {
    let mut failed = Vec::new();
    for engine in ENGINES {
        if is_skipped(engine.name) {
            return Err(format!("the document tells of every engine, and LARDER_SKIP leaves out {}", engine.name));
        }
        for case in larder_conformance::cases() {
            if catch_unwind(AssertUnwindSafe(|| case.run(engine.factory))).is_err() {
                failed.push(format!("{} on {}", case.name, engine.name));
            }
        }
        println!("{}: {} cases", engine.name, larder_conformance::cases().len());
    }
    if !failed.is_empty() {
        return Err(format!("not every engine passes every case:\n{}", failed.join("\n")));
    }
    std::fs::write(path, text(larder_conformance::cases())).map_err(|error| format!("{}: {error}", path.display()))
}

/// The document, where every engine passes `cases`.
fn text(cases: &[Case]) -> String {
    let told: Vec<Told> = ENGINES.iter().map(Told::by).collect();
    let mut text = String::from(
        "# What each engine is\n\n\
         Written by `cargo xtask capabilities`, which runs every case of the suite on every engine and writes nothing unless all of\n\
         them pass. No engine chooses its cases, and none is weaker than another in what it promises; what differs is how much it\n\
         takes, when it is durable, who can share it, and how fast it is.\n\n",
    );
    let _ = writeln!(text, "| | {} |", cells(&told, &|told| told.engine.name.to_owned()));
    let _ = writeln!(text, "| --- | {} |", cells(&told, &|_| "---".to_owned()));
    for (name, cell) in ROWS {
        let _ = writeln!(text, "| {name} | {} |", cells(&told, &cell));
    }
    text.push_str("\n## Promises\n\nHow many cases of the suite hold each of them, on each engine.\n\n");
    let _ = writeln!(text, "| | | {} |", cells(&told, &|told| told.engine.name.to_owned()));
    let _ = writeln!(text, "| --- | --- | {} |", cells(&told, &|_| "---:".to_owned()));
    for (promise, about) in PROMISES {
        let count = cases.iter().filter(|case| case.promise == *promise).count();
        let _ = writeln!(text, "| {promise} | {about} | {} |", cells(&told, &|_| count.to_string()));
    }
    let _ = writeln!(text, "| | all | {} |", cells(&told, &|_| cases.len().to_string()));
    text.push_str("\n## What each of them is bad at\n");
    for Told { engine, .. } in &told {
        let _ = writeln!(text, "\n**{}** {}", engine.name, engine.weakness);
    }
    text
}

/// An engine, and what it says of itself.
struct Told {
    engine: &'static Engine,
    opened: Arc<dyn larder_core::Engine>,
    /// The place goes last.
    _place: Box<dyn larder_conformance::Site>,
}

impl Told {
    fn by(engine: &'static Engine) -> Self {
        let place = engine.factory.fresh();
        let opened = futures_lite::future::block_on(place.open()).expect("a fresh place can be opened");
        Self { engine, opened, _place: place }
    }
}

type Cell = fn(&Told) -> String;

const ROWS: [(&str, Cell); 10] = [
    ("URL", |told| format!("`{}`", told.engine.url)),
    ("durable", |told| {
        match told.opened.capabilities().durability {
            Durability::Volatile => "never: gone with its process",
            Durability::Relaxed => "a power cut may take the last commits",
            Durability::Full => "when it is acknowledged",
        }
        .to_owned()
    }),
    ("shared by", |told| {
        match told.opened.capabilities().reach {
            Reach::Process => "handles of a process",
            Reach::Host => "processes of a machine",
            Reach::Cluster => "machines",
        }
        .to_owned()
    }),
    ("largest value", |told| size(told.opened.capabilities().limits.value_bytes)),
    ("writes in a commit", |told| told.opened.capabilities().limits.commit_writes.to_string()),
    ("checks in a commit", |told| told.opened.capabilities().limits.commit_checks.to_string()),
    ("largest commit", |told| size(told.opened.capabilities().limits.commit_bytes)),
    ("filters", |told| {
        if told.opened.pushdown().is_some() { "where the entries are" } else { "as they are read" }.to_owned()
    }),
    ("indexes", |told| if told.opened.indexes().is_some() { "in the same commit" } else { "none" }.to_owned()),
    ("copies of its file", |told| if told.opened.backup().is_some() { "while others write" } else { "-" }.to_owned()),
];

/// A cell for every engine.
fn cells(told: &[Told], cell: &dyn Fn(&Told) -> String) -> String {
    told.iter().map(cell).collect::<Vec<_>>().join(" | ")
}

fn size(bytes: usize) -> String {
    let (kib, mib) = (1 << 10, 1 << 20);
    if bytes.is_multiple_of(mib) { format!("{} MiB", bytes / mib) } else { format!("{} KiB", bytes / kib) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_belongs_to_a_promise_that_is_told() {
        let told = |case: &&Case| !PROMISES.iter().any(|(promise, _)| *promise == case.promise);
        let untold: Vec<_> = larder_conformance::cases().iter().filter(told).map(|case| case.name).collect();
        assert_eq!(untold, Vec::<&str>::new());
    }

    #[test]
    fn the_document_is_what_the_engines_are() {
        if let Some(engine) = ENGINES.iter().find(|engine| is_skipped(engine.name)) {
            eprintln!("*** LARDER_SKIP: without {} nobody knows if docs/capabilities.md is fresh ***", engine.name);
            return;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/capabilities.md");
        let written = std::fs::read_to_string(path).expect("there is a document");
        assert_eq!(written, text(larder_conformance::cases()), "run `cargo xtask capabilities`");
    }
}
