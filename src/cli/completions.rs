//! `serverkit completions`.

use crate::{commands::Context, failure::Result};
use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    ///
    /// For bash: `serverkit completions bash > /etc/bash_completion.d/serverkit`;
    /// for zsh: `serverkit completions zsh > "${fpath[1]}/_serverkit"`;
    /// for fish: `serverkit completions fish > ~/.config/fish/completions/serverkit.fish`.
    shell: Shell,
}

pub fn completions(context: &Context, args: Completions, mut program: clap::Command) -> Result {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    context.out.bytes(&script)
}
