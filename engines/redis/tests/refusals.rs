//! What cannot be opened is refused, with a reason, at once; and nothing is written to it.

mod place;
mod server;

use std::future::IntoFuture as _;

use futures_lite::future::block_on;
use larder_core::{Durability, Engine as _, ErrorKind, StoreId};
use larder_redis::{RedisConfig, RedisEngine};
use place::{fresh_at, open};
use server::{DURABLE, PASSWORD, Server};

/// Opening `url` fails like this, and the words are in the message; the password is not.
fn refused(url: &str, kind: ErrorKind, words: &str) {
    let error = block_on(open(url)).map(drop).expect_err("it is refused");
    let told = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{told}");
    assert!(told.contains(words), "{told}");
    assert!(!told.contains(PASSWORD), "{told}");
}

fn keys(server: &Server) -> String {
    server.ask("DBSIZE").expect("answers")
}

#[test]
fn a_server_that_cannot_keep_the_promises_is_refused() {
    let cases: [(&[&str], &str); 5] = [
        (&[], "appendonly no"),
        (&["--appendonly", "yes", "--appendfsync", "everysec"], "appendfsync is not always"),
        (
            &["--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "yes"],
            "no-appendfsync-on-rewrite",
        ),
        (&["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru"], "allkeys-lru"),
        (&["--appendonly", "yes", "--appendfsync", "always", "--cluster-enabled", "yes"], "a node of a cluster"),
    ];
    for (settings, words) in cases {
        let server = Server::with(settings).expect("a server starts");
        refused(&server.url(), ErrorKind::Unsupported, words);
        assert_eq!((keys(&server), server.ask("FUNCTION LIST").expect("answers")), (":0".to_owned(), "*0".to_owned()));
    }
}

#[test]
fn relaxed_durability_is_taken_when_it_is_asked_for_and_reported() {
    let server = Server::with(&[]).expect("a server starts");
    let url = format!("{}?durability=relaxed", server.url());
    let engine = block_on(open(&url)).expect("opens");
    assert_eq!(engine.capabilities().durability, Durability::Relaxed);
    let durable = Server::start().expect("a server starts");
    let engine = block_on(open(&format!("{}?durability=relaxed", durable.url()))).expect("opens");
    assert_eq!(engine.capabilities().durability, Durability::Full, "what is in force, and not what was asked for");
    // Eviction is refused all the same.
    let evicting = Server::with(&["--maxmemory-policy", "volatile-ttl"]).expect("a server starts");
    refused(&format!("{}?durability=relaxed", evicting.url()), ErrorKind::Unsupported, "volatile-ttl");
}

#[test]
fn a_server_that_does_not_answer_as_it_should_is_told_from_one_that_is_not_there() {
    let server = Server::start().expect("a server starts");
    let port = server.port();
    refused(&format!("redis://:wrong@127.0.0.1:{port}"), ErrorKind::Denied, "wrong password, or none");
    refused(&format!("redis://127.0.0.1:{port}"), ErrorKind::Denied, "asks for a password");
    refused(&format!("redis://nobody:{PASSWORD}@127.0.0.1:{port}"), ErrorKind::Denied, "\"nobody\"");
    refused(&format!("{}/99", server.url()), ErrorKind::NotFound, "no database 99");
    assert_eq!(keys(&server), ":0");
    drop(server);
    refused(&format!("redis://:{PASSWORD}@127.0.0.1:{port}"), ErrorKind::Unavailable, "cannot be reached");
}

#[test]
fn a_replica_is_refused() {
    let master = Server::start().expect("a server starts");
    let mut settings = DURABLE.to_vec();
    let of = format!("127.0.0.1 {}", master.port());
    settings.extend(["--replicaof", &of]);
    let replica = Server::with(&settings).expect("a server starts");
    refused(&replica.url(), ErrorKind::Unavailable, "replica");
}

#[test]
fn what_stands_under_the_prefix_and_is_not_ours_is_left_as_it_is() {
    let server = Server::start().expect("a server starts");
    for (command, kind, words) in [
        ("SET {a}:state something", ErrorKind::Invalid, "another program"),
        ("SADD {a}:order x", ErrorKind::Invalid, "another program"),
        ("SET {a}:state \"larder\\x00\\x02-----------------\"", ErrorKind::Unsupported, "newer Larder: its version is 2"),
        ("LPUSH {a}:state x", ErrorKind::Invalid, "another program"),
    ] {
        assert_eq!(server.ask("FLUSHALL").expect("answers"), "+OK");
        assert!(!server.ask(command).expect("answers").starts_with('-'), "{command}");
        refused(&format!("{}?prefix=a", server.url()), kind, words);
        assert_eq!((keys(&server), server.ask("FUNCTION LIST").expect("answers")), (":1".to_owned(), "*0".to_owned()));
    }
}

#[test]
fn a_store_that_is_not_to_be_created_is_not() {
    let server = Server::start().expect("a server starts");
    let config = || RedisConfig::parse(&server.url()).expect("a good URL");
    let mut without = config();
    without.create = false;
    let error =
        block_on(RedisEngine::open(without.clone(), StoreId::from_bytes([1; 16]))).map(drop).expect_err("is not there");
    assert_eq!((error.kind(), keys(&server)), (ErrorKind::NotFound, ":0".to_owned()), "{error}");
    block_on(RedisEngine::open(config(), StoreId::from_bytes([1; 16]))).expect("is created");
    block_on(RedisEngine::open(without, StoreId::from_bytes([2; 16]))).expect("is there");
}

/// What cannot be done whole is not begun, whichever of its commands it is that the user may not run. Rights are taken from
/// whoever is at work already.
#[test]
fn a_user_who_may_not_do_all_of_it_does_none_of_it() {
    let server = Server::start().expect("a server starts");
    let url = fresh_at(&server.url());
    let admin = place::store(block_on(open(&url)).expect("opens"), 1);
    block_on(admin.set("k", "v").into_future()).expect("sets");
    let user = |rights: &str| assert_eq!(server.ask(&format!("ACL SETUSER ann {rights}")).expect("answers"), "+OK");
    user("on >pw ~{*}:* &* +@all -acl");
    let own = url.replace(&format!(":{PASSWORD}"), "ann:pw");
    let ann = place::store(block_on(open(&own)).expect("opens"), 2);
    for (round, command) in ["rename", "mset", "multi", "discard", "watch", "exec"].into_iter().enumerate() {
        let version = 2 * round as u64 + 2;
        assert_eq!(block_on(ann.set("k", "v").into_future()).expect("sets").version.get(), version);
        user(&format!("-{command}"));
        let error = block_on(ann.set("k", "w").into_future()).expect_err("may not");
        assert_eq!(error.kind(), ErrorKind::Denied, "{command}: {error}");
        let found = block_on(admin.get("k")).expect("reads").expect("is there");
        assert_eq!((found.version.get(), &found.value.bytes()[..]), (version, &b"v"[..]), "{command}: nothing was written");
        assert_eq!(block_on(admin.set("k", "v").into_future()).expect("sets").version.get(), version + 1);
        user(&format!("+{command}"));
    }
}

/// The server does not take back the first half of a change when somebody else's key stands in the way of the second. Then
/// nobody may be told that nothing happened, and it must not happen again.
#[test]
fn a_change_that_was_made_by_half_is_neither_denied_nor_made_twice() {
    let server = Server::start().expect("a server starts");
    let url = format!("{}?prefix=a", server.url());
    let store = place::store(block_on(open(&url)).expect("opens"), 1);
    block_on(store.set("k", "v1").into_future()).expect("sets");
    for command in ["DEL {a}:order", "SET {a}:order x"] {
        assert!(!server.ask(command).expect("answers").starts_with('-'), "{command}");
    }
    let error = block_on(store.set("l", "v1").into_future()).expect_err("half of it was refused");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    let found = block_on(store.get("l")).expect("reads").expect("a half of it was made");
    assert_eq!((found.version.get(), found.revision.get()), (1, 2));
}

/// Whoever may not use the keys of other stores does not need to.
#[test]
fn a_user_of_one_prefix_alone_will_do() {
    let server = Server::start().expect("a server starts");
    let user = "ACL SETUSER ben on >pw ~{mine}:* &* +@all -@dangerous +info +config|get";
    assert_eq!(server.ask(user).expect("answers"), "+OK");
    let at = |prefix: &str| format!("redis://ben:pw@127.0.0.1:{}?prefix={prefix}", server.port());
    let store = place::store(block_on(open(&at("mine"))).expect("opens"), 1);
    block_on(store.set("k", "v").into_future()).expect("sets");
    refused(&at("other"), ErrorKind::Denied, "may not do this");
}
