//! What is said about crashes holds when the members are killed, too.

mod place;
mod server;

use std::sync::{Arc, Mutex, PoisonError};

use larder_conformance::{Site, cases};
use larder_core::{BoxFuture, Engine, Error, ErrorKind, Result};
use place::{fresh_at, open};
use server::Server;

/// A member of its own, which a crash kills and starts again.
struct Whole {
    server: Mutex<Server>,
    url: String,
}

impl Whole {
    fn fresh() -> Self {
        let server = Server::start().expect("a server starts");
        Self { url: fresh_at(&server.url()), server: Mutex::new(server) }
    }
}

impl Site for Whole {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async { Ok(Arc::new(open(&self.url).await?) as Arc<dyn Engine>) })
    }

    fn crash(&self) -> Option<BoxFuture<'_, Result<()>>> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.kill(0);
        let again = server.again(0).map_err(|why| Error::new(ErrorKind::Internal, why));
        Some(Box::pin(std::future::ready(again)))
    }
}

/// A promise about crashes that is kept only as long as the members live is none: it has to be on their media before it is
/// acknowledged.
#[test]
fn a_killed_member_breaks_no_promise() {
    let crashing: Vec<_> =
        cases().iter().filter(|case| case.name.contains("crash") || case.name.starts_with("model_")).collect();
    assert!(crashing.len() >= 3, "there are cases about crashes");
    for case in crashing {
        eprintln!("{}", case.name);
        case.run(&Whole::fresh);
    }
}
