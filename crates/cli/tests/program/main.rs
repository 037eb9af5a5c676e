//! The program as its users meet it: the real binary, in a folder of its own, on real files.

#![forbid(unsafe_code)]

mod basics;
mod commits;
mod crowd;
mod damage;
mod documents;
mod engines;
mod exports;
mod histories;
mod holds;
mod imports;
mod indexes;
#[cfg(target_os = "linux")]
mod locks;
mod moments;
mod moves;
mod names;
mod pipes;
mod queries;
mod races;
mod resumes;
mod sandbox;
mod script;
mod searches;
mod statuses;
mod transactions;
mod trims;
mod watches;
mod watching;
