//! The figures of the README: this program beside plain rusqlite loops with the same minimal
//! transactions. Both sides run in turns in the same run. Ratios are the result; absolute numbers
//! depend on the machine. `scripts/bench` builds and runs it.

mod dial;
mod import;
mod plain;
mod process;
mod receiver;
mod scan;
mod world;

use std::process::ExitCode;

use ringonce::present::output::Table;

/// One line of the result.
pub struct Figure {
    pub work: String,
    pub ours: String,
    pub plain: String,
    /// Our speed relative to the plain loop; `None` if no plain loop does the same.
    pub ratio: Option<Ratio>,
    /// The target, and whether it was reached.
    pub goal: Option<(String, bool)>,
}

/// Ratios of neighbouring runs: each round measures both sides one after the other. On a shared
/// disk the rounds differ from each other by more than the two sides do.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Ratio {
    pub fn of(ratios: Vec<f64>) -> Ratio {
        Ratio {
            lowest: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            highest: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            median: world::median(ratios),
        }
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ratio { median, lowest, highest } = self;
        write!(f, "{median:.2} ({lowest:.2} to {highest:.2})")
    }
}

type Section = (&'static str, fn() -> anyhow::Result<Vec<Figure>>);

// Processes are measured first, while this process is still small.
const SECTIONS: [Section; 5] = [
    ("process", process::figures),
    ("receiver", receiver::figures),
    ("import", import::figures),
    ("scan", scan::figures),
    ("dial", dial::figures),
];

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`; every other argument names a section.
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
    let ratio = figure.ratio.map_or(String::new(), |ratio| ratio.to_string());
    let (goal, reached) = match figure.goal {
        Some((goal, true)) => (goal, "reached"),
        Some((goal, false)) => (goal, "missed"),
        None => (String::new(), ""),
    };
    table.row([figure.work, figure.ours, figure.plain, ratio, goal, reached.to_string()]);
}
