//! An engine over a map keeps every promise, whatever the map is.

mod place;

larder_conformance::suite!(place::Place::fresh);
