//! Histories that are known to be good, and histories that are known to be bad.

use super::*;

/// Begins a transaction that lasts from one moment to another.
fn from(called: u64, answered: u64) -> Transaction {
    Transaction { called, answered: Some(answered), ..Transaction::default() }
}

impl Transaction {
    fn read(mut self, key: &str, found: impl Into<Option<u64>>) -> Self {
        self.reads.push((key.to_owned(), found.into()));
        self
    }

    fn range(mut self, prefix: &str, found: &[(&str, u64)]) -> Self {
        let found = found.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        self.ranges.push((prefix.to_owned(), found));
        self
    }

    fn write(mut self, key: &str, value: impl Into<Option<u64>>) -> Self {
        self.writes.push((key.to_owned(), value.into()));
        self
    }

    fn wrote(self, revision: u64) -> Self {
        Self { fate: Fate::Wrote(revision), ..self }
    }

    fn only_read(self, revision: u64) -> Self {
        Self { fate: Fate::Read(revision), ..self }
    }

    fn unknown(self) -> Self {
        Self { answered: None, ..self }
    }
}

#[test]
fn good_histories_are_accepted() {
    let good: [(&str, Vec<Transaction>); 6] = [
        ("nothing at all", vec![]),
        (
            "one after the other",
            vec![
                from(0, 1).write("x", 1).wrote(1),
                from(2, 3).read("x", 1).write("x", 2).wrote(5),
                from(4, 5).range("", &[("x", 2)]).only_read(5),
            ],
        ),
        (
            "at the same time, and recorded in another order",
            vec![
                from(1, 8).read("x", 1).write("y", 1).wrote(2),
                from(0, 9).read("x", None).write("x", 1).wrote(1),
                from(2, 7).read("x", None).read("y", None).only_read(0),
            ],
        ),
        ("aborted, whatever it read", vec![from(0, 1).read("x", 9).write("x", 3), from(2, 3).range("x", &[]).only_read(0)]),
        (
            "nobody knew, and it happened late",
            vec![from(0, 0).write("x", 1).unknown().wrote(7), from(1, 2).read("x", None).write("y", 1).wrote(3)],
        ),
        (
            "a deletion, and a range beside it",
            vec![
                from(0, 1).write("a/1", 1).write("b/1", 1).wrote(1),
                from(2, 3).range("a/", &[("a/1", 1)]).write("a/1", None).wrote(2),
                from(4, 5).range("a/", &[]).range("b/", &[("b/1", 1)]).only_read(2),
            ],
        ),
    ];
    for (what, history) in good {
        assert_eq!(check(&history), Ok(()), "{what}");
    }
}

#[test]
fn bad_histories_are_refused() {
    let start = || from(0, 1).write("x", 1).write("y", 1).wrote(1);
    let bad: [(&str, Vec<Transaction>); 11] = [
        (
            "a lost update",
            vec![start(), from(2, 9).read("x", 1).write("x", 2).wrote(2), from(3, 8).read("x", 1).write("x", 3).wrote(3)],
        ),
        ("a stale read", vec![start(), from(2, 3).write("x", 2).wrote(2), from(4, 5).read("x", 1).only_read(2)]),
        (
            "a read in the past, explained by its revision and not by the time",
            vec![start(), from(2, 3).write("x", 2).wrote(2), from(4, 5).read("x", 1).only_read(1)],
        ),
        (
            "write skew",
            vec![
                start(),
                from(2, 9).read("x", 1).read("y", 1).write("x", None).wrote(2),
                from(3, 8).read("x", 1).read("y", 1).write("y", None).wrote(3),
            ],
        ),
        (
            "a phantom",
            vec![from(0, 9).range("p/", &[]).write("p/1", 1).wrote(1), from(1, 8).range("p/", &[]).write("p/2", 1).wrote(2)],
        ),
        (
            "a dirty read: half of a commit",
            vec![
                start(),
                from(2, 9).write("x", 2).write("y", 2).wrote(2),
                from(3, 4).read("x", 2).read("y", 1).only_read(2),
            ],
        ),
        ("a read of what was aborted", vec![start(), from(2, 3).write("x", 9), from(4, 5).read("x", 9).only_read(1)]),
        (
            "applied twice",
            vec![from(0, 9).read("n", None).write("n", 1).wrote(1), from(0, 9).read("n", None).write("n", 1).wrote(2)],
        ),
        ("one revision twice", vec![from(0, 1).write("x", 1).wrote(1), from(2, 3).write("y", 1).wrote(1)]),
        ("reordered", vec![from(0, 1).write("x", 1).wrote(2), from(2, 3).write("y", 1).wrote(1)]),
        (
            "a commit behind one that had seen nothing of it",
            vec![start(), from(2, 3).read("z", None).only_read(3), from(4, 5).write("z", 1).wrote(2)],
        ),
    ];
    for (what, history) in bad {
        assert!(check(&history).is_err(), "{what}");
    }
}
