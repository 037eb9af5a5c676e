//! What is said about crashes holds when the server is killed, too.

mod place;
mod server;

use larder_conformance::cases;

/// A promise about crashes that is kept only as long as the server lives is none: it has to be on its medium before it is
/// acknowledged.
#[test]
fn a_killed_server_breaks_no_promise() {
    let crashing: Vec<_> =
        cases().iter().filter(|case| case.name.contains("crash") || case.name.starts_with("model_")).collect();
    assert!(crashing.len() >= 3, "there are cases about crashes");
    for case in crashing {
        eprintln!("{}", case.name);
        case.run(&place::Whole::fresh);
    }
}
