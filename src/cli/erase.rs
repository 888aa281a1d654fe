//! `ringonce customers erase`: forgets a person, and never that they were called.

use clap::Args;

use super::customers::{Cx, one_for_good, usage};
use super::exit::Exit;
use super::output;
use crate::steps::erase::{self, erase};
use crate::store::erase::{empty_log, remember};

#[derive(Args)]
#[command(after_help = "\
The ledger keeps that the number was called, as a keyed hash, so that the same person is not
welcomed again after a new import. Backups and snapshots made before are not touched: when one is
restored, the next start erases again who is named in the database's .erased file beside it.

Example:
  ringonce customers erase ada@example.com --reason 'asked by letter of 2 March'")]
pub struct EraseArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … ask for one kind only
    customer: String,
    /// Why; goes into the journal for good, so it must not name the person
    #[arg(long)]
    reason: String,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(cx: &Cx<'_>, args: &EraseArgs) -> anyhow::Result<Exit> {
    if args.reason.trim().is_empty() {
        return Err(usage("--reason is empty: say why"));
    }
    let store = cx.edit()?;
    let report = store.write(|tx| {
        let customer = one_for_good(tx, &args.customer)?;
        if erase::names_them(&customer, &args.reason) {
            return Err(usage(
                "--reason names the person, and the journal keeps it for good: leave out name, \
                 e-mail and phone",
            ));
        }
        let report = erase(tx, &customer, "cli", &args.reason, cx.now)?;
        // Before the commit: a crash in between erases at the next start.
        remember(store.path(), &customer.key, cx.now)?;
        Ok(report)
    })?;
    let emptied = empty_log(&store)?;
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
