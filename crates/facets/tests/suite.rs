//! The official JSON Schema test suite, through collections of a store: a schema is put in force, and a document is inserted
//! or refused.
//!
//! The files lie in `suite/tests` as they came; `suite/README.md` says from where. What is not answered as the suite says is
//! listed in `suite/skipped.txt`, file by file: how many tests that are, what is different, and why. One that would now pass is
//! one too few, and nothing is ever different but in these two ways.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use larder::{
    ErrorKind, Result, Value,
    documents::{Collection, Documents},
};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Group {
    description: String,
    schema: Box<RawValue>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    description: String,
    data: Box<RawValue>,
    valid: bool,
}

/// Each draft, and the `$schema` that its files leave out.
const DRAFTS: [(&str, &str); 5] = [
    ("draft4", "http://json-schema.org/draft-04/schema#"),
    ("draft6", "http://json-schema.org/draft-06/schema#"),
    ("draft7", "http://json-schema.org/draft-07/schema#"),
    ("draft2019-09", "https://json-schema.org/draft/2019-09/schema"),
    ("draft2020-12", "https://json-schema.org/draft/2020-12/schema"),
];

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite")
}

/// Every file of a draft, with its path below the suite.
fn files(draft: &str) -> Vec<(String, PathBuf)> {
    let (mut found, root) = (Vec::new(), suite().join("tests"));
    let mut directories = vec![root.join(draft)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("the suite is there") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below the root").display().to_string();
                found.push((name, path));
            }
        }
    }
    found.sort();
    found
}

/// The schema as it is written, with the draft that it was written for.
fn with_draft(schema: &str, draft: &str) -> String {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(schema).unwrap_or_default();
    match schema.strip_prefix('{') {
        Some(rest) if !fields.contains_key("$schema") => {
            format!("{{\"$schema\":\"{draft}\"{}{rest}", if fields.is_empty() { "" } else { "," })
        }
        _ => schema.to_owned(),
    }
}

/// The schema is refused, and with it all of its tests.
const REFUSED: &str = "refused";
/// A document is let through that should have been refused.
const PASSED: &str = "passed";

/// What of `group` is not answered as it should be: how, and which test.
async fn differences(collection: &Collection, group: &Group, draft: &str) -> Result<Vec<(&'static str, String)>> {
    let of = |test: &Test| format!("{}: {}", group.description, test.description);
    if let Err(error) = collection.set_schema(&*with_draft(group.schema.get(), draft)).await {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("http://localhost:1234/"), "{}: {error}", group.description);
        return Ok(group.tests.iter().map(|test| (REFUSED, of(test))).collect());
    }
    let mut found = Vec::new();
    for test in &group.tests {
        let text = test.data.get().to_owned();
        let accepted = match collection.insert_value(Value::json(text)).await {
            Ok(saved) => collection.delete(saved.id).await?,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
                false
            }
        };
        assert!(accepted || !test.valid, "{} is refused", of(test));
        if accepted != test.valid {
            found.push((PASSED, of(test)));
        }
    }
    Ok(found)
}

/// What `skipped.txt` says: of which file what is different how often, and, behind that, why.
fn skipped() -> BTreeMap<(String, String), usize> {
    let text = fs::read_to_string(suite().join("skipped.txt")).expect("the list is there");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            let [name, how, count, _why] = words[..] else { panic!("{line:?} does not say why") };
            ((name.to_owned(), how.to_owned()), count.parse().expect("how often"))
        })
        .collect()
}

#[tokio::test]
async fn collections_answer_as_the_official_suite_says() -> Result<()> {
    let store = larder::open("memory:").await?;
    let documents = Documents::new(&store);
    let (mut listed, mut wrong, mut asked) = (skipped(), Vec::new(), 0);
    for (draft, uri) in DRAFTS {
        let collection = documents.collection(draft)?;
        for (name, path) in files(draft) {
            let text = fs::read(&path).expect("a file of the suite can be read");
            let groups: Vec<Group> = serde_json::from_slice(&text).expect("a file of the suite is groups of tests");
            let mut found = Vec::new();
            for group in &groups {
                asked += group.tests.len();
                found.extend(differences(&collection, group, uri).await?);
            }
            for how in [REFUSED, PASSED] {
                let these: Vec<&str> = found.iter().filter(|(was, _)| *was == how).map(|(_, test)| &**test).collect();
                if listed.remove(&(name.clone(), how.to_owned())).unwrap_or(0) != these.len() {
                    wrong.push(format!("{name} {how} {} because\n    {}", these.len(), these.join("\n    ")));
                }
            }
        }
    }
    assert!(wrong.is_empty() && listed.is_empty(), "{}\nlisted and not there: {listed:?}", wrong.join("\n"));
    assert!(asked > 6_000, "only {asked} tests were found");
    println!("{asked} tests of the official suite");
    Ok(())
}
