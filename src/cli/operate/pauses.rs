//! `pause` and `resume`: of all calls, a type of call, a customer or a number.

use clap::Args;

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::arguments::{context, one, refused};
use crate::cli::exit::{CliError, Exit};
use crate::domain::call::CallType;
use crate::phones;
use crate::present::output;
use crate::steps::operate::resume::{self, Resumed, Standing};
use crate::steps::operate::{self, Scope};
use crate::steps::readiness::hold_words;
use crate::store::Conn;
use crate::store::journal::Act;
use crate::store::transaction::Moved;

/// The actor's name in the journal.
const WHO: &str = "cli";

/// Stop calls from the next one on, until resumed; without an option, all calls
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringonce pause --reason 'the assistant talks nonsense'
  ringonce pause --type welcome --reason 'the text is being rewritten'")]
pub struct PauseArgs {
    #[command(flatten)]
    what: What,
}

/// End a pause; if all calls are not paused, lift the only hold and close the breaker
#[derive(Args)]
#[command(after_help = "\
The end of a pause lifts no hold and does not close the breaker. If several holds are set, name the
one to lift; `ringonce status` shows them. A hold whose cause remains returns before the next call.

Examples:
  ringonce resume --reason 'the deploy is over'
  ringonce resume --hold flag --reason 'the flag was checked by hand'
  ringonce resume --customer ada@example.com --reason 'the second call was looked into'")]
pub struct ResumeArgs {
    #[command(flatten)]
    what: What,
    /// Lift only this hold: flag, clock, record, foreign, account
    #[arg(long, value_name = "KIND", conflicts_with_all = ["customer", "type", "number"])]
    hold: Option<String>,
}

#[derive(Args)]
struct What {
    /// Only this customer: id, external id, e-mail or phone
    #[arg(long, value_name = "CUSTOMER", conflicts_with_all = ["type", "number"])]
    customer: Option<String>,
    /// Only this type of call: welcome, daily, extra
    #[arg(long = "type", id = "type", value_name = "TYPE", conflicts_with = "number")]
    call_type: Option<String>,
    /// Only this number, with + and country code
    #[arg(long, value_name = "PHONE")]
    number: Option<String>,
    /// The reason, recorded in the journal
    #[arg(long)]
    reason: String,
}

impl What {
    fn scope(&self, conn: &Conn) -> anyhow::Result<Scope> {
        if let Some(who) = &self.customer {
            return Ok(Scope::Customer(Box::new(one(conn, who)?)));
        }
        if let Some(text) = &self.call_type {
            let known = CallType::parse(text).ok_or_else(|| {
                CliError::usage(format!("there is no type \"{text}\": use welcome, daily, extra"))
            })?;
            return Ok(Scope::Type(known));
        }
        match &self.number {
            None => Ok(Scope::Everything),
            Some(text) => {
                let phone = phones::parse(text, None)
                    .map_err(|why| CliError::usage(format!("--number: {why}")))?;
                Ok(Scope::Number(phone.e164))
            }
        }
    }

    /// The scope in words, without the number.
    fn words(&self) -> String {
        match (&self.customer, &self.call_type, &self.number) {
            (Some(_), _, _) => "calls of this customer".to_string(),
            (_, Some(call_type), _) => format!("{} calls", output::clean(call_type)),
            (_, _, Some(_)) => "calls to this number".to_string(),
            _ => "all calls".to_string(),
        }
    }
}

pub fn pause(global: &Global, args: &PauseArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let cx = context(settings, now)?;
    let what = &args.what;
    let moved = cx.store.write(|tx| {
        let scope = what.scope(tx)?;
        operate::pause(&cx, tx, &scope, Act { who: WHO, why: &what.reason, now })
    });
    output::line(&match moved.map_err(refused)? {
        Moved::Yes => format!("{} are paused until `ringonce resume`", what.words()),
        Moved::No => format!("{} were paused already", what.words()),
    })?;
    Ok(Exit::Done)
}

pub fn resume(global: &Global, args: &ResumeArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let reading = settings.loaded.clock.read()?;
    let cx = context(settings, reading.now)?;
    let what = &args.what;
    let (resumed, standing) = cx
        .store
        .write(|tx| {
            let resumed = match &args.hold {
                Some(kind) => resume::lift(
                    tx,
                    &kind.as_str().into(),
                    Act { who: WHO, why: &what.reason, now: reading.now },
                    &reading,
                )?,
                None => {
                    let scope = what.scope(tx)?;
                    resume::resume(
                        &cx,
                        tx,
                        &scope,
                        Act { who: WHO, why: &what.reason, now: reading.now },
                        &reading,
                    )?
                }
            };
            Ok((resumed, resume::standing(tx, reading.now)?))
        })
        .map_err(refused)?;
    for line in told(&resumed, &standing, args) {
        output::line(&line)?;
    }
    Ok(Exit::Done)
}

/// Lists what was lifted and what still stops all calls, with the command that lifts it.
fn told(resumed: &Resumed, standing: &Standing, args: &ResumeArgs) -> Vec<String> {
    let mut lifted = Vec::new();
    if resumed.pause {
        lifted.push("the pause".to_string());
    }
    if resumed.customer {
        lifted.push("the stop after too many failures".to_string());
    }
    lifted.extend(resumed.holds.iter().map(|kind| format!("the hold \"{kind}\"")));
    if resumed.breaker {
        lifted.push("the breaker".to_string());
    }
    let (what, lifted) = (args.what.words(), lifted.join(", "));
    let is_stopped = standing.paused || standing.breaker || !standing.holds.is_empty();
    let mut lines = vec![match (&args.hold, resumed.is_nothing(), is_stopped) {
        (Some(kind), true, _) => format!("the hold \"{}\" was not set", output::clean(kind)),
        (None, true, _) => format!("{what} were neither paused nor held"),
        (_, false, false) => format!("{what} may continue; lifted: {lifted}"),
        (_, false, true) => format!("lifted: {lifted}"),
    }];
    lines.extend(
        standing
            .holds
            .iter()
            .map(|hold| format!("dialing is still {}", output::clean(&hold_words::held(hold)))),
    );
    if standing.paused {
        lines.push("all calls are still paused; `ringonce resume --reason WHY` ends it".into());
    } else if standing.breaker {
        lines.push("the breaker is still open; `ringonce resume --reason WHY` closes it".into());
    }
    lines
}
