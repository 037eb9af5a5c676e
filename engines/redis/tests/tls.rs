//! TLS: who speaks to us is who an authority of ours vouches for, and we prove who we are where that is asked for.

mod place;
mod server;

use std::{
    fs,
    future::IntoFuture as _,
    path::{Path, PathBuf},
    process::Command,
};

use futures_lite::future::block_on;
use larder_core::ErrorKind;
use place::{open, store};
use server::{DURABLE, PASSWORD, Server};

/// A directory with an authority, `ca`, and what it vouches for.
struct Papers(tempfile::TempDir);

impl Papers {
    fn new() -> Self {
        let papers = Self(tempfile::tempdir().expect("a directory"));
        papers.openssl(&format!("req -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem {FRESH}"));
        papers
    }

    /// A certificate and its key for whoever is at 127.0.0.1.
    fn vouch(&self, name: &str) {
        let request = format!("req -subj /CN={name} -addext subjectAltName=IP:127.0.0.1 -keyout {name}.key -out {name}.csr");
        self.openssl(&format!("{request} {FRESH}"));
        let sign = "x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy";
        self.openssl(&format!("{sign} -in {name}.csr -out {name}.pem"));
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(self.0.path()).output();
        let done = done.expect("openssl is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn file(&self, name: &str) -> String {
        path(self.0.path(), name).to_str().expect("a plain name").to_owned()
    }
}

const FRESH: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}

/// A server that speaks TLS at the second port, and whether it wants to know who we are.
fn serve(papers: &Papers, clients: &str) -> (Server, u16) {
    papers.vouch("server");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port").port();
    let (number, ca) = (port.to_string(), papers.file("ca.pem"));
    let (own, key) = (papers.file("server.pem"), papers.file("server.key"));
    let mut settings = DURABLE.to_vec();
    settings.extend(["--tls-port", &number, "--tls-auth-clients", clients, "--tls-ca-cert-file", &ca]);
    settings.extend(["--tls-cert-file", &own, "--tls-key-file", &key]);
    (Server::with(&settings).expect("a server starts"), port)
}

fn refused(url: &str, kind: ErrorKind, words: &str) {
    let error = block_on(open(url)).map(drop).expect_err("it is refused");
    let told = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{told}");
    assert!(told.contains(words) && !told.contains(PASSWORD), "{told}");
}

#[test]
fn a_server_is_believed_when_our_authority_vouches_for_it() {
    let (papers, strangers) = (Papers::new(), Papers::new());
    let (server, port) = serve(&papers, "no");
    let place = format!("rediss://:{PASSWORD}@127.0.0.1:{port}?prefix=a");
    let url = format!("{place}&cacert={}", papers.file("ca.pem"));
    let store = store(block_on(open(&url)).expect("opens"), 1);
    block_on(store.set("k", "v").into_future()).expect("sets");
    assert!(block_on(store.get("k")).expect("reads").is_some());

    refused(&place, ErrorKind::Denied, "cacert=FILE");
    refused(&format!("{place}&cacert={}", strangers.file("ca.pem")), ErrorKind::Denied, "cacert=FILE");
    // Vouched for, but not under this name.
    refused(&url.replace("127.0.0.1", "localhost"), ErrorKind::Denied, "cacert=FILE");
    refused(&format!("{place}&cacert={}", papers.file("gone.pem")), ErrorKind::Invalid, "gone.pem");
    // Neither side takes plain words for TLS, nor TLS for plain words.
    refused(&format!("redis://:{PASSWORD}@127.0.0.1:{port}?prefix=a"), ErrorKind::Unavailable, "cannot be reached");
    refused(&url.replace(&port.to_string(), &server.port().to_string()), ErrorKind::Unavailable, "cannot be reached");
}

#[test]
fn a_server_that_asks_who_we_are_is_shown_a_certificate() {
    let (papers, strangers) = (Papers::new(), Papers::new());
    let (_server, port) = serve(&papers, "yes");
    papers.vouch("us");
    strangers.vouch("us");
    let place = format!("rediss://:{PASSWORD}@127.0.0.1:{port}?prefix=a&cacert={}", papers.file("ca.pem"));
    let shown = |papers: &Papers| format!("{place}&cert={}&key={}", papers.file("us.pem"), papers.file("us.key"));
    let store = store(block_on(open(&shown(&papers))).expect("opens"), 1);
    block_on(store.set("k", "v").into_future()).expect("sets");
    for url in [place.clone(), shown(&strangers)] {
        let error = block_on(open(&url)).map(drop).expect_err("it is refused");
        // It says why and hangs up, and whoever is still talking then may only hear that it has hung up.
        assert!([ErrorKind::Denied, ErrorKind::Unavailable].contains(&error.kind()), "{error}");
    }
    fs::write(papers.file("us.key"), "no key").expect("is written");
    refused(&shown(&papers), ErrorKind::Invalid, "certificates");
}
