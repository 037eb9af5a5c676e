//! Moving stores, on memory and on SQLite, with a clock of the test's own.

#![forbid(unsafe_code)]

mod backups;
mod copies;
mod ground;
mod histories;
mod migrations;
mod stops;
mod verifies;
