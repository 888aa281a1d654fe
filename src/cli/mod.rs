//! The commands. Each reads the configuration, does one thing, and ends with an exit code.
//! Results go to stdout, log lines and errors to stderr; keys are never printed.

mod audit;
mod call;
mod check;
mod check_inside;
mod check_online;
mod completions;
pub mod customers;
mod customers_fields;
mod customers_import;
pub mod customers_show;
mod demo;
pub mod dialing;
mod dnc;
mod doubts;
mod erase;
pub mod exit;
mod explain;
mod files;
mod history;
mod init;
pub mod output;
mod pauses;
mod plan;
pub mod queue;
mod queue_import;
mod serving;
mod startup;
mod status;
mod usage;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{self, Loaded, Overrides};
use crate::zones::Zones;
use exit::{CliError, EXIT_CODES, Exit};

/// Places scheduled phone calls through Vapi and never calls anyone twice for the same occasion.
#[derive(Parser)]
#[command(name = "ringonce", version, after_help = EXIT_CODES, after_long_help = long_help())]
#[command(arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What `--help` says below the commands.
fn long_help() -> String {
    format!("{ENVIRONMENT}\n\n{EXIT_CODES}")
}

const ENVIRONMENT: &str = "\
Environment:
  VAPI_API_KEY         the provider's private key, or VAPI_API_KEY_FILE: a file that holds it
  VAPI_WEBHOOK_SECRET  proves that a webhook comes from the provider (or …_FILE)
  RINGONCE_API_TOKEN   opens the page and the API (or …_FILE)
  RINGONCE_CONFIG      the configuration file
  RINGONCE_DB          the database
  VAPI_BASE_URL        another provider address, https only except on loopback
  RUST_LOG             how much is logged to stderr: error, warn, info, debug
  NO_COLOR             no colours

Flags beat the environment, which beats the configuration file. Secrets never come from that file.";

/// Flags that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Configuration file [default: ringonce.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database file [default: ringonce.db]
    #[arg(long, global = true, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum Command {
    Run(dialing::RunArgs),
    Tick(dialing::TickArgs),
    Demo(demo::DemoArgs),
    FakeVapi(crate::demo::command::FakeOptions),
    Check(check::CheckArgs),
    Audit(audit::AuditArgs),
    Backup(files::BackupArgs),
    Snapshot(files::SnapshotArgs),
    Verify(files::VerifyArgs),
    Customers(Box<customers::CustomersArgs>),
    Status(status::StatusArgs),
    Attempts(doubts::AttemptsArgs),
    Pause(pauses::PauseArgs),
    Resume(pauses::ResumeArgs),
    Reconcile(doubts::ReconcileArgs),
    Adopt(doubts::AdoptArgs),
    Explain(explain::ExplainArgs),
    Plan(plan::PlanArgs),
    Simulate(plan::SimulateArgs),
    Queue(queue::QueueArgs),
    Call(call::CallArgs),
    History(history::HistoryArgs),
    Dnc(dnc::DncArgs),
    Init(init::InitArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

impl Command {
    /// Whether the command must finish its work though nobody reads its output any more.
    fn outlives_its_reader(&self) -> bool {
        !matches!(
            self,
            Command::Check(_)
                | Command::Init(_)
                | Command::Completions(_)
                | Command::Man(_)
                | Command::Audit(_)
                | Command::Verify(_)
                | Command::Explain(_)
                | Command::Status(_)
                | Command::Plan(_)
                | Command::Simulate(_)
        )
    }

    /// How much is logged when `RUST_LOG` does not say.
    fn log_level(&self) -> &'static str {
        match self {
            Command::Run(_) => "info",
            _ => "warn",
        }
    }

    fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Command::Run(args) => dialing::run(global, &args),
            Command::Tick(args) => dialing::tick(global, &args),
            Command::Demo(args) => demo::run(&args),
            Command::FakeVapi(options) => fake_vapi(options),
            Command::Check(args) => check::run(global, &args),
            Command::Audit(args) => audit::run(global, &args),
            Command::Backup(args) => files::run_backup(global, &args),
            Command::Snapshot(args) => files::run_snapshot(global, &args),
            Command::Verify(args) => files::run_verify(&args),
            Command::Customers(args) => customers::run(global, &args),
            Command::Status(args) => status::run(global, &args),
            Command::Attempts(args) => doubts::attempts(global, &args),
            Command::Pause(args) => pauses::pause(global, &args),
            Command::Resume(args) => pauses::resume(global, &args),
            Command::Reconcile(args) => doubts::reconcile(global, &args),
            Command::Adopt(args) => doubts::adopt(global, &args),
            Command::Explain(args) => explain::run(global, &args),
            Command::Plan(args) => plan::plan_command(global, &args),
            Command::Simulate(args) => plan::simulate_command(global, &args),
            Command::Queue(args) => queue::run(global, &args),
            Command::Call(args) => call::run(global, &args),
            Command::History(args) => history::run(global, &args),
            Command::Dnc(args) => dnc::run(global, &args),
            Command::Init(args) => init::run(global, &args),
            Command::Completions(args) => completions::completions(&args),
            Command::Man(args) => completions::man(&args),
        }
    }
}

/// The fake provider; under a test clock it takes part in it.
fn fake_vapi(options: crate::demo::command::FakeOptions) -> anyhow::Result<Exit> {
    let clock = match environment("RINGONCE_TEST_CLOCK") {
        Some(file) => crate::clock::Clock::File(file.into()),
        None => crate::clock::Clock::System,
    };
    crate::demo::command::run(options, clock)?;
    Ok(Exit::Done)
}

/// Reads the command line, runs the command, prints what went wrong on one line.
pub fn main() -> ExitCode {
    startup::protect();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    if !cli.command.outlives_its_reader() {
        startup::end_when_the_reader_does();
    }
    startup::start_log(cli.command.log_level());
    match cli.command.run(&cli.global) {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&exit::one_line(&error));
            exit::exit_of(&error).into()
        }
    }
}

/// One line on stderr. On a full disk, or when nobody reads any more, it is lost, and the exit code
/// says the rest.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "ringonce: {line}");
}

/// Help and the version come this way too, with exit code 0.
fn not_understood(error: &clap::Error) -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match usage::one_line(error, &Cli::command(), &words) {
        Some(line) => complain(&line),
        // Nothing is left to say when it cannot be printed.
        None => {
            let _ = error.print();
        }
    }
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

/// A configuration without problems, and the zones that its names were checked against.
pub struct Settings {
    pub loaded: Loaded,
    pub zones: Zones,
}

impl Global {
    /// The flags, as the configuration takes them.
    pub fn overrides(&self) -> Overrides {
        Overrides { config: self.config.clone(), db: self.db.clone(), listen: None }
    }
}

/// The configuration of any command. Refuses every value that `check` calls a problem, all in
/// one line.
pub fn settings(overrides: &Overrides) -> anyhow::Result<Settings> {
    let loaded = config::load(overrides, &environment)?;
    let zones = Zones::load();
    let problems = loaded.problems(&|name| zones.get_schedule_zone(name).is_some());
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(|problem| loaded.describe(problem)).collect();
        return Err(CliError::usage(lines.join("; ")).into());
    }
    Ok(Settings { loaded, zones })
}

/// The configuration of a command that places calls: the provider's ids and key must be there,
/// and what deserves a word is logged.
pub fn settings_for_dialing(overrides: &Overrides) -> anyhow::Result<Settings> {
    let settings = settings(overrides)?;
    let missing = settings.loaded.missing_for_dialing();
    if !missing.is_empty() {
        let lines: Vec<String> =
            missing.iter().map(|problem| settings.loaded.describe(problem)).collect();
        return Err(CliError::usage(lines.join("; ")).into());
    }
    for warning in &settings.loaded.warnings {
        log::warn!("{warning}");
    }
    Ok(settings)
}

/// The process's environment; what is not UTF-8 counts as unset.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound_and_every_command_says_what_it_does() {
        let mut tree = Cli::command();
        tree.build();
        tree.clone().debug_assert();
        for command in tree.get_subcommands() {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
        }
        assert!(long_help().ends_with(EXIT_CODES));
    }
}
