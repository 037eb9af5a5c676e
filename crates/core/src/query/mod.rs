//! Queries: filters, sorting, paging and aggregates, with one meaning on every engine.
//!
//! Everything here is pure and total: it answers for every entry and every query, and knows no store. What it answers is
//! what a query means; an engine that answers by itself, or with an index, has to answer the same.
//!
//! # What a filter means
//!
//! A [`Filter`] is a condition, or `all`, `any` and `not` of filters. It is true or false of an entry and nothing third.
//! A condition asks one [`Path`]; where the path has `[]` in it, the condition holds if it holds for at least one of the
//! values that it reaches.
//!
//! | operator | text | holds where the value |
//! | --- | --- | --- |
//! | `eq` | `a = 1` | is the same value |
//! | `ne` | `a != 1` | is there, and another value; also one of another type |
//! | `gt` `gte` `lt` `lte` | `a > 1` `>=` `<` `<=` | is a number, and so is the other; or is a text, and so is the other |
//! | `in` | `a in [1,2]` | is one of these |
//! | `nin` | `a not in [1,2]` | is there, and none of these |
//! | `contains` | `a *= "x"` | is a text, and the other a text in it; or is an array, and the other one of its elements |
//! | `startsWith` `endsWith` | `a ^= "x"` `a $= "x"` | is a text that begins, or ends, with this text |
//! | `exists` | `a exists`, `a missing` | is there, also as null; `exists: false`: is not there |
//!
//! * **Missing.** Where the path reaches nothing, every condition is false but `exists: false`; `ne` and `nin` are false,
//!   too. `not` turns false into true, whyever it was false: `not a = 1` holds where `a` is missing, `a != 1` does not.
//! * **Null** is a value: it is there, equal to null, and neither larger nor smaller than anything, nor than itself.
//! * **Types.** Nothing is converted: `1` and `"1"` are different, and neither is larger. So are `true` and `1`.
//! * **Numbers** are what they stand for: `1`, `1.0` and `1e0` are equal, and so are `0` and `-0`. They compare exactly over
//!   all of i64, u64 and f64; 2^53 + 1 is larger than 2^53. There is no NaN.
//! * **Texts** compare bytewise, which is by code points: case counts, accents count, nothing is folded or normalised.
//!   Every text contains, begins and ends with the empty one. `%`, `_` and `*` mean themselves.
//! * **Arrays and objects** are equal when their elements, or their fields by name, are; in which order fields were written
//!   does not count. They are not larger or smaller to a filter. An array contains what is equal to one of its elements.
//! * **`[]`** of an empty array, and of what is no array, reaches nothing. `exists: false` holds where nothing is reached.
//! * **Times** are compared as times: `$created >= "2030-01-31T12:00:00+01:00"`; to `startsWith` and its like they are texts
//!   such as `2030-01-31T11:00:00.000Z`. Digits beyond milliseconds are cut off.
//! * **What is not JSON** has no value for a filter: every path into it is missing. Its key, version, times and metadata are
//!   there. A value that cannot be read, because it was damaged, counts as that.
//! * `all` of nothing is true, `any` of nothing is false.
//!
//! # What an order means
//!
//! Sorting is total: null, false, true, numbers, texts, arrays, objects, as [`Json`] says; what is missing comes last,
//! upwards and downwards; what is equal is in the order of its keys. `offset` counts from where the cursor is, `limit: 0`
//! is empty, and either works without the other.
//!
//! # How a query is written
//!
//! In Rust with [`field`]; in JSON, `{"all": [{"field": "age", "operator": "gte", "value": 18}]}`, where a single condition
//! and an array of them will do, too; and for people as `age >= 18 and name ^= "A" sort -age limit 20`. Each can be turned
//! into the others.
//!
//! # Bounds
//!
//! A filter has at most 1024 conditions, 32 levels and 1 MiB of text; a path at most 128 steps and 4096 bytes. What is
//! beyond is refused as `Limit`.

mod aggregate;
mod condition;
mod evaluate;
mod filter;
mod form;
mod json;
mod matcher;
mod narrow;
mod number;
mod page;
mod path;
mod plan;
mod project;
mod question;
mod scan;
mod sight;
mod sort;
mod sum;
#[cfg(test)]
mod tests;
mod text;

pub use aggregate::{Aggregate, Aggregated, Group, Measure, Tally};
pub use condition::{Condition, Test};
pub use evaluate::matches;
pub use filter::{Field, Filter, Node, Wrong, field};
pub use json::{IntoJson, Json};
pub use matcher::Matcher;
pub(crate) use narrow::range;
pub use number::Number;
pub use page::{Cursor, Query};
pub use path::{IntoPath, Path, Root, Step};
pub use plan::{Fit, Plan};
pub use project::Row;
pub use question::Question;
pub(crate) use sight::{Sight, each, texts};
pub(crate) use sort::Rank;
pub use sort::{By, Sort};
