//! Documents, indexes and questions by chance.
//!
//! A history has few different values, so that documents have the same ones, filters let some through, and sorts have ties;
//! which ones they are is drawn from all that databases take for each other.

use larder_core::{
    Aggregate, Filter, Index, Query, Question, Sort,
    query::{By, Condition, Json, Measure, Path, Root, Test},
};

use super::scene::{Ask, Deed, Document};
use crate::random::Random;

/// Values of every kind; with those that are nearly the same, and texts that a term has no room for.
const VALUES: [&str; 42] = [
    "null",
    "true",
    "false",
    "0",
    "-0.0",
    "1",
    "1.0",
    "-1",
    "0.5",
    "2",
    "10",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "-9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e300",
    "-5e-324",
    "\"\"",
    "\"\\u0000\"",
    "\"a\"",
    "\"a\\u0000\"",
    "\"a\\u0000b\"",
    "\"ab\"",
    "\"A\"",
    "\"a%\"",
    "\"1\"",
    "\"\u{e4}\u{1f980}\"",
    "[]",
    "[1]",
    "[\"a\",\"a\\u0000\"]",
    "[[1],null]",
    "{}",
    "{\"a\":1}",
    "{\"a\":1,\"b\":null}",
    "LONG",
    "LONGER",
];

const PATHS: [&str; 15] = [
    "a",
    "b",
    "c.d",
    "tags[]",
    "tags.0",
    "list[].x",
    "$value",
    "tags",
    "c",
    "nowhere",
    "$meta.m",
    "$meta.tags[]",
    "$version",
    "$updated",
    "$created",
];

/// With prefixes of each other, and in an order of their own.
const PREFIXES: [&str; 4] = ["", "k/", "m", "k/1"];

/// Values of which documents and questions of one history are made.
pub(super) struct Palette {
    values: Vec<String>,
    /// How many keys there are with each beginning.
    keys: u64,
    /// On what there are indexes: most questions are about that.
    indexed: Vec<Path>,
}

/// Text that is longer than a term, and ends with what tells it from others.
fn long(tail: &str) -> String {
    format!("\"{}{tail}\"", "x".repeat(1100))
}

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes()).expect("what is drawn is JSON")
}

impl Palette {
    pub(super) fn draw(random: &mut Random) -> Self {
        let window = 7;
        // Of half of the histories the values are all nearly the same: those that stand together above.
        let first = if random.once_in(2) { Some(random.below((VALUES.len() - window) as u64) as usize) } else { None };
        let value =
            |random: &mut Random| match random.pick(first.map_or(&VALUES[..], |first| &VALUES[first..first + window])) {
                "LONG" => long("a"),
                "LONGER" => long("b"),
                value => value.to_owned(),
            };
        let values = (0..2 + random.below(8)).map(|_| value(random)).collect();
        Self { values, keys: random.pick(&[4, 24, 50]), indexed: Vec::new() }
    }

    fn key(&self, random: &mut Random) -> String {
        format!("{}{}", random.pick(&["k/", "m", "z/"]), random.below(self.keys))
    }

    fn value(&self, random: &mut Random) -> String {
        random.pick(&self.values)
    }

    /// An array of a few values, now and then with one in it twice.
    fn values(&self, random: &mut Random) -> String {
        let values: Vec<String> = (0..random.below(4)).map(|_| self.value(random)).collect();
        format!("[{}]", values.join(","))
    }

    pub(super) fn deed(&self, random: &mut Random) -> Deed {
        let key = self.key(random);
        let document = (!random.once_in(6)).then(|| self.document(random));
        Deed { key, document }
    }

    fn document(&self, random: &mut Random) -> Document {
        let mut fields = Vec::new();
        for (name, odds) in [("a", 8), ("b", 6)] {
            if random.below(10) < odds {
                fields.push(format!("\"{name}\":{}", self.value(random)));
            }
        }
        if random.once_in(2) {
            fields.push(format!("\"c\":{{\"d\" : {}}}", self.value(random)));
        }
        if random.once_in(2) {
            fields.push(format!("\"tags\":{}", self.values(random)));
        }
        if random.once_in(3) {
            let elements: Vec<String> = (0..random.below(4)).map(|_| format!("{{\"x\":{}}}", self.value(random))).collect();
            fields.push(format!("\"list\":[{}]", elements.join(", ")));
        }
        let text = match random.below(12) {
            0 => self.value(random),
            1 => self.values(random),
            _ => format!("{{{}}}", fields.join(",")),
        };
        let metadata = match random.below(4) {
            0 => format!("{{\"m\":{}}}", self.value(random)),
            1 => format!("{{\"tags\":{},\"m\":1}}", self.values(random)),
            _ => "{}".to_owned(),
        };
        let ttl = random.once_in(6).then(|| 1 + random.below(20));
        Document { text, opaque: random.once_in(12), metadata, ttl }
    }

    /// From now on there is such an index.
    pub(super) fn with_index(&mut self, index: &Index) {
        self.indexed.extend_from_slice(index.paths());
    }

    fn path(&self, random: &mut Random) -> Path {
        if !self.indexed.is_empty() && !random.once_in(3) {
            return random.pick(&self.indexed);
        }
        // The first ones more often: they are in most documents.
        let most = if random.once_in(2) { 4 } else { PATHS.len() as u64 };
        Path::parse(PATHS[random.below(most) as usize]).expect("a path")
    }

    fn one_place(&self, random: &mut Random) -> Path {
        loop {
            let path = self.path(random);
            if !path.is_many() {
                return path;
            }
        }
    }

    pub(super) fn index(&self, random: &mut Random) -> Index {
        loop {
            let paths = (0..1 + random.below(3)).map(|_| self.path(random));
            if let Ok(index) = Index::over(paths) {
                return if random.once_in(5) { index.unique() } else { index };
            }
        }
    }

    fn condition(&self, random: &mut Random) -> Filter {
        loop {
            let path = if random.once_in(14) { Path::key() } else { self.path(random) };
            let value = |random: &mut Random| match path.root() {
                Root::Key => Json::Text(self.key(random)),
                Root::Version => parse(&random.below(4).to_string()),
                Root::Created | Root::Updated => Json::Text(format!("2023-11-14T22:13:{:02}.000Z", 20 + random.below(30))),
                _ if random.once_in(10) => parse(&self.values(random)),
                _ => parse(&self.value(random)),
            };
            let some = |random: &mut Random| (0..random.below(4)).map(|_| value(random)).collect::<Vec<_>>();
            let text = |random: &mut Random| match value(random) {
                Json::Text(text) => text.chars().take(1 + random.below(2) as usize).collect(),
                _ => "a".to_owned(),
            };
            let test = match random.below(16) {
                0..=3 => Test::Eq(value(random)),
                4 => Test::Ne(value(random)),
                5 => Test::Gt(value(random)),
                6 => Test::Gte(value(random)),
                7 => Test::Lt(value(random)),
                8 => Test::Lte(value(random)),
                9 | 10 => Test::In(some(random)),
                11 => Test::Nin(some(random)),
                12 => Test::Contains(value(random)),
                13 => Test::StartsWith(text(random)),
                14 => Test::EndsWith(text(random)),
                _ => Test::Exists(random.once_in(2)),
            };
            if let Ok(condition) = Condition::new(path, test) {
                return Filter::condition(condition);
            }
        }
    }

    fn filter(&self, random: &mut Random, depth: u64) -> Filter {
        let some = |random: &mut Random| {
            let count = 1 + random.below(3);
            (0..count).map(|_| self.filter(random, depth + 1)).collect::<Vec<_>>()
        };
        match random.below(8 + 4 * depth) {
            0..=2 => Filter::all(some(random)),
            3 => Filter::any(some(random)),
            4 => !self.filter(random, depth + 1),
            5 if depth == 0 => Filter::everything(),
            _ => self.condition(random),
        }
    }

    fn sort(&self, random: &mut Random) -> Sort {
        (0..random.below(4).min(2)).fold(Sort::by_key(), |sort, _| {
            let path = if random.once_in(12) { Path::key() } else { self.one_place(random) };
            sort.then(By { path, descending: random.once_in(2) }).expect("it reaches one place")
        })
    }

    pub(super) fn ask(&self, random: &mut Random) -> Ask {
        let filter = self.filter(random, 0);
        let limit = (!random.once_in(3)).then(|| random.pick(&[0, 1, 1, 2, 3, 5, 10, 100]));
        let question = if random.once_in(4) {
            let path = self.path(random);
            let measure = match random.below(6) {
                0 => Measure::Count,
                1 => Measure::Distinct(path),
                2 => Measure::Min(path),
                3 => Measure::Max(path),
                4 => Measure::Sum(path),
                _ => Measure::Group(path),
            };
            Question::Aggregate(Aggregate { filter, measure, limit })
        } else {
            let offset = if random.once_in(4) { random.below(5) as usize } else { 0 };
            let query = Query { filter, sort: self.sort(random), limit, offset, after: None };
            if random.once_in(8) {
                Question::Fields(query, vec![self.path(random), self.path(random)])
            } else {
                Question::Entries(query)
            }
        };
        let meanwhile =
            if random.once_in(3) { (0..1 + random.below(8)).map(|_| self.deed(random)).collect() } else { Vec::new() };
        Ask {
            question,
            prefix: if random.once_in(4) { random.pick(&PREFIXES) } else { "" },
            then: random.once_in(3).then(|| random.below(8) as usize),
            behind: random.once_in(5).then(|| random.below(12) as usize),
            on: random.once_in(2),
            meanwhile,
        }
    }
}

/// The same question with another filter.
pub(super) fn with_filter(question: &Question, filter: Filter) -> Question {
    match question.clone() {
        Question::Entries(query) => Question::Entries(Query { filter, ..query }),
        Question::Fields(query, fields) => Question::Fields(Query { filter, ..query }, fields),
        Question::Aggregate(aggregate) => Question::Aggregate(Aggregate { filter, ..aggregate }),
    }
}
