//! Operations, as RFC 6902 says: `add`, `remove`, `replace`, `move`, `copy` and `test`, one after the other, all or nothing.

use std::borrow::Cow;

use larder_core::{Error, ErrorKind, Limits, Result, json::DEPTH_MAX};

use super::{
    pointer::{Pointer, index},
    tree::{Field, Tree},
};

/// How many operations a patch has at most: each may have to go through all of a document.
pub(super) const OPERATIONS_MAX: usize = 1000;

/// What one operation asks for.
#[derive(Debug)]
enum Operation<'a> {
    Add(Pointer<'a>, Tree<'a>),
    Remove(Pointer<'a>),
    Replace(Pointer<'a>, Tree<'a>),
    Move { from: Pointer<'a>, to: Pointer<'a> },
    Copy { from: Pointer<'a>, to: Pointer<'a> },
    Test(Pointer<'a>, Tree<'a>),
}

/// The texts that pointers are borrowed from, which have to outlive them.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    name: Cow<'a, str>,
    path: Cow<'a, str>,
    from: Option<Cow<'a, str>>,
    value: Option<Tree<'a>>,
}

/// Reads a list of operations as far as their form goes.
///
/// # Errors
/// `Invalid` for what is no list of operations, `Limit` for one that is too long.
pub(super) fn read(patch: Tree<'_>) -> Result<Vec<Texts<'_>>> {
    let Tree::Array(items) = patch else {
        return Err(Error::invalid("a patch of operations is an array of objects, and this is something else"));
    };
    if items.len() > OPERATIONS_MAX {
        return Err(Error::limit(format!("{} operations are too many: at most {OPERATIONS_MAX} are allowed", items.len())));
    }
    items.into_iter().enumerate().map(|(place, item)| texts(item).map_err(|error| at(place, error))).collect()
}

fn texts(item: Tree<'_>) -> Result<Texts<'_>> {
    let text = |name: &str| item.field(name).and_then(Tree::as_text);
    let missing = |name: &str| Error::invalid(format!("an operation has a text called {name:?}"));
    let texts = Texts {
        name: text("op").ok_or_else(|| missing("op"))?,
        path: text("path").ok_or_else(|| missing("path"))?,
        from: text("from"),
        value: item.field("value").cloned(),
    };
    operation(&texts)?;
    Ok(texts)
}

fn operation<'t>(texts: &'t Texts<'_>) -> Result<Operation<'t>> {
    let path = Pointer::parse(&texts.path)?;
    let name = &*texts.name;
    let value = || texts.value.clone().ok_or_else(|| Error::invalid(format!("{name:?} needs a \"value\"")));
    let from = || {
        let from = texts.from.as_deref().ok_or_else(|| Error::invalid(format!("{name:?} needs a text called \"from\"")))?;
        Pointer::parse(from)
    };
    Ok(match name {
        "add" => Operation::Add(path, value()?),
        "remove" => Operation::Remove(path),
        "replace" => Operation::Replace(path, value()?),
        "move" => {
            let from = from()?;
            if path.is_inside(&from) {
                return Err(Error::invalid("nothing can be moved into itself"));
            }
            Operation::Move { from, to: path }
        }
        "copy" => Operation::Copy { from: from()?, to: path },
        "test" => Operation::Test(path, value()?),
        _ => return Err(Error::invalid(format!("there is no operation {name:?}: add, remove, replace, move, copy, test"))),
    })
}

/// What `operations` make of `document`.
///
/// # Errors
/// `InvalidState` when a place is not there; `Conflict` when a `test` finds something else; `Limit` when the document would
/// grow too large or too deep.
pub(super) fn apply<'a>(document: Tree<'a>, operations: &'a [Texts<'_>]) -> Result<Tree<'a>> {
    let mut document = document;
    let mut grown = document.bytes();
    for (place, texts) in operations.iter().enumerate() {
        operation(texts)
            .and_then(|operation| step(&mut document, operation, &mut grown))
            .map_err(|error| at(place, error))?;
    }
    Ok(document)
}

/// Says which operation it was.
fn at(place: usize, error: Error) -> Error {
    let (kind, message) = (error.kind(), format!("operation {}: {}", place + 1, error.message()));
    error.as_kind(kind, message)
}

fn step<'a>(document: &mut Tree<'a>, operation: Operation<'a>, grown: &mut usize) -> Result<()> {
    match operation {
        Operation::Add(path, value) => add(document, &path, value, grown),
        Operation::Remove(path) => remove(document, &path).map(drop),
        Operation::Replace(path, value) => {
            fits(&path, &value, grown)?;
            *find(document, path.steps()).ok_or_else(absent)? = value;
            Ok(())
        }
        Operation::Move { from, to } if from == to => find(document, from.steps()).map(drop).ok_or_else(absent),
        Operation::Move { from, to } => {
            let value = remove(document, &from)?;
            *grown -= value.bytes().min(*grown);
            add(document, &to, value, grown)
        }
        Operation::Copy { from, to } => {
            let found = find(document, from.steps()).ok_or_else(absent)?;
            // Before there are two of it: a copy of everything, time and again, would grow without end.
            fits(&to, found, &mut grown.clone())?;
            let value = found.clone();
            add(document, &to, value, grown)
        }
        Operation::Test(path, value) => {
            if find(document, path.steps()).is_some_and(|found| found.equals(&value)) {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Conflict, "the test fails: what is there is not what was expected"))
        }
    }
}

/// Makes sure that `value` can stand at `path`, and counts what it adds.
fn fits(path: &Pointer<'_>, value: &Tree<'_>, grown: &mut usize) -> Result<()> {
    let (deep, most) = (path.steps().len() + value.depth(), Limits::FLOOR.value_bytes);
    if deep > DEPTH_MAX {
        return Err(Error::limit(format!("the document would be nested deeper than {DEPTH_MAX} levels")));
    }
    *grown = grown.saturating_add(value.bytes());
    // What is taken away or replaced counts on, so there is room to spare.
    if *grown > 8 * most {
        return Err(Error::limit(format!("the document would outgrow {most} bytes by far")));
    }
    Ok(())
}

fn add<'a>(document: &mut Tree<'a>, path: &Pointer<'a>, value: Tree<'a>, grown: &mut usize) -> Result<()> {
    fits(path, &value, grown)?;
    let Some((around, last)) = path.split() else {
        *document = value;
        return Ok(());
    };
    match find(document, around).ok_or_else(absent)? {
        Tree::Array(items) => {
            let place = if last == "-" { Some(items.len()) } else { index(last) };
            let place = place.filter(|place| *place <= items.len()).ok_or_else(absent)?;
            items.insert(place, value);
        }
        Tree::Object(fields) => match fields.iter_mut().find(|field| field.name == *last) {
            Some(field) => field.value = value,
            None => fields.push(Field { name: last.clone(), value }),
        },
        Tree::Scalar(_) => return Err(absent()),
    }
    Ok(())
}

fn remove<'a>(document: &mut Tree<'a>, path: &Pointer<'_>) -> Result<Tree<'a>> {
    let Some((around, last)) = path.split() else {
        return Err(Error::new(
            ErrorKind::InvalidState,
            "the whole document cannot be taken out of itself: delete it instead",
        ));
    };
    match find(document, around).ok_or_else(absent)? {
        Tree::Array(items) => {
            let place = index(last).filter(|place| *place < items.len()).ok_or_else(absent)?;
            Ok(items.remove(place))
        }
        Tree::Object(fields) => {
            let place = fields.iter().position(|field| field.name == *last).ok_or_else(absent)?;
            Ok(fields.remove(place).value)
        }
        Tree::Scalar(_) => Err(absent()),
    }
}

fn find<'t, 'a>(document: &'t mut Tree<'a>, steps: &[Cow<'_, str>]) -> Option<&'t mut Tree<'a>> {
    steps.iter().try_fold(document, |tree, step| match tree {
        Tree::Array(items) => index(step).and_then(|place| items.get_mut(place)),
        Tree::Object(fields) => fields.iter_mut().find(|field| field.name == *step).map(|field| &mut field.value),
        Tree::Scalar(_) => None,
    })
}

fn absent() -> Error {
    Error::new(ErrorKind::InvalidState, "there is no such place in the document")
}
