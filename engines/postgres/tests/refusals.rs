//! What cannot be opened is refused at once, with the reason, without its password, and left as it was.

mod place;
mod server;

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use futures_lite::future::block_on;
use larder_core::{Durability, Engine, ErrorKind, StoreId};
use larder_postgres::{PostgresConfig, PostgresEngine};
use place::{Place, administer, server};

fn open(config: PostgresConfig) -> larder_core::Result<PostgresEngine> {
    block_on(PostgresEngine::open(config, StoreId::from_bytes([1; 16])))
}

/// Opens `url`, which has to be refused, and gives back how.
fn refused(url: &str) -> (ErrorKind, String) {
    let config = PostgresConfig::parse(url).expect("a URL that can be read");
    let error = open(config).err().unwrap_or_else(|| panic!("this was opened"));
    let told = format!("{error} {error:?}");
    assert!(!told.contains(server::PASSWORD) && !told.contains("hush"), "the password is told: {told}");
    (error.kind(), error.to_string())
}

/// What stands in the schema of `place`: names, kinds and how much each holds.
fn contents(place: &Place) -> Vec<Option<String>> {
    let sql = "SELECT nspname || '.' || relname || ' ' || relkind::text || ' ' || pg_relation_size(c.oid) FROM pg_class AS c \
        JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname";
    administer(&format!("{sql} = '{}' ORDER BY 1", place.schema())).expect("the catalogue can be read")
}

#[test]
fn a_server_that_does_not_let_us_in_is_told_from_one_that_is_not_there() {
    let server = server();
    let (place, _) = server.rsplit_once('/').expect("a URL with a database");
    let (credentials, host) = place.rsplit_once('@').expect("a URL with a password");
    let user = credentials.rsplit_once(':').expect("a URL with a password").0;
    for (url, kind, part) in [
        (format!("{user}:hush@{host}/postgres"), ErrorKind::Denied, "wrong password"),
        (format!("{user}@{host}/postgres"), ErrorKind::Denied, "asks the user \"larder\" for a password"),
        (format!("{place}/nowhere"), ErrorKind::Invalid, "no database \"nowhere\""),
        (format!("{credentials}@127.0.0.1:1/postgres"), ErrorKind::Unavailable, "127.0.0.1:1 cannot be reached"),
        (format!("{credentials}@name.invalid/postgres"), ErrorKind::Unavailable, "name.invalid:5432 cannot be reached"),
    ] {
        let (found, told) = refused(&url);
        assert_eq!(found, kind, "{told}");
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_server_that_answers_nothing_is_given_up() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = silent.local_addr().expect("an address").port();
    let (kind, told) = refused(&format!("postgres://ann:hush@127.0.0.1:{port}/app?connect_timeout=1"));
    assert_eq!(kind, ErrorKind::Unavailable, "{told}");
}

#[test]
fn a_server_that_hangs_up_is_not_one_that_refuses_us() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut line in listener.incoming().map_while(Result::ok) {
            // Who hangs up on what was not read resets the line, which is another error.
            let mut greeting = [0; 4];
            let _ = line.read_exact(&mut greeting);
            let mut rest = vec![0; u32::from_be_bytes(greeting).saturating_sub(4) as usize];
            let _ = line.read_exact(&mut rest);
        }
    });
    let (kind, told) = refused(&format!("postgres://ann@127.0.0.1:{port}/app?sslmode=disable"));
    assert_eq!(kind, ErrorKind::Unavailable, "{told}");
}

/// A way to the server at `port` on which it says that its version is `told` where that is `number`; the number of the way.
fn way_on_which_it_says(port: u16, number: String, told: &'static str) -> u16 {
    assert_eq!(number.len(), told.len(), "messages stay as long as they are");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let own = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut server = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
            let (mut from, mut to) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            thread::spawn(move || {
                // Whoever hangs up first ends it for both.
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let number = number.clone();
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(length @ 1..) = server.read(&mut buffer) {
                    let said = &mut buffer[..length];
                    let at = said.windows(number.len()).position(|window| window == number.as_bytes());
                    at.into_iter().for_each(|at| said[at..at + told.len()].copy_from_slice(told.as_bytes()));
                    if client.write_all(said).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    own
}

#[test]
fn a_server_of_an_old_version_is_left_as_it_is() {
    let url = server();
    let (front, host) = url.rsplit_once('@').expect("a URL with a password");
    let (address, database) = host.split_once('/').expect("a URL with a database");
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a URL with a port");
    let number = administer("SHOW server_version_num").expect("it says so").remove(0).expect("a number");
    let way = way_on_which_it_says(port, number, "120022");
    let place = Place::fresh();
    let (kind, told) = refused(&format!("{front}@127.0.0.1:{way}/{database}?schema={}", place.schema()));
    assert_eq!((kind, contents(&place)), (ErrorKind::Unsupported, vec![]), "{told}");
    assert!(told.contains(&format!("127.0.0.1:{way} is PostgreSQL 12; this needs 13 or later")), "{told}");
}

#[test]
fn what_is_not_ours_is_left_as_it_is() {
    let place = Place::fresh();
    administer(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.entries AS SELECT 1 AS n", place.schema())).expect("creates");
    let before = contents(&place);
    let (kind, told) = refused(&place.url());
    assert_eq!((kind, contents(&place)), (ErrorKind::Invalid, before), "{told}");
    assert!(told.contains("belongs to another program"), "{told}");
}

#[test]
fn a_store_of_a_newer_version_is_left_as_it_is() {
    let place = Place::fresh();
    block_on(open(place.config()).expect("creates").close()).expect("closes");
    administer(&format!("UPDATE {}.larder_format SET version = 77", place.schema())).expect("updates");
    let before = contents(&place);
    let (kind, told) = refused(&place.url());
    assert_eq!((kind, contents(&place)), (ErrorKind::Unsupported, before), "{told}");
    assert!(told.contains("its version is 77"), "{told}");
}

#[test]
fn a_store_that_is_not_to_be_created_is_not() {
    let place = Place::fresh();
    let mut config = place.config();
    config.create = false;
    assert_eq!(open(config.clone()).err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    let schemas = administer(&format!("SELECT 1 FROM pg_namespace WHERE nspname = '{}'", place.schema()));
    assert_eq!(schemas.expect("the catalogue can be read"), []);
    // An empty schema that somebody made for us is no store either, and becomes one when it may.
    administer(&format!("CREATE SCHEMA {}", place.schema())).expect("creates");
    assert_eq!(open(config).err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    assert_eq!(contents(&place), []);
    block_on(open(place.config()).expect("fills an empty schema").close()).expect("closes");
}

#[test]
fn who_may_not_create_the_store_is_told_so() {
    let place = Place::fresh();
    let (user, (_, host)) =
        (place::fresh_name(), server().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL"));
    administer(&format!("CREATE ROLE {user} LOGIN PASSWORD 'hush'")).expect("creates");
    let (kind, told) = refused(&format!("postgres://{user}:hush@{host}?schema={}", place.schema()));
    administer(&format!("DROP ROLE {user}")).expect("drops");
    assert_eq!(kind, ErrorKind::Denied, "{told}");
    assert!(told.contains("may not create the schema"), "{told}");
    assert_eq!(contents(&place), []);
}

/// Somebody who opens the same new store at the same moment finds it whole.
#[test]
fn a_store_that_several_create_at_once_is_one_store() {
    let place = Place::fresh();
    let stores: Vec<StoreId> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..6_u8)
            .map(|racer| {
                let config = place.config();
                scope.spawn(move || {
                    let engine = block_on(PostgresEngine::open(config, StoreId::from_bytes([racer; 16]))).expect("opens");
                    block_on(engine.status(larder_core::Timestamp::EPOCH)).expect("answers").store
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().expect("nobody panics")).collect()
    });
    assert!(stores.iter().all(|store| *store == stores[0]), "{stores:?}");
}

#[test]
fn hostile_names_of_schemas_mean_themselves() {
    let base = place::fresh_name();
    for (name, encoded) in [
        (format!("{base}\"; DROP TABLE x; --"), format!("{base}%22%3B%20DROP%20TABLE%20x%3B%20--")),
        (format!("{base}'$$ % \\ ä"), format!("{base}%27%24%24%20%25%20%5C%20%C3%A4")),
        (base.to_uppercase(), base.to_uppercase()),
    ] {
        let config = PostgresConfig::parse(&format!("{}?schema={encoded}", server())).expect("a good URL");
        let engine = open(config).expect("opens");
        assert_eq!(block_on(engine.status(larder_core::Timestamp::EPOCH)).expect("answers").entries, 0);
        block_on(engine.close()).expect("closes");
        let dropped = administer(&format!("DROP SCHEMA \"{}\" CASCADE", name.replace('"', "\"\"")));
        dropped.expect("the schema has the very name that was asked for");
    }
    let long = format!("{}?schema={}", server(), "x".repeat(64));
    assert_eq!(PostgresConfig::parse(&long).err().map(|error| error.kind()), Some(ErrorKind::Invalid));
}

/// What the server does not sync is not called durable.
#[test]
fn a_server_that_does_not_sync_is_refused_unless_that_is_asked_for() {
    let own = server::Server::start().expect("a server of its own");
    let with = |parameters: &str| PostgresConfig::parse(&format!("{}?{parameters}", own.url())).expect("a good URL");
    let engine = open(with("schema=a")).expect("opens");
    assert_eq!(engine.capabilities().durability, Durability::Full);
    block_on(engine.close()).expect("closes");
    let lazy = with("schema=a&options=-c%20synchronous_commit%3Doff");
    let told = open(lazy.clone()).expect_err("it is not durable");
    assert_eq!(told.kind(), ErrorKind::Unsupported);
    assert!(told.to_string().contains("synchronous_commit = off"), "{told}");
    for setting in ["fsync", "full_page_writes"] {
        place::administer_at(&own.url(), &format!("ALTER SYSTEM SET {setting} = off")).expect("sets");
        place::administer_at(&own.url(), "SELECT pg_reload_conf()").expect("reloads");
        // The server reads its settings when it comes to it.
        let told = (0..500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            open(with("schema=a")).err()
        });
        let told = told.unwrap_or_else(|| panic!("{setting} = off is durable"));
        assert!(told.kind() == ErrorKind::Unsupported && told.to_string().contains(setting), "{told}");
        place::administer_at(&own.url(), &format!("ALTER SYSTEM RESET {setting}")).expect("resets");
        place::administer_at(&own.url(), "SELECT pg_reload_conf()").expect("reloads");
        assert!((0..500).any(|_| open(with("schema=a")).is_ok()), "{setting} is on again");
    }
    let mut config = lazy;
    config.durability = Durability::Relaxed;
    let relaxed = open(config.clone()).expect("relaxed takes any server");
    assert_eq!(relaxed.capabilities().durability, Durability::Relaxed);
    config.durability = Durability::Volatile;
    let volatile = open(config);
    assert_eq!(volatile.err().map(|error| error.kind()), Some(ErrorKind::Unsupported));
}
