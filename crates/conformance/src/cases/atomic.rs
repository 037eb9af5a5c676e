//! G1: a commit is all or nothing, and so is each commit of a group.
//!
//! Stories stand in the catalogue.

use futures_lite::future::block_on;
use larder_core::{
    Action, Condition, ErrorKind, Expected, ExpiryChange, Found, Metadata, MetadataChange, Outcome, Part, Revision, Value,
    Version,
};

use crate::ground::{Draft, Ground, Seam, at, committed, conflicted, fails, metadata};

/// Each way in which a commit is refused, as the last thing in it, and the kind that is answered; `None` is a conflict.
fn refusals(seam: &Seam) -> Vec<(&'static str, Option<ErrorKind>, Draft<'_>)> {
    let half = || seam.draft().put("a", "new").delete("number").put("fresh", "new");
    let annotate = |metadata| Action::Annotate { metadata: MetadataChange::Merge(metadata), expiry: ExpiryChange::Keep };
    let restore = Action::Restore {
        value: Value::opaque("restored"),
        version: Version::new(9),
        created_at: seam.now(),
        updated_at: seam.now(),
        expires_at: None,
        metadata: Metadata::default(),
    };
    let recode = Action::Recode { value: Value::opaque("recoded"), revision: Revision::new(1 << 40) };
    vec![
        ("address twice", Some(ErrorKind::Invalid), half().put("a", "again")),
        ("annotating nothing", Some(ErrorKind::NotFound), half().act("nothing", annotate(Metadata::default()))),
        ("metadata grown too large", Some(ErrorKind::Limit), half().act("heavy", annotate(heavy("b")))),
        ("adding to text", Some(ErrorKind::InvalidState), half().add("text", 1, i64::MIN..=i64::MAX)),
        ("adding above the ceiling", None, half().add("seven", 4, 0..=10)),
        ("adding below the floor", None, half().add("seven", -8, 0..=10)),
        ("adding beyond an i64", None, half().add("seven", i64::MAX, i64::MIN..=i64::MAX)),
        ("restoring what exists", None, half().act("text", restore)),
        ("recoding what has changed", None, half().act("text", recode)),
        ("the last of three checks", None, half().check("a", Condition::Exists).check("seven", Condition::Absent)),
    ]
}

/// Metadata that fits once, and not twice.
fn heavy(field: &str) -> Metadata {
    metadata(&format!("{{\"{field}\":\"{}\"}}", "x".repeat(40_000)))
}

fn furnish(seam: &Seam) {
    let value = Value::opaque("heavy");
    let heavy = Action::Put { value, expires_at: None, metadata: MetadataChange::Replace(heavy("a")) };
    seam.draft().put("a", "old").put("number", "1").put("seven", "7").put("text", "text").act("heavy", heavy).done();
}

pub(super) fn g1_a_refused_commit_leaves_no_half(ground: &Ground) {
    let seam = ground.open();
    furnish(&seam);
    let before = seam.picture();
    for (why, kind, draft) in refusals(&seam) {
        match (kind, draft.send()) {
            (Some(kind), Err(error)) => assert_eq!(error.kind(), kind, "{why}: {error}"),
            (None, Ok(Outcome::Conflicted(_))) => {}
            (_, other) => panic!("{why} was answered {other:?}"),
        }
        assert_eq!(seam.picture(), before, "{why} left something behind");
    }
    let writes_max = seam.engine.capabilities().limits.commit_writes;
    assert!(writes_max <= 1 << 20, "an engine has a limit on the writes of a commit, and keeps to it");
    let many = (0..=writes_max).fold(seam.draft(), |draft, n| draft.delete(&format!("many/{n}")));
    assert_eq!(many.put("a", "new").refused().kind(), ErrorKind::Limit);
    assert_eq!(seam.picture(), before, "too many writes left something behind");
    assert_eq!(ground.reopen(seam).picture(), before, "after reopening there is something of a refused commit");
}

pub(super) fn g1_a_conflicting_commit_leaves_no_trace(ground: &Ground) {
    let seam = ground.open();
    let revision = seam.put("a", "old").revision;
    let before = seam.picture();
    let absurd = Revision::new(1 << 40);
    for (key, condition, expected) in [
        ("a", Condition::Absent, Expected::Absent),
        ("b", Condition::Exists, Expected::Exists),
        ("a", Condition::Version(Version::new(2)), Expected::Version(Version::new(2))),
        ("a", Condition::Version(Version::ZERO), Expected::Version(Version::ZERO)),
        ("b", Condition::Version(Version::new(1)), Expected::Version(Version::new(1))),
        ("a", Condition::Revision(absurd), Expected::Revision(absurd)),
        ("b", Condition::Revision(revision), Expected::Revision(revision)),
        ("a", Condition::Value("Old".into()), Expected::SameValue),
        ("b", Condition::Value("".into()), Expected::SameValue),
    ] {
        let conflict = seam.draft().check("z", Condition::Absent).check(key, condition).put("a", "new").conflict();
        let found = match key {
            "a" => Found::Entry { version: Version::new(1), revision },
            _ => Found::Absent,
        };
        assert_eq!((conflict.part, conflict.address), (Part::Check(1), Some(at(key))));
        assert_eq!((&conflict.expected, conflict.found), (&expected, found));
        assert_eq!(seam.picture(), before, "{expected:?} left something behind");
    }
}

pub(super) fn g1_conditions_hold_where_they_should(ground: &Ground) {
    let seam = ground.open();
    let first = seam.put("a", "old").revision;
    for (key, condition) in [
        ("a", Condition::Exists),
        ("a", Condition::Version(Version::new(1))),
        ("a", Condition::Revision(first)),
        ("a", Condition::Value("old".into())),
        ("b", Condition::Absent),
        ("b", Condition::Version(Version::ZERO)),
    ] {
        let receipt = seam.draft().check(key, condition).done();
        assert_eq!((receipt.revision, receipt.writes), (first, vec![]), "checks alone change nothing");
    }
    // Both see the state before, so the commit may check one key against two things that its own writes make untrue.
    seam.draft().put("a", "new").delete("c").check("a", Condition::Value("old".into())).check("c", Condition::Absent).done();
    assert_eq!(seam.text("a").as_deref(), Some("new"));
}

pub(super) fn g1_an_id_that_was_refused_may_succeed_later(ground: &Ground) {
    let seam = ground.open();
    furnish(&seam);
    let count = refusals(&seam).len();
    for index in 0..count {
        let (why, _, draft) = refusals(&seam).swap_remove(index);
        let id = draft.clone().commit().id;
        assert!(!matches!(draft.send(), Ok(Outcome::Committed(_))), "{why} was taken");
        let receipt = seam.draft().id(id).put("later", why).done();
        assert_eq!(receipt.revision, seam.head(), "{why}: the id was spent");
        assert_eq!(seam.text("later").as_deref(), Some(why));
    }
}

pub(super) fn g1_a_failing_neighbour_harms_nobody(ground: &Ground) {
    let seam = ground.open();
    furnish(&seam);
    let mut group = Vec::new();
    let mut whys = Vec::new();
    for (index, (why, _, draft)) in refusals(&seam).into_iter().enumerate() {
        group.push(seam.draft().put(&format!("neighbour/{index}"), "here").commit());
        group.push(draft.commit());
        whys.push(why);
    }
    let mut answers = seam.commit(group.clone()).into_iter();
    let mut next = || answers.next().expect("every commit has an answer");
    let mut last = Revision::ZERO;
    for (index, why) in whys.into_iter().enumerate() {
        let receipt = committed(next());
        assert!(receipt.revision > last, "{why}: every commit of a group has a revision of its own");
        last = receipt.revision;
        assert!(!matches!(next(), Ok(Outcome::Committed(_))), "{why} was taken");
        assert_eq!(seam.text(&format!("neighbour/{index}")).as_deref(), Some("here"), "{why} harmed its neighbour");
        // The neighbour's id is known and the refused one's is not.
        let again = seam.commit(vec![group[2 * index].clone()]).pop().expect("one answer");
        assert_eq!(committed(again), receipt, "{why}: the neighbour's id was lost");
    }
    assert_eq!(seam.text("a").as_deref(), Some("old"));
    assert_eq!(seam.get("fresh"), None);
}

pub(super) fn g1_a_commit_of_a_group_sees_those_before_it(ground: &Ground) {
    let seam = ground.open();
    let create = || seam.draft().check("a", Condition::Absent).put("a", "mine").commit();
    let group = vec![create(), create(), seam.draft().add("n", 1, 0..=1).commit(), seam.draft().add("n", 1, 0..=1).commit()];
    let mut answers = seam.commit(group).into_iter();
    let mut next = || answers.next().expect("four answers");
    let won = committed(next());
    let lost = conflicted(next());
    assert_eq!(lost.found, Found::Entry { version: Version::new(1), revision: won.revision });
    assert_eq!(committed(next()).writes[0].number, Some(1));
    assert_eq!(conflicted(next()).found, Found::Number(1));
}

pub(super) fn g1_a_store_commit_is_all_or_nothing(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    block_on(async {
        store.set("a", "old").await.expect("sets");
        let before = seam.picture();
        let any = i64::MIN..=i64::MAX;
        let refused = [
            (store.commit().set("a", "new").set("", "bad key").await, ErrorKind::Invalid),
            (store.commit().set("a", "new").add("a", 1, any).await, ErrorKind::InvalidState),
            (store.commit().set("b", "new").add("a", 1, 0..=9).await, ErrorKind::InvalidState),
            (store.commit().set("a", "new").check("a", Condition::Absent).await, ErrorKind::Conflict),
            (store.commit().set("a", "new").action("b", missing()).await, ErrorKind::NotFound),
            (store.commit().set("a", vec![0; (1 << 20) + 1]).await, ErrorKind::Limit),
        ];
        for (answer, kind) in refused {
            fails(answer, kind);
        }
        assert_eq!(seam.picture(), before);
    });
}

fn missing() -> Action {
    Action::Annotate { metadata: MetadataChange::Keep, expiry: ExpiryChange::Set(None) }
}
