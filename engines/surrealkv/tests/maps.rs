//! A tree of SurrealKV is a map, and a store in it is what a directory says it is.
