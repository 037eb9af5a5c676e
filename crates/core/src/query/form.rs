//! The JSON form of filters and questions.
//!
//! Faults are told by place, as in `all[1].operator`, and by what was expected there.

use std::collections::BTreeMap;

use super::{
    aggregate::{Aggregate, Measure},
    condition::{Condition, Test},
    filter::{Filter, Node},
    json::{self, Json},
    page::{Cursor, Query},
    path::Path,
    question::Question,
    sort::{By, Sort},
};
use crate::error::{Error, ErrorKind, Result};

type Fields = BTreeMap<String, Json>;

/// The members of a question.
const QUESTION: [&str; 12] =
    ["filter", "sort", "limit", "offset", "after", "fields", "count", "distinct", "min", "max", "sum", "group"];

pub(super) fn filter(text: &[u8]) -> Result<Filter> {
    let filter = read_filter(&read(text)?, &Place::Root)?;
    filter.check()?;
    Ok(filter)
}

pub(super) fn question(text: &[u8]) -> Result<Question> {
    let json = read(text)?;
    let question = match &json {
        Json::Object(fields) if fields.keys().any(|name| QUESTION.contains(&name.as_str())) => read_question(fields)?,
        filter => Question::Entries(Query::new(read_filter(filter, &Place::Root)?)),
    };
    match &question {
        Question::Entries(query) | Question::Fields(query, _) => query.filter.check()?,
        Question::Aggregate(aggregate) => aggregate.filter.check()?,
    }
    Ok(question)
}

fn read(text: &[u8]) -> Result<Json> {
    if text.len() > Filter::MAX_BYTES {
        let (found, most) = (text.len(), Filter::MAX_BYTES);
        return Err(Error::limit(format!("a filter of {found} bytes is too long: at most {most} are allowed")));
    }
    let depth = json::depth(text);
    if depth > crate::json::DEPTH_MAX {
        let most = crate::json::DEPTH_MAX;
        return Err(Error::limit(format!("a filter nested {depth} levels deep is too deep: at most {most}")));
    }
    Json::parse(text)
}

/// Where in the document something stands.
enum Place<'a> {
    Root,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn write(&self, to: &mut String) {
        match self {
            Self::Root => {}
            Self::Member(place, name) => {
                place.write(to);
                to.push_str(if to.is_empty() { "" } else { "." });
                to.push_str(name);
            }
            Self::Item(place, index) => {
                place.write(to);
                to.push_str(&format!("[{index}]"));
            }
        }
    }

    fn fault(&self, message: impl std::fmt::Display) -> Error {
        self.error(ErrorKind::Invalid, message)
    }

    fn error(&self, kind: ErrorKind, message: impl std::fmt::Display) -> Error {
        let mut place = String::new();
        self.write(&mut place);
        let place = if place.is_empty() { "the top".to_owned() } else { place };
        Error::new(kind, format!("in a filter, at {place}: {message}"))
    }
}

fn read_filter(json: &Json, place: &Place<'_>) -> Result<Filter> {
    match json {
        Json::Array(items) => Ok(Filter::all(read_filters(items, place)?)),
        Json::Object(fields) if fields.contains_key("field") => read_condition(fields, place),
        Json::Object(fields) if fields.len() == 1 => match fields.first_key_value() {
            Some((name, Json::Array(items))) if name == "all" => {
                Ok(Filter::all(read_filters(items, &Place::Member(place, "all"))?))
            }
            Some((name, Json::Array(items))) if name == "any" => {
                Ok(Filter::any(read_filters(items, &Place::Member(place, "any"))?))
            }
            Some((name, _)) if name == "all" || name == "any" => {
                Err(Place::Member(place, name).fault("expected an array of filters"))
            }
            Some((name, inside)) if name == "not" => Ok(!read_filter(inside, &Place::Member(place, "not"))?),
            _ => Err(expected_filter(place)),
        },
        _ => Err(expected_filter(place)),
    }
}

fn expected_filter(place: &Place<'_>) -> Error {
    place.fault(
        "expected a condition with \"field\", \"operator\" and \"value\", or \"all\", \"any\" or \"not\", or an array",
    )
}

fn read_filters(items: &[Json], place: &Place<'_>) -> Result<Vec<Filter>> {
    items.iter().enumerate().map(|(index, item)| read_filter(item, &Place::Item(place, index))).collect()
}

fn read_condition(fields: &Fields, place: &Place<'_>) -> Result<Filter> {
    if let Some(name) = fields.keys().find(|name| !["field", "operator", "value"].contains(&name.as_str())) {
        return Err(
            place.fault(format_args!("{name:?} is no part of a condition: expected \"field\", \"operator\", \"value\""))
        );
    }
    let path = read_path(fields.get("field"), &Place::Member(place, "field"))?;
    let operator = Place::Member(place, "operator");
    let Some(Json::Text(name)) = fields.get("operator") else {
        return Err(operator.fault(format_args!("expected one of {}", Test::OPERATORS.join(", "))));
    };
    let value = match fields.get("value") {
        Some(value) => value.clone(),
        None if name == "exists" => Json::Bool(true),
        None if !Test::OPERATORS.contains(&name.as_str()) => Json::Null,
        None => return Err(place.fault("expected a \"value\"")),
    };
    let known = Test::OPERATORS.contains(&name.as_str());
    let wrong = if known { Place::Member(place, "value") } else { operator };
    let test = Test::named(name, value).map_err(|expected| wrong.fault(format_args!("expected {expected}")))?;
    let condition = Condition::new(path, test).map_err(|error| wrong.error(error.kind(), error))?;
    Ok(Filter::condition(condition))
}

fn read_path(json: Option<&Json>, place: &Place<'_>) -> Result<Path> {
    let Some(Json::Text(text)) = json else { return Err(place.fault("expected a path, as text")) };
    Path::parse(text).map_err(|error| place.error(error.kind(), error))
}

fn read_question(fields: &Fields) -> Result<Question> {
    let root = Place::Root;
    if let Some(name) = fields.keys().find(|name| !QUESTION.contains(&name.as_str())) {
        return Err(root.fault(format_args!("{name:?} is no part of a query: expected {}", QUESTION.join(", "))));
    }
    let at = |name: &'static str| Place::Member(&root, name);
    let filter = fields.get("filter").map_or_else(|| Ok(Filter::everything()), |json| read_filter(json, &at("filter")))?;
    let number = |name: &'static str| match fields.get(name) {
        None => Ok(None),
        Some(Json::Number(number)) if number.as_whole().is_some_and(|whole| u32::try_from(whole).is_ok()) => {
            Ok(number.as_whole().and_then(|whole| usize::try_from(whole).ok()))
        }
        Some(_) => Err(at(name).fault("expected a whole number from 0 to 4294967295")),
    };
    let limit = number("limit")?;

    let measures: Vec<&str> = QUESTION[6..].iter().copied().filter(|name| fields.contains_key(*name)).collect();
    if let Some(name) = measures.first() {
        let other = fields.keys().find(|other| other != name && !["filter", "limit"].contains(&other.as_str()));
        if let Some(other) = other {
            return Err(root.fault(format_args!("{name:?} and {other:?} do not go together")));
        }
        let member = Place::Member(&root, name);
        let path = || read_path(fields.get(*name), &member);
        let measure = match *name {
            "count" if fields.get("count") == Some(&Json::Bool(true)) => Measure::Count,
            "count" => return Err(member.fault("expected true")),
            "distinct" => Measure::Distinct(path()?),
            "min" => Measure::Min(path()?),
            "max" => Measure::Max(path()?),
            "sum" => Measure::Sum(path()?),
            _ => Measure::Group(path()?),
        };
        return Ok(Question::Aggregate(Aggregate { filter, measure, limit }));
    }

    let after = match fields.get("after") {
        None => None,
        Some(Json::Text(text)) => Some(text.parse::<Cursor>().map_err(|error| at("after").error(error.kind(), error))?),
        Some(_) => return Err(at("after").fault("expected a cursor, as text")),
    };
    let sort = fields.get("sort").map_or_else(|| Ok(Sort::by_key()), |json| read_sort(json, &at("sort")))?;
    let query = Query { filter, sort, limit, offset: number("offset")?.unwrap_or(0), after };
    let Some(json) = fields.get("fields") else { return Ok(Question::Entries(query)) };
    let place = at("fields");
    let Json::Array(items) = json else { return Err(place.fault("expected an array of paths")) };
    if items.len() > Question::MAX_FIELDS {
        return Err(place.error(ErrorKind::Limit, format_args!("at most {} fields", Question::MAX_FIELDS)));
    }
    let paths = items.iter().enumerate().map(|(index, item)| read_path(Some(item), &Place::Item(&place, index)));
    Ok(Question::Fields(query, paths.collect::<Result<_>>()?))
}

/// A path, with `-` in front for downwards; an object with `field` and `order`; or an array of those.
fn read_sort(json: &Json, place: &Place<'_>) -> Result<Sort> {
    let Json::Array(items) = json else {
        return Sort::by_key().then(read_by(json, place)?).map_err(|error| place.error(error.kind(), error));
    };
    let mut sort = Sort::by_key();
    for (index, item) in items.iter().enumerate() {
        let place = Place::Item(place, index);
        sort = sort.then(read_by(item, &place)?).map_err(|error| place.error(error.kind(), error))?;
    }
    Ok(sort)
}

fn read_by(json: &Json, place: &Place<'_>) -> Result<By> {
    match json {
        Json::Text(text) => {
            let path = text.strip_prefix('-');
            let parsed = Path::parse(path.unwrap_or(text)).map_err(|error| place.error(error.kind(), error))?;
            Ok(By { path: parsed, descending: path.is_some() })
        }
        Json::Object(fields) if fields.keys().all(|name| name == "field" || name == "order") => {
            let path = read_path(fields.get("field"), &Place::Member(place, "field"))?;
            let descending = match fields.get("order") {
                None => false,
                Some(Json::Text(order)) if order == "asc" || order == "desc" => order == "desc",
                Some(_) => return Err(Place::Member(place, "order").fault("expected \"asc\" or \"desc\"")),
            };
            Ok(By { path, descending })
        }
        _ => Err(place.fault("expected a path, as text, or an object with \"field\" and \"order\"")),
    }
}

pub(super) fn written(filter: &Filter) -> Json {
    let object = |name: &str, value| Json::Object(BTreeMap::from([(name.to_owned(), value)]));
    match filter.node() {
        Node::All(filters) => object("all", Json::Array(filters.iter().map(written).collect())),
        Node::Any(filters) => object("any", Json::Array(filters.iter().map(written).collect())),
        Node::Not(filter) => object("not", written(filter)),
        Node::Condition(condition) => {
            let (operator, value) = condition.test().parts();
            let parts = [
                ("field", Json::Text(condition.path().to_string())),
                ("operator", Json::Text(operator.to_owned())),
                ("value", value),
            ];
            Json::Object(parts.map(|(name, value)| (name.to_owned(), value)).into())
        }
        Node::Wrong(_) => object("any", Json::Array(Vec::new())),
    }
}

pub(super) fn write(question: &Question) -> Json {
    let mut fields = Fields::new();
    let mut put = |name: &str, value: Json| {
        fields.insert(name.to_owned(), value);
    };
    let number = |number: usize| Json::Number((number as u64).into());
    let path = |path: &Path| Json::Text(path.to_string());
    match question {
        Question::Entries(query) | Question::Fields(query, _) => {
            put("filter", written(&query.filter));
            let by = |by: &By| Json::Text(format!("{}{}", if by.descending { "-" } else { "" }, by.path));
            put("sort", Json::Array(query.sort.parts().iter().map(by).collect()));
            query.limit.into_iter().for_each(|limit| put("limit", number(limit)));
            put("offset", number(query.offset));
            query.after.iter().for_each(|cursor| put("after", Json::Text(cursor.to_string())));
            if let Question::Fields(_, paths) = question {
                put("fields", Json::Array(paths.iter().map(path).collect()));
            }
        }
        Question::Aggregate(aggregate) => {
            put("filter", written(&aggregate.filter));
            aggregate.limit.into_iter().for_each(|limit| put("limit", number(limit)));
            match &aggregate.measure {
                Measure::Count => put("count", Json::Bool(true)),
                Measure::Distinct(of) => put("distinct", path(of)),
                Measure::Min(of) => put("min", path(of)),
                Measure::Max(of) => put("max", path(of)),
                Measure::Sum(of) => put("sum", path(of)),
                Measure::Group(of) => put("group", path(of)),
            }
        }
    }
    Json::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_condition_or_an_array_or_combined() {
        let one = r#"{"field": "age", "operator": "gte", "value": 18}"#;
        let many = format!("[{one}, {{\"not\": {{\"field\": \"tags\", \"operator\": \"contains\", \"value\": \"x\"}}}}]");
        for (json, text) in [
            (one, "age >= 18"),
            (&many, "age >= 18 and not tags *= \"x\""),
            (r#"{"any": []}"#, "false"),
            (r#"{"all": []}"#, "true"),
            (r#"{"field": "a", "operator": "exists"}"#, "a exists"),
            (r#"{"field": "a", "operator": "exists", "value": false}"#, "a missing"),
            (r#"{"field": "a", "operator": "eq", "value": null}"#, "a = null"),
        ] {
            assert_eq!(Filter::parse(json).map(|filter| filter.to_string()).ok().as_deref(), Some(text), "{json}");
        }
    }

    #[test]
    fn faults_are_told_by_place() {
        let a = r#""field":"a","operator""#;
        for (json, place, expected) in [
            ("{}".to_owned(), "the top", "expected a condition"),
            ("1".to_owned(), "the top", "expected a condition"),
            (format!("[{{{a}:\"eq\",\"value\":1}},7]"), "[1]", "expected a condition"),
            (format!("{{\"all\":[{{\"not\":{{{a}:\"is\",\"value\":1}}}}]}}"), "all[0].not.operator", "expected eq, ne"),
            (format!("{{\"any\":[{{{a}:\"in\",\"value\":1}}]}}"), "any[0].value", "expected an array"),
            (format!("{{{a}:\"eq\"}}"), "the top", "expected a \"value\""),
            (format!("{{{a}:\"eq\",\"value\":1,\"valeu\":1}}"), "the top", "\"valeu\""),
            (r#"{"field":"a..b","operator":"eq","value":1}"#.to_owned(), "field", "column 3"),
            (r#"{"field":1,"operator":"eq","value":1}"#.to_owned(), "field", "expected a path"),
            (r#"{"field":"$created","operator":"gt","value":1}"#.to_owned(), "value", "is a time"),
            (r#"{"all":1}"#.to_owned(), "all", "expected an array"),
            (r#"{"filter":[],"limits":1}"#.to_owned(), "the top", "\"limits\""),
            (r#"{"limit":-1}"#.to_owned(), "limit", "expected a whole number"),
            (r#"{"sort":["a",{"field":"b","order":"up"}]}"#.to_owned(), "sort[1].order", "expected \"asc\""),
            (r#"{"sort":"a[]"}"#.to_owned(), "sort", "reaches many"),
            (r#"{"count":true,"sort":"a"}"#.to_owned(), "the top", "do not go together"),
            (r#"{"after":"x"}"#.to_owned(), "after", "no cursor"),
        ] {
            let error = Question::from_json(json.as_bytes()).expect_err("a fault");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{json}");
            let message = error.to_string();
            assert!(message.contains(&format!("at {place}: ")) && message.contains(expected), "{json}: {message}");
        }
    }

    #[test]
    fn what_is_large_or_deep_is_a_limit() {
        let deep = |levels: usize| format!("{}[]{}", "{\"not\":".repeat(levels), "}".repeat(levels));
        assert!(Filter::from_json(deep(31).as_bytes()).is_ok());
        let value = format!("{{\"field\":\"a\",\"operator\":\"eq\",\"value\":{}{}}}", "[".repeat(33), "]".repeat(33));
        for bad in [deep(32), deep(200), deep(100_000), "[".repeat(1 << 20), value, " ".repeat((1 << 20) + 1)] {
            assert_eq!(Filter::from_json(bad.as_bytes()).map_err(|error| error.kind()), Err(ErrorKind::Limit));
        }
    }
}
