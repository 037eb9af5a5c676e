//! Tests that have a size: the test command runs a small part of each, and here is how to run the whole of one.

use crate::command::{Failure, cargo_with};

/// A test that is small until `LARDER_SOAK` is set.
pub(crate) struct Campaign {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    package: &'static str,
    target: &'static str,
    /// Which tests of the target; all of them when it is empty.
    filter: &'static str,
}

pub(crate) const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "bank",
        about: "five minutes of transfers on each of seven places, two of which lose servers: every audit sees the same total",
        package: "larder",
        target: "bank",
        filter: "",
    },
    Campaign {
        name: "scan",
        about: "a million entries scanned as of one moment, while 16 tasks rewrite them all",
        package: "larder",
        target: "snapshot",
        filter: "sees_one_moment",
    },
    Campaign {
        name: "resumes",
        about: "100,000 changes through a slow pipe to a watch that is killed and resumed",
        package: "larder-cli",
        target: "program",
        filter: "resumes::",
    },
    Campaign {
        name: "crowd",
        about: "100,000 changes to 64 watches of different prefixes",
        package: "larder-cli",
        target: "program",
        filter: "crowd::",
    },
    Campaign {
        name: "sleeper",
        about: "3,000 events to a watcher that sleeps, on each engine",
        package: "larder",
        target: "watch",
        filter: "a_watcher_that_sleeps",
    },
    Campaign {
        name: "schema",
        about: "a schema that changes over 100,000 documents while others write, on each engine",
        package: "larder-facets",
        target: "documents",
        filter: "large::",
    },
    Campaign {
        name: "judges",
        about: "64 tasks write while a schema changes, fifty times, on each engine",
        package: "larder-facets",
        target: "documents",
        filter: "races::",
    },
    Campaign {
        name: "patches",
        about: "100,000 patches of each kind, compared with what another library makes of them",
        package: "larder-facets",
        target: "documents",
        filter: "patches::",
    },
    Campaign {
        name: "week",
        about: "ten simulated days of overwrites, and what they take on the disk",
        package: "larder-sqlite",
        target: "week",
        filter: "",
    },
    Campaign {
        name: "builds",
        about: "50 kills while an index over 500,000 entries is built, and every answer as before",
        package: "larder-cli",
        target: "program",
        filter: "indexes::an_index_that",
    },
    Campaign {
        name: "unique",
        about: "a unique index raced by 64 tasks and 8 processes 50 times as long, and every commit looked at",
        package: "larder",
        target: "unique",
        filter: "",
    },
    Campaign {
        name: "moves",
        about: "a million entries moved to PostgreSQL, some to etcd and back, each killed thrice, while 16 programs write and 4 watch",
        package: "larder-cli",
        target: "program",
        filter: "moves::a_store_that_goes",
    },
    Campaign {
        name: "trims",
        about: "what overwrites take on the disk when the log is bounded from the command line",
        package: "larder-cli",
        target: "program",
        filter: "trims::trims_bound",
    },
];

impl Campaign {
    /// Runs the whole of it, with these variables that tell where servers are.
    pub(crate) fn run(&self, servers: &[(&str, &str)]) -> Result<(), Failure> {
        let Self { package, target, filter, .. } = self;
        let mut arguments = vec!["test", "--release", "--package", package, "--test", target, "--", "--nocapture"];
        arguments.extend((!filter.is_empty()).then_some(*filter));
        cargo_with(&[&[("LARDER_SOAK", "1")], servers].concat(), &arguments)
    }
}

/// What there is: one line a campaign, for `--help`.
pub(crate) fn list() -> String {
    let lines = CAMPAIGNS.iter().map(|campaign| format!("  {:<10} {}\n", campaign.name, campaign.about));
    format!(
        "Tests at full size:\n{}\nHistories by chance: `cargo xtask soak -- --help` lists them",
        lines.collect::<String>()
    )
}
