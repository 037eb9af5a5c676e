//! The text form, for people: `age >= 18 and name ^= "A" sort -age limit 20`.
//!
//! ```text
//! question  = [filter] clause*
//! filter    = both ("or" both)*
//! both      = one ("and" one)*
//! one       = "not" one | "(" filter ")" | "true" | "false" | condition
//! condition = path test
//! test      = ("=" | "!=" | ">" | ">=" | "<" | "<=" | "^=" | "$=" | "*=") value
//!           | "in" array | "not" "in" array | "exists" | "missing"
//! clause    = "sort" ["-"] path ("," ["-"] path)* | "limit" number | "offset" number | "after" cursor
//!           | "fields" path ("," path)*
//!           | "count" | ("distinct" | "min" | "max" | "sum" | "group") path
//! ```
//! `^=` is `startsWith`, `$=` is `endsWith`, `*=` is `contains`; the names of the operators in JSON may be written, too.
//! Values are written as in JSON, also arrays and objects. Paths are written as [`Path`](super::Path) says; names with other
//! characters than letters, digits, `_` and `-` are quoted, and so is a name that is one of the words above where that word
//! could stand.

mod lex;
mod parse;
mod print;

pub(super) use parse::{filter, question};
