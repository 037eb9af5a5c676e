//! Several processes on one store: each with connections of its own, and with nothing in common but the cluster.

mod place;
#[path = "../../redis/tests/sharing/mod.rs"]
mod sharing;
