//! Tests that flags win over the environment and the environment over the file, and of refusals.

use std::fs;

use super::*;

/// A folder with a configuration file, and an environment that names the file.
struct Setting {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Setting {
    fn new(text: &str) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        fs::write(&path, text).unwrap();
        let named = ("RINGONCE_CONFIG".to_string(), path.display().to_string());
        Setting { folder, variables: vec![named] }
    }

    fn with(mut self, name: &str, value: &str) -> Setting {
        self.variables.push((name.to_string(), value.to_string()));
        self
    }

    fn load(&self, flags: &Overrides) -> Result<LoadedConfig, ConfigError> {
        load(flags, &|name| {
            self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, v)| v.clone())
        })
    }

    fn error(&self) -> String {
        self.load(&Overrides::default()).unwrap_err().to_string()
    }
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = "[vapi]\nbase_url = 'https://file.example.com/'\n[web]\nlisten = '127.0.0.1:1'\n";
    let none = Overrides::default();

    let from_file = Setting::new(file).load(&none).unwrap();
    assert_eq!(from_file.config.vapi.base_url, "https://file.example.com");
    assert_eq!(from_file.db, PathBuf::from("ringonce.db"));

    let setting = Setting::new(file)
        .with("VAPI_BASE_URL", "https://env.example.com")
        .with("RINGONCE_DB", "env.db");
    let from_env = setting.load(&none).unwrap();
    assert_eq!(from_env.config.vapi.base_url, "https://env.example.com");
    assert_eq!(from_env.db, PathBuf::from("env.db"));

    let flags = Overrides {
        db: Some("flag.db".into()),
        listen: Some("127.0.0.1:2".to_string()),
        ..Overrides::default()
    };
    let from_flags = setting.load(&flags).unwrap();
    assert_eq!(from_flags.db, PathBuf::from("flag.db"));
    assert_eq!(from_flags.config.web.listen.as_deref(), Some("127.0.0.1:2"));
}

#[test]
fn the_single_number_and_the_list_become_one_list() {
    let text = "[vapi]\nphone_number_id = 'b'\nphone_number_ids = ['a', 'b', 'c']\n";
    let loaded = Setting::new(text).load(&Overrides::default()).unwrap();
    assert_eq!(loaded.config.vapi.phone_number_ids, ["b", "a", "c"]);
}

#[test]
fn a_named_file_that_is_missing_or_unreadable_is_an_error() {
    let setting = Setting::new("");
    let folder = setting.folder.path().to_path_buf();
    let flags = |path: PathBuf| Overrides { config: Some(path), ..Overrides::default() };

    let missing = setting.load(&flags(folder.join("none.toml"))).unwrap_err().to_string();
    assert!(missing.contains("none.toml") && missing.contains("ringonce init"), "{missing}");
    let directory = setting.load(&flags(folder.clone())).unwrap_err().to_string();
    assert!(directory.starts_with("read configuration"), "{directory}");
    fs::write(folder.join("binary.toml"), b"\xff\xfe\x00").unwrap();
    let binary = setting.load(&flags(folder.join("binary.toml"))).unwrap_err().to_string();
    assert!(binary.contains("binary.toml"), "{binary}");
    fs::write(folder.join("long.toml"), "#".repeat(2 << 20)).unwrap();
    let long = setting.load(&flags(folder.join("long.toml"))).unwrap_err().to_string();
    assert!(long.contains("1 MiB"), "{long}");
}

#[test]
fn a_test_clock_is_refused_beyond_loopback_wherever_the_address_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clock");
    fs::write(&path, "2026-11-22T12:00:00Z\n").unwrap();
    let clock = path.to_str().unwrap();
    let local = "[vapi]\nbase_url = 'http://127.0.0.1:9'\n";

    let allowed = Setting::new(local).with("RINGONCE_TEST_CLOCK", clock);
    let loaded = allowed.load(&Overrides::default()).unwrap();
    assert!(loaded.clock.is_test());

    let by_default = Setting::new("").with("RINGONCE_TEST_CLOCK", clock);
    assert!(by_default.error().contains("not on loopback"), "{}", by_default.error());
    let by_environment = allowed.with("VAPI_BASE_URL", "https://api.vapi.ai");
    assert!(by_environment.error().contains("not on loopback"));

    fs::write(&path, "noon").unwrap();
    let broken = Setting::new(local).with("RINGONCE_TEST_CLOCK", clock);
    assert!(broken.error().contains("no RFC 3339 instant"), "{}", broken.error());
    let missing = Setting::new(local).with("RINGONCE_TEST_CLOCK", "/nowhere/clock");
    assert!(missing.error().contains("/nowhere/clock"), "{}", missing.error());
}

#[test]
fn a_problem_is_described_with_the_line_of_its_key() {
    let setting = Setting::new("# comment\n[dialing]\nworkers = 0\n");
    let loaded = setting.load(&Overrides::default()).unwrap();
    let problem = &loaded.problems(&|_| true)[0];
    let described = loaded.describe(problem);
    assert!(described.ends_with("c.toml:3: dialing.workers: 0 is out of range: write 1 to 64"));

    let setting = Setting::new("").with("VAPI_BASE_URL", "http://example.com");
    let loaded = setting.load(&Overrides::default()).unwrap();
    let described = loaded.describe(&loaded.problems(&|_| true)[0]);
    assert!(described.starts_with("VAPI_BASE_URL: \"http://example.com\" must be https"));
}

#[test]
fn secrets_are_loaded_and_never_shown() {
    let setting = Setting::new("")
        .with("VAPI_API_KEY", "canary-a")
        .with("VAPI_WEBHOOK_SECRET", "canary-b")
        .with("RINGONCE_API_TOKEN", "canary-c");
    let loaded = setting.load(&Overrides::default()).unwrap();
    assert_eq!(loaded.api_key.as_ref().unwrap().expose(), "canary-a");
    assert_eq!(loaded.webhook_secret.as_ref().unwrap().expose(), "canary-b");
    assert_eq!(loaded.api_token.as_ref().unwrap().expose(), "canary-c");
    assert!(!format!("{loaded:?}").contains("canary"));
}

#[test]
fn a_dial_is_missing_the_key_when_it_is_not_set() {
    let text = "[vapi]\nphone_number_id = 'n'\nassistant_id = 'a'\n";
    let without = Setting::new(text).load(&Overrides::default()).unwrap();
    assert_eq!(without.missing_for_dialing()[0].key, "VAPI_API_KEY");
    let with = Setting::new(text).with("VAPI_API_KEY", "k").load(&Overrides::default()).unwrap();
    assert_eq!(with.missing_for_dialing(), []);
}
