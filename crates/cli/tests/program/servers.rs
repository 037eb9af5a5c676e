//! A store at a server, chosen by its URL and by nothing else.

use std::process::Command;

use tokio_postgres::NoTls;

use crate::sandbox::Sandbox;

/// A schema of its own at the server for tests, gone with its case.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// `None` where somebody has said that this run has to do without PostgreSQL.
    pub(crate) fn fresh(case: &str) -> Option<Self> {
        if std::env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == "postgres")) {
            eprintln!("*** LARDER_SKIP: this says nothing about PostgreSQL ***");
            return None;
        }
        let server = std::env::var("LARDER_TEST_POSTGRES");
        let server =
            server.expect("this test needs a server: `cargo xtask test` starts one, LARDER_SKIP=postgres does without");
        Some(Self { server, name: format!("cli_{case}_{}", std::process::id()) })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?schema={}", self.server, self.name)
    }

    fn password(&self) -> &str {
        let (credentials, _) = self.server.rsplit_once('@').expect("a URL with a user");
        credentials.rsplit_once(':').expect("a URL with a password").1
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.server, NoTls).await.expect("the server is there");
            tokio::spawn(connection);
            let _ = client.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name)).await;
        });
    }
}

#[test]
fn a_store_at_a_server_is_one_like_any_other() {
    let Some(schema) = Schema::fresh("any") else { return };
    let sandbox = Sandbox::new();
    let at = |arguments: &[&str]| -> Command {
        let mut command = sandbox.command(arguments);
        command.env("LARDER_STORE", schema.url());
        command
    };
    let text = |arguments: &[&str]| {
        let output = at(arguments).output().expect("the program runs");
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!told.contains(schema.password()), "the password is told: {told}");
        (output.status.code(), told)
    };
    assert_eq!(text(&["get", "greeting"]).0, Some(3), "nobody has created it");
    assert_eq!(text(&["set", "greeting", r#"{"hello": "world"}"#]).1, "set greeting: version 1, revision 1\n");
    let watching = at(&["watch", "--glob", "gre*", "--count", "1", "--from", "1"]).spawn().expect("the program starts");
    assert_eq!(text(&["set", "greeting", "2"]).0, Some(0));
    let seen = watching.wait_with_output().expect("the watch ends");
    assert_eq!(String::from_utf8_lossy(&seen.stdout), "2 updated greeting\t2\n", "from another process");
    assert_eq!(text(&["get", "greeting", "--as-of", "1"]).1, r#"{"hello": "world"}"#);
    let (_, status) = text(&["status"]);
    for part in ["engine     postgres, shared by a cluster\n", "durability full\n", "revision   2\n", "@"] {
        assert!(status.contains(part), "{part:?} is not in {status}");
    }
    text(&["--help"]);
    let (code, told) = text(&["set", "greeting", "3", "--if-version", "7"]);
    assert_eq!(code, Some(4), "{told}");
}

#[test]
fn a_server_that_is_not_there_is_told_at_once_and_nothing_of_the_password() {
    let sandbox = Sandbox::new();
    for (url, status) in [
        ("postgres://ann:hush@127.0.0.1:1/app", 7),
        ("postgres://ann:hush@name.invalid/app", 7),
        ("postgres://ann:hu@sh@h/app", 5),
        ("postgres://ann:hush@h/app?schema=pg_x", 5),
        ("postgres://ann:hush@h:x/app", 5),
        ("postgres:ann", 5),
    ] {
        for json in [&["get", "k"][..], &["get", "k", "--json"]] {
            let answer = sandbox.run([&["--store", url], json].concat());
            assert_eq!(answer.status, status, "{url}: {answer:?}");
            assert!(!answer.error.contains("hush") && !answer.error.contains("sh@"), "{url}: {answer:?}");
        }
    }
}
