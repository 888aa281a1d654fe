//! The house rules that the compiler does not know: imports go down, each outside has one door,
//! files stay short, and the documented map matches the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const LONGEST_FILE: usize = 400;

/// The floor of each module of the crate. Whoever adds one says where it stands.
const FLOORS: [(&str, u8); 13] = [
    ("domain", 0),
    ("provider", 1),
    ("clock", 1),
    ("zones", 1),
    ("config", 1),
    ("phones", 1),
    ("store", 2),
    ("vapi", 2),
    ("steps", 3),
    ("service", 4),
    ("cli", 4),
    ("web", 4),
    ("demo", 4),
];

/// What may be written only behind its door.
const DOORS: [(&str, &[&str]); 16] = [
    ("rusqlite::", &["src/store/"]),
    ("r2d2", &["src/store/"]),
    ("SELECT ", &["src/store/"]),
    ("INSERT INTO", &["src/store/"]),
    ("DELETE FROM", &["src/store/"]),
    ("ureq::", &["src/vapi/"]),
    ("SystemTime", &["src/clock.rs"]),
    ("Instant::now", &["src/clock.rs"]),
    ("Utc::now", &["src/clock.rs"]),
    ("Local::now", &["src/clock.rs"]),
    ("thread::sleep", &["src/clock.rs"]),
    ("rlibphonenumber::", &["src/phones.rs", "src/phones/"]),
    (".place(", &["src/steps/dial.rs"]),
    ("dial::place(", &["src/service/dialer.rs", "src/service/dialer/"]),
    // The last two claim on copies in memory, from which nothing can be placed.
    (
        "dial::claim(",
        &[
            "src/service/dialer.rs",
            "src/service/dialer/",
            "src/steps/explain.rs",
            "src/steps/simulate.rs",
        ],
    ),
    ("indicatif::", &["src/cli/"]),
];

/// What the deciding floor may not even name.
const NOT_IN_DOMAIN: [&str; 10] = [
    "std::fs",
    "std::env",
    "std::net",
    "std::thread",
    "std::process",
    "std::io",
    "log::",
    "println!",
    "uuid::",
    "serde_json::from_reader",
];

fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(ROOT).join(folder)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{next:?}: {error}")) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let inside = path.strip_prefix(ROOT).expect("below the root");
                found.push(inside.to_str().expect("a plain name").to_string());
            }
        }
    }
    found.sort();
    found
}

fn text(file: &str) -> String {
    let path = Path::new(ROOT).join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Without comments and without unit tests, which may use what they like.
fn code(file: &str) -> String {
    let text = text(file);
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn rust_files(folder: &str) -> Vec<String> {
    files(folder).into_iter().filter(|file| file.ends_with(".rs")).collect()
}

fn is_unit_test(file: &str) -> bool {
    file.ends_with("_tests.rs")
}

/// `domain` of `src/domain/gate.rs`, `clock` of `src/clock.rs`.
fn module_of(file: &str) -> &str {
    let inside = file.strip_prefix("src/").expect("a source file");
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// The modules of the crate that a file names.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let Some(list) = part.strip_prefix('{') else {
            named.insert(first_word(part));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (at, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                character if at_start && character.is_alphabetic() => {
                    named.insert(first_word(&list[at..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    named
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[test]
fn every_module_of_the_crate_has_a_floor() {
    let modules: BTreeSet<String> = rust_files("src")
        .iter()
        .map(|file| module_of(file).to_string())
        .filter(|module| !["lib", "main"].contains(&module.as_str()))
        .collect();
    let floors: BTreeSet<String> = FLOORS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(modules, floors);
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for file in rust_files("src").iter().filter(|file| !is_unit_test(file)) {
        let module = module_of(file);
        let Some(here) = floor(module) else { continue };
        for other in named_modules(&code(file)) {
            let Some(there) = floor(&other) else { continue };
            // Floors 1 and 4 are of one stuff; a database and a provider never meet on 2.
            let beside = there == here && ["store", "vapi"].contains(&module);
            if other != module && (here < there || beside) {
                wrong.push(format!("{file} (floor {here}) uses {other} (floor {there})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_steps_never_name_vapi() {
    for file in rust_files("src/steps") {
        assert!(!named_modules(&code(&file)).contains("vapi"), "{file}");
    }
}

#[test]
fn each_outside_has_one_door() {
    let mut wrong = Vec::new();
    for file in rust_files("src").iter().filter(|file| !is_unit_test(file)) {
        let code = code(file);
        for (what, doors) in DOORS {
            if code.contains(what) && !doors.iter().any(|door| file.starts_with(door)) {
                wrong.push(format!("{file} writes `{what}`, which belongs into {}", doors[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (what, doors) in DOORS {
        let used = rust_files("src").iter().any(|file| {
            doors.iter().any(|door| file.starts_with(door)) && code(file).contains(what)
        });
        let forbidden_everywhere = ["Local::now", "Utc::now"].contains(&what);
        assert!(used || forbidden_everywhere, "nobody writes `{what}` any more: drop the rule");
    }
}

#[test]
fn the_deciding_floor_touches_nothing_outside() {
    for file in rust_files("src/domain") {
        let code = code(&file);
        for word in NOT_IN_DOMAIN {
            assert!(!code.contains(word), "{file} names {word}");
        }
    }
}

#[test]
fn only_the_provider_trait_stands_between_us_and_the_outside() {
    let traits: Vec<String> = rust_files("src")
        .iter()
        .flat_map(|file| {
            let code = code(file);
            let found = code.lines().filter(|line| line.trim_start().starts_with("pub trait "));
            found.map(|line| format!("{file}: {}", line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(traits, ["src/provider.rs: pub trait Provider: Send + Sync {"]);
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let mut long = Vec::new();
    for file in ["src", "tests/spec", "benches"].into_iter().flat_map(rust_files) {
        let lines = text(&file).lines().count();
        if LONGEST_FILE < lines {
            long.push(format!("{file} has {lines} lines"));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in ["src", "tests"].into_iter().flat_map(rust_files) {
        let text = text(&file);
        let first = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
        let is_main = file == "src/main.rs";
        assert!(first.starts_with("//!") || is_main, "{file} begins with {first:?}");
    }
}

#[test]
fn nothing_is_left_to_be_done_later() {
    // In parts, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["unimple", "mented!"], ["to", "do!("]];
    for file in ["src", "tests"].into_iter().flat_map(rust_files) {
        let text = text(&file);
        for word in &words {
            assert!(!text.contains(&word.concat()), "{file} holds {}", word.concat());
        }
    }
}

/// The map of `src/` in the documents: under "Map", a fenced block in which a line that begins
/// with `NAME/` opens a folder and the words of deeper lines are its files, without `.rs`.
fn documented_map() -> BTreeMap<String, BTreeSet<String>> {
    let page = text("docs/architecture.md");
    let section = page.split("\n## Map\n").nth(1).expect("docs/architecture.md: ## Map");
    let block = section.split("```").nth(1).expect("docs/architecture.md: a fenced map");
    let mut map: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut folder = String::new();
    for line in block.lines().skip(1) {
        let word = line.split_whitespace().next().unwrap_or_default();
        if !line.starts_with("   ") && word.ends_with('/') {
            folder = format!("src/{word}").replace("src/src/", "src/");
            map.entry(folder.clone()).or_default();
        } else {
            let names = line.split_whitespace().map(str::to_string);
            map.entry(folder.clone()).or_default().extend(names);
        }
    }
    map
}

#[test]
fn the_map_in_the_documents_matches_the_files() {
    let mut territory: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files("src") {
        let (folder, name) = file.rsplit_once('/').expect("a folder");
        let name = name.trim_end_matches(".rs").to_string();
        territory.entry(format!("{folder}/")).or_default().insert(name);
    }
    let map = documented_map();
    let mut wrong = Vec::new();
    for folder in territory.keys().chain(map.keys()).collect::<BTreeSet<_>>() {
        let (there, drawn) = (territory.get(folder), map.get(folder));
        if there != drawn {
            let names: Vec<_> = there.into_iter().flatten().cloned().collect();
            wrong.push(format!("{folder} holds: {}", names.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "docs/architecture.md, Map, is not what is there: {wrong:#?}");
}

#[test]
fn every_script_says_what_it_is_for_and_does_nothing_else() {
    let has_python = std::process::Command::new("python3").arg("--version").output().is_ok();
    let mut asked = 0;
    for entry in std::fs::read_dir(Path::new(ROOT).join("scripts")).unwrap() {
        let script = entry.unwrap().path();
        let name = script.file_name().unwrap().to_str().unwrap().to_string();
        // Data beside the scripts; and one that hands everything on to the installed program.
        if script.is_dir() || name.contains('.') || name == "Caddyfile" || name == "ringoncectl" {
            continue;
        }
        let text = std::fs::read_to_string(&script).unwrap();
        if text.starts_with("#!/usr/bin/env python3") && !has_python {
            crate::left_out::record("python3");
            continue;
        }
        let said = std::process::Command::new(&script).arg("--help").output().unwrap();
        assert!(said.status.success(), "{name} --help: {said:?}");
        assert!(20 < said.stdout.len(), "{name} --help says nothing");
        assert!(said.stderr.is_empty(), "{name} --help: {said:?}");
        asked += 1;
    }
    assert!(5 < asked, "only {asked} scripts were asked");
}
