//! Histories that are known to be good, and histories that are known to be bad.

use super::*;

/// An operation on the key "k", from its call to its answer.
fn op(called: u64, answered: u64, call: Call, answer: Answer) -> Operation {
    Operation { key: "k".to_owned(), call, called, answered: Some((answered, answer)) }
}

fn unknown(called: u64, call: Call) -> Operation {
    Operation { key: "k".to_owned(), call, called, answered: None }
}

fn found(version: u64, value: u64) -> Answer {
    Answer::Found(Some(Held { version, value }))
}

const NOTHING: Answer = Answer::Found(None);

fn set_if(expected: u64, value: u64) -> Call {
    Call::SetIf { expected, value }
}

#[test]
fn good_histories_are_accepted() {
    let good: [(&str, Vec<Operation>); 8] = [
        ("nothing at all", vec![]),
        ("one after the other", vec![op(0, 1, Call::Set(7), Answer::Set(1)), op(2, 3, Call::Read, found(1, 7))]),
        (
            "two sets at once, in the order that a reader saw",
            vec![
                op(0, 10, Call::Set(1), Answer::Set(2)),
                op(1, 9, Call::Set(2), Answer::Set(1)),
                op(11, 12, Call::Read, found(2, 1)),
            ],
        ),
        (
            "a read during a write sees it or not",
            vec![op(0, 9, Call::Set(1), Answer::Set(1)), op(1, 2, Call::Read, NOTHING), op(3, 4, Call::Read, found(1, 1))],
        ),
        (
            "of racing compare-and-sets one wins",
            vec![
                op(0, 5, set_if(0, 1), Answer::Met(1)),
                op(1, 6, set_if(0, 2), Answer::Set(1)),
                op(7, 8, Call::Read, found(1, 2)),
            ],
        ),
        (
            "a version starts again after a delete",
            vec![
                op(0, 1, Call::Set(1), Answer::Set(1)),
                op(2, 3, Call::Set(2), Answer::Set(2)),
                op(4, 5, Call::Delete, Answer::Deleted(true)),
                op(6, 7, Call::Delete, Answer::Deleted(false)),
                op(8, 9, set_if(0, 3), Answer::Set(1)),
            ],
        ),
        ("what nobody knows may have happened", vec![unknown(0, Call::Set(1)), op(5, 6, Call::Read, found(1, 1))]),
        (
            "what nobody knows may happen late, or never",
            vec![
                unknown(0, Call::Set(1)),
                unknown(1, Call::Delete),
                op(2, 3, Call::Read, NOTHING),
                op(4, 5, Call::Read, found(1, 1)),
            ],
        ),
    ];
    for (what, history) in good {
        assert_eq!(check(&history), Ok(()), "{what}");
    }
}

#[test]
fn bad_histories_are_refused() {
    let bad: [(&str, Vec<Operation>); 12] = [
        (
            "a lost update: two sets from one state, and one step",
            vec![op(0, 5, Call::Set(1), Answer::Set(1)), op(1, 6, Call::Set(2), Answer::Set(1))],
        ),
        ("two winners", vec![op(0, 5, set_if(0, 1), Answer::Set(1)), op(1, 6, set_if(0, 2), Answer::Set(1))]),
        (
            "a stale read",
            vec![
                op(0, 1, Call::Set(1), Answer::Set(1)),
                op(2, 3, Call::Set(2), Answer::Set(2)),
                op(4, 5, Call::Read, found(1, 1)),
            ],
        ),
        ("a write that is gone", vec![op(0, 1, Call::Set(1), Answer::Set(1)), op(2, 3, Call::Read, NOTHING)]),
        (
            "a dirty read: what a loser wrote",
            vec![
                op(0, 1, Call::Set(1), Answer::Set(1)),
                op(2, 3, set_if(7, 9), Answer::Met(1)),
                op(4, 5, Call::Read, found(1, 9)),
            ],
        ),
        (
            "reads in two orders",
            vec![op(0, 20, Call::Set(1), Answer::Set(1)), op(1, 2, Call::Read, found(1, 1)), op(3, 4, Call::Read, NOTHING)],
        ),
        (
            "applied twice",
            vec![op(0, 1, Call::Set(1), Answer::Set(1)), unknown(2, Call::Set(2)), op(3, 4, Call::Read, found(3, 2))],
        ),
        ("read before it was written", vec![op(0, 1, Call::Read, found(1, 7)), op(2, 3, Call::Set(7), Answer::Set(1))]),
        (
            "a loser that met what it expected",
            vec![op(0, 1, Call::Set(1), Answer::Set(1)), op(2, 3, set_if(1, 2), Answer::Met(1))],
        ),
        (
            "a delete that found nothing where something was",
            vec![op(0, 1, Call::Set(1), Answer::Set(1)), op(2, 3, Call::Delete, Answer::Deleted(false))],
        ),
        (
            "the version goes on after a delete",
            vec![
                op(0, 1, Call::Set(1), Answer::Set(1)),
                op(2, 3, Call::Delete, Answer::Deleted(true)),
                op(4, 5, Call::Set(2), Answer::Set(2)),
            ],
        ),
        (
            "what nobody knows did not happen before it was called",
            vec![op(0, 1, Call::Read, found(1, 1)), unknown(2, Call::Set(1))],
        ),
    ];
    for (what, history) in bad {
        let refused = check(&history).expect_err(what);
        assert!(!refused.stuck.is_empty(), "{what}: it says where it was stuck");
    }
}

/// A bad key is found among good ones, and named.
#[test]
fn every_key_is_searched_by_itself() {
    let mut history = vec![op(0, 1, Call::Set(1), Answer::Set(1)), op(2, 3, Call::Read, found(1, 1))];
    let other = Operation { key: "other".to_owned(), ..op(4, 5, Call::Read, NOTHING) };
    history.push(other.clone());
    assert_eq!(check(&history), Ok(()));
    history.push(Operation { called: 6, answered: Some((7, found(1, 1))), ..other });
    assert_eq!(check(&history).map_err(|bad| bad.key), Err("other".to_owned()));
}

/// Many that overlap all at once: the memory of what was tried keeps the search short.
#[test]
fn a_crowd_is_searched_in_time() {
    let sets = (0..40).map(|n| op(n, 1_000 + n, Call::Set(n), Answer::Set(n + 1)));
    let mut history: Vec<Operation> = sets.collect();
    history.extend((0..8).map(|n| unknown(n, Call::Read)));
    assert_eq!(check(&history), Ok(()));
    history.push(op(2_000, 2_001, Call::Read, found(40, 0)));
    assert!(check(&history).is_err(), "the last version holds the last value");
}
