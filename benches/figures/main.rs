//! The figures of the README: what the program does, beside plain rusqlite loops that do the
//! minimal same transactions, in turns, in the same run. Ratios are the result; absolutes depend
//! on the machine. `scripts/bench` builds and runs it.

mod dial;
mod import;
mod plain;
mod process;
mod scan;
mod world;

use std::process::ExitCode;

use ringonce::cli::output::Table;

/// One line of the result.
pub struct Figure {
    pub work: String,
    pub ours: String,
    pub plain: String,
    /// Ours divided by plain; `None` where no plain loop does the same.
    pub ratio: Option<f64>,
    /// What was aimed for, and whether it was reached.
    pub goal: Option<(String, bool)>,
}

type Section = (&'static str, fn() -> anyhow::Result<Vec<Figure>>);

// The processes first: while this one is still small.
const SECTIONS: [Section; 4] = [
    ("process", process::figures),
    ("import", import::figures),
    ("scan", scan::figures),
    ("dial", dial::figures),
];

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`; every other word names a section.
    let named: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut figures = Vec::new();
    for (name, measure) in SECTIONS {
        if !named.is_empty() && !named.iter().any(|word| word == name) {
            continue;
        }
        eprintln!("measuring: {name}");
        match measure() {
            Ok(measured) => figures.extend(measured),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut table = Table::new(&["work", "ringonce", "plain loop", "ratio", "goal", ""])
        .align_right(1)
        .align_right(2)
        .align_right(3);
    figures.into_iter().for_each(|figure| add(&mut table, figure));
    println!("{}", table.render(None, false));
    ExitCode::SUCCESS
}

fn add(table: &mut Table, figure: Figure) {
    let ratio = figure.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    let (goal, reached) = match figure.goal {
        Some((goal, true)) => (goal, "reached"),
        Some((goal, false)) => (goal, "missed"),
        None => (String::new(), ""),
    };
    table.row([figure.work, figure.ours, figure.plain, ratio, goal, reached.to_string()]);
}
