//! Large values: they fit, they move without being written again, and nothing of them is left behind.

mod place;

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Address, Commit, CommitId, ContentKind, Encodings, Engine, ErrorKind, ExpiryChange, Key, Limits, Metadata,
    MetadataChange, Namespace, Outcome, Revision, Timestamp, Trim, Value, World as _, Write,
};
use larder_ordered::{OrderedEngine, TestMap};

struct Ground {
    world: TestWorld,
    map: TestMap,
    engine: OrderedEngine,
}

impl Ground {
    fn new() -> Self {
        let map = TestMap::new();
        Self { world: TestWorld::new(1), engine: block_on(place::open(&map)).expect("it opens"), map }
    }

    fn send(&self, writes: Vec<(String, Action)>) -> larder_core::Result<Outcome> {
        let (id, now) = (CommitId::new(self.world.now(), self.world.random()), self.world.now());
        let write = |(key, action): (String, Action)| Write { address: at(&key), action };
        let commit = Commit { id, now, checks: Vec::new(), writes: writes.into_iter().map(write).collect() };
        block_on(self.engine.commit(vec![commit])).pop().expect("one answer")
    }

    fn done(&self, key: &str, action: Action) -> Revision {
        match self.send(vec![(key.to_owned(), action)]) {
            Ok(Outcome::Committed(receipt)) => receipt.revision,
            other => panic!("this commit has to succeed, and was answered {other:?}"),
        }
    }

    fn trim(&self, through: u64) {
        block_on(self.engine.trim(Trim::new(Revision::new(through), Timestamp::EPOCH))).expect("trims");
    }

    /// How many values stand by themselves.
    fn bodies(&self) -> usize {
        self.map.pairs().iter().filter(|(key, _)| key[0] == b'b').count()
    }

    fn value(&self, key: &str) -> Option<usize> {
        let read = block_on(self.engine.get(vec![at(key)], self.world.now())).expect("reads");
        read.value.into_iter().next().flatten().map(|entry| entry.value.bytes().len())
    }
}

fn at(key: &str) -> Address {
    Address::new(Namespace::default(), Key::new(key).expect("a good key"))
}

fn put(bytes: usize) -> Action {
    Action::Put { value: Value::opaque(vec![7; bytes]), expires_at: None, metadata: MetadataChange::Keep }
}

fn expire(metadata: MetadataChange) -> Action {
    Action::Annotate { metadata, expiry: ExpiryChange::Set(Some(Timestamp::MAX)) }
}

/// A batch holds what is written anew, and not what was there: the floor fits into little more than itself.
#[test]
fn the_floor_fits_also_over_the_largest_values() {
    let ground = Ground::new();
    let floor = Limits::FLOOR;
    let key = |number: usize| format!("{number:01000}");
    for number in 0..floor.commit_writes {
        ground.done(&key(number), put(floor.value_bytes));
    }
    let keys = floor.commit_writes * 1000;
    let writes = || (0..floor.commit_writes).map(|number| (key(number), put((floor.commit_bytes - keys) / 64)));
    for _ in 0..2 {
        let answer = ground.send(writes().collect());
        assert!(matches!(answer, Ok(Outcome::Committed(_))), "{answer:?}");
    }
    let annotated = (0..floor.commit_writes).map(|number| (key(number), expire(MetadataChange::Keep)));
    assert!(matches!(ground.send(annotated.collect()), Ok(Outcome::Committed(_))));
    let deleted = (0..floor.commit_writes).map(|number| (key(number), Action::Delete));
    assert!(matches!(ground.send(deleted.collect()), Ok(Outcome::Committed(_))));
}

#[test]
fn what_does_not_fit_into_a_batch_is_refused_and_leaves_nothing() {
    let ground = Ground::new();
    let before = ground.map.pairs();
    let long = "l".repeat(1024);
    let writes = (0..256).map(|number| (format!("{number:03}{}", &long[3..]), put(4000))).collect();
    let refused = ground.send(writes).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Limit));
    assert_eq!(ground.map.pairs(), before);
    ground.done("a", put(1));
}

/// Every value that stands by itself goes with the last one that tells of it.
#[test]
fn trimming_takes_exactly_what_nobody_has_any_more() {
    let ground = Ground::new();
    let metadata = Metadata::parse(format!(r#"{{"m":"{}"}}"#, "m".repeat(600)).as_bytes()).expect("metadata");
    ground.done("a", put(5000));
    ground.done("a", expire(MetadataChange::Keep));
    ground.done("a", expire(MetadataChange::Replace(metadata)));
    ground.done("a", expire(MetadataChange::Keep));
    assert_eq!((ground.bodies(), ground.value("a")), (2, Some(5000)), "one value for four versions, and one metadata");
    ground.trim(3);
    assert_eq!((ground.bodies(), ground.value("a")), (2, Some(5000)));
    let revision = ground.done("a", put(6000));
    assert_eq!(ground.bodies(), 3, "the log has the value before");
    ground.trim(revision.get() - 1);
    assert_eq!(ground.bodies(), 3);
    ground.trim(revision.get());
    assert_eq!((ground.bodies(), ground.value("a")), (2, Some(6000)), "the metadata is still that of the entry");
    let revision = ground.done("a", Action::Delete);
    assert_eq!(ground.bodies(), 2);
    ground.trim(revision.get());
    assert_eq!((ground.bodies(), ground.value("a")), (0, None));
}

/// Other bytes of the same value: the log keeps the ones it tells of, and nobody keeps those that it does not.
#[test]
fn a_recoded_value_leaves_its_old_bytes_to_the_log_alone() {
    for trimmed_before in [false, true] {
        for annotated in [false, true] {
            let ground = Ground::new();
            let mut revision = ground.done("a", put(5000));
            if annotated {
                revision = ground.done("a", expire(MetadataChange::Keep));
            }
            if trimmed_before {
                ground.trim(revision.get());
            }
            for bytes in [4000, 3000] {
                let value = Value::from_stored(vec![8; bytes], ContentKind::Opaque, Encodings::default());
                ground.done("a", Action::Recode { value, revision });
                assert_eq!(ground.value("a"), Some(bytes));
            }
            let told = usize::from(annotated && !trimmed_before);
            assert_eq!(ground.bodies(), 1 + told, "annotated {annotated}, trimmed before {trimmed_before}");
            ground.trim(revision.get());
            assert_eq!((ground.bodies(), ground.value("a")), (1, Some(3000)));
        }
    }
}
