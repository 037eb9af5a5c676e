//! The memory engine keeps every promise: it is what the promises mean.

mod place;

larder_conformance::suite!(place::memory);
