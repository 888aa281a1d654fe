//! `customers export`: everything that is stored about one person, for the person.

use clap::Args;

use crate::cli::arguments::{Cx, WHO, new_file, one};
use crate::cli::exit::Exit;
use crate::present::person;
use crate::store::journal::{self, By};

#[derive(Args)]
#[command(after_help = "\
The JSON holds the whole phone number and the transcripts, so the journal records this.

Example:
  ringonce customers export ada@example.com ada.json")]
pub struct ExportArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … match one kind only
    customer: String,
    /// The new file; - for stdout
    #[arg(default_value = "-")]
    file: String,
}

pub fn run(cx: &Cx<'_>, args: &ExportArgs) -> anyhow::Result<Exit> {
    let store = cx.edit()?;
    let customer = store.read(|conn| one(conn, &args.customer))?;
    let by = By { who: WHO, now: cx.now };
    let subject = format!("customer:{}", customer.id);
    store.write(|tx| journal::note_reveal(tx, by, &subject, Some("export")))?;
    let told = store.read(|conn| person::as_json(conn, store.path(), &customer))?;
    let text = serde_json::to_string_pretty(&told)?;
    new_file::write(&args.file, |out| Ok(out.write_all(format!("{text}\n").as_bytes())?))?;
    Ok(Exit::Done)
}
