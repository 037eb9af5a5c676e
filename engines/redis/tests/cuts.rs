//! Lines that are cut: before a commit arrives, before its answer does, and long before it arrives after all.

mod place;
mod server;

use std::time::Duration;

use futures_lite::future::block_on;
use larder_conformance::proxy::{Cut, Proxy, Words};
use larder_core::{
    Action, Address, Check, Commit, CommitId, Condition, Engine as _, ErrorKind, Index, Key, MetadataChange, Namespace,
    Outcome, Result, StoreId, Timestamp, Value, Write, engine::Resolution, index::IndexState,
};
use larder_redis::{RedisConfig, RedisEngine};
use server::Server;

const NOW: Timestamp = Timestamp::EPOCH;

/// How the end of a change looks on the line, and how what it has come to begins.
const WORDS: Words = Words { commit: b"\r\nEXEC\r\n", answer: b"*" };

/// How it ends where somebody has touched the state.
const NOTHING: &[u8] = b"*-1\r\n";

/// A server, a way to it that can be cut, a handle over that way, and one that goes there directly.
struct Ground {
    _server: Server,
    proxy: Proxy,
    cut_off: RedisEngine,
    direct: RedisEngine,
}

impl Ground {
    fn new() -> Self {
        let server = Server::start().expect("a server starts");
        let proxy = Proxy::before(server.port(), WORDS);
        let way = server.url().replace(&server.port().to_string(), &proxy.port().to_string());
        let open = |url: &str| {
            let mut config = RedisConfig::parse(url).expect("a good URL");
            // So long a commit of which nobody knows is asked after.
            config.patience = Duration::from_secs(1);
            block_on(RedisEngine::open(config, StoreId::from_bytes([7; 16]))).expect("opens")
        };
        let (cut_off, direct) = (open(&way), open(&server.url()));
        Self { _server: server, proxy, cut_off, direct }
    }

    /// The version of the key, over the way that is not cut.
    fn version(&self) -> Option<u64> {
        let read = block_on(self.direct.get(vec![at()], NOW)).expect("reads");
        read.value.into_iter().flatten().next().map(|entry| entry.version.get())
    }
}

fn at() -> Address {
    Address::new(Namespace::default(), Key::new("k").expect("valid"))
}

fn set(id: u128) -> Commit {
    let action = Action::Put { value: Value::opaque("v"), expires_at: None, metadata: MetadataChange::Keep };
    let id = CommitId::from_bytes(id.to_be_bytes());
    Commit { id, now: NOW, checks: Vec::new(), writes: vec![Write { address: at(), action }] }
}

fn create(id: u128) -> Commit {
    Commit { checks: vec![Check::Key { address: at(), condition: Condition::Absent }], ..set(id) }
}

fn one(mut answers: Vec<Result<Outcome>>) -> Result<Outcome> {
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

#[test]
fn a_commit_whose_line_was_cut_happens_once_when_there_is_another() {
    for cut in [Cut::Before, Cut::After] {
        let ground = Ground::new();
        ground.proxy.cut(cut, false);
        let answer = one(block_on(ground.cut_off.commit(vec![set(1)])));
        assert!(ground.proxy.has_cut() && matches!(answer, Ok(Outcome::Committed(_))), "{cut:?}: {answer:?}");
        assert_eq!(ground.version(), Some(1), "{cut:?}");
    }
}

#[test]
fn a_commit_of_which_nobody_knows_is_said_to_be_one_and_resolved_by_its_id() {
    for cut in [Cut::Before, Cut::After] {
        let ground = Ground::new();
        ground.proxy.cut(cut, true);
        let error = one(block_on(ground.cut_off.commit(vec![set(1)]))).expect_err("nobody knows");
        assert_eq!((error.kind(), error.unknown_commit()), (ErrorKind::OutcomeUnknown, Some(set(1).id)), "{cut:?}: {error}");
        let error = one(block_on(ground.cut_off.commit(vec![set(2)]))).expect_err("it is not even sent");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");

        ground.proxy.mend();
        let resolved = block_on(ground.cut_off.resolve(set(1).id)).expect("there is a way again");
        match cut {
            Cut::After => assert!(matches!(resolved, Resolution::Committed(receipt) if receipt.revision.get() == 1)),
            _ => assert_eq!(resolved, Resolution::Never),
        }
        let again = one(block_on(ground.direct.commit(vec![set(1)])));
        assert_eq!((again.is_ok(), ground.version()), (cut == Cut::After, (cut == Cut::After).then_some(1)));
        let resolved = block_on(ground.cut_off.resolve(set(2).id)).expect("resolves");
        assert_eq!(resolved, Resolution::Never, "what was not sent did not happen");
    }
}

/// A line that was cut may still hold what was sent. When that arrives, whoever sent it has done something else since.
#[test]
fn a_commit_that_arrives_late_does_nothing() {
    let ground = Ground::new();
    ground.proxy.cut(Cut::Hold, false);
    let answer = one(block_on(ground.cut_off.commit(vec![set(1)])));
    assert!(matches!(answer, Ok(Outcome::Committed(_))), "{answer:?}");
    assert!(ground.proxy.let_go().ends_with(NOTHING));
    assert_eq!(ground.version(), Some(1));

    let ground = Ground::new();
    ground.proxy.cut(Cut::Hold, true);
    let error = one(block_on(ground.cut_off.commit(vec![set(1)]))).expect_err("nobody knows");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(block_on(ground.direct.resolve(set(1).id)).expect("resolves"), Resolution::Never);
    assert!(ground.proxy.let_go().ends_with(NOTHING));
    assert_eq!(ground.version(), None);
}

/// An absent key looks the same before it was created and after it was deleted. A commit that was said to have conflicted
/// must not happen after all when it arrives in the second of these moments.
#[test]
fn a_commit_that_arrives_late_is_not_fooled_by_what_looks_the_same() {
    let ground = Ground::new();
    ground.proxy.cut(Cut::Hold, true);
    std::thread::scope(|scope| {
        let creating = scope.spawn(|| one(block_on(ground.cut_off.commit(vec![create(1)]))));
        while !ground.proxy.has_cut() {
            std::thread::yield_now();
        }
        assert!(one(block_on(ground.direct.commit(vec![set(2)]))).is_ok());
        ground.proxy.mend();
        let answer = creating.join().expect("no panic");
        assert!(matches!(answer, Ok(Outcome::Conflicted(_))), "{answer:?}");
    });
    let delete = Commit { writes: vec![Write { address: at(), action: Action::Delete }], ..set(3) };
    assert!(one(block_on(ground.direct.commit(vec![delete]))).is_ok());
    assert!(ground.proxy.let_go().ends_with(NOTHING));
    assert_eq!(ground.version(), None);
}

/// Nobody hears the answers, and each step is done once all the same.
#[test]
fn steps_of_an_index_whose_lines_were_cut_are_done_once() {
    for cut in [Cut::Before, Cut::After] {
        let ground = Ground::new();
        assert!(one(block_on(ground.direct.commit(vec![set(1)]))).is_ok());
        let (kept, seen) = (ground.cut_off.indexes().expect("kept"), ground.direct.indexes().expect("kept"));
        let states = || block_on(seen.list(None)).expect("lists").into_iter().map(|status| status.state).collect::<Vec<_>>();

        ground.proxy.cut(cut, false);
        let index = Index::on("n").expect("a good path");
        let created = block_on(kept.create(Namespace::default(), index.clone())).expect("creates");
        assert_eq!(states(), [IndexState::Building { through: None, entries: 0 }], "{cut:?}");

        ground.proxy.cut(cut, false);
        let built = block_on(kept.advance(created.id, 10, NOW)).expect("moves on").expect("it is there");
        assert_eq!((built.state, states()), (IndexState::Ready, vec![IndexState::Ready]), "{cut:?}");

        ground.proxy.cut(cut, false);
        assert!(block_on(kept.drop(created.id)).expect("drops"), "{cut:?}: there was one");
        assert_eq!(states(), [IndexState::Dropped], "{cut:?}");

        ground.proxy.cut(cut, false);
        assert_eq!(block_on(kept.advance(created.id, 10, NOW)).expect("removes"), None, "{cut:?}");
        assert_eq!(states(), [], "{cut:?}");
        let again = block_on(kept.create(Namespace::default(), index)).expect("creates");
        assert_ne!(again.id, created.id, "no two indexes ever have the same number");
    }
}
