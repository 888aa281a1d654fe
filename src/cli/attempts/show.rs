//! `attempts show`: one attempt whole, with what was said in its call.

use clap::Args;
use serde_json::Value;

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::arguments::{WHO, must_exist, refused};
use crate::cli::exit::Exit;
use crate::present::attempt;
use crate::present::output::{self, Table, clean};
use crate::steps::operate;
use crate::store::Store;
use crate::store::attempts::results;
use crate::store::journal::{self, By};
use crate::store::views::page;

#[derive(Args)]
#[command(after_help = "\
Example:
  ringonce attempts show 019ab3c4 --reveal")]
pub struct ShowArgs {
    /// The attempt's id, or at least its first 8 characters
    id: String,
    /// Show the whole phone number and the transcript; the journal records this
    #[arg(long)]
    reveal: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn show(global: &Global, args: &ShowArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let path = &settings.loaded.db;
    must_exist(path)?;
    let store = if args.reveal { Store::open(path, now)? } else { Store::look(path)? };
    let (found, name, result) = store
        .read(|conn| {
            let found = operate::attempt_of(conn, &args.id)?;
            let name = page::name_of(conn, found.customer_id)?;
            let result = results::of_attempt(conn, &found.id)?;
            Ok((found, name, result))
        })
        .map_err(refused)?;
    if args.reveal {
        let subject = format!("attempt:{}", found.id);
        let by = By { who: WHO, now };
        store.write(|tx| journal::note_reveal(tx, by, &subject, None))?;
    }
    let mut fields = attempt::as_json(&found, Some(&name), args.reveal);
    fields["result"] = attempt::result_json(result.as_ref(), args.reveal);
    if args.json {
        output::json(&fields)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["FIELD", "VALUE"]);
    let result = fields["result"].take();
    for (name, value) in fields.as_object().into_iter().flatten().filter(|(n, _)| *n != "result") {
        table.row([name.clone(), cell(value)]);
    }
    for (name, value) in result.as_object().into_iter().flatten() {
        match value {
            Value::Object(values) => {
                for (name, value) in values {
                    table.row([format!("structured: {}", clean(name)), cell(value)]);
                }
            }
            value => table.row([format!("result: {name}"), cell(value)]),
        }
    }
    table.print()?;
    if result.is_null() {
        output::line("nothing that was said is stored")?;
    } else if !args.reveal {
        output::line("--reveal also shows the transcript, if it is stored")?;
    }
    Ok(Exit::Done)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_string(),
        value => clean(&attempt::value_text(value)),
    }
}
