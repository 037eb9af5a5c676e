//! A store at a Redis server, chosen by its URL and by nothing else.

use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

/// The URL of a store of its own; `None` where somebody has said that this run has to do without Redis.
pub(crate) fn fresh(case: &str) -> Option<String> {
    if std::env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == "redis")) {
        eprintln!("*** LARDER_SKIP: this says nothing about Redis ***");
        return None;
    }
    let server = std::env::var("LARDER_TEST_REDIS");
    let server = server.expect("this test needs a server: `cargo xtask test` starts one, LARDER_SKIP=redis does without");
    Some(format!("{server}?prefix=cli-{case}-{}", std::process::id()))
}

#[test]
fn a_store_at_a_server_is_one_like_any_other() {
    let Some(url) = fresh("any") else { return };
    let password =
        url.split_once('@').and_then(|(credentials, _)| credentials.rsplit_once(':')).map_or("", |(_, word)| word);
    let sandbox = Sandbox::new();
    let at = |arguments: &[&str]| -> Command {
        let mut command = sandbox.command(arguments);
        command.env("LARDER_STORE", &url);
        command
    };
    let text = |arguments: &[&str]| {
        let output = at(arguments).output().expect("the program runs");
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(password.is_empty() || !told.contains(password), "the password is told: {told}");
        (output.status.code(), told)
    };
    assert_eq!(text(&["get", "greeting"]).0, Some(3), "nobody has created it");
    assert_eq!(text(&["set", "greeting", r#"{"hello": "world"}"#]).1, "set greeting: version 1, revision 1\n");
    let watching = at(&["watch", "--glob", "gre*", "--count", "1", "--from", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    assert_eq!(text(&["set", "greeting", "2"]).0, Some(0));
    let seen = watching.wait_with_output().expect("the watch ends");
    assert_eq!(String::from_utf8_lossy(&seen.stdout), "2 updated greeting\t2\n", "from another process");
    assert_eq!(text(&["get", "greeting", "--as-of", "1"]).1, r#"{"hello": "world"}"#);
    let (_, status) = text(&["status"]);
    for part in ["engine     redis, shared by a cluster\n", "durability full\n", "revision   2\n", "@"] {
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
        ("redis://ann:hush@127.0.0.1:1", 7),
        ("redis://ann:hush@name.invalid/0", 7),
        ("redis://ann:hu@sh@h/0", 5),
        ("redis://ann:hush@h/0?prefix=%7B", 5),
        ("redis://ann:hush@h:x/0", 5),
        ("redis:ann", 5),
    ] {
        for json in [&["get", "k"][..], &["get", "k", "--json"]] {
            let answer = sandbox.run([&["--store", url], json].concat());
            assert_eq!(answer.status, status, "{url}: {answer:?}");
            assert!(!answer.error.contains("hush") && !answer.error.contains("sh@"), "{url}: {answer:?}");
        }
    }
}
