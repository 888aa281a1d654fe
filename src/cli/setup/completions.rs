//! Shell completions and manual pages, generated from the command tree.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::exit::Exit;
use crate::present::output;

/// Print the completion script of a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringonce completions bash > ~/.local/share/bash-completion/completions/ringonce
  ringonce completions zsh > ~/.zfunc/_ringonce
  ringonce completions fish > ~/.config/fish/completions/ringonce.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page, or write the pages of all commands into a folder
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringonce man | man -l -
  ringonce man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Folder for one page per command; it is created if it is missing
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// `tree`: the whole command tree.
pub fn completions(args: &CompletionsArgs, mut tree: Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tree, "ringonce", &mut script);
    output::bytes(&script)?;
    Ok(Exit::Done)
}

/// `tree`: the whole command tree.
pub fn man(args: &ManArgs, tree: Command) -> anyhow::Result<Exit> {
    match &args.dir {
        Some(folder) => {
            fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(tree, folder))
                .and_then(|()| readable_by_all(folder))
                .with_context(|| format!("write the manual pages into {}", folder.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(tree).render(&mut page).context("render the manual page")?;
            output::bytes(&page)?;
        }
    }
    Ok(Exit::Done)
}

/// Makes manual pages readable by every user, unlike all other files that we write.
fn readable_by_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("ringonce") && name.ends_with(".1") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}
