//! The commands. Each reads the configuration, does one thing, and ends with an exit code.
//! Results go to stdout, log lines and errors to stderr; keys are never printed.

pub mod arguments;
pub(crate) mod attempts;
mod audit;
pub(crate) mod copies;
pub mod customers;
mod demo;
pub(crate) mod do_not_call;
pub mod exit;
pub mod forecast;
mod history;
pub mod operate;
pub mod outgoing;
pub mod queue;
mod report;
pub mod serve;
pub mod setup;
mod status;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::arguments::configuration::{Global, environment};
use crate::cli::arguments::usage;
use crate::cli::exit::{EXIT_CODES, Exit};
use crate::cli::forecast::{explain, plan};
use crate::cli::operate::{call, pauses, tokens};
use crate::cli::outgoing::{alerts, events};
use crate::cli::serve::{dialing, looking, startup};
use crate::cli::setup::{check, completions, init};

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

/// The text that `--help` prints below the commands.
fn long_help() -> String {
    format!("{ENVIRONMENT}\n\n{EXIT_CODES}")
}

const ENVIRONMENT: &str = "\
Environment:
  VAPI_API_KEY         the provider's private key, or VAPI_API_KEY_FILE: a file that holds it
  VAPI_WEBHOOK_SECRET  proves that a webhook comes from the provider (or …_FILE)
  RINGONCE_API_TOKEN   opens the page and the API (or …_FILE)
  RINGONCE_SMTP_PASSWORD  the mail server's password for alerts (or …_FILE)
  RINGONCE_EVENTS_SECRET  signs the events to your application (or …_FILE)
  RINGONCE_CONFIG      the configuration file
  RINGONCE_DB          the database
  VAPI_BASE_URL        another provider address, https only except on loopback
  RUST_LOG             how much is logged to stderr: error, warn, info, debug
  NO_COLOR             no colours

Flags beat the environment, which beats the configuration file. Secrets never come from that file.";

#[derive(Subcommand)]
pub enum Command {
    Run(dialing::RunArgs),
    Tick(dialing::TickArgs),
    Web(looking::WebArgs),
    Demo(demo::DemoArgs),
    FakeVapi(crate::cli::demo::fake_vapi::FakeOptions),
    Check(check::CheckArgs),
    Audit(audit::AuditArgs),
    Report(report::ReportArgs),
    Backup(copies::BackupArgs),
    Restore(copies::RestoreArgs),
    Snapshot(copies::SnapshotArgs),
    Verify(copies::VerifyArgs),
    Archive(copies::ArchiveArgs),
    Customers(Box<customers::CustomersArgs>),
    Status(status::StatusArgs),
    Attempts(attempts::AttemptsArgs),
    Pause(pauses::PauseArgs),
    Resume(pauses::ResumeArgs),
    Reconcile(attempts::ReconcileArgs),
    Adopt(attempts::AdoptArgs),
    Explain(explain::ExplainArgs),
    Plan(plan::PlanArgs),
    Simulate(plan::SimulateArgs),
    Queue(queue::QueueArgs),
    Call(call::CallArgs),
    History(history::HistoryArgs),
    Dnc(do_not_call::DncArgs),
    Tokens(tokens::TokensArgs),
    Events(events::EventsArgs),
    Alerts(alerts::AlertsArgs),
    Init(init::InitArgs),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

impl Command {
    /// Whether the command must finish its work even after the reader of its output has gone.
    fn outlives_its_reader(&self) -> bool {
        !matches!(
            self,
            Command::Check(_)
                | Command::Init(_)
                | Command::Completions(_)
                | Command::Man(_)
                | Command::Audit(_)
                | Command::Report(_)
                | Command::Verify(_)
                | Command::Explain(_)
                | Command::Status(_)
                | Command::Plan(_)
                | Command::Simulate(_)
        )
    }

    /// The log level if `RUST_LOG` is not set.
    fn log_level(&self) -> &'static str {
        match self {
            Command::Run(_) | Command::Web(_) => "info",
            // Its doubts are part of the story, and its table shows them.
            Command::Demo(_) => "error",
            _ => "warn",
        }
    }

    fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Command::Run(args) => dialing::run(global, &args),
            Command::Tick(args) => dialing::tick(global, &args),
            Command::Web(args) => looking::run(global, &args),
            Command::Demo(args) => demo::run(&args),
            Command::FakeVapi(options) => fake_vapi(options),
            Command::Check(args) => check::run(global, &args),
            Command::Audit(args) => audit::run(global, &args),
            Command::Report(args) => report::run(global, &args),
            Command::Backup(args) => copies::run_backup(global, &args),
            Command::Restore(args) => copies::run_restore(global, &args),
            Command::Snapshot(args) => copies::run_snapshot(global, &args),
            Command::Verify(args) => copies::run_verify(&args),
            Command::Archive(args) => copies::run_archive(global, &args),
            Command::Customers(args) => customers::run(global, &args),
            Command::Status(args) => status::run(global, &args),
            Command::Attempts(args) => attempts::attempts(global, &args),
            Command::Pause(args) => pauses::pause(global, &args),
            Command::Resume(args) => pauses::resume(global, &args),
            Command::Reconcile(args) => attempts::reconcile(global, &args),
            Command::Adopt(args) => attempts::adopt(global, &args),
            Command::Explain(args) => explain::run(global, &args),
            Command::Plan(args) => plan::plan_command(global, &args),
            Command::Simulate(args) => plan::simulate_command(global, &args),
            Command::Queue(args) => queue::run(global, &args),
            Command::Call(args) => call::run(global, &args),
            Command::History(args) => history::run(global, &args),
            Command::Dnc(args) => do_not_call::run(global, &args),
            Command::Tokens(args) => tokens::run(global, &args),
            Command::Events(args) => events::run(global, &args),
            Command::Alerts(args) => alerts::run(global, &args),
            Command::Init(args) => init::run(global, &args),
            Command::Completions(args) => completions::completions(&args, Cli::command()),
            Command::Man(args) => completions::man(&args, Cli::command()),
        }
    }
}

/// Runs the fake provider, by the test clock if one is set.
fn fake_vapi(options: crate::cli::demo::fake_vapi::FakeOptions) -> anyhow::Result<Exit> {
    let clock = match environment("RINGONCE_TEST_CLOCK") {
        Some(file) => crate::clock::Clock::File(file.into()),
        None => crate::clock::Clock::System,
    };
    crate::cli::demo::fake_vapi::run(options, clock)?;
    Ok(Exit::Done)
}

/// Parses the command line, runs the command, and prints an error on one line.
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

/// Prints one line on stderr. If that fails (full disk, closed pipe), only the exit code reports
/// the error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "ringonce: {line}");
}

/// Prints clap's answer. Help and version also arrive here, with exit code 0.
fn not_understood(error: &clap::Error) -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match usage::one_line(error, &Cli::command(), &words) {
        Some(line) => complain(&line),
        // A failure to print cannot be reported anywhere.
        None => {
            let _ = error.print();
        }
    }
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
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
