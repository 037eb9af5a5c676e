//! G4 and G1 of unique indexes: no two entries have the same, whoever races, and what is refused leaves nothing.

use std::future::IntoFuture as _;

use futures_lite::future::block_on;
use larder_core::{
    Action, Conflict, Error, ErrorKind, Expected, Found, Index, MetadataChange, Namespace, Part, Scope, Value, Version,
};

use super::indexes::{create, index, right, rows, set};
use crate::ground::{Ground, committed, conflicted, fails, key, metadata, put, race, seconds};

fn email() -> Index {
    index("email").unique()
}

fn with(email: &str) -> String {
    format!("{{\"email\":{email}}}")
}

/// The conflict in `answer`, which has to be that of an index.
fn taken<T: std::fmt::Debug>(answer: Result<T, Error>) -> Conflict {
    let error = fails(answer, ErrorKind::Conflict);
    let conflict = error.as_conflict().expect("a conflict says what it met").clone();
    assert!(matches!(conflict.expected, Expected::Unique(_)), "{conflict:?}");
    assert_eq!(conflict.found, Found::Taken);
    conflict
}

pub(super) fn g4_one_of_racing_claims_of_a_value_wins(ground: &Ground) {
    const RACERS: usize = 8;
    let seam = ground.open();
    let stores = [seam.store(), ground.store()];
    create(&stores[0], email());
    for turn in 0..25 {
        let value = with(&turn.to_string());
        let answers =
            race(RACERS, |racer| set(&stores[racer % 2], &format!("k{racer}"), &value).map_err(|error| error.kind()));
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        let lost = answers.iter().filter(|answer| **answer == Err(ErrorKind::Conflict)).count();
        assert_eq!((won, lost), (1, RACERS - 1), "{answers:?}");
        right(&seam, &email(), "after a race");
    }
}

pub(super) fn g4_what_is_unique_is_so_for_the_same_values(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    create(&store, email());
    let long = |tail: char| format!("\"{}{tail}\"", "x".repeat(900));
    for (n, (value, other)) in [
        ("1", "1.0"),
        ("0", "-0.0"),
        ("9007199254740992", "9007199254740992.0"),
        ("\"a\"", "\"\\u0061\""),
        ("null", "null"),
        ("[1,{\"a\":2}]", "[1.0,{\"a\":2}]"),
        ("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"),
    ]
    .into_iter()
    .enumerate()
    {
        set(&store, &format!("k{n}"), &with(value)).expect("nobody has it");
        let conflict = taken(set(&store, "other", &with(other)));
        assert_eq!(conflict.expected, Expected::Unique(email()), "it names the index");
        assert_eq!((conflict.part, conflict.address.map(|at| at.key)), (Part::Write(0), Some(key("other"))));
        set(&store, &format!("k{n}"), &with(other)).expect("who has it keeps it");
    }
    for (n, value) in [
        "\"A\"",
        "\"a\\u0000\"",
        "\"1\"",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "\"\"",
        "false",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([long('a'), long('b')])
    .enumerate()
    {
        set(&store, &format!("o{n}"), &with(&value)).expect("that is another value");
    }
    for key in ["none", "nor", "neither"] {
        set(&store, key, "{}").expect("what is missing is not compared");
        block_on(store.set(format!("{key}/o"), Value::opaque(with("1"))).into_future()).expect("nor what is opaque");
    }
    fails(set(&store, "long", &with(&format!("\"{}\"", "x".repeat(2000)))), ErrorKind::Limit);
    right(&seam, &email(), "in the end");
}

pub(super) fn g4_unique_values_change_hands(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    create(&store, email());
    let json = |email: &str| Value::json(with(email)).expect("JSON");
    set(&store, "a", &with("1")).and(set(&store, "b", &with("2"))).expect("two values");
    block_on(store.commit().set("a", json("2")).set("b", json("1")).into_future()).expect("swapped in one commit");
    taken(block_on(store.commit().set("a", json("3")).set("c", json("3")).into_future()));
    taken(block_on(store.commit().set("c", json("5")).set("d", json("1")).into_future()));
    block_on(store.commit().delete("a").set("c", json("2")).into_future()).expect("handed on in one commit");
    // What has expired holds nothing, swept up or not; with more time it holds on.
    block_on(store.set("brief", json("9")).ttl(seconds(5)).into_future()).expect("writes");
    taken(set(&store, "next", &with("9")));
    block_on(store.touch("brief", Some(seconds(10)))).expect("touches");
    seam.world.step(seconds(9));
    taken(set(&store, "next", &with("9")));
    seam.world.step(seconds(1));
    set(&store, "next", &with("9")).expect("it has expired");
    taken(set(&store, "brief", &with("9")));
    right(&seam, &email(), "after values have changed hands");

    let owner = index("$meta.owner").unique();
    create(&store, owner.clone());
    let ann = metadata("{\"owner\":\"ann\"}");
    block_on(store.set_metadata("b", ann.clone())).expect("annotates");
    taken(block_on(store.set_metadata("c", ann.clone())));
    taken(block_on(store.merge_metadata("c", ann)));
    let count = index("$value").unique();
    create(&store, count.clone());
    set(&store, "n", "1").and(set(&store, "m", "2")).expect("two numbers");
    taken(block_on(store.add("n", 1, i64::MIN..=i64::MAX)));
    let (created_at, version) = (seam.now(), Version::new(7));
    let restore = Action::Restore {
        value: json("9"),
        version,
        created_at,
        updated_at: created_at,
        expires_at: None,
        metadata: metadata("{}"),
    };
    let conflict = seam.draft().act("back", restore).conflict();
    assert_eq!((conflict.expected, conflict.found), (Expected::Unique(email()), Found::Taken));
    [email(), owner, count].iter().for_each(|index| right(&seam, index, "after every kind of write"));
}

pub(super) fn g4_each_element_is_unique(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let tags = Index::over(["tags[]", "kind"]).expect("an index").unique();
    create(&store, tags.clone());
    set(&store, "a", r#"{"tags":["x","x","y"],"kind":1}"#).expect("one entry may have it twice");
    taken(set(&store, "b", r#"{"tags":["z","y"],"kind":1}"#));
    set(&store, "b", r#"{"tags":["z","y"],"kind":2}"#).expect("both together are compared");
    set(&store, "c", r#"{"tags":["z","y"]}"#).expect("where one is missing nothing is");
    set(&store, "d", r#"{"tags":[],"kind":1}"#).and(set(&store, "e", r#"{"kind":1}"#)).expect("nor here");
    set(&store, "a", r#"{"tags":["x"],"kind":1}"#).expect("y goes");
    set(&store, "f", r#"{"tags":["y"],"kind":1}"#).expect("and is free");
    right(&seam, &tags, "in the end");
}

pub(super) fn g4_a_unique_index_that_cannot_be_built_leaves_nothing(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "1")] {
        set(&store, key, &with(value)).expect("nothing is unique yet");
    }
    let picture = seam.picture();
    fails(block_on(store.create_index(email()).into_future()), ErrorKind::InvalidState);
    assert_eq!(block_on(store.indexes()).expect("lists"), [], "it is not there");
    assert_eq!(seam.picture(), picture, "and nothing else has changed");
    set(&store, "d", &with("1")).expect("nothing is unique");
    let left =
        ["a", "c"].map(|key| block_on(store.set(key, Value::json(with("1")).expect("JSON")).ttl(seconds(1)).into_future()));
    for set in left {
        set.expect("writes");
    }
    seam.world.step(seconds(1));
    create(&store, email());
    taken(set(&store, "e", &with("1")));
    right(&seam, &email(), "built over what has expired");
}

pub(super) fn g1_a_commit_that_an_index_refuses_leaves_nothing(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let n = index("n");
    create(&store, email());
    create(&store, n.clone());
    set(&store, "a", r#"{"email":1,"n":1}"#).expect("writes");
    let before = || (rows(&seam, &email()), rows(&seam, &n), seam.picture());
    let was = before();
    let refused = seam.draft().put("b", r#"{"email":2,"n":2}"#).put("c", r#"{"email":1,"n":3}"#);
    let id = refused.clone().commit().id;
    let conflict = refused.clone().conflict();
    assert_eq!((conflict.part, conflict.expected), (Part::Write(1), Expected::Unique(email())));
    assert_eq!(before(), was, "neither an entry nor a row");
    seam.draft().put("b", r#"{"email":2,"n":2}"#).check("a", larder_core::Condition::Absent).conflict();
    seam.draft()
        .put("b", r#"{"email":2,"n":2}"#)
        .act("zz", Action::Annotate { metadata: MetadataChange::Keep, expiry: larder_core::ExpiryChange::Keep })
        .refused();
    assert_eq!(before(), was, "nor where something else refuses it");
    // In a group it harms nobody, and sees what those before it did.
    let group = vec![
        seam.draft().put("b", r#"{"email":2,"n":2}"#).commit(),
        refused.commit(),
        seam.draft().put("d", r#"{"email":2,"n":4}"#).commit(),
        seam.draft().put("a", r#"{"email":4,"n":5}"#).commit(),
        seam.draft().put("e", r#"{"email":1,"n":6}"#).commit(),
    ];
    let mut answers = seam.commit(group).into_iter();
    let mut next = || answers.next().expect("every commit is answered");
    committed(next());
    conflicted(next());
    conflicted(next());
    committed(next());
    committed(next());
    assert_eq!(seam.keys(), ["a", "b", "e"]);
    [email(), n].iter().for_each(|index| right(&seam, index, "after a group"));
    let again = seam.draft().id(id).write(crate::ground::at("c"), put(r#"{"email":7,"n":7}"#));
    again.done();
}

/// Nobody else's index has a say.
pub(super) fn g12_what_is_unique_here_is_not_so_there(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    create(&store, email());
    let there: Vec<Scope> = ["default2", "defaul", "zz"]
        .map(|name| store.scope(&Namespace::new(name).expect("a good name")).expect("a user's"))
        .into();
    set(&store, "a", &with("1")).expect("writes");
    for scope in &there {
        set(scope, "a", &with("1")).and(set(scope, "b", &with("1"))).expect("nothing is unique there");
    }
    create(&there[2], index("email"));
    taken(set(&store, "b", &with("1")));
}
