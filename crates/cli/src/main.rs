//! The program `larder`: a store on the command line.
//!
//! It parses, calls a command, and turns what came of it into text and an exit status. It knows the library's front
//! door alone, and no engine.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod input;
mod output;
mod session;
mod text;

use std::process::ExitCode;

use clap::Parser;

use args::Arguments;
use failure::Failure;
use session::Session;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return args::refuse(&error),
    };
    let json = arguments.settings.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            ExitCode::from(failure.exit_status())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| {
            larder::Error::new(larder::ErrorKind::Unavailable, "no threads can be started").caused_by(error)
        })?;
    runtime.block_on(async {
        let mut session = Session::new(arguments.settings);
        let answer = commands::run(&mut session, arguments.command).await;
        session.end(answer).await
    })
}
