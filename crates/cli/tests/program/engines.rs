//! Every engine, chosen by its URL and by nothing else: the same words get the same answers.

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tokio_postgres::NoTls;

use crate::sandbox::{Answer, Sandbox, answer};

/// Where a store of an engine can be.
pub(crate) struct Place {
    pub(crate) engine: &'static str,
    pub(crate) url: String,
    /// Whether several programs can have it open at once.
    is_shared: bool,
    /// A schema to be dropped at the server with this URL.
    schema: Option<(String, String)>,
}

/// The engines whose stores are in a folder.
const IN_FOLDERS: [(&str, &str, bool); 3] =
    [("sqlite", "sqlite:./here.db", true), ("file", "file:./here", false), ("surrealkv", "surrealkv:./there", false)];

/// The engines at servers, where those are told to tests, and what comes behind that URL.
const AT_SERVERS: [(&str, &str, &str); 3] = [
    ("postgres", "LARDER_TEST_POSTGRES", "?schema=cli_"),
    ("redis", "LARDER_TEST_REDIS", "?prefix=cli_"),
    ("etcd", "LARDER_TEST_ETCD", "?prefix=cli_"),
];

/// A place for a store of `engine`, which is at a server; `None` where somebody has said that this run has to do without.
pub(crate) fn at_server(engine: &str, case: &str) -> Option<Place> {
    let known = AT_SERVERS.into_iter().find(|(name, ..)| *name == engine);
    let (engine, variable, place) = known.expect("an engine of this list");
    if std::env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine)) {
        eprintln!("*** LARDER_SKIP: this says nothing about {engine} ***");
        return None;
    }
    let server = std::env::var(variable).unwrap_or_else(|_| {
        panic!("this test needs a server: `cargo xtask test` starts one, LARDER_SKIP={engine} does without")
    });
    let name = format!("{case}_{}", std::process::id());
    let schema = (engine == "postgres").then(|| (server.clone(), format!("cli_{name}")));
    Some(Place { engine, url: format!("{server}{place}{name}"), is_shared: true, schema })
}

/// A place for a store of every engine; those in folders are in that where the program runs.
fn places(case: &str) -> Vec<Place> {
    let in_folder = |(engine, url, is_shared): (_, &str, _)| Place { engine, url: url.to_owned(), is_shared, schema: None };
    let servers = AT_SERVERS.iter().filter_map(|(engine, ..)| at_server(engine, case));
    IN_FOLDERS.map(in_folder).into_iter().chain(servers).collect()
}

impl Place {
    fn command(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = sandbox.command(arguments);
        command.env("LARDER_STORE", &self.url);
        command
    }

    /// Runs the program, which tells no password.
    fn run(&self, sandbox: &Sandbox, arguments: &[&str]) -> Answer {
        let answer = answer(self.command(sandbox, arguments).spawn().expect("the program starts"));
        let password = self.url.rsplit_once('@').and_then(|(before, _)| before.rsplit_once(':')).map(|(_, word)| word);
        if let Some(password) = password.filter(|word| !word.is_empty()) {
            let told = format!("{}{}", String::from_utf8_lossy(&answer.bytes), answer.error);
            assert!(!told.contains(password), "the password is told: {told}");
        }
        answer
    }

    /// What the program prints, which ends well.
    fn text(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        let answer = self.run(sandbox, arguments);
        assert_eq!(answer.status, 0, "{}: {answer:?}", self.engine);
        answer.text().to_owned()
    }

    fn feed(&self, sandbox: &Sandbox, input: &str, arguments: &[&str]) {
        let mut child = self.command(sandbox, arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
        let answer = answer(child);
        assert_eq!(answer.status, 0, "{}: {answer:?}", self.engine);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((server, schema)) = &self.schema else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(server, NoTls).await.expect("the server is there");
            tokio::spawn(connection);
            let _ = client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await;
        });
    }
}

#[test]
fn a_store_is_one_like_any_other_wherever_it_is() {
    for place in places("any") {
        let sandbox = Sandbox::new();
        let run = |arguments: &[&str]| place.run(&sandbox, arguments);
        let text = |arguments: &[&str]| place.text(&sandbox, arguments);
        let engine = place.engine;
        assert_eq!(run(&["get", "greeting"]).status, 3, "{engine}: nobody has created it");
        assert_eq!(text(&["set", "greeting", r#"{"hello": "world"}"#]), "set greeting: version 1, revision 1\n", "{engine}");
        assert_eq!(text(&["set", "greeting", "2"]), "set greeting: version 2, revision 2\n", "{engine}");
        assert_eq!(text(&["get", "greeting", "--as-of", "1"]), r#"{"hello": "world"}"#, "{engine}");
        assert_eq!(run(&["set", "greeting", "3", "--if-version", "7"]).status, 4, "{engine}");
        let status = text(&["status"]);
        for part in [&format!("engine     {engine}, shared by "), "durability full\n", "revision   2\n"] {
            assert!(status.contains(part), "{part:?} is not in {status}");
        }
    }
}

/// Records with everything that engines are known to disagree on: numbers, nulls, arrays, names, letters.
fn graph() -> String {
    let package = |n: u32| {
        let (big, near) = (u64::MAX - u64::from(n), 9_007_199_254_740_992_u64 + u64::from(n % 3));
        let dependencies: Vec<String> =
            (1..=n % 4).map(|d| format!(r#"{{"name":"Pkg{}","optional":{}}}"#, n / d % 40, d == 2)).collect();
        let license = ["\"MIT\"", "null", "\"mit OR Apache-2.0\"", "\"Ünlicense_%\""][n as usize % 4];
        format!(
            r#"{{"id":"p{n:03}/{}","name":"Pkg{}","size":{near},"big":{big},"rate":{}.5e-1,"license":{license},"dependencies":[{}]}}"#,
            ["a", "Ä", "z%", "_"][n as usize % 4],
            n % 40,
            n % 17,
            dependencies.join(",")
        )
    };
    format!(r#"{{"packages":[{}]}}"#, (0..240).map(package).collect::<Vec<_>>().join(",\n"))
}

#[test]
fn the_same_import_answers_the_same_on_every_engine() {
    let questions: [&[&str]; 12] = [
        &["list"],
        &["count", "--prefix", "p1"],
        &["get", "p007/_"],
        &["query", "size = 9007199254740993 sort -big limit 20", "--json"],
        &["query", r#"license >= "m" sort license limit 50"#, "--json"],
        &["query", "dependencies[].name = \"Pkg7\" and rate < 0.9 sort -rate, name fields name, rate", "--json"],
        &["query", "not license exists or license = null count"],
        &["query", "group dependencies[].name limit 10"],
        &["query", r#"license *= "_%" fields license"#],
        &["query", "sum size"],
        &["query", "min rate"],
        &["search", "apache", "--json"],
    ];
    let mut expected: Option<Vec<(String, i32)>> = None;
    for place in places("graph") {
        let sandbox = Sandbox::new();
        place.feed(&sandbox, &graph(), &["import", "--items", "packages", "--key", "id", "-"]);
        let ask = |question: &&[&str]| {
            let answer = place.run(&sandbox, question);
            // When it was written, and by which commit, is a store's own.
            let text: Vec<String> = answer.text().lines().map(without_moments).collect();
            (text.join("\n"), answer.status)
        };
        let mut told: Vec<_> = questions.iter().map(ask).collect();
        for index in [&["index", "create", "name"][..], &["index", "create", "license"], &["index", "create", "size"]] {
            place.text(&sandbox, index);
        }
        let again: Vec<_> = questions.iter().map(ask).collect();
        assert_eq!(again, told, "{}: an index changes no answer", place.engine);
        told.push((place.text(&sandbox, &["explain", "name = \"Pkg3\""]).contains("name").to_string(), 0));
        match &expected {
            None => expected = Some(told),
            Some(expected) => {
                for ((question, told), expected) in questions.iter().zip(&told).zip(expected) {
                    assert_eq!(told, expected, "{} answers {question:?} in its own way", place.engine);
                }
            }
        }
    }
    let expected = expected.expect("there is an engine");
    assert!(expected.iter().filter(|(text, status)| *status == 0 && !text.is_empty()).count() > 8, "{expected:?}");
}

/// A line of JSON without what tells when it was written.
fn without_moments(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut object)) => {
            object.retain(|name, _| !name.ends_with("_at") && name != "revision");
            Value::Object(object).to_string()
        }
        _ => line.to_owned(),
    }
}

#[test]
fn programs_share_a_store_where_they_can() {
    const PROCESSES: usize = 4;
    const ROUNDS: u64 = 8;
    for place in places("shared").into_iter().filter(|place| place.is_shared) {
        let (sandbox, engine) = (Sandbox::new(), place.engine);
        place.text(&sandbox, &["set", "k", "0"]);
        let last = (ROUNDS + 1).to_string();
        let watching: Vec<Child> = (0..2)
            .map(|_| {
                let arguments = ["watch", "--key", "k", "--from", "1", "--count", &ROUNDS.to_string(), "--json"];
                place.command(&sandbox, &arguments).spawn().expect("the program starts")
            })
            .collect();
        for version in 1..=ROUNDS {
            let expected = version.to_string();
            let racers: Vec<Child> = (0..PROCESSES)
                .map(|racer| {
                    let value = format!("\"racer {racer}\"");
                    let mut command = place.command(&sandbox, &["set", "k", &value, "--if-version", &expected]);
                    command.spawn().expect("the program starts")
                })
                .collect();
            let answers: Vec<Answer> = racers.into_iter().map(answer).collect();
            let won = answers.iter().filter(|answer| answer.status == 0).count();
            assert_eq!(won, 1, "{engine}, round {version}: {answers:?}");
            assert!(answers.iter().all(|answer| [0, 4].contains(&answer.status)), "{engine}, round {version}: {answers:?}");
        }
        let entry: Value = serde_json::from_str(&place.text(&sandbox, &["get", "k", "--json"])).expect("JSON");
        assert_eq!((entry["version"].to_string(), entry["revision"].to_string()), (last.clone(), last), "{engine}");
        for watch in watching {
            let seen = answer(watch);
            let revisions: Vec<u64> = seen
                .lines()
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["revision"].as_u64().expect("a number"))
                .collect();
            assert_eq!(revisions, (2..=ROUNDS + 1).collect::<Vec<_>>(), "{engine}: across processes, once and in order");
        }
    }
}

#[test]
fn what_cannot_be_opened_is_told_at_once_and_nothing_of_the_password() {
    let sandbox = Sandbox::new();
    for (url, status) in [
        ("postgres://ann:hush@127.0.0.1:1/app", 7),
        ("postgres://ann:hush@name.invalid/app", 7),
        ("postgres://ann:hu@sh@h/app", 5),
        ("postgres://ann:hush@h/app?schema=pg_x", 5),
        ("postgres://ann:hush@h:x/app", 5),
        ("postgres:ann", 5),
        ("redis://ann:hush@127.0.0.1:1", 7),
        ("redis://ann:hush@name.invalid/0", 7),
        ("redis://ann:hu@sh@h/0", 5),
        ("redis://ann:hush@h/0?prefix=%7B", 5),
        ("redis://ann:hush@h:x/0", 5),
        ("redis:ann", 5),
        ("etcd://127.0.0.1:1", 7),
        ("etcd://ann:hush@127.0.0.1:1,127.0.0.1:2", 7),
        ("etcd://ann:hush@name.invalid", 7),
        ("etcd://ann:hu@sh@h", 5),
        ("etcd://ann:hush@h/?prefix=%00", 5),
        ("etcd://ann:hush@h:x", 5),
        ("etcds://ann:hush@h", 5),
        ("etcd:ann", 5),
    ] {
        for json in [&["get", "k"][..], &["get", "k", "--json"]] {
            let answer = sandbox.run([&["--store", url], json].concat());
            assert_eq!(answer.status, status, "{url}: {answer:?}");
            assert!(!answer.error.contains("hush") && !answer.error.contains("sh@"), "{url}: {answer:?}");
        }
    }
}
