//! Tools of the system that tests need: found, installed where that is allowed, else asked for.

use std::{path::Path, process::Command};

use crate::command::{Failure, run};

/// A program, and the Debian package it comes in.
#[derive(Debug)]
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

/// What the tests need besides Rust.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        program: "strace",
        package: "strace",
        why: "it records which writes were synced before a commit was acknowledged, and makes disks fill up",
    },
    Tool { program: "flock", package: "util-linux", why: "it is the witness that no two commands hold one lock" },
];

/// Makes sure that every tool is there.
pub(crate) fn provide(tools: &[Tool]) -> Result<(), Failure> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !is_installed(tool.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    let line = format!("apt-get install --yes {}", packages.join(" "));
    for tool in &missing {
        eprintln!("{} is missing: {}", tool.program, tool.why);
    }
    if !may_install() {
        return Err(Failure::new(format!("install what is missing with\n\n    sudo {line}\n")));
    }
    let arguments: Vec<&str> = line.split(' ').skip(1).collect();
    // The list of packages of a fresh machine may be empty or old; then it is fetched and the install tried again.
    if run("apt-get", &arguments).is_err() {
        run("apt-get", &["update"])?;
        run("apt-get", &arguments)?;
    }
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Whether this is root on a system with Debian's package manager.
pub(crate) fn may_install() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    root && Path::new("/usr/bin/apt-get").exists()
}
