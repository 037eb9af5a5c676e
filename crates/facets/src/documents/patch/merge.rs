//! Merging, as RFC 7386 says: an object is laid over an object field by field, `null` takes a field away, and anything else
//! is put in the place of what was there.

use std::collections::HashMap;

use super::tree::{Field, Tree};

/// `patch` laid over `target`; fields that stay keep their place, new ones come last.
pub(super) fn merge<'a>(target: Tree<'a>, patch: Tree<'a>) -> Tree<'a> {
    let Tree::Object(changes) = patch else { return patch };
    let Tree::Object(fields) = target else { return merge(Tree::Object(Vec::new()), Tree::Object(changes)) };
    // By name, because an object may have as many fields as a value has room for, and so may a patch.
    let places: HashMap<_, _> = fields.iter().enumerate().map(|(place, field)| (field.name.clone(), place)).collect();
    let mut fields: Vec<Option<Field<'a>>> = fields.into_iter().map(Some).collect();
    for Field { name, value } in changes {
        let place = places.get(&name).copied();
        let before = place.and_then(|place| fields[place].take()).map_or(Tree::NULL, |field| field.value);
        if value.is_null() {
            continue;
        }
        let field = Some(Field { name, value: merge(before, value) });
        match place {
            Some(place) => fields[place] = field,
            None => fields.push(field),
        }
    }
    Tree::Object(fields.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7386, appendix A.
    #[test]
    fn merging_is_as_the_rfc_says() {
        for (target, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"x":1.50,"y":{"z":1e2},"w":0}"#, r#"{"y":{"v":2.0}}"#, r#"{"x":1.50,"y":{"z":1e2,"v":2.0},"w":0}"#),
        ] {
            let tree = |text: &'static str| Tree::parse(text.as_bytes()).expect("JSON");
            assert_eq!(merge(tree(target), tree(patch)).write(), expected, "{target} with {patch}");
        }
    }
}
