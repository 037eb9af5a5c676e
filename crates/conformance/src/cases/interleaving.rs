//! G5, by chance: small transactions step by step in any order, and a serial order that has to explain all of them.

use std::collections::BTreeMap;

use futures_lite::future::block_on;
use larder_core::{ErrorKind, Revision, Select, Store};

use crate::{
    case,
    ground::Ground,
    random::Random,
    work::{Found, Work},
};

/// How many rounds are played; the store goes on from one to the next.
const ROUNDS: usize = 250;
/// One is the beginning of another, so that ranges differ from keys.
const KEYS: [&str; 4] = ["a", "ab", "b", "ba"];

type State = BTreeMap<String, i64>;

/// What a transaction did and was answered.
#[derive(Clone, Debug)]
enum Step {
    Get(String, Option<i64>),
    Scan { prefix: &'static str, reverse: bool, limit: usize, found: Found },
    Count(&'static str, u64),
    Set(String, i64),
    Add(String, i64, i64),
    Delete(String),
}

impl Step {
    /// Whether `state` explains the answer; it becomes what the step makes of it.
    fn explained(&self, state: &mut State) -> bool {
        match self {
            Self::Get(key, found) => state.get(key) == found.as_ref(),
            Self::Scan { prefix, reverse, limit, found } => {
                let mut all: Found = state.iter().map(|(key, value)| (key.clone(), *value)).collect();
                all.retain(|(key, _)| key.starts_with(prefix));
                if *reverse {
                    all.reverse();
                }
                all.truncate(*limit);
                all == *found
            }
            Self::Count(prefix, found) => state.keys().filter(|key| key.starts_with(prefix)).count() as u64 == *found,
            Self::Set(key, value) => {
                state.insert(key.clone(), *value);
                true
            }
            Self::Add(key, delta, sum) => {
                let value = state.entry(key.clone()).or_default();
                *value += delta;
                *value == *sum
            }
            Self::Delete(key) => {
                state.remove(key);
                true
            }
        }
    }
}

/// What `state` is after `steps`, if it explains them.
fn replay(steps: &[Step], state: &State) -> Option<State> {
    let mut state = state.clone();
    steps.iter().all(|step| step.explained(&mut state)).then_some(state)
}

struct Player {
    work: Work,
    steps: Vec<Step>,
}

impl Player {
    fn step(&mut self, random: &mut Random, fresh: i64) {
        let key = random.pick(&KEYS);
        let prefix = random.pick(&["", "a", "ab", "b", "c"]);
        let step = match random.below(10) {
            0..3 => Step::Get(key.to_owned(), self.work.get(key)),
            3..5 => {
                let (reverse, limit) = (random.once_in(2), random.pick(&[1, 2, 9]));
                let select = Select::prefix(prefix).limit(limit);
                let found = self.work.scan(if reverse { select.reverse() } else { select });
                Step::Scan { prefix, reverse, limit, found }
            }
            5 => Step::Count(prefix, block_on(self.work.0.count(prefix)).expect("counts")),
            6 => {
                let sum = block_on(self.work.0.add(key, 1_000_000, i64::MIN..=i64::MAX)).expect("adds");
                Step::Add(key.to_owned(), 1_000_000, sum)
            }
            7 => {
                self.work.delete(key);
                Step::Delete(key.to_owned())
            }
            _ => {
                self.work.set(key, fresh);
                Step::Set(key.to_owned(), fresh)
            }
        };
        self.steps.push(step);
    }
}

/// What was there after every commit.
struct Past(BTreeMap<Revision, State>);

impl Past {
    fn at(&self, revision: Revision) -> &State {
        self.0.range(..=revision).next_back().expect("nothing comes before the beginning").1
    }
}

pub(super) fn g5_interleaved_transactions_happen_one_after_the_other(ground: &Ground) {
    let (stores, mut random) = ([ground.store(), ground.store()], Random::new(case::seed()));
    let mut past = Past(BTreeMap::from([(Revision::ZERO, State::new())]));
    let (mut happened, mut refused, mut fresh) = (0, 0, 0);
    for round in 0..ROUNDS {
        let place = format!("round {round} of LARDER_SEED={}", case::seed());
        let mut players: Vec<Player> = (0..3 + random.below(3)).map(|_| begin(&stores, &mut random)).collect();
        let mut left = 4 * players.len();
        while !players.is_empty() {
            let next = random.below(players.len() as u64) as usize;
            if left > 0 && !random.once_in(6) {
                left -= 1;
                fresh += 1;
                players[next].step(&mut random, fresh);
                continue;
            }
            let Player { work, steps } = players.swap_remove(next);
            // Whether it happens or not: what it read was there at one moment.
            if let Some(revision) = work.revision() {
                assert!(replay(&steps, past.at(revision)).is_some(), "{place}: two moments at {revision}: {steps:?}");
            }
            let head = *past.0.last_key_value().expect("a beginning").0;
            let receipt = match block_on(work.0.commit()) {
                Ok(receipt) => receipt,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{place}: {error}");
                    refused += 1;
                    continue;
                }
            };
            happened += 1;
            // What changed nothing is as of a moment that was; what changed something comes after everything else.
            let before = if receipt.revision > head { past.at(head) } else { past.at(receipt.revision) };
            let Some(after) = replay(&steps, before) else { panic!("{place}: {before:?} explains no {steps:?}") };
            if receipt.revision > head {
                past.0.insert(receipt.revision, after);
            } else {
                assert_eq!(after, *before, "{place}: it took no revision, and changed something");
            }
        }
        let there: State = Work::begin(&stores[1]).scan("").into_iter().collect();
        let (_, last) = past.0.last_key_value().expect("a beginning");
        assert_eq!(there, *last, "{place}: what is there in the end");
    }
    assert!(happened > ROUNDS && refused > ROUNDS / 4, "{happened} happened and {refused} did not: this proves nothing");
}

fn begin(stores: &[Store; 2], random: &mut Random) -> Player {
    Player { work: Work::begin(&stores[random.below(2) as usize]), steps: Vec::new() }
}
