//! Highlights: the part of an entry in which words were found, for people to look at.

use std::{collections::BTreeSet, ops::Range};

use super::look::{Eye, Finder};
use crate::{
    entry::Entry,
    query::{Json, Path, Root, Sight, Step, each},
};

/// About how many bytes of a text are shown.
const SHOWN_BYTES: usize = 160;
/// How many texts of an entry are shown at most.
const SHOWN_TEXTS: usize = 3;
/// So many places of a text are looked at to find the best part of it.
const SPOTS_MAX: usize = 1000;

/// A part of a text, and where in it words are that were looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// Where the text is.
    pub path: Path,
    /// The part of it, with `…` where it goes on.
    pub text: String,
    /// What was found in `text`, as ranges of its bytes, in order.
    pub marks: Vec<Range<usize>>,
}

impl Highlight {
    /// The text with `open` and `close` around what was found.
    pub fn marked(&self, open: &str, close: &str) -> String {
        let (mut marked, mut at) = (String::with_capacity(self.text.len()), 0);
        for mark in &self.marks {
            marked.extend([&self.text[at..mark.start], open, &self.text[mark.clone()], close]);
            at = mark.end;
        }
        marked + &self.text[at..]
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.len() + self.marks.len() * size_of::<Range<usize>>() + 64 * self.path.steps().len()
    }
}

/// Finds highlights.
#[derive(Debug)]
pub(crate) struct Marker(Finder);

/// A text in which something was found.
struct Found {
    highlight: Highlight,
    /// How many different phrases.
    phrases: usize,
}

/// A place in a text.
struct Spot {
    range: Range<usize>,
    phrase: usize,
}

impl Marker {
    pub(crate) fn new(finder: Finder) -> Self {
        Self(finder)
    }

    /// The texts of `entry` that hold most of what is looked for, those in front.
    pub(crate) fn mark(&mut self, entry: &Entry) -> Vec<Highlight> {
        let Self(Finder { paths, eye }) = self;
        let mut found: Vec<Found> = Vec::new();
        for path in paths.iter() {
            for (path, tree) in reached(entry, path) {
                walk(&path, &tree, &mut |path, text| {
                    let spots = spots(eye, text);
                    if spots.is_empty() || found.iter().any(|found| found.highlight.path == *path) {
                        return;
                    }
                    found.push(show(path, text, &spots));
                    found.sort_by_key(|found| std::cmp::Reverse(found.phrases));
                    found.truncate(SHOWN_TEXTS);
                });
            }
        }
        found.into_iter().map(|found| found.highlight).collect()
    }
}

/// What `path` reaches, each with its own path.
fn reached(entry: &Entry, path: &Path) -> Vec<(Path, Json)> {
    // From the root on, so that what `[]` reaches has its numbers.
    let root = match path.root() {
        Root::Value => Path::value(),
        Root::Metadata => Path::metadata(),
        Root::Key | Root::Version | Root::Created | Root::Updated => path.clone(),
    };
    let mut trees = Vec::new();
    each(entry, &root, &mut |sight: Sight<'_>| {
        trees.extend(sight.read());
        false
    });
    let mut found: Vec<(Path, Json)> = trees.into_iter().map(|tree| (root.clone(), tree)).collect();
    for step in path.steps() {
        found = found.into_iter().flat_map(|(path, tree)| inside(&path, tree, step)).collect();
    }
    found
}

/// Where `step` leads from `tree`.
fn inside(path: &Path, tree: Json, step: &Step) -> Vec<(Path, Json)> {
    let of = |(name, value): (String, Json)| (path.then(name), value);
    let wanted = |at: usize| *step == Step::Each || step.index() == Some(at);
    match (tree, step) {
        (Json::Array(items), _) => {
            let items = items.into_iter().enumerate().filter(|(at, _)| wanted(*at));
            items.map(|(at, item)| of((at.to_string(), item))).collect()
        }
        (Json::Object(mut fields), Step::Name(name)) => fields.remove_entry(name).map(of).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn walk(path: &Path, tree: &Json, visit: &mut dyn FnMut(&Path, &str)) {
    match tree {
        Json::Text(text) => visit(path, text),
        Json::Array(items) => items.iter().enumerate().for_each(|(at, item)| walk(&path.then(at.to_string()), item, visit)),
        Json::Object(fields) => fields.iter().for_each(|(name, field)| walk(&path.then(name.clone()), field, visit)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Where phrases are in `text`.
fn spots(eye: &mut Eye, text: &str) -> Vec<Spot> {
    let (mut starts, mut ended) = (Vec::new(), Vec::new());
    eye.begin();
    eye.read(text, &mut |range, phrases| {
        starts.push(range.start);
        ended.extend(phrases.iter().map(|phrase| (starts.len(), range.end, *phrase)));
    });
    let spot = |(words, end, phrase): (usize, usize, usize)| {
        let start = starts[words - eye.wanted(phrase)?];
        // Whatever stands between the words of a phrase, no more is shown than fits.
        Some(Spot { range: start..end.min(text.floor_char_boundary(start + SHOWN_BYTES)), phrase })
    };
    let mut spots: Vec<Spot> = ended.into_iter().filter_map(spot).collect();
    spots.sort_by_key(|spot| (spot.range.start, spot.range.end));
    spots.truncate(SPOTS_MAX);
    spots
}

/// The part of `text` that holds most different phrases, the first of those.
fn show(path: &Path, text: &str, spots: &[Spot]) -> Found {
    let different = |spots: &[Spot]| spots.iter().map(|spot| spot.phrase).collect::<BTreeSet<_>>().len();
    let (mut best, mut most) = (0, 0);
    for (first, spot) in spots.iter().enumerate() {
        let fits = |other: &&Spot| other.range.end <= spot.range.start + SHOWN_BYTES;
        let count = different(&spots[first..first + spots[first..].iter().take_while(fits).count().max(1)]);
        if count > most {
            (best, most) = (first, count);
        }
    }
    let part = part(text, &spots[best].range);
    let front = if part.start > 0 { "…" } else { "" };
    let mut marks: Vec<Range<usize>> = Vec::new();
    for Spot { range, .. } in spots.iter().filter(|spot| part.start <= spot.range.start && spot.range.end <= part.end) {
        let mark = range.start - part.start + front.len()..range.end - part.start + front.len();
        match marks.last_mut() {
            Some(last) if mark.start <= last.end => last.end = last.end.max(mark.end),
            _ => marks.push(mark),
        }
    }
    let shown = format!("{front}{}{}", &text[part.clone()], if part.end < text.len() { "…" } else { "" });
    Found { highlight: Highlight { path: path.clone(), text: shown, marks }, phrases: different(spots) }
}

/// What of `text` is shown around `first`: a little before it, and more behind it, cut between words.
fn part(text: &str, first: &Range<usize>) -> Range<usize> {
    let blank = |at: usize| text[at..].chars().next().is_none_or(char::is_whitespace);
    let mut start = text.floor_char_boundary(first.start.saturating_sub(SHOWN_BYTES / 4));
    if text.len() <= SHOWN_BYTES {
        start = 0;
    }
    if start > 0 {
        start =
            text[start..first.start].find(char::is_whitespace).map_or(start, |gap| text.ceil_char_boundary(start + gap + 1));
    }
    let mut end = text.floor_char_boundary((start + SHOWN_BYTES).max(first.end).min(text.len()));
    if !blank(end) {
        end = text[first.end..end].rfind(char::is_whitespace).map_or(end, |gap| first.end + gap);
    }
    start..end.max(first.end)
}
