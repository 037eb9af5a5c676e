//! What happens in a history, as data that can be told, and shortened.

use std::fmt;

use larder_core::{Filter, Index, Query, Question, query::Node};

use super::draw::{self, Palette};
use crate::random::Random;

/// A history: what happens, in order.
#[derive(Clone, Debug)]
pub(super) struct Scene(pub(super) Vec<Act>);

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A commit.
    Write(Vec<Deed>),
    Create(Index),
    Drop(Index),
    /// Somebody notes the moment, to ask about it later.
    Look,
    /// Time goes by, so many seconds.
    Wait(u64),
    Ask(Box<Ask>),
}

/// A write.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) key: String,
    /// What it becomes; `None` deletes it.
    pub(super) document: Option<Document>,
}

#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) text: String,
    /// As bytes that are nobody's business.
    pub(super) opaque: bool,
    /// A JSON object.
    pub(super) metadata: String,
    /// After how many seconds it expires.
    pub(super) ttl: Option<u64>,
}

/// A question, and how it is asked.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) question: Question,
    /// Through a handle that sees these keys alone.
    pub(super) prefix: &'static str,
    /// Of a moment that was noted, if there is one: which, counted around.
    pub(super) then: Option<usize>,
    /// Behind the entry with this number in the same order, whatever the filter says of it.
    pub(super) behind: Option<usize>,
    /// Goes on after the first page, as long as there is more.
    pub(super) on: bool,
    /// What happens meanwhile: between two pieces of an index, and between two pages.
    pub(super) meanwhile: Vec<Deed>,
}

/// How many index sets there are in a history, and how often is asked with each.
const ROUNDS: usize = 2;
const ASKS: usize = 10;

impl Scene {
    pub(super) fn draw(random: &mut Random) -> Self {
        let mut palette = Palette::draw(random);
        let mut acts = Vec::new();
        for _ in 0..1 + random.below(6) {
            acts.push(Act::Write((0..1 + random.below(24)).map(|_| palette.deed(random)).collect()));
        }
        let mut indexes: Vec<Index> = Vec::new();
        for _ in 0..ROUNDS {
            for _ in 0..1 + random.below(4) {
                if !indexes.is_empty() && random.once_in(4) {
                    acts.push(Act::Drop(random.pick(&indexes)));
                }
                let index =
                    if !indexes.is_empty() && random.once_in(5) { random.pick(&indexes) } else { palette.index(random) };
                palette.with_index(&index);
                indexes.push(index.clone());
                acts.push(Act::Create(index));
            }
            for _ in 0..ASKS {
                match random.below(6) {
                    0 => acts.push(Act::Look),
                    1 => acts.push(Act::Wait(random.below(8))),
                    2 | 3 => acts.push(Act::Write((0..1 + random.below(4)).map(|_| palette.deed(random)).collect())),
                    _ => {}
                }
                acts.push(Act::Ask(Box::new(palette.ask(random))));
            }
        }
        Self(acts)
    }

    /// Of how many pieces it is made: acts, and the writes in them.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(Act::size).sum()
    }

    /// The same without `count` pieces from this one on.
    pub(super) fn without(&self, start: usize, count: usize) -> Self {
        let gone = start..start + count;
        let mut at = 0;
        let mut acts = Vec::new();
        for act in &self.0 {
            let mut act = act.clone();
            let first = at;
            at += act.size();
            let mut piece = first;
            let mut stays = |_: &Deed| {
                piece += 1;
                !gone.contains(&(piece - 1))
            };
            match &mut act {
                Act::Write(deeds) => {
                    deeds.retain(&mut stays);
                    if deeds.is_empty() {
                        continue;
                    }
                }
                Act::Ask(ask) => {
                    ask.meanwhile.retain(&mut stays);
                    if gone.contains(&piece) {
                        continue;
                    }
                }
                _ if gone.contains(&first) => continue,
                _ => {}
            }
            acts.push(act);
        }
        Self(acts)
    }

    /// The same with one question asked more simply, in every way there is.
    pub(super) fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for (at, act) in self.0.iter().enumerate() {
            let Act::Ask(ask) = act else { continue };
            for simpler in ask.simpler() {
                let mut acts = self.0.clone();
                acts[at] = Act::Ask(Box::new(simpler));
                all.push(Self(acts));
            }
        }
        all
    }
}

impl Act {
    fn size(&self) -> usize {
        match self {
            Self::Write(deeds) => deeds.len(),
            Self::Ask(ask) => 1 + ask.meanwhile.len(),
            _ => 1,
        }
    }
}

impl Ask {
    fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut push = |ask: Self| all.push(ask);
        if !self.prefix.is_empty() {
            push(Self { prefix: "", ..self.clone() });
        }
        if self.then.is_some() {
            push(Self { then: None, ..self.clone() });
        }
        if self.behind.is_some() {
            push(Self { behind: None, ..self.clone() });
        }
        if self.on {
            push(Self { on: false, ..self.clone() });
        }
        let (filter, rest) = match &self.question {
            Question::Entries(query) => (&query.filter, Some(query)),
            Question::Fields(query, _) => {
                push(Self { question: Question::Entries(query.clone()), ..self.clone() });
                (&query.filter, Some(query))
            }
            Question::Aggregate(aggregate) => (&aggregate.filter, None),
        };
        let parts: Vec<Filter> = match filter.node() {
            Node::All(filters) | Node::Any(filters) => {
                let without = |gone: usize| {
                    let left = filters.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, filter)| filter.clone());
                    if matches!(filter.node(), Node::All(_)) { Filter::all(left) } else { Filter::any(left) }
                };
                filters.iter().cloned().chain((0..filters.len()).map(without)).collect()
            }
            Node::Not(filter) => vec![(**filter).clone()],
            Node::Condition(_) | Node::Wrong(_) => Vec::new(),
        };
        let parts: Vec<Filter> = parts.into_iter().filter(|part| part != filter).collect();
        let with = |query: Query| Self { question: Question::Entries(query), ..self.clone() };
        for filter in parts {
            let question = draw::with_filter(&self.question, filter);
            push(Self { question, ..self.clone() });
        }
        if let (Some(query), Question::Entries(_)) = (rest, &self.question) {
            if query.offset > 0 {
                push(with(Query { offset: 0, ..query.clone() }));
            }
            if query.limit.is_some() {
                push(with(Query { limit: None, ..query.clone() }));
            }
            if !query.sort.parts().is_empty() {
                push(with(Query { sort: larder_core::Sort::by_key(), ..query.clone() }));
            }
        }
        all
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, act) in self.0.iter().enumerate() {
            writeln!(f, "{:>3} {act}", n + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(deeds) => write!(f, "write{}", Deeds(deeds)),
            Self::Create(index) => write!(f, "create the index on {index}"),
            Self::Drop(index) => write!(f, "drop the index on {index}"),
            Self::Look => f.write_str("note the moment"),
            Self::Wait(seconds) => write!(f, "wait for {seconds} seconds"),
            Self::Ask(ask) => {
                let Ask { question, prefix, then, behind, on, meanwhile } = &**ask;
                write!(f, "ask {}", question.to_json())?;
                let prefixed = if prefix.is_empty() { String::new() } else { format!("; keys that begin with {prefix:?}") };
                f.write_str(&prefixed)?;
                f.write_str(&then.map_or_else(String::new, |then| format!("; of the moment {then}")))?;
                f.write_str(&behind.map_or_else(String::new, |behind| format!("; behind the entry {behind}")))?;
                f.write_str(if *on { "; page by page" } else { "" })?;
                if meanwhile.is_empty() { Ok(()) } else { write!(f, "; meanwhile{}", Deeds(meanwhile)) }
            }
        }
    }
}

struct Deeds<'a>(&'a [Deed]);

impl fmt::Display for Deeds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Deed { key, document } in self.0 {
            match document {
                None => write!(f, " -{key}")?,
                Some(Document { text, opaque, metadata, ttl }) => {
                    let short = if text.len() > 200 {
                        format!("{}...", &text[..text.floor_char_boundary(200)])
                    } else {
                        text.clone()
                    };
                    write!(
                        f,
                        " {key}={}{short}{}",
                        if *opaque { "bytes " } else { "" },
                        if metadata == "{}" { String::new() } else { format!(" $meta {metadata}") }
                    )?;
                    f.write_str(&ttl.map_or_else(String::new, |ttl| format!(" for {ttl} s")))?;
                }
            }
        }
        Ok(())
    }
}
