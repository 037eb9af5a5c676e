//! The Redis engine keeps every promise.

mod place;
mod server;

larder_conformance::suite!(place::Place::fresh);
