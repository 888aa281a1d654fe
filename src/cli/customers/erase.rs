//! `ringonce customers erase`: erases a person's data, but keeps the record of their calls.

use clap::Args;

use crate::cli::arguments::{Cx, one_for_good, usage};
use crate::cli::exit::Exit;
use crate::present::output;
use crate::steps::operate::erase::{ErasureRefused, erase_for_good};
use crate::store::journal::Act;

#[derive(Args)]
#[command(after_help = "\
The ledger keeps a keyed hash of the number, so that a new import does not cause a second welcome
call. Earlier backups and snapshots are not changed. After one is restored, the next start erases
everyone again who is named in the .erased file beside the database.

Example:
  ringonce customers erase ada@example.com --reason 'asked by letter of 2 March'")]
pub struct EraseArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … match one kind only
    customer: String,
    /// The reason, recorded in the journal permanently; it must not name the person
    #[arg(long)]
    reason: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(cx: &Cx<'_>, args: &EraseArgs) -> anyhow::Result<Exit> {
    if args.reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    let store = cx.edit()?;
    let act = Act { who: "cli", why: &args.reason, now: cx.now };
    let erased = erase_for_good(&store, |tx| one_for_good(tx, &args.customer), act);
    let (report, emptied) = erased.map_err(|error| match error.downcast::<ErasureRefused>() {
        Ok(why @ ErasureRefused::NamesThem) => usage(format!("--reason {why}")),
        Ok(why) => why.into(),
        Err(error) => error,
    })?;
    if args.json {
        output::json(&report)?;
    } else {
        output::line(&format!(
            "erased customer {}: {} attempts stay in the ledger without the number, {} waiting \
             items skipped",
            report.customer, report.erased.attempts, report.skipped
        ))?;
    }
    if report.stays_on_do_not_call {
        log::warn!("the number stays on the do-not-call list, which keeps it from being called");
    }
    if report.journal_mentions {
        log::warn!(
            "an earlier line of the journal may name the person, and the journal is append-only"
        );
    }
    if !emptied {
        log::warn!(
            "another process kept the write-ahead log busy: its old pages stay until that \
             process ends"
        );
    }
    Ok(Exit::Done)
}
