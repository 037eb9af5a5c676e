//! What indexes are made of, over random documents: terms in the order of values, and spans that miss nothing.

use proptest::{collection::vec, prelude::*};

use super::{
    super::{Filter, Path, Sort, field, matches},
    random::{any_entry, any_filter, any_json, any_sort, cases},
};
use crate::{
    Entry, ErrorKind, Namespace, Timestamp,
    index::{Choice, Index, IndexId, IndexState, IndexStatus, Order, Term, build, choices},
    value::Value,
};

fn on_value(json: &super::super::Json) -> Term {
    let entry = super::entry("a", Value::json(json.to_string()).expect("JSON"), "{}");
    let index = Index::on("$value").expect("an index");
    index.terms(&entry).expect("it is short").remove(0)
}

/// An index on some of the paths that `filter` and `sort` name, in which order `chance` says; on `a` when that cannot be.
fn some_index(filter: &Filter, sort: &Sort, chance: &[u8]) -> Index {
    let named = filter.conditions().into_iter().map(|condition| condition.path().clone());
    let mut paths: Vec<Path> = named.chain(sort.parts().iter().map(|by| by.path.clone())).collect();
    paths.sort();
    paths.dedup();
    let mut chosen = Vec::new();
    for byte in chance {
        if !paths.is_empty() {
            chosen.push(paths.remove(usize::from(*byte) % paths.len()));
        }
    }
    Index::over(chosen).unwrap_or_else(|_| Index::on("a").expect("an index"))
}

fn choice(index: Index, filter: &Filter, sort: &Sort) -> Option<Choice> {
    let status = IndexStatus { id: IndexId(1), namespace: Namespace::default(), index, state: IndexState::Ready };
    choices(&[status], filter, sort).pop()
}

/// The number of the first span with a term of `entry` in it, and that term.
fn found(choice: &Choice, entry: &Entry) -> Option<(usize, Term)> {
    let terms = choice.index.terms(entry).expect("it has few");
    let spans = choice.spans.iter().enumerate();
    spans.flat_map(|(at, span)| terms.iter().filter(|term| span.contains(term)).map(move |term| (at, term.clone()))).next()
}

proptest! {
    #![proptest_config(cases(2048))]

    #[test]
    fn terms_are_in_the_order_of_values(a in any_json(), b in any_json()) {
        prop_assert_eq!(on_value(&a).cmp(&on_value(&b)), a.cmp(&b), "{} {}", a, b);
    }

    #[test]
    fn spans_do_not_overlap_and_miss_nothing(
        filter in any_filter(), sort in any_sort(), chance in vec(any::<u8>(), 1..4), entries in vec(any_entry(), 1..8),
    ) {
        let Some(choice) = choice(some_index(&filter, &sort, &chance), &filter, &sort) else { return Ok(()) };
        let mut spans = choice.spans.clone();
        spans.sort();
        prop_assert!(spans.windows(2).all(|pair| pair[0].to <= pair[1].from), "{:?}", spans);
        for entry in entries.iter().filter(|entry| matches(&filter, entry)) {
            prop_assert!(found(&choice, entry).is_some(), "{} {:?} {:?}", filter, choice, entry.value.bytes());
        }
    }

    /// Whichever of two entries comes first along the index also does in the order asked for.
    #[test]
    fn an_index_in_order_is_in_that_order(
        filter in any_filter(), sort in any_sort(), chance in vec(any::<u8>(), 1..3), entries in vec(any_entry(), 2..8), bare in any::<bool>(),
    ) {
        let filter = if bare { Filter::everything() } else { filter };
        let Some(choice) = choice(some_index(&filter, &sort, &chance), &filter, &sort) else { return Ok(()) };
        if choice.order == Order::Other {
            return Ok(());
        }
        let placed: Vec<_> = entries.iter().filter(|entry| matches(&filter, entry)).map(|entry| (found(&choice, entry), entry)).collect();
        for (one, a) in &placed {
            for (other, b) in &placed {
                let (Some((at, term)), Some((and, with))) = (one, other) else { continue };
                let terms = if choice.order == Order::Reverse { with.cmp(term) } else { term.cmp(with) };
                let order = at.cmp(and).then(terms).then_with(|| a.address.key.cmp(&b.address.key));
                prop_assert_eq!(order, sort.rank(a).cmp(&sort.rank(b)), "{} sort {} {:?}", filter, sort, choice);
                if let Some(place) = choice.term_of(&sort, &sort.rank(a)) {
                    prop_assert_eq!(&place, term);
                }
            }
        }
    }
}

/// A text that goes on with a NUL is a later text, although its term begins as the shorter one does.
#[test]
fn a_text_that_goes_on_with_a_nul_is_another_text() {
    let index = || Index::on("a").expect("an index");
    let entry = super::entry("k", Value::json(r#"{"a":"x\u0000"}"#).expect("JSON"), "{}");
    for filter in [r#"a > "x""#, r#"a >= "x" and a < "y""#, r#"a ^= "x""#, r#"a in ["x","x\u0000"]"#] {
        let choice = choice(index(), &Filter::parse(filter).expect("a filter"), &Sort::by_key()).expect("on that path");
        assert!(found(&choice, &entry).is_some(), "{filter}");
        assert!(!choice.is_one_term(), "{filter}");
    }
    let choice = choice(index(), &Filter::parse(r#"a = "x""#).expect("a filter"), &Sort::by_key()).expect("on that path");
    assert!(choice.is_one_term() && found(&choice, &entry).is_none());
}

/// A cursor may come from a query with another filter: it is a place in an order, and no more.
#[test]
fn a_place_with_another_value_is_no_place_here() {
    let sort = Sort::by_key().ascending("a").and_then(|sort| sort.ascending("b")).expect("a sort");
    let index = Index::over(["a", "b"]).expect("an index");
    let choice = choice(index, &Filter::parse("a = 1").expect("a filter"), &sort).expect("it is on that path");
    assert_eq!(choice.order, Order::Forward);
    for (json, is_here) in
        [(r#"{"a":1,"b":0}"#, true), (r#"{"a":1.0}"#, true), (r#"{"a":0,"b":0}"#, false), (r#"{"b":0}"#, false)]
    {
        let rank = sort.rank(&super::entry("k", Value::json(json).expect("JSON"), "{}"));
        assert_eq!(choice.term_of(&sort, &rank).is_some(), is_here, "{json}");
    }
}

/// What is asked for twice is looked for once through both, not once through one for each of the other.
#[test]
fn many_values_meet_many_values_quickly() {
    let many = |step: u32| field("a").is_in((0..100_000).map(|n| n * step));
    let choice =
        choice(Index::on("a").expect("an index"), &(many(2) & many(3)), &Sort::by_key()).expect("it is on that path");
    assert!(choice.is_bound && !choice.is_one_term());
}

#[test]
fn what_is_missing_is_so_in_many_even_where_it_is_to_be_unique() {
    for (filter, one) in [("a = 1 and b = null", true), ("a = 1 and b missing", false), ("a missing and b = 1", false)] {
        let index = Index::over(["a", "b"]).expect("an index").unique();
        let filter = Filter::parse(filter).expect("a filter");
        assert_eq!(choice(index, &filter, &Sort::by_key()).map(|choice| choice.is_one_entry()), Some(one), "{filter}");
    }
}

const UNTIL: Timestamp = Timestamp::from_millis_saturating(1_000);

#[test]
fn long_terms_are_cut_and_still_found() {
    let long = |tail: &str| format!("{}{tail}", "x".repeat(2000));
    let index = Index::on("a").expect("an index");
    for text in ["", "a", "b"].map(long) {
        let entry = super::entry("k", Value::json(format!("{{\"a\":{text:?}}}")).expect("JSON"), "{}");
        let entry = Entry { expires_at: Some(UNTIL), ..entry };
        let term = index.terms(&entry).expect("it is cut").remove(0);
        assert!(term.is_cut() && term.as_bytes().len() == Term::BYTES_MAX);
        let build = |now| build(&index.clone().unique(), &entry, now, |_| Ok(Vec::new())).map_err(|error| error.kind());
        assert_eq!(build(Timestamp::EPOCH), Err(ErrorKind::Limit), "what is cut cannot be told apart");
        assert_eq!(build(UNTIL), Ok(vec![term]), "what has expired need not be");
        for filter in [format!("a = {text:?}"), format!("a >= {text:?}"), format!("a <= {text:?}"), format!("a ^= {text:?}")]
        {
            let filter = Filter::parse(&filter).expect("a filter");
            let choice = choice(index.clone(), &filter, &Sort::by_key()).expect("it is on that path");
            assert!(found(&choice, &entry).is_some(), "{filter:?}");
        }
    }
}
