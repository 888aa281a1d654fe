//! `ringonce tokens …`: who may use the page and the API.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::arguments::{Cx, usage};
use crate::cli::exit::Exit;
use crate::domain::role::Role;
use crate::present::output::{self, Table, clean};
use crate::steps::operate::tokens::{self, TokenRefused};
use crate::store::journal::By;
use crate::store::meta;

/// Manage named tokens for the page and the API
#[derive(Args)]
#[command(after_help = "\
A viewer looks; whole numbers and transcripts stay hidden. Support also acts for customers: edits,
pauses, calls, do-not-call, doubts. An operator also lifts holds, closes the breaker and resumes all
calls. RINGONCE_API_TOKEN keeps working and is an operator without a name.

Example:
  ringonce tokens add ada --role support")]
pub struct TokensArgs {
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Subcommand)]
enum TokensCommand {
    /// Make a token and print it once; the database keeps only its hash
    Add {
        /// The person's name, as the journal will say it
        name: String,
        /// viewer, support or operator
        #[arg(long, value_name = "ROLE")]
        role: String,
    },
    /// Show the names and roles
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// End a token and every session that it opened
    Revoke {
        /// The name
        name: String,
    },
}

pub fn run(global: &Global, args: &TokensArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let reading = settings.loaded.clock.read()?;
    let (db, zones) = (&settings.loaded.db, &settings.zones);
    let cx = Cx { db, zones, now: reading.now, reading };
    let by = By { who: "cli", now: cx.now };
    match &args.command {
        TokensCommand::Add { name, role } => {
            let role = Role::parse(role).ok_or_else(|| {
                usage(format!("--role \"{role}\": give one of viewer, support, operator"))
            })?;
            let token = cx.edit()?.write(|tx| tokens::add(tx, name, role, by)).map_err(refused)?;
            output::line(&token)?;
            log::warn!("this is the only time that the token of {name} ({role}) is shown");
        }
        TokensCommand::List { json } => list(&cx, *json)?,
        TokensCommand::Revoke { name } => {
            cx.edit()?.write(|tx| tokens::revoke(tx, name, by)).map_err(refused)?;
            output::line(&format!("the token of {name} is revoked, with all of its sessions"))?;
        }
    }
    Ok(Exit::Done)
}

fn list(cx: &Cx<'_>, json: bool) -> anyhow::Result<()> {
    let found = cx.look()?.read(|conn| {
        if meta::tokens::any(conn)? { meta::tokens::all(conn) } else { Ok(Vec::new()) }
    })?;
    if json {
        let rows: Vec<_> = found
            .iter()
            .map(|token| {
                json!({
                    "name": token.name,
                    "role": token.role,
                    "created_at": token.created_at,
                    "revoked_at": token.revoked_at,
                })
            })
            .collect();
        return output::json(&rows);
    }
    if found.is_empty() {
        return output::line("no named tokens");
    }
    let mut table = Table::new(&["NAME", "ROLE", "MADE", "REVOKED"]);
    for token in &found {
        let revoked = token.revoked_at.as_deref().unwrap_or("–");
        table.row([
            clean(&token.name),
            token.role.to_string(),
            token.created_at.clone(),
            revoked.to_string(),
        ]);
    }
    table.print()
}

fn refused(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<TokenRefused>() {
        Ok(why) => usage(why),
        Err(error) => error,
    }
}
