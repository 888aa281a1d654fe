//! The flags that every command accepts, and the configuration loaded from them.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::CliError;
use crate::config::load::{LoadedConfig, Overrides};
use crate::zones::Zones;

/// Flags that every command accepts.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Configuration file [default: ringonce.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database file [default: ringonce.db]
    #[arg(long, global = true, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

/// A configuration without problems, and the zones that validated its zone names.
pub struct Settings {
    pub loaded: LoadedConfig,
    pub zones: Zones,
}

impl Global {
    /// The flags in the form that the configuration loader expects.
    pub fn overrides(&self) -> Overrides {
        Overrides { config: self.config.clone(), db: self.db.clone(), listen: None }
    }
}

/// Loads the configuration for any command. If values are problems to `check`, fails with one
/// line that names them all.
pub fn settings(overrides: &Overrides) -> anyhow::Result<Settings> {
    let loaded = crate::config::load::load(overrides, &environment)?;
    let zones = zones();
    let problems = loaded.problems(&|name| zones.get_schedule_zone(name).is_some());
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(|problem| loaded.describe(problem)).collect();
        return Err(CliError::usage(lines.join("; ")).into());
    }
    Ok(Settings { loaded, zones })
}

/// Loads the configuration for a command that places calls. The provider's ids and key must be
/// set; warnings are logged.
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

/// The zone rules. `TZDIR` names one more folder of system data, as for other programs.
pub fn zones() -> Zones {
    Zones::load_also_from(environment("TZDIR").map(PathBuf::from))
}

/// Reads an environment variable; a value that is not UTF-8 counts as unset.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
