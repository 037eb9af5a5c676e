//! Encrypted connections, to a server that a test has signed itself: whoever is asked to be verified is, and nobody is taken
//! instead.

mod place;
mod server;

use std::{fs, path::Path, process::Command, thread, time::Duration};

use futures_lite::future::block_on;
use larder_core::{Engine as _, ErrorKind, StoreId, Timestamp};
use larder_postgres::{PostgresConfig, PostgresEngine};
use place::administer_at;
use server::{PASSWORD, Server};

/// A server that speaks TLS, and the papers of everybody.
struct Ground {
    server: Server,
    papers: tempfile::TempDir,
}

fn openssl(directory: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let made = made.expect("openssl can be started, which makes certificates");
    assert!(made.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

impl Ground {
    fn make() -> Self {
        let papers = tempfile::tempdir().expect("a place for papers");
        let at = papers.path();
        const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        for root in ["root", "stranger"] {
            openssl(at, &format!("req -x509 {KEY} -keyout {root}.key -out {root}.crt -subj /CN={root}"));
        }
        for (name, signer, also) in [("server", "root", "DNS:db.example,DNS:localhost"), ("larder", "root", "DNS:none")] {
            fs::write(at.join("ext"), format!("subjectAltName={also}")).expect("writes");
            openssl(
                at,
                &format!("req -new {} -keyout {name}.key -out {name}.csr -subj /CN={name}", KEY.replace(" -days 2", "")),
            );
            let sign = format!("-CA {signer}.crt -CAkey {signer}.key -CAcreateserial -days 2 -extfile ext");
            openssl(at, &format!("x509 -req -in {name}.csr {sign} -out {name}.crt"));
        }
        let ground = Self { server: Server::start().expect("a server of its own"), papers };
        for name in ["server.crt", "server.key", "root.crt"] {
            ground.server.keep(name, &fs::read(ground.papers.path().join(name)).expect("reads")).expect("keeps");
        }
        ground.tell("ssl_ca_file", "root.crt");
        ground.tell("ssl", "on");
        ground
    }

    fn tell(&self, setting: &str, value: &str) {
        administer_at(&self.server.url(), &format!("ALTER SYSTEM SET {setting} = '{value}'")).expect("sets");
        administer_at(&self.server.url(), "SELECT pg_reload_conf()").expect("reloads");
        let is_so = format!("SELECT 1 WHERE current_setting('{setting}') = '{value}'");
        while administer_at(&self.server.url(), &is_so).expect("answers").is_empty() {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn paper(&self, name: &str) -> String {
        self.papers.path().join(name).display().to_string()
    }

    /// Opens the store at `host`; whether that was encrypted, or how it was refused.
    fn open(&self, host: &str, rest: &str) -> Result<bool, (ErrorKind, String)> {
        let url = format!("postgres://larder:{PASSWORD}@{host}:{}/postgres?schema=tls&{rest}", self.server.port());
        let config = PostgresConfig::parse(&url).expect("a good URL");
        let opened = block_on(PostgresEngine::open(config, StoreId::from_bytes([1; 16])));
        let engine = opened.map_err(|error| (error.kind(), error.to_string()))?;
        block_on(engine.status(Timestamp::EPOCH)).expect("answers");
        let sql =
            "SELECT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'larder tls'";
        let encrypted = administer_at(&self.server.url(), sql).expect("answers");
        let first = encrypted.first().cloned().flatten();
        assert!(
            first.is_some() && encrypted.iter().all(|one| *one == first),
            "all connections are made alike: {encrypted:?}"
        );
        block_on(engine.close()).expect("closes");
        // The server hears of that when it comes to it.
        while !administer_at(&self.server.url(), sql).expect("answers").is_empty() {}
        Ok(first.as_deref() == Some("true"))
    }

    fn refused(&self, host: &str, rest: &str, kind: ErrorKind, part: &str) {
        let (found, told) = self.open(host, rest).expect_err("this is not to be opened");
        assert!(found == kind && told.contains(part) && !told.contains(PASSWORD), "{rest}: {found:?} {told}");
    }
}

#[test]
fn a_server_is_verified_as_far_as_was_asked_for() {
    let ground = Ground::make();
    let (root, stranger) = (ground.paper("root.crt"), ground.paper("stranger.crt"));
    for (host, rest, encrypted) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), false),
        ("127.0.0.1", String::new(), true),
        ("127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={root}"), true),
        // Signed by the root, though under another name.
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={root}"), true),
        ("localhost", format!("sslmode=verify-full&sslrootcert={root}"), true),
    ] {
        assert_eq!(ground.open(host, &rest), Ok(encrypted), "{host} {rest}");
    }
    let unknown = "UnknownIssuer";
    for mode in ["require", "verify-ca", "verify-full"] {
        ground.refused("localhost", &format!("sslmode={mode}&sslrootcert={stranger}"), ErrorKind::Denied, unknown);
    }
    ground.refused("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={root}"), ErrorKind::Denied, "not valid for name");
}

#[test]
fn a_server_that_does_not_encrypt_is_not_taken_for_one_that_does() {
    let ground = Ground::make();
    ground.tell("ssl", "off");
    assert_eq!(ground.open("127.0.0.1", "sslmode=prefer"), Ok(false), "prefer takes a server as it is");
    for mode in ["require", "verify-ca", "verify-full"] {
        let rest = format!("sslmode={mode}&sslrootcert={}", ground.paper("root.crt"));
        ground.refused("localhost", &rest, ErrorKind::Denied, "does not support TLS");
    }
}

#[test]
fn a_server_that_wants_to_know_who_we_are_is_told() {
    let ground = Ground::make();
    let strict =
        "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\nhostnossl all all 127.0.0.1/32 scram-sha-256\n";
    ground.server.keep("pg_hba.conf", strict.as_bytes()).expect("keeps");
    // The server reads its rules when it comes to it.
    administer_at(&ground.server.url(), "SELECT pg_reload_conf()").expect("reloads");
    while ground.open("127.0.0.1", "sslmode=require").is_ok() {}
    ground.refused("127.0.0.1", "sslmode=require", ErrorKind::Denied, "does not let the user");
    let own = format!("sslmode=require&sslcert={}&sslkey={}", ground.paper("larder.crt"), ground.paper("larder.key"));
    assert_eq!(ground.open("127.0.0.1", &own), Ok(true));
    let other = format!("sslmode=require&sslcert={}&sslkey={}", ground.paper("server.crt"), ground.paper("server.key"));
    ground.refused("127.0.0.1", &other, ErrorKind::Denied, "does not let the user");
}
