//! Several processes on one store: each with connections of its own, and with nothing in common but the server.

mod place;
mod sharing;
