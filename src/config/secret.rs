//! Secrets come from the environment or from a file named there, never from `ringonce.toml`. They
//! are never printed. Refuses a secret that is not valid in a header.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::config::error::{ConfigError, Environment};

/// A text that must not appear in any output. It has no `Serialize`, and prints as `•••`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: &str) -> Secret {
        Secret(text.to_string())
    }

    /// The text itself, for a request's header and for comparisons, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// The secret in the variable `name`, or in the file that `name_FILE` names.
///
/// `None` when neither is set. Both are an error: a forgotten `export` of a test key would win over
/// the real one. A file that others may read causes a warning, not an error, because
/// container platforms mount their secrets that way.
pub(super) fn read(
    name: &str,
    env: Environment<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Secret>, ConfigError> {
    let file_variable = format!("{name}_FILE");
    let file = env(&file_variable).filter(|path| !path.trim().is_empty());
    if let Some(text) = env(name).filter(|text| !text.trim().is_empty()) {
        if file.is_some() {
            return Err(ConfigError::new(format!(
                "{name} and {file_variable} are both set, so it is not clear which secret counts: \
                 run `unset {name}` to use the file, or `unset {file_variable}`"
            )));
        }
        return checked(name, text.trim()).map(Some);
    }
    let Some(file) = file else { return Ok(None) };
    let path = Path::new(file.trim());
    let text = fs::read_to_string(path).map_err(|error| {
        ConfigError::new(format!("read {file_variable} {}: {error}", path.display()))
    })?;
    if others_may_read(path) {
        warnings.push(format!(
            "{} can be read by others: chmod 600 {}",
            path.display(),
            path.display()
        ));
    }
    if text.trim().is_empty() {
        return Err(ConfigError::new(format!(
            "{file_variable} {} is empty: write the secret into it",
            path.display()
        )));
    }
    checked(&file_variable, text.trim()).map(Some)
}

fn checked(name: &str, text: &str) -> Result<Secret, ConfigError> {
    // Docker's `--env-file` keeps quotes, and the provider would refuse every call with them.
    if 1 < text.len() && ['"', '\''].iter().any(|q| text.starts_with(*q) && text.ends_with(*q)) {
        return Err(ConfigError::new(format!(
            "{name} is in quotes, which are not part of the secret: write it without them"
        )));
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(ConfigError::new(format!(
            "{name} holds a blank, a line break or a character outside ASCII: set the secret alone"
        )));
    }
    Ok(Secret::new(text))
}

/// Whether the group or the world may read the file; `false` on systems without modes.
fn others_may_read(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o044 != 0)
    }
    #[cfg(not(unix))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env_of(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        move |name| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_secret_prints_as_dots() {
        let secret = Secret::new("canary-2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "••• ••• Some(•••)");
        assert_eq!(secret.expose(), "canary-2");
    }

    #[test]
    fn a_secret_file_is_trimmed_and_named_when_others_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "canary-3\n").unwrap();
        let env = env_of(&[("K_FILE", path.to_str().unwrap())]);

        for (mode, expected_warnings) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o644, 1)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let mut warnings = Vec::new();
            let secret = read("K", &env, &mut warnings).unwrap().unwrap();
            assert_eq!(secret.expose(), "canary-3");
            assert_eq!(warnings.len(), expected_warnings, "mode {mode:o}");
        }
    }

    #[test]
    fn two_sources_of_one_secret_are_refused_and_an_empty_variable_counts_as_unset() {
        let mut warnings = Vec::new();
        let both = env_of(&[("K", " canary-4 "), ("K_FILE", "/nowhere")]);
        let error = read("K", &both, &mut warnings).unwrap_err().to_string();
        assert!(error.starts_with("K and K_FILE are both set"), "{error}");
        assert!(!error.contains("canary"), "{error}");

        let empty = env_of(&[("K", ""), ("K_FILE", "")]);
        assert_eq!(read("K", &empty, &mut warnings).unwrap(), None);
    }

    #[test]
    fn a_secret_that_cannot_travel_in_a_header_is_refused_unseen() {
        let mut warnings = Vec::new();
        for text in ["canary 5", "canary\n5", "canarÿ5"] {
            let error = read("K", &env_of(&[("K", text)]), &mut warnings).unwrap_err().to_string();
            assert!(error.starts_with("K holds") && !error.contains("canar"), "{error}");
        }
    }

    #[test]
    fn a_secret_in_quotes_is_refused_unseen() {
        let mut warnings = Vec::new();
        for text in ["\"canary-6\"", "'canary-6'", "\"\""] {
            let error = read("K", &env_of(&[("K", text)]), &mut warnings).unwrap_err().to_string();
            assert!(error.contains("in quotes") && !error.contains("canar"), "{error}");
        }
        for text in ["\"", "a\"", "o'neill"] {
            let secret = read("K", &env_of(&[("K", text)]), &mut warnings).unwrap().unwrap();
            assert_eq!(secret.expose(), text);
        }
    }

    #[test]
    fn a_missing_or_empty_secret_file_is_an_error_that_names_it() {
        let mut warnings = Vec::new();
        let missing = env_of(&[("K_FILE", "/nowhere/key")]);
        let error = read("K", &missing, &mut warnings).unwrap_err().to_string();
        assert!(error.contains("K_FILE /nowhere/key"), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "\n").unwrap();
        let empty = env_of(&[("K_FILE", path.to_str().unwrap())]);
        assert!(read("K", &empty, &mut warnings).unwrap_err().to_string().contains("is empty"));
    }
}
