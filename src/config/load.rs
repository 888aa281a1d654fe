//! Merges flags, environment and file. Refuses a test clock with a provider beyond loopback, and a
//! named file that is missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::config::address::BaseUrl;
use crate::config::error::Environment;
use crate::config::error::{ConfigError, ConfigProblem};
use crate::config::file;
use crate::config::secret::{self, Secret};
use crate::config::settings::Config;
use crate::config::validate;

/// The file that is read when no file is named and this one exists.
pub const DEFAULT_FILE: &str = "ringonce.toml";

const DEFAULT_DATABASE: &str = "ringonce.db";

/// In characters. A shorter token could be guessed, even with slow answers to guesses.
const SHORTEST_TOKEN: usize = 16;

/// 1 MiB; no sensible configuration is longer.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Values from the command line; they win over the environment, which wins over the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    pub config: Option<PathBuf>,
    pub db: Option<PathBuf>,
    pub listen: Option<String>,
}

/// A configuration that could be read. `problems` checks its values.
#[derive(Clone, Debug)]
pub struct LoadedConfig {
    /// `vapi.phone_number_ids` includes the single id; `vapi.base_url` has no end slash.
    pub config: Config,
    pub db: PathBuf,
    pub api_key: Option<Secret>,
    pub webhook_secret: Option<Secret>,
    pub api_token: Option<Secret>,
    pub events_secret: Option<Secret>,
    pub smtp_password: Option<Secret>,
    pub clock: Clock,
    /// `None`: no file, only defaults.
    pub config_path: Option<PathBuf>,
    /// Allowed but risky values; one line each.
    pub warnings: Vec<String>,
    /// Dotted key to its line in the file.
    lines: BTreeMap<String, usize>,
    base_url_is_from_environment: bool,
}

/// The key of the provider's address.
const BASE_URL: &str = "vapi.base_url";
/// The variable that names the clock file of a test.
const TEST_CLOCK: &str = "RINGONCE_TEST_CLOCK";

/// Reads the configuration. Fails on text that cannot be read; `problems` checks the values.
pub fn load(flags: &Overrides, env: Environment<'_>) -> Result<LoadedConfig, ConfigError> {
    let variable = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let (config_path, parsed) = read_file(flags, &variable)?;
    let (mut config, lines) = match parsed {
        Some(parsed) => (parsed.config, parsed.lines),
        None => (Config::default(), BTreeMap::new()),
    };

    let base_url = variable("VAPI_BASE_URL");
    let base_url_is_from_environment = base_url.is_some();
    if let Some(base_url) = base_url {
        config.vapi.base_url = base_url.trim().to_string();
    }
    config.vapi.base_url = config.vapi.base_url.trim_end_matches('/').to_string();
    merge_phone_numbers(&mut config);
    if let Some(listen) = &flags.listen {
        config.web.listen = Some(listen.clone());
    }
    let db = flags.db.clone().or_else(|| variable("RINGONCE_DB").map(PathBuf::from));
    if db.as_deref() == Some(Path::new(":memory:")) {
        let why = "a database in memory would forget who was called: name a file with --db";
        return Err(ConfigError::new(why.to_string()));
    }
    if variable(TEST_CLOCK).is_some()
        && let Err(what) = BaseUrl::parse(&config.vapi.base_url)
    {
        let url = &config.vapi.base_url;
        let place = match (base_url_is_from_environment, &config_path, lines.get(BASE_URL)) {
            (true, _, _) => "VAPI_BASE_URL".to_string(),
            (false, Some(path), Some(line)) => format!("{}:{line}: {BASE_URL}", path.display()),
            _ => BASE_URL.to_string(),
        };
        return Err(ConfigError::new(format!("{place}: {url:?} {what}")));
    }
    let clock = clock(&config, &variable)?;

    let mut warnings = validate::warnings(&config);
    let api_key = secret::read("VAPI_API_KEY", env, &mut warnings)?;
    let webhook_secret = secret::read("VAPI_WEBHOOK_SECRET", env, &mut warnings)?;
    let api_token = secret::read("RINGONCE_API_TOKEN", env, &mut warnings)?;
    let events_secret = secret::read("RINGONCE_EVENTS_SECRET", env, &mut warnings)?;
    let smtp_password = secret::read("RINGONCE_SMTP_PASSWORD", env, &mut warnings)?;
    Ok(LoadedConfig {
        config,
        db: linked(db.unwrap_or_else(|| PathBuf::from(DEFAULT_DATABASE))),
        api_key,
        webhook_secret,
        api_token,
        events_secret,
        smtp_password,
        clock,
        config_path,
        warnings,
        lines,
        base_url_is_from_environment,
    })
}

/// The target of a link to the database. The lock, the WAL and the do-not-call file lie beside the
/// target, so that every name of the database uses the same ones.
fn linked(db: PathBuf) -> PathBuf {
    let target = db.is_symlink().then(|| db.canonicalize().ok()).flatten();
    target.unwrap_or(db)
}

impl LoadedConfig {
    /// Every value that cannot be used. `known_zone` checks whether a zone name can be loaded.
    pub fn problems(&self, known_zone: &dyn Fn(&str) -> bool) -> Vec<ConfigProblem> {
        validate::validate(&self.config, known_zone)
    }

    /// Missing values that stop a dial but no other command: the provider's ids and its key.
    pub fn missing_for_dialing(&self) -> Vec<ConfigProblem> {
        let mut missing = validate::missing_for_dialing(&self.config);
        if self.api_key.is_none() {
            missing.push(ConfigProblem {
                key: "VAPI_API_KEY".to_string(),
                what: "is not set: put the provider's private key there, or its file into \
                       VAPI_API_KEY_FILE"
                    .to_string(),
            });
        }
        missing
    }

    /// Why the token is too short to serve with. It permits everything that the page can do.
    pub fn short_token(&self) -> Option<String> {
        let token = self.api_token.as_ref()?;
        (token.expose().len() < SHORTEST_TOKEN).then(|| {
            format!(
                "RINGONCE_API_TOKEN has fewer than {SHORTEST_TOKEN} characters, so it could be \
                 guessed: make another with `openssl rand -hex 24`"
            )
        })
    }

    /// The problem on one line, with the place of the value.
    pub fn describe(&self, problem: &ConfigProblem) -> String {
        if problem.key == BASE_URL && self.base_url_is_from_environment {
            return format!("VAPI_BASE_URL: {}", problem.what);
        }
        match (&self.config_path, self.line_of(&problem.key)) {
            (Some(path), Some(line)) => format!("{}:{line}: {problem}", path.display()),
            _ => problem.to_string(),
        }
    }

    /// The line of a key, or of the nearest table around it.
    fn line_of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return Some(*line);
            }
            key = key.rsplit_once('.')?.0;
        }
    }
}

type ReadFile = (Option<PathBuf>, Option<file::Parsed>);

fn read_file(flags: &Overrides, variable: Environment<'_>) -> Result<ReadFile, ConfigError> {
    let named = flags.config.clone().or_else(|| variable("RINGONCE_CONFIG").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
            return Ok((None, None));
        }
        Err(error) => {
            let advice = match error.kind() {
                ErrorKind::NotFound => ": `ringonce init` writes one",
                _ => "",
            };
            let place = path.display();
            return Err(ConfigError::new(format!("read configuration {place}: {error}{advice}")));
        }
    };
    let parsed = file::parse(&path.display().to_string(), &text)?;
    Ok((Some(path), Some(parsed)))
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if MAX_FILE_BYTES < text.len() as u64 {
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, "longer than 1 MiB"));
    }
    Ok(text)
}

/// Merges both keys into one list: the single id first, each id once.
fn merge_phone_numbers(config: &mut Config) {
    let mut merged: Vec<String> = Vec::new();
    for id in config.vapi.phone_number_id.iter().chain(&config.vapi.phone_number_ids) {
        if !merged.contains(id) {
            merged.push(id.clone());
        }
    }
    config.vapi.phone_number_ids = merged;
}

/// The machine's clock, or the clock file, which is refused if a real phone could ring.
fn clock(config: &Config, variable: Environment<'_>) -> Result<Clock, ConfigError> {
    let Some(path) = variable(TEST_CLOCK) else { return Ok(Clock::System) };
    let base_url = &config.vapi.base_url;
    if !BaseUrl::parse(base_url).is_ok_and(|url| url.is_loopback()) {
        return Err(ConfigError::new(format!(
            "RINGONCE_TEST_CLOCK is set but the provider {base_url} is not on loopback: unset it, \
             or set VAPI_BASE_URL to the fake provider"
        )));
    }
    let clock = Clock::File(PathBuf::from(path));
    match clock.read() {
        Ok(_) => Ok(clock),
        Err(error) => Err(ConfigError::new(format!("RINGONCE_TEST_CLOCK: {error:#}"))),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
