//! SurrealKV and the directory of files: how many durable sets share what one has to wait for.

use std::path::Path;

use tokio::runtime::Runtime;

use crate::{
    report::{Report, in_turns},
    sqlite::sets,
};

/// How many sets each round makes: one task waits for the disk with each of them.
const SETS: u32 = 4096;
const TASKS: u32 = 64;

pub(crate) fn writes(
    report: &mut Report,
    runtime: &Runtime,
    directory: &Path,
    engine: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let store = runtime.block_on(larder::open(&format!("{engine}:{}", directory.join(engine).display())))?;
    let (mut one_round, mut many_round) = (0, 1000);
    let [one, many] = in_turns(
        SETS,
        [
            &mut || {
                one_round += 1;
                sets(runtime, &store, (1, SETS), one_round);
            },
            &mut || {
                many_round += 1;
                sets(runtime, &store, (TASKS, SETS), many_round);
            },
        ],
    );
    report.row(format!("{engine} set, durable, {TASKS} tasks"), many, one, "one task", 10.0);
    runtime.block_on(store.close())?;
    Ok(())
}
