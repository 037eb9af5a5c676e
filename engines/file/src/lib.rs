//! The file engine of Larder: a store in a directory that people can look into.

#![forbid(unsafe_code)]

mod config;
mod core;
mod directory;
pub mod disk;
mod error;
mod frame;
mod held;
mod home;
mod journal;
mod keeper;
mod layout;
mod map;
mod name;
mod open;
mod pairs;
mod presence;
mod replay;
mod shown;
mod state;
mod stated;
mod writer;

pub use config::{FileConfig, Tuning};
pub use directory::Directory;
pub use layout::{Content, Layout};
pub use map::FileMap;
