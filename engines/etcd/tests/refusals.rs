//! What cannot be opened is refused, with a reason, at once; and nothing is written to it.

mod place;
mod server;

use std::future::IntoFuture as _;

use futures_lite::future::block_on;
use larder_core::{Engine as _, ErrorKind, StoreId};
use larder_etcd::EtcdConfig;
use place::{open, store};
use server::{Server, base64};

/// It is no secret, but whoever prints it is found by it.
const PASSWORD: &str = "hush-4711";

/// Opening `url` fails like this, and the words are in the message; the password is not.
fn refused(url: &str, kind: ErrorKind, words: &str) {
    let error = block_on(open(url)).map(drop).expect_err("it is refused");
    let told = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{url}: {told}");
    assert!(told.contains(words), "{url}: {told}");
    assert!(!told.contains(PASSWORD), "{url}: {told}");
}

/// Does something that the cluster has to agree to.
fn done(server: &Server, what: &str, question: &str) {
    let told = server.ask(what, question).expect("it answers");
    assert!(told.contains("header"), "{what}: {told}");
}

/// A cluster that asks who one is, with `ann`, who may use the prefix `mine` and nothing else.
fn guarded() -> Server {
    let server = Server::start().expect("a server starts");
    for name in ["root", "ann"] {
        done(&server, "auth/user/add", &format!(r#"{{"name": "{name}", "password": "{PASSWORD}"}}"#));
        done(&server, "auth/role/add", &format!(r#"{{"name": "{name}"}}"#));
        done(&server, "auth/user/grant", &format!(r#"{{"user": "{name}", "role": "{name}"}}"#));
    }
    let (from, to) = (base64("mine\0"), base64("mine\u{2}"));
    let right = format!(r#"{{"permType": "READWRITE", "key": "{from}", "range_end": "{to}"}}"#);
    done(&server, "auth/role/grant", &format!(r#"{{"name": "ann", "perm": {right}}}"#));
    done(&server, "auth/enable", "{}");
    server
}

#[test]
fn a_cluster_that_does_not_let_us_in_is_told_from_one_that_is_not_there() {
    let server = guarded();
    let port = server.port();
    let at = |login: &str| format!("etcd://{login}127.0.0.1:{port}?prefix=mine");
    refused(&at("ann:wrong@"), ErrorKind::Denied, "wrong password");
    refused(&at(&format!("nobody:{PASSWORD}@")), ErrorKind::Denied, "does not let the user in");
    refused(&at(""), ErrorKind::Denied, "asks for a user");
    let other = format!("etcd://ann:{PASSWORD}@127.0.0.1:{port}?prefix=other");
    refused(&other, ErrorKind::Denied, "may not do this");
    let store = store(block_on(open(&at(&format!("ann:{PASSWORD}@")))).expect("opens"), 1);
    block_on(store.set("k", "v").into_future()).expect("sets");
    // Nothing that is asked for lies outside of what she may read.
    let last = block_on(store.scan(larder_core::Select::all().reverse().limit(1))).expect("reads");
    assert_eq!(last.items.len(), 1);
    drop(server);
    refused(&at(&format!("ann:{PASSWORD}@")), ErrorKind::Unavailable, "cannot be reached");
    let open = Server::start().expect("a server starts");
    refused(&format!("etcd://ann:{PASSWORD}@127.0.0.1:{}", open.port()), ErrorKind::Denied, "knows no users");
    assert_eq!(open.keys(), ("".to_owned(), "1".to_owned()), "nothing was written");
}

/// What proves who we are is forgotten by a server that starts again, or after a while.
#[test]
fn a_login_that_is_forgotten_is_renewed() {
    let mut server = guarded();
    let url = format!("etcd://ann:{PASSWORD}@127.0.0.1:{}?prefix=mine", server.port());
    let store = store(block_on(open(&url)).expect("opens"), 1);
    for _ in 0..2 {
        block_on(store.set("k", "v").into_future()).expect("sets");
        server.kill(0);
        server.again(0).expect("starts again");
    }
    assert_eq!(block_on(store.get("k")).expect("reads").map(|entry| entry.version.get()), Some(2));
    block_on(store.set("k", "v").into_future()).expect("sets");
}

#[test]
fn what_stands_under_the_prefix_and_is_not_ours_is_left_as_it_is() {
    let server = Server::start().expect("a server starts");
    let newer = [b"larder\0\xff".as_slice(), &[0; 200]].concat();
    for (prefix, key, value, kind, words) in [
        ("a", "a\0x", &b"something"[..], ErrorKind::Invalid, "another program"),
        ("b", "b\0h", b"something", ErrorKind::Invalid, "another program"),
        ("c", "c\0h", &newer, ErrorKind::Unsupported, "newer Larder"),
    ] {
        server.put(key, value);
        let before = server.keys();
        refused(&format!("{}?prefix={prefix}", server.url()), kind, words);
        assert_eq!(server.keys(), before);
    }
}

#[test]
fn a_store_that_is_not_to_be_created_is_not() {
    let server = Server::start().expect("a server starts");
    let config = |create: bool| {
        let mut config = EtcdConfig::parse(&server.url()).expect("a good URL");
        config.create = create;
        config
    };
    let before = server.keys();
    let error =
        block_on(larder_etcd::open(config(false), StoreId::from_bytes([1; 16]))).map(drop).expect_err("is not there");
    assert_eq!((error.kind(), server.keys()), (ErrorKind::NotFound, before), "{error}");
    assert!(error.to_string().contains("\"larder\""), "{error}");
    let created = block_on(larder_etcd::open(config(true), StoreId::from_bytes([1; 16]))).expect("is created");
    let found = block_on(larder_etcd::open(config(false), StoreId::from_bytes([2; 16]))).expect("is there");
    let now = larder_core::Timestamp::EPOCH;
    let stores = [created, found].map(|engine| block_on(engine.status(now)).expect("answers").store);
    assert_eq!(stores, [StoreId::from_bytes([1; 16]); 2]);
}

/// Whoever listens there is no etcd, or does not say anything at all.
#[test]
fn something_else_that_listens_is_not_waited_for_for_ever() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = silent.local_addr().expect("it listens").port();
    let mut config = EtcdConfig::parse(&format!("etcd://127.0.0.1:{port}")).expect("a good URL");
    config.patience = std::time::Duration::from_millis(300);
    let error = block_on(larder_etcd::open(config, StoreId::from_bytes([1; 16]))).map(drop).expect_err("it says nothing");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

/// Who listens there has to be who is trusted, and nothing goes there unsealed that was to be sealed.
#[test]
fn a_sealed_cluster_is_spoken_to_as_one_and_has_to_be_trusted() {
    let (server, other) = (Server::sealed().expect("a server starts"), Server::sealed().expect("a server starts"));
    let place = server.url().replace("etcd://", "etcds://");
    let trusting = |server: &Server| format!("{place}?ca={}", server.proof("certificate").display());
    let proven = |server: &Server| {
        let (certificate, key) = (server.proof("certificate"), server.proof("key"));
        format!("&cert={}&key={}", certificate.display(), key.display())
    };
    let store = store(block_on(open(&(trusting(&server) + &proven(&server)))).expect("opens"), 1);
    block_on(store.set("k", "v").into_future()).expect("sets");
    assert_eq!(block_on(store.get("k")).expect("reads").map(|entry| entry.version.get()), Some(1));
    let before = store;
    for (login, unavailable) in [
        (trusting(&other) + &proven(&server), "cannot be reached"),
        (trusting(&server) + &proven(&other), "etcd"),
        (trusting(&server), "etcd"),
        (server.url(), "etcd"),
    ] {
        refused(&login, ErrorKind::Unavailable, unavailable);
    }
    refused(&format!("{place}?ca=/nowhere/at.all"), ErrorKind::Invalid, "/nowhere/at.all");
    assert_eq!(block_on(before.count(larder_core::Select::all())).ok(), Some(1));
    let plain = Server::start().expect("a server starts");
    let url = format!("etcds://127.0.0.1:{}?ca={}", plain.port(), server.proof("certificate").display());
    refused(&url, ErrorKind::Unavailable, "cannot be reached");
}
