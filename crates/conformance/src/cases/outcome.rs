//! G14: an unknown outcome can be resolved by the commit's id, and an id happens once.

use futures_lite::future::block_on;
use larder_core::{Action, CommitId, Condition, ErrorKind, Outcome, Receipt, Revision, Timestamp, engine::Resolution};

use crate::ground::{Draft, Ground, Seam, committed, fails, race, seconds};

/// Commits of every sort, with what they change.
fn sorts(seam: &Seam) -> Vec<(&'static str, Draft<'_>)> {
    vec![
        ("a creation", seam.draft().put("a", "1")),
        ("an update", seam.draft().put("a", "2")),
        ("a sum", seam.draft().add("n", 5, 0..=100)),
        ("a condition that its own write makes untrue", seam.draft().check("b", Condition::Absent).put("b", "1")),
        ("a deletion", seam.draft().delete("a")),
        ("the deletion of nothing", seam.draft().delete("a")),
        ("nothing at all", seam.draft()),
        ("several writes", seam.draft().put("x", "1").delete("b").add("n", -5, 0..=100)),
    ]
}

pub(super) fn g14_the_same_commit_again_happens_once(ground: &Ground) {
    let mut seam = ground.open();
    let mut sent = Vec::new();
    for (what, draft) in sorts(&seam) {
        let commit = draft.commit();
        let receipt = committed(seam.commit(vec![commit.clone()]).swap_remove(0));
        let before = seam.picture();
        for group in [vec![commit.clone()], vec![commit.clone(), commit.clone()]] {
            for answer in seam.commit(group) {
                assert_eq!(committed(answer), receipt, "{what}: sent again it answers something else");
            }
        }
        assert_eq!(seam.picture(), before, "{what} happened twice");
        sent.push((what, commit, receipt));
    }
    // Long after, with the world moved on, through another handle: still the first answer.
    seam.world.step(seconds(3_600));
    seam.put("a", "moved on");
    seam = ground.reopen(seam);
    let before = seam.picture();
    for (what, commit, receipt) in sent {
        assert_eq!(seam.resolve(commit.id), Resolution::Committed(receipt.clone()), "{what}");
        assert_eq!(committed(seam.commit(vec![commit]).swap_remove(0)), receipt, "{what}: the id was forgotten");
    }
    assert_eq!(seam.picture(), before);
}

pub(super) fn g14_twice_in_one_group_is_once(ground: &Ground) {
    let seam = ground.open();
    let commit = seam.draft().add("n", 1, 0..=100).commit();
    let answers: Vec<Receipt> =
        seam.commit(vec![commit.clone(), commit.clone(), commit]).into_iter().map(committed).collect();
    assert!(answers.iter().all(|receipt| *receipt == answers[0]));
    assert_eq!(seam.text("n").as_deref(), Some("1"));
}

pub(super) fn g14_a_known_id_answers_whatever_comes_with_it(ground: &Ground) {
    let seam = ground.open();
    let first = seam.draft().put("a", "1").commit();
    let receipt = committed(seam.commit(vec![first.clone()]).swap_remove(0));
    assert_eq!(seam.draft().id(first.id).put("b", "other").done(), receipt);
    assert_eq!(seam.draft().id(first.id).check("a", Condition::Absent).done(), receipt, "checks are not asked again");
    assert_eq!(seam.get("b"), None);
}

pub(super) fn g14_resolve_fences_what_was_never_seen(ground: &Ground) {
    let mut seam = ground.open();
    let late = seam.draft().put("a", "late").commit();
    let before = seam.picture();
    assert_eq!(seam.resolve(late.id), Resolution::Never);
    for _ in 0..2 {
        let answer = seam.commit(vec![late.clone()]).swap_remove(0);
        fails(answer, ErrorKind::InvalidState);
        assert_eq!(seam.resolve(late.id), Resolution::Never, "it stays so");
        assert_eq!(seam.picture(), before, "a fenced commit has happened");
        seam = ground.reopen(seam);
    }
    // The fence is around that one id.
    seam.put("a", "other");
}

pub(super) fn g14_conflicts_and_refusals_leave_no_id(ground: &Ground) {
    let seam = ground.open();
    let conflicted = seam.draft().check("a", Condition::Exists).put("a", "1").commit();
    let refused = seam.draft().act("a", Action::Delete).act("a", Action::Delete).commit();
    for commit in [conflicted, refused] {
        assert!(!matches!(seam.commit(vec![commit.clone()]).swap_remove(0), Ok(Outcome::Committed(_))));
        assert_eq!(seam.resolve(commit.id), Resolution::Never, "nothing happened under this id");
    }
}

pub(super) fn g14_resolving_and_committing_race_to_one_answer(ground: &Ground) {
    let handles = [ground.open(), ground.open()];
    for round in 0..8 {
        let key = format!("k{round}");
        let commit = handles[0].draft().put(&key, "v").commit();
        let answers = race(2, |racer| match racer {
            0 => Ok(handles[0].commit(vec![commit.clone()]).swap_remove(0)),
            _ => Err(handles[1].resolve(commit.id)),
        });
        let mut answers = answers.into_iter();
        let (Some(Ok(sent)), Some(Err(resolved))) = (answers.next(), answers.next()) else { panic!("two racers") };
        match resolved {
            Resolution::Never => {
                fails(sent, ErrorKind::InvalidState);
                assert_eq!(handles[0].get(&key), None, "it happened after it was said that it never will");
            }
            resolution => assert_eq!(resolution, Resolution::Committed(committed(sent))),
        }
    }
}

pub(super) fn g14_ids_outlive_the_log_and_are_forgotten_by_age(ground: &Ground) {
    let mut seam = ground.open();
    let old = seam.draft().put("a", "1").commit();
    let fenced = seam.draft().put("f", "1").commit();
    let unseen = seam.draft().put("u", "1").commit();
    let receipt = committed(seam.commit(vec![old.clone()]).swap_remove(0));
    assert_eq!(seam.resolve(fenced.id), Resolution::Never);
    seam.world.step(seconds(60));
    let young = seam.draft().put("a", "2").commit();
    let head = committed(seam.commit(vec![young.clone()]).swap_remove(0)).revision;

    seam.trim(head, Timestamp::EPOCH);
    assert_eq!(seam.resolve(old.id), Resolution::Committed(receipt.clone()), "ids outlive the log");
    assert_eq!(committed(seam.commit(vec![old.clone()]).swap_remove(0)), receipt);

    let cut = seam.now().before(seconds(1));
    assert!(old.id.made_at() < cut && young.id.made_at() >= cut);
    assert_eq!(seam.trim(Revision::ZERO, cut).ids, 2, "two ids were older: one that happened, one that never will");
    seam = ground.reopen(seam);
    let before = seam.picture();
    for commit in [&old, &fenced, &unseen] {
        assert_eq!(seam.resolve(commit.id), Resolution::Forgotten);
        let error = fails(seam.commit(vec![commit.clone()]).swap_remove(0), ErrorKind::OutcomeUnknown);
        assert_eq!(error.unknown_commit(), Some(commit.id), "the error names the commit to ask about");
    }
    assert_eq!(seam.picture(), before, "a commit with a forgotten id has happened");
    assert!(matches!(seam.resolve(young.id), Resolution::Committed(_)), "younger ids stay");
    let boundary = CommitId::new(cut, 0);
    assert_eq!(seam.resolve(boundary), Resolution::Never, "an id made at that very moment is not before it");
}

pub(super) fn g14_ids_yet_to_be_made_are_never_forgotten(ground: &Ground) {
    let mut seam = ground.open();
    assert_eq!(seam.trim(Revision::ZERO, Timestamp::MAX).ids, 0);
    let old = seam.draft().put("a", "1").commit();
    committed(seam.commit(vec![old.clone()]).swap_remove(0));
    seam.world.step(seconds(60));
    let newest = seam.draft().put("a", "2").commit();
    let receipt = committed(seam.commit(vec![newest.clone()]).swap_remove(0));
    for _ in 0..2 {
        seam.trim(Revision::ZERO, Timestamp::MAX);
        seam = ground.reopen(seam);
        assert_eq!(seam.resolve(old.id), Resolution::Forgotten, "what is older than the newest may go");
        assert_eq!(seam.resolve(newest.id), Resolution::Committed(receipt.clone()), "the newest stays");
        // In the very same millisecond, and later.
        assert_eq!(seam.now(), newest.id.made_at());
        seam.put("b", "1");
    }
    seam.world.step(seconds(1));
    seam.put("c", "1");
}

pub(super) fn g14_a_store_resolves_what_it_sent(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        let id = store.world().commit_id();
        let receipt = store.commit().id(id).set("a", "1").set("b", "1").await.expect("commits");
        assert_eq!(store.resolve(id).await.ok(), Some(Resolution::Committed(receipt.clone())));
        let again = store.commit().id(id).set("a", "1").set("b", "1").await.expect("answers as before");
        assert_eq!((again, store.version("a").await.map(|version| version.get()).ok()), (receipt, Some(1)));
        let never = store.world().commit_id();
        assert_eq!(store.resolve(never).await.ok(), Some(Resolution::Never));
        fails(store.commit().id(never).set("a", "2").await, ErrorKind::InvalidState);
    });
}

pub(super) fn g14_an_id_names_one_commit(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    block_on(async {
        let (id, nothing) = (store.world().commit_id(), store.world().commit_id());
        let receipt = store.commit().id(id).set("a", "1").set("b", "1").await.expect("commits");
        store.commit().id(nothing).await.expect("commits nothing");
        let before = seam.picture();
        let others = [
            store.commit().id(id).set("a", "1").set("b", "1").set("c", "1").await,
            store.commit().id(id).delete("a").await,
            store.commit().id(id).set("a", "1").set("a", "2").await,
            store.commit().id(id).await,
            store.commit().id(nothing).set("a", "1").await,
        ];
        for answer in others {
            fails(answer, ErrorKind::Invalid);
        }
        let same_number = store.commit().id(id).delete("a").delete("b").await;
        assert_eq!(same_number.ok(), Some(receipt), "what cannot be told apart answers as the first");
        assert_eq!(seam.picture(), before, "a commit under the id of another one has happened");
    });
}
