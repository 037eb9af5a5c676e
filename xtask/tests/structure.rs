//! The rules of the house, as tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// Every Rust file of the workspace, with its path below the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut directories: Vec<PathBuf> = ["crates", "engines", "xtask", "bench", "soak"].map(|name| root().join(name)).into();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() && !path.ends_with("target") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("it lies below the root").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("a source file is text")));
            }
        }
    }
    assert!(found.len() > 50, "the sources were found");
    found
}

/// Dependencies point one way: the contract knows nobody, engines and facets know the contract, only `larder` knows engines.
///
/// Tests may look in the other direction, so their dependencies do not count.
#[test]
fn dependencies_point_one_way() {
    const ENGINES: [&str; 6] =
        ["larder-etcd", "larder-file", "larder-postgres", "larder-redis", "larder-sqlite", "larder-surrealkv"];
    const ALLOWED: &[(&str, &[&str])] = &[
        ("larder-core", &[]),
        ("larder-conformance", &["larder-core"]),
        ("larder-facets", &["larder-core"]),
        ("larder-file", &["larder-core", "larder-ordered"]),
        ("larder-etcd", &["larder-core", "larder-ordered"]),
        ("larder-moving", &["larder-core"]),
        ("larder-ordered", &["larder-core"]),
        ("larder-postgres", &["larder-core"]),
        ("larder-redis", &["larder-core"]),
        ("larder-sqlite", &["larder-core"]),
        ("larder-surrealkv", &["larder-core", "larder-ordered"]),
        ("larder-cli", &["larder"]),
        ("larder-bench", &["larder", "larder-postgres", "larder-sqlite"]),
        ("xtask", &[]),
    ];
    // Those that know engines know all of them.
    const KNOWING: [(&str, &[&str]); 2] = [
        ("larder", &["larder-core", "larder-facets", "larder-moving"]),
        ("larder-soak", &["larder-conformance", "larder-core"]),
    ];
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--no-deps"])).expect("cargo prints JSON");
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("there are packages") {
        let name = package["name"].as_str().expect("a package has a name").to_owned();
        let dependencies: BTreeSet<String> = package["dependencies"]
            .as_array()
            .expect("a package has dependencies")
            .iter()
            .filter(|dependency| dependency["kind"].is_null() && !dependency["path"].is_null())
            .map(|dependency| dependency["name"].as_str().expect("a dependency has a name").to_owned())
            .collect();
        found.insert(name, dependencies);
    }
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let allowed = ALLOWED.iter().map(|(name, allowed)| ((*name).to_owned(), own(allowed)));
    let knowing = KNOWING.iter().map(|(name, allowed)| ((*name).to_owned(), &own(allowed) | &own(&ENGINES)));
    assert_eq!(found, allowed.chain(knowing).collect());
}

/// The contract compiles wherever a little JSON does: no runtime, no driver, few dependencies.
#[test]
fn the_contract_has_few_dependencies() {
    let tree = cargo(&["tree", "--package=larder-core", "--edges=normal"]);
    let lines = tree.lines().count();
    assert!(lines <= 40, "{lines} lines:\n{tree}");
    for banned in ["tokio", "async-std", "smol", "rusqlite", "getrandom", "libc", "wasm-bindgen"] {
        assert!(!tree.contains(banned), "{banned} is among the dependencies of the contract:\n{tree}");
    }
}

/// A stranger who opens a file reads first why it exists.
#[test]
fn every_module_says_why_it_exists() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "these begin without //!: {silent:#?}");
}

/// What is not finished is not hidden in the code.
#[test]
fn nothing_is_left_behind() {
    // Put together here, so that this file does not find itself.
    let banned =
        [["to", "do!("], ["dbg", "!("], ["unimple", "mented!("], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let mut left = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if banned.iter().any(|word| line.contains(word.as_str())) {
                left.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

/// A file holds one idea. Tests may be longer.
#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(name, _)| !name.contains("/tests/"))
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > 450)
        .map(|(name, lines)| format!("{lines} {name}"))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// Every crate forbids `unsafe`: whoever needs it argues for it in a decision record first.
#[test]
fn nothing_is_unsafe() {
    let word = ["un", "safe "].concat();
    let users: Vec<String> = sources().into_iter().filter(|(_, text)| text.contains(&word)).map(|(name, _)| name).collect();
    assert!(users.is_empty(), "{users:#?}");
}

/// Decision records are numbered without gaps and say what was rejected.
#[test]
fn decisions_say_what_was_rejected() {
    let mut names: Vec<PathBuf> = fs::read_dir(root().join("docs/decisions"))
        .expect("there are decision records")
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for (number, path) in names.iter().enumerate() {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        assert!(name.starts_with(&format!("{:04}-", number + 1)), "{name} is not number {}", number + 1);
        let text = fs::read_to_string(path).expect("a decision record is text");
        for part in ["## Context", "## Decision", "## Rejected", "## What would change our mind"] {
            assert!(text.contains(part), "{name} has no {part}");
        }
    }
}
