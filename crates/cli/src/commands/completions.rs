//! `completions`: the command line, told to a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{args::Arguments, failure::Failure, session::Session};

/// Print what a shell needs to complete commands and options
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  larder completions bash > ~/.local/share/bash-completion/completions/larder
  larder completions fish > ~/.config/fish/completions/larder.fish")]
pub(crate) struct CompletionsArguments {
    shell: Shell,
}

pub(crate) fn run(session: &mut Session, arguments: CompletionsArguments) -> Result<(), Failure> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "larder", &mut script);
    Ok(session.output.raw(&script)?)
}
