//! The campaigns of the suite that live on chance, at full size: as many seeds as there is time for, on every engine.
//!
//! The suite itself runs a few hundred of each within seconds. Whoever adds a campaign adds a line to [`CAMPAIGNS`].

mod capabilities;
mod crew;
mod engines;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use larder_conformance::{asking, model, record, watching};

use crew::Work;
use engines::{ENGINES, Engine};

/// Something that can be done with any number of seeds.
struct Campaign {
    name: &'static str,
    about: &'static str,
    run: fn(&Orders, &Engine) -> Result<String, String>,
}

const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "model",
        about: "histories by chance over several handles, with clocks, trims, reopening and crashes, against the oracle",
        run: |orders, engine| {
            let told = crew::share(orders, engine, model::Tally::add, |work: Work| {
                model::histories(engine.factory, work.seed, work.count).map_err(|difference| difference.to_string())
            })?;
            Ok(told.to_string())
        },
    },
    Campaign {
        name: "queries",
        about: "twenty questions a seed, over random documents with random indexes, against the reference evaluator",
        run: |orders, engine| {
            let told = crew::share(orders, engine, asking::Tally::add, |work: Work| {
                asking::histories(engine.factory, work.seed, work.count).map_err(|difference| difference.to_string())
            })?;
            Ok(told.to_string())
        },
    },
    Campaign {
        name: "records",
        about: "what four threads on two handles were answered, checked for linearizability and serializability",
        run: |orders, engine| {
            let told = crew::share(
                orders,
                engine,
                |sum, count| *sum += count,
                |work: Work| {
                    record::histories(engine.factory, work.seed, work.count).map_err(|difference| difference.to_string())
                },
            )?;
            Ok(format!("{told} recorded histories of single keys, and as many of transactions"))
        },
    },
    Campaign {
        name: "watches",
        about: "ten watches on two handles while four threads write, each compared with the log",
        run: |orders, engine| {
            let told = crew::share(
                orders,
                engine,
                |sum, count| *sum += count,
                |work: Work| Ok(watching::histories(engine.factory, work.seed, work.count)),
            )?;
            Ok(format!("{told} histories with ten watches each"))
        },
    },
];

/// What there is: one line a campaign, for `--help`.
fn campaigns() -> String {
    let lines = CAMPAIGNS.iter().map(|campaign| format!("  {:<10} {}\n", campaign.name, campaign.about));
    format!("Campaigns:\n{}", lines.collect::<String>())
}

/// Runs campaigns by chance on every engine, and stops at the first difference.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask soak", bin_name = "cargo xtask soak", after_help = campaigns())]
struct Orders {
    /// Which campaign; all of them when none is named
    campaign: Option<String>,
    /// How many seeds each campaign gets on each engine
    #[arg(long, env = "LARDER_HISTORIES", default_value_t = 10_000)]
    histories: u64,
    /// The first seed; the others follow it
    #[arg(long, env = "LARDER_SEED", default_value_t = 1)]
    seed: u64,
    /// memory, sqlite, file, surrealkv, postgres, redis or etcd; all of them when none is named
    #[arg(long)]
    engine: Option<String>,
    /// Instead, run every case of the suite on every engine and write what each engine is to this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["campaign", "engine"])]
    capabilities: Option<PathBuf>,
}

fn main() -> ExitCode {
    let orders = Orders::parse();
    let done = orders.capabilities.as_deref().map_or_else(|| soak(&orders), capabilities::write);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(difference) => {
            eprintln!("\n{difference}");
            ExitCode::FAILURE
        }
    }
}

fn soak(orders: &Orders) -> Result<(), String> {
    let named = |name: &str, wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let mut ran = 0;
    for campaign in CAMPAIGNS.iter().filter(|campaign| named(campaign.name, &orders.campaign)) {
        for engine in ENGINES.iter().filter(|engine| named(engine.name, &orders.engine)) {
            if engines::is_skipped(engine.name) {
                eprintln!("*** LARDER_SKIP: nothing of this run says anything about {} ***", engine.name);
                continue;
            }
            ran += 1;
            let last = orders.seed.wrapping_add(orders.histories).wrapping_sub(1);
            let title = format!("{} on {}", campaign.name, engine.name);
            println!("{title}: seeds {} to {last}", orders.seed);
            let begun = Instant::now();
            let told = (campaign.run)(orders, engine).map_err(|difference| format!("{title}:\n{difference}"))?;
            let took = begun.elapsed().as_secs_f64();
            println!("{title}: no difference in {told}; {took:.1} s, {:.0} a second", orders.histories as f64 / took);
        }
    }
    if ran == 0 { Err(format!("there is no such campaign, or no such engine\n\n{}", campaigns())) } else { Ok(()) }
}
