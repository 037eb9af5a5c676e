//! Commits with many new entries, which come by another way than small ones: what is stored and what is told is the same.

mod place;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use futures_lite::future::block_on;
use larder_conformance::{Site as _, TestWorld};
use larder_core::{
    Action, Address, Change, ChangesQuery, Commit, ContentKind, Engine, Entry, ErrorKind, Key, Lineage, Metadata,
    MetadataChange, Namespace, Outcome, Range, Result, Revision, StoreId, Timestamp, Value, Version, World as _, Write,
    engine::{Resolution, Scan},
    memory::MemoryEngine,
};
use place::{Place, administer};

/// Enough of them for a way of their own, with room for what is not new.
const MANY: u64 = 1200;

fn address(namespace: &str, key: &str) -> Address {
    Address::new(Namespace::new(namespace).expect("a good name"), Key::new(key).expect("a good key"))
}

fn put(address: Address, value: impl Into<bytes::Bytes>) -> Write {
    let (value, metadata) = (Value::opaque(value), MetadataChange::Keep);
    Write { address, action: Action::Put { value, expires_at: None, metadata } }
}

/// A write of an entry in one of many shapes: every column that can be empty is, and is not.
fn shape(n: u64) -> Write {
    let mut bytes = vec![n as u8; (n % 7 * 40) as usize];
    if n.is_multiple_of(400) {
        // More than is put into form at once.
        bytes.resize(300 << 10, 1);
    }
    let encodings = if n.is_multiple_of(3) { "zstd,x-1".parse().expect("good names") } else { Default::default() };
    let value = match n % 5 {
        0 => Value::json(n.to_string()).expect("a number"),
        _ => Value::from_stored(bytes, ContentKind::Opaque, encodings),
    };
    let metadata = if n.is_multiple_of(2) { "{}".to_owned() } else { format!(r#"{{"n":"\u00e4 {n}"}}"#) };
    let action = Action::Restore {
        value,
        version: Version::new(n % 9 + 1),
        created_at: Timestamp::from_millis_saturating(n.cast_signed() - 600),
        updated_at: Timestamp::from_millis_saturating(n.cast_signed()),
        expires_at: n.is_multiple_of(4).then(|| Timestamp::from_millis_saturating(i64::MAX / 2)),
        metadata: Metadata::parse(metadata.as_bytes()).expect("an object"),
    };
    let namespace = if n.is_multiple_of(11) { "other" } else { "default" };
    Write { address: address(namespace, &format!("{:04}/\u{e4}\u{10000}", n * 7 % MANY)), action }
}

fn commit(world: &TestWorld, writes: Vec<Write>) -> Commit {
    Commit { id: world.commit_id(), now: world.now(), checks: vec![], writes }
}

/// All entries, expired or not, and all changes.
fn everything(engine: &dyn Engine) -> (Vec<Entry>, Vec<Change>) {
    let (mut entries, mut range) = (Vec::new(), Range::all());
    loop {
        let scan = Scan { range: range.clone(), reverse: false, limit: 1000, now: Timestamp::EPOCH };
        let page = block_on(engine.scan(scan)).expect("reads").value;
        let Some(last) = page.items.last() else { break };
        range = Range::all().after(&last.address);
        entries.extend(page.items);
    }
    let (mut changes, mut after) = (Vec::new(), Revision::ZERO);
    loop {
        let query = ChangesQuery { gaps: true, ..ChangesQuery::after(Lineage::ZERO, after) };
        let page = block_on(engine.changes(query)).expect("reads");
        changes.extend(page.changes);
        after = page.through;
        if page.through >= page.head {
            return (entries, changes);
        }
    }
}

/// New entries in every shape, written over again in the same group and in the next, and deleted: entries, log and what is
/// counted are those of an engine that knows but one way.
#[test]
fn many_new_entries_are_stored_and_logged_like_few() {
    let place = Place::fresh();
    let ours = block_on(place.open()).expect("opens");
    let model = MemoryEngine::new(StoreId::from_bytes([7; 16]));
    let world = TestWorld::new(1);
    let of = |numbers: std::ops::Range<u64>| numbers.map(shape).collect::<Vec<_>>();
    let over = |n: u64| put(shape(n).address, vec![9; 9]);
    let gone = |n: u64| Write { address: shape(n).address, action: Action::Delete };
    let groups = [
        vec![commit(&world, (0..20).map(|n| put(address("default", &format!("old/{n}")), "old")).collect())],
        vec![
            commit(&world, of(0..500)),
            commit(&world, of(500..MANY)),
            // Over what has just come, and over what was there.
            commit(&world, (0..300).map(over).chain([put(address("default", "old/3"), "new")]).collect()),
            commit(&world, (300..310).map(gone).collect()),
        ],
        vec![commit(&world, (305..310).map(shape).chain((400..900).map(over)).collect())],
    ];
    for group in groups {
        let answers = block_on(ours.commit(group.clone())).into_iter().collect::<Result<Vec<_>>>().expect("commits");
        let expected = block_on(model.commit(group)).into_iter().collect::<Result<Vec<_>>>().expect("commits");
        assert_eq!(answers, expected);
        assert!(answers.iter().all(|answer| matches!(answer, Outcome::Committed(_))));
    }
    let ((entries, changes), (expected, told)) = (everything(&*ours), everything(&model));
    assert_eq!(entries.len() as u64, MANY + 20 - 5);
    assert_eq!(entries, expected);
    assert_eq!(changes, told);
    for namespace in ["default", "other"] {
        let namespace = Namespace::new(namespace).expect("a good name");
        let usage = block_on(ours.usage(namespace.clone())).expect("answers").value;
        assert_eq!(usage, block_on(model.usage(namespace)).expect("answers").value);
    }
}

/// What the server refuses in the middle of many rows leaves none of them, takes no neighbour with it, and the store goes on.
#[test]
fn many_new_entries_of_which_one_is_refused_leave_nothing() {
    let place = Place::fresh();
    let engine = block_on(place.open()).expect("opens");
    administer(&format!("ALTER TABLE {}.entries ADD CHECK (key <> 'm/0700')", place.schema())).expect("alters");
    let world = TestWorld::new(1);
    let many = |name: &str| {
        let writes = (0..1000).map(|n| put(address("default", &format!("{name}/{n:04}")), vec![1; 500]));
        commit(&world, writes.collect())
    };
    let group = vec![many("a"), many("m"), many("z")];
    let answers = block_on(engine.commit(group.clone()));
    let kinds: Vec<_> = answers.into_iter().map(|answer| answer.map(|_| ()).map_err(|error| error.kind())).collect();
    assert_eq!(kinds, [Ok(()), Err(ErrorKind::Internal), Ok(())]);
    assert_eq!(block_on(engine.resolve(group[1].id)).ok(), Some(Resolution::Never));
    let (entries, changes) = everything(&*engine);
    let keys: Vec<&str> = entries.iter().map(|entry| &entry.address.key.as_str()[..2]).collect();
    assert_eq!((keys.len(), keys.contains(&"m/")), (2000, false));
    assert_eq!(changes.len(), 2000);
    assert_eq!(block_on(engine.status(world.now())).expect("answers").revision, Revision::new(2));
}

/// What is restored comes where mostly nothing is; something that is there, wherever it lies among many, is not overlooked.
#[test]
fn many_restored_entries_meet_the_one_that_is_there() {
    let world = TestWorld::new(1);
    let sorted = || {
        let mut writes: Vec<Write> = (0..MANY).map(shape).filter(|write| write.address.namespace.is_default()).collect();
        writes.sort_unstable_by(|one, other| one.address.cmp(&other.address));
        writes
    };
    let count = sorted().len();
    for (there, expired) in [0, 1, count / 2, count - 1].into_iter().flat_map(|there| [(there, false), (there, true)]) {
        let place = Place::fresh();
        let ours = block_on(place.open()).expect("opens");
        let model = MemoryEngine::new(StoreId::from_bytes([7; 16]));
        let mut before = put(sorted()[there].address.clone(), "there");
        if let Action::Put { expires_at, .. } = &mut before.action {
            *expires_at = expired.then_some(world.now());
        }
        let sentinels = ["", "~"].map(|key| put(address("default", &format!("~{key}")), "beside"));
        let early = Commit { now: Timestamp::EPOCH, ..commit(&world, sentinels.into_iter().chain([before]).collect()) };
        for group in [vec![early], vec![commit(&world, sorted()), commit(&world, sorted())]] {
            let answers = block_on(ours.commit(group.clone())).into_iter().collect::<Result<Vec<_>>>().expect("answers");
            let expected = block_on(model.commit(group)).into_iter().collect::<Result<Vec<_>>>().expect("answers");
            assert_eq!(answers, expected, "{there} {expired}");
        }
        assert_eq!(everything(&*ours), everything(&model), "{there} {expired}");
    }
}

/// Sessions are ended over and over while many entries come at once: each commit happens whole and once, or not at all.
#[test]
fn many_new_entries_of_which_the_session_is_ended_come_whole_and_once() {
    let place = Place::fresh();
    let engine = block_on(place.open()).expect("opens");
    let world = TestWorld::new(1);
    let (mut happened, mut sent_at_all) = (0, 0);
    let ended = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (turn, turns) = std::sync::mpsc::channel::<()>();
        let (place, done, ended) = (&place, &done, &ended);
        let ending = scope.spawn(move || {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state <> 'idle' AND application_name";
            let sql = format!("{sql} = 'larder {}'", place.schema());
            // One a turn, so that some of the second attempts go well.
            for () in turns {
                let mut end = || administer(&sql).expect("the sessions are ended").len();
                let count = std::iter::repeat_with(&mut end).take_while(|_| !done.load(Relaxed)).find(|count| *count > 0);
                ended.fetch_add(count.unwrap_or(0), Relaxed);
            }
        });
        for n in 0..1000 {
            if n >= 60 && happened > 10 && ended.load(Relaxed) > 10 {
                break;
            }
            sent_at_all += 1;
            turn.send(()).expect("somebody ends sessions");
            let writes = (0..300).map(|key| put(address("default", &format!("{n}/{key}")), vec![1; 500]));
            let sent = commit(&world, writes.collect());
            match block_on(engine.commit(vec![sent.clone()])).swap_remove(0) {
                Ok(Outcome::Committed(_)) => happened += 1,
                Ok(Outcome::Conflicted(conflict)) => panic!("nothing to conflict with: {conflict}"),
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                    let resolved = (0..1000).find_map(|_| block_on(engine.resolve(sent.id)).ok());
                    let resolved = resolved.expect("some session lives long enough to resolve an id");
                    happened += usize::from(matches!(resolved, Resolution::Committed(_)));
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        done.store(true, Relaxed);
        drop(turn);
        ending.join().expect("nobody panics");
    });
    let ended = ended.into_inner();
    assert!(ended > 10 && happened > 10, "{ended} sessions were ended at work, and {happened} commits happened");
    let engine = block_on(place.open()).expect("opens");
    let (entries, changes) = everything(&*engine);
    println!("{ended} sessions were ended; {happened} of {sent_at_all} commits happened");
    assert_eq!((entries.len(), changes.len()), (happened * 300, happened * 300));
    assert_eq!(block_on(engine.status(world.now())).expect("answers").revision, Revision::new(happened as u64));
}
