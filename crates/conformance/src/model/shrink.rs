//! Makes a history that fails as short as it gets, and tells it.
//!
//! Greedy: leaves out ever smaller pieces for as long as what is left fails too, each time in a fresh place.

use super::{Difference, history::History};
use crate::Factory;

/// How many shorter histories are tried. The last ones gain little.
const TRIES: usize = 300;

/// The shortest history found that fails; `None` when it does not fail again in a fresh place.
pub(super) fn shrunk(factory: &dyn Factory, seed: u64, mut steps: Vec<u64>) -> Option<Difference> {
    tell(factory, &steps)?;
    let (mut size, mut tries) = (steps.len() / 2, 0);
    while size > 0 && tries < TRIES {
        let (mut start, before) = (0, steps.len());
        while start < steps.len() && tries < TRIES {
            let end = (start + size).min(steps.len());
            let shorter = [&steps[..start], &steps[end..]].concat();
            tries += 1;
            if tell(factory, &shorter).is_some() {
                steps = shorter;
            } else {
                start = end;
            }
        }
        // One step at a time for as long as that helps: some can go only when others have gone.
        if size > 1 || steps.len() == before {
            size /= 2;
        }
    }
    let story = tell(factory, &steps)?;
    Some(Difference { seed, story: format!("{} steps are enough:\n{story}", steps.len()) })
}

/// What happens in a history that fails; `None` when it does not.
fn tell(factory: &dyn Factory, steps: &[u64]) -> Option<String> {
    let site = factory.fresh();
    let mut history = match History::new(&*site, true) {
        Ok(history) => history,
        Err(difference) => return Some(difference),
    };
    let difference = history.run(steps).err()?;
    let told = history.told.take().unwrap_or_default();
    let lines: Vec<String> = told.iter().enumerate().map(|(n, line)| format!("{:>3} {line}", n + 1)).collect();
    Some(format!("{}\n\n{difference}", lines.join("\n")))
}
