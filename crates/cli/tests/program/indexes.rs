//! Indexes as people type them; and that a building one may be killed at any time, and no answer differs for it.

use std::process::Child;

use larder::{Builder, Index, IndexInfo, Store};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    sandbox::{Answer, Sandbox},
    script::size,
};

fn people() -> Sandbox {
    let sandbox = Sandbox::new();
    for (key, value) in [
        ("ann", r#"{"name":"Ann","age":31,"tags":["x","y"]}"#),
        ("bob", r#"{"name":"Bob","age":17,"tags":["y"]}"#),
        ("cid", r#"{"name":"Cid"}"#),
        ("raw", "plain"),
    ] {
        sandbox.ok(["set", key, value]);
    }
    sandbox
}

fn told(answer: &Answer) -> Value {
    serde_json::from_str::<Value>(&answer.error).unwrap_or_else(|error| panic!("{error}: {answer:?}"))["error"].clone()
}

#[test]
fn indexes_are_created_listed_and_dropped() {
    let sandbox = people();
    assert_eq!(sandbox.ok(["index", "list"]).text(), "");
    assert_eq!(sandbox.ok(["index", "create", "age"]).text(), "created the index on age\n");
    assert_eq!(sandbox.ok(["index", "create", "age"]).text(), "the index on age is there already\n");
    assert_eq!(sandbox.ok(["index", "create", "name", "--unique"]).text(), "created the unique index on name\n");
    assert_eq!(
        sandbox.ok(["index", "create", "tags[]", "$meta.\"a b\"", "--json"]).json(),
        json!({"created": true, "paths": ["tags[]", "$meta.\"a b\""], "unique": false})
    );
    assert_eq!(sandbox.ok(["index", "create", "age", "--json"]).json()["created"], json!(false));
    assert_eq!(sandbox.ok(["index", "create", "age", "--quiet"]).text(), "");
    assert_eq!(
        sandbox.ok(["index", "list"]).text(),
        "age                    ready\nunique name            ready\ntags[], $meta.\"a b\"    ready\n"
            .replace("    r", "  r")
    );
    assert_eq!(sandbox.ok(["index", "list", "--json"]).json()[1], json!({"paths": ["name"], "unique": true, "ready": true}));
    assert_eq!(sandbox.ok(["index", "list", "-n", "elsewhere"]).text(), "", "a namespace has its own");

    assert_eq!(
        sandbox.ok(["index", "drop", "tags[]", "$meta.\"a b\""]).text(),
        "dropped the index on tags[], $meta.\"a b\"\n"
    );
    assert_eq!(sandbox.ok(["index", "drop", "name", "--json"]).json(), json!({"dropped": ["name"]}));
    let answer = sandbox.run(["index", "drop", "name", "-n", "default"]);
    assert_eq!(answer.status, 3);
    assert!(
        answer.error.contains("no index on name") && answer.error.contains("`larder -n default index list`"),
        "{answer:?}"
    );
    assert_eq!(sandbox.ok(["index", "list"]).text(), "age  ready\n");
    assert_eq!(sandbox.run(["--store", "sqlite:none.db", "index", "list"]).status, 3);
}

#[test]
fn what_cannot_be_an_index_is_told() {
    let sandbox = Sandbox::new();
    let (long, many) = ("a".repeat(5_000), ["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    for (paths, code, part) in [
        (&["a..b"][..], "invalid", "in the path \"a..b\", at column 3: expected a name"),
        (&["ok", "a[0]"], "invalid", "in the path \"a[0]\", at column 2: expected []"),
        (&[""], "invalid", "in the path \"\", at column 1: expected a name"),
        (&["$nothing"], "invalid", "expected $key, $version"),
        (&["a\nb"], "invalid", "in the path \"a\\nb\", at column 2"),
        (&[&long], "limit", "aaa…\", at column 1: a path of 5000 bytes is too long"),
        (&["a", "a"], "invalid", "names a twice"),
        (&["a[]", "b[]"], "invalid", "at most one path"),
        (&["$key"], "invalid", "$key"),
        (&many, "limit", "at most 8 paths"),
    ] {
        for command in ["create", "drop"] {
            let answer = sandbox.run([&["index", command, "--json", "--"], paths].concat());
            assert_eq!((answer.status, &told(&answer)["code"]), (5, &json!(code)), "{paths:?}: {answer:?}");
            let message = told(&answer)["message"].as_str().expect("a text").to_owned();
            assert!(message.contains(part) && message.len() < 200, "{paths:?}: {message}");
        }
    }
    assert_eq!(sandbox.run(["index", "create"]).status, 2);
    assert!(!sandbox.path("larder.db").exists(), "a bad request leaves no file behind");

    for number in 0..Index::PER_NAMESPACE {
        sandbox.ok(["index", "create", &format!("a{number}")]);
    }
    let answer = sandbox.run(["index", "create", "one.more", "--json"]);
    assert_eq!((answer.status, &told(&answer)["code"]), (5, &json!("limit")), "{answer:?}");
    sandbox.ok(["index", "create", "one.more", "-n", "elsewhere"]);
    let many: Vec<String> = (0..=Index::TERMS_MAX).map(|number| number.to_string()).collect();
    let answer = sandbox.run(["set", "k", &format!("{{\"tags\":[{}]}}", many.join(","))]);
    assert_eq!(answer.status, 0, "there is no index on it");
    let answer = sandbox.run(["index", "create", "tags[]", "-n", "default", "--json"]);
    assert_eq!((answer.status, &told(&answer)["code"]), (5, &json!("limit")), "{answer:?}");
}

#[test]
fn what_a_unique_index_does_not_allow_names_it() {
    let sandbox = people();
    sandbox.ok(["index", "create", "name", "--unique"]);
    let answer = sandbox.run(["set", "eve", r#"{"name":"Ann"}"#]);
    assert_eq!(answer.status, 4);
    for part in ["the key \"eve\"", "the unique index on name", " next: another entry has"] {
        assert!(answer.error.contains(part), "{part}: {answer:?}");
    }
    assert!(!answer.error.contains("Ann"), "no values in messages");
    let error = told(&sandbox.run(["set", "eve", r#"{"name":"Ann"}"#, "--json"]));
    assert_eq!(error["expected"], json!({"unique": {"paths": ["name"], "unique": true}}));
    assert_eq!(
        (&error["code"], &error["found"], &error["key"]),
        (&json!("conflict"), &json!({"taken": true}), &json!("eve"))
    );

    // However it is written.
    let commit = r#"{"writes":[{"set":"x","value":{"name":"Xia"}},{"set":"y","value":{"name":"Xia"}}]}"#;
    let answer = sandbox.feed(commit, ["commit", "-"]);
    assert!(answer.status == 4 && answer.error.contains("write 2: ") && answer.error.contains("on name"), "{answer:?}");
    let answer = sandbox.feed("set eve '{\"name\":\"Bob\"}'\ncommit\n", ["txn"]);
    assert!(answer.status == 4 && answer.error.contains("on name") && !answer.error.contains("run it again"), "{answer:?}");
    for how in [&[][..], &["--if-absent"], &["--overwrite"]] {
        let line = r#"{"id":"eve","name":"Cid"}"#;
        let answer = sandbox.feed(line, [&["import", "-", "--key", "id"], how].concat());
        assert!(answer.status == 4 && answer.error.contains("on name"), "{how:?}: {answer:?}");
    }
    assert_eq!(sandbox.ok(["count"]).text(), "4\n", "nothing was written");
    sandbox.ok(["set", "ann", r#"{"name":"Anna"}"#]);
    sandbox.ok(["set", "eve", r#"{"name":"Ann"}"#]);

    // One that exists cannot be created as another one, and what is there twice not as a unique one.
    let answer = sandbox.run(["index", "create", "name"]);
    assert!(answer.status == 4 && answer.error.contains("`larder index drop name` drops it"), "{answer:?}");
    for key in ["one", "two"] {
        sandbox.ok(["set", key, r#"{"town":"Ulm"}"#]);
    }
    let answer = sandbox.run(["index", "create", "town", "--unique", "--json"]);
    assert_eq!((answer.status, &told(&answer)["code"]), (5, &json!("invalid_state")));
    let message = told(&answer)["message"].as_str().expect("a text").to_owned();
    assert!(
        message.contains("\"one\"") && message.contains("\"two\"") && message.contains("unique index on town"),
        "{message}"
    );
    assert_eq!(sandbox.ok(["index", "list"]).text(), "unique name  ready\n", "it was not created");
}

#[test]
fn an_index_is_explained() {
    let sandbox = people();
    sandbox.ok(["index", "create", "age"]);
    let text = "engine    sqlite\nkeys      all\nindex     age: 1 range, in the order asked for\nnative    true\n\
                residual  age >= 18\nexamined  1\nreturned  1\n";
    assert_eq!(sandbox.ok(["explain", "age >= 18 sort age"]).text(), text);
    for (question, index, examined) in [
        ("age in [17, 31]", json!({"paths": ["age"], "unique": false, "ranges": 2, "order": "other"}), 2),
        ("age >= 18 sort -age", json!({"paths": ["age"], "unique": false, "ranges": 1, "order": "reverse"}), 1),
        ("age = 17", json!({"paths": ["age"], "unique": false, "ranges": 1, "order": "forward"}), 1),
        ("name = \"Bob\"", json!(null), 4),
    ] {
        let explained = sandbox.ok(["explain", question, "--json"]).json();
        assert_eq!((&explained["index"], &explained["examined"]), (&index, &json!(examined)), "{question}");
    }
    sandbox.ok(["index", "drop", "age"]);
    assert_eq!(sandbox.ok(["explain", "age = 17", "--json"]).json()["index"], json!(null));
}

/// `larder index create`, running.
struct Building(Child);

impl Building {
    fn start(sandbox: &Sandbox, path: &str) -> Self {
        Self(sandbox.command(["index", "create", path]).spawn().expect("the program starts"))
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child can be asked").is_some()
    }

    /// Kills it; answers whether it was still at work.
    fn kill(mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        self.0.kill().expect("it is ours");
        self.0.wait().expect("a child can be waited for").signal() == Some(9)
    }
}

/// A store of `entries` that nobody looks after, and what some questions are answered about it.
struct Ground {
    sandbox: Sandbox,
    store: Store,
    runtime: Runtime,
    answers: Vec<Vec<u8>>,
}

const QUESTIONS: [&str; 5] = [
    "age = 7 fields age",
    "age >= 995 and odd = true sort age, $key limit 20 fields age, odd",
    "age in [1, 2, 3] count",
    "sort -age limit 3 fields age",
    "age < 10 group age",
];

impl Ground {
    fn new(entries: usize) -> Self {
        let sandbox = Sandbox::new();
        let line = |n: usize| format!("{{\"id\":\"{n:07}\",\"age\":{},\"odd\":{}}}\n", n * 7_919 % 1_000, n % 2 == 1);
        let lines: String = (0..entries).map(line).collect();
        let imported = sandbox.feed(lines, ["import", "-", "--key", "id", "--durability", "relaxed", "--quiet"]);
        assert_eq!(imported.status, 0, "{imported:?}");
        let runtime = Runtime::new().expect("a runtime");
        let url = format!("sqlite:{}", sandbox.path("larder.db").display());
        let store = runtime.block_on(Builder::new(url).retention(None).open()).expect("opens");
        let mut ground = Self { sandbox, store, runtime, answers: Vec::new() };
        ground.answers = ground.ask();
        ground
    }

    fn ask(&self) -> Vec<Vec<u8>> {
        QUESTIONS.iter().map(|question| self.sandbox.ok(["query", question, "--json"]).bytes).collect()
    }

    /// The one index there is, if there is one.
    fn index(&self) -> Option<IndexInfo> {
        self.runtime.block_on(self.store.indexes()).expect("the store is there").into_iter().next()
    }

    /// Builds from where `before` entries are in it until more than `entries` are, and kills it there; answers how many were.
    /// One that is done before it can be killed is dropped, and built again from its beginning.
    fn cut_short(&self, before: u64, entries: u64) -> u64 {
        self.cut_at_work(before, entries).unwrap_or_else(|| {
            let again = || {
                self.sandbox.ok(["index", "drop", "age"]);
                self.cut_at_work(0, entries)
            };
            std::iter::repeat_with(again).take(20).flatten().next().expect("it is killed at work")
        })
    }

    fn cut_at_work(&self, before: u64, entries: u64) -> Option<u64> {
        let mut building = Building::start(&self.sandbox, "age");
        while !building.has_ended() {
            if let Some(IndexInfo { building: Some(so_far), .. }) = self.index() {
                assert!(so_far >= before, "what was done stays done: {before} and then {so_far}");
                if so_far > entries.max(before) {
                    break;
                }
            }
            std::thread::yield_now();
        }
        let killed = building.kill();
        self.index().and_then(|info| info.building).filter(|_| killed)
    }

    fn explained(&self) -> Value {
        self.sandbox.ok(["explain", "age = 7", "--json"]).json()["index"].clone()
    }
}

/// Killed again and again, it goes on where it was, while others write; meanwhile it is kept but not used. What finishes it
/// is the command, typed again.
///
/// With `LARDER_SOAK=1` there are 500,000 entries, and 50 kills.
#[test]
fn an_index_that_is_killed_while_it_is_built_goes_on_where_it_was() {
    let entries = size(50_000, 500_000);
    let kills = size(6, 50);
    let mut ground = Ground::new(entries);
    let mut before = 0;
    for kill in 0..kills {
        before = ground.cut_short(before, (entries * kill / (kills + 2)) as u64);
        assert_eq!(ground.explained(), json!(null), "it is not used before it is whole");
        assert!(ground.sandbox.ok(["index", "list"]).text().starts_with("age  being built, "));
        assert!(ground.ask() == ground.answers, "the answers are the same after {kill} kills");
        // Others write, in front of where it is and behind.
        let (last, written) = (entries - 1 - kill, format!("{{\"age\":7,\"odd\":true,\"kill\":{kill}}}"));
        for key in [format!("{kill:07}"), format!("{last:07}"), format!("{kill:07}/new"), format!("{last:07}/new")] {
            ground.sandbox.ok(["set", &key, &written]);
        }
        for n in [100 + kill, entries - 100 - kill] {
            ground.sandbox.ok(["delete", &format!("{n:07}")]);
        }
        ground.answers = ground.ask();
    }
    assert_eq!(ground.sandbox.ok(["index", "create", "age"]).text(), "finished the index on age\n");
    assert_eq!(ground.explained()["paths"], json!(["age"]));
    assert!(ground.ask() == ground.answers, "the answers are the same along the index");
    println!("{entries} entries, {kills} kills while the index was built, the last at {before}");
}

/// Nobody has to know that somebody was killed: whoever looks after the store finishes it.
#[test]
fn an_index_that_nobody_builds_any_more_is_finished_by_whoever_looks_after_the_store() {
    let entries = size(20_000, 500_000);
    let ground = Ground::new(entries);
    ground.cut_short(0, entries as u64 / 4);
    // What a process that keeps the store open does every ten seconds.
    ground.sandbox.ok(["trim"]);
    assert_eq!(ground.index().map(|info| info.building), Some(None), "it is whole");
    assert_eq!(ground.explained()["paths"], json!(["age"]));
    assert!(ground.ask() == ground.answers, "the answers are the same along the index");
}
