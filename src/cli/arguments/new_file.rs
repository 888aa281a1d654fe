//! Output to a file that a flag names, or to stdout for `-`.

use std::fs::OpenOptions;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;
use serde_json::Value;

use crate::cli::exit::CliError;
use crate::present::{csv, output};

/// Writes a new file of mode 0600, because its content is about people. An existing file is left
/// alone, and a failure leaves no file behind.
pub fn write(
    target: &str,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if target == "-" {
        let mut out = BufWriter::new(std::io::stdout().lock());
        return quiet(fill(&mut out).and_then(|()| Ok(out.flush()?)));
    }
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(target) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let what = format!("{target} is there already and was left alone; name a new file");
            return Err(CliError::usage(what).into());
        }
        Err(error) => return Err(error).with_context(|| format!("create {target}")),
    };
    let mut out = BufWriter::new(file);
    let written = fill(&mut out).and_then(|()| Ok(out.flush()?));
    if written.is_err() {
        // The caller needs the first error.
        let _ = std::fs::remove_file(target);
    }
    written.with_context(|| format!("write {target}"))
}

/// Removes what [`write()`] made, because what it was made for failed.
pub fn take_back(target: &str) {
    if target != "-" {
        // The caller reports the failure that matters.
        let _ = std::fs::remove_file(target);
    }
}

/// Writes the rows of a list: as CSV to its target, or as JSON to stdout.
pub fn rows(csv_target: Option<&str>, columns: &[&str], rows: &[Value]) -> anyhow::Result<()> {
    match csv_target {
        Some(target) => {
            let text = csv::table(columns, rows);
            write(target, |out| Ok(out.write_all(text.as_bytes())?))
        }
        None => output::json(&rows),
    }
}

/// A closed pipe is not an error: its reader has read enough.
fn quiet(written: anyhow::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error)
            if error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
                == Some(ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        written => written,
    }
}
