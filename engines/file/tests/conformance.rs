//! The file engine keeps every promise.

mod place;

larder_conformance::suite!(place::Place::fresh);
