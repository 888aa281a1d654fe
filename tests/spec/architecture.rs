//! The rules of the layout that the compiler does not check. Imports go down, no two files import
//! each other, each resource has one module, files stay short, and the documented map matches the
//! files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::imports;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const LONGEST_FILE: usize = 400;
/// Entries of one folder: among more, a reader does not find one by its name. `mod.rs` is not
/// counted.
const MOST_ENTRIES: usize = 17;

/// The layer of each module of the crate; a module imports from lower layers. A new module gets its
/// layer here.
const LAYERS: [(&str, u8); 15] = [
    ("domain", 0),
    ("provider", 1),
    ("clock", 1),
    ("zones", 1),
    ("config", 1),
    ("phones", 1),
    ("http", 1),
    ("store", 2),
    ("vapi", 2),
    ("steps", 3),
    ("present", 4),
    ("service", 5),
    ("web", 6),
    ("demo", 6),
    ("cli", 7),
];
/// Modules within one of these layers do not import one another.
const APART: [u8; 2] = [2, 6];

/// Text that only the named files and folders may contain.
const OWNERS: [(&str, &[&str]); 17] = [
    ("rusqlite::", &["src/store/"]),
    ("SELECT ", &["src/store/"]),
    ("INSERT INTO", &["src/store/"]),
    ("DELETE FROM", &["src/store/"]),
    ("ureq::", &["src/vapi/", "src/service/outgoing/post.rs"]),
    ("SystemTime", &["src/clock.rs"]),
    ("Instant::now", &["src/clock.rs"]),
    ("Utc::now", &["src/clock.rs"]),
    ("Local::now", &["src/clock.rs"]),
    ("thread::sleep", &["src/clock.rs"]),
    ("rlibphonenumber::", &["src/phones/"]),
    (".place(", &["src/steps/dial.rs"]),
    ("dial::place(", &["src/service/dialer.rs", "src/service/dialer/"]),
    // The last two claim on copies in memory, which cannot place a call.
    (
        "dial::claim(",
        &[
            "src/service/dialer.rs",
            "src/service/dialer/",
            "src/steps/forecast/explain/trial.rs",
            "src/steps/forecast/simulate.rs",
        ],
    ),
    ("indicatif::", &["src/cli/"]),
    ("html!", &["src/web/page/"]),
    ("PreEscaped", &["no file: html! escapes every value"]),
];

/// Text that must not occur in `domain`.
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

/// The text of a file without comments and without unit tests, which may use anything.
pub fn code(file: &str) -> String {
    let text = text(file);
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

pub fn rust_files(folder: &str) -> Vec<String> {
    files(folder).into_iter().filter(|file| file.ends_with(".rs")).collect()
}

pub fn is_unit_test(file: &str) -> bool {
    file.ends_with("_tests.rs")
}

/// `domain` of `src/domain/gate.rs`, `clock` of `src/clock.rs`.
fn module_of(file: &str) -> &str {
    let inside = file.strip_prefix("src/").expect("a source file");
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// Imports that go upward, or between modules of one layer that must stay apart.
fn wrong_imports() -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, imported) in imports::graph() {
        let module = module_of(&file);
        let Some(here) = layer(module) else { continue };
        for other in imported.iter().filter(|other| module_of(other) != module) {
            let Some(there) = layer(module_of(other)) else { continue };
            if there > here || (there == here && APART.contains(&here)) {
                wrong.push(format!("{file} (layer {here}) imports {other} (layer {there})"));
            }
        }
    }
    wrong
}

/// The entries of each folder of `src/`: a file and the folder of the same name count as one.
fn entries() -> BTreeMap<String, BTreeSet<String>> {
    let mut entries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files("src").iter().filter(|file| !is_unit_test(file)) {
        let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
        for depth in 1..parts.len() {
            if parts[depth] != "mod" {
                let folder = parts[..depth].join("/");
                entries.entry(folder).or_default().insert(parts[depth].to_string());
            }
        }
    }
    entries
}

#[test]
fn every_module_of_the_crate_has_a_layer() {
    let modules: BTreeSet<String> = rust_files("src")
        .iter()
        .map(|file| module_of(file).to_string())
        .filter(|module| !["lib", "main"].contains(&module.as_str()))
        .collect();
    let layers: BTreeSet<String> = LAYERS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(modules, layers);
}

#[test]
fn imports_go_down_only() {
    let wrong = wrong_imports();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_two_files_import_each_other_however_indirectly() {
    let cycle = imports::cycle(&imports::graph());
    assert!(cycle.is_none(), "{}", cycle.unwrap_or_default().join("\n  imports "));
}

#[test]
fn no_folder_holds_more_entries_than_a_reader_scans() {
    let crowded: Vec<String> = entries()
        .into_iter()
        .filter(|(_, names)| names.len() > MOST_ENTRIES)
        .map(|(folder, names)| format!("{folder} holds {} entries", names.len()))
        .collect();
    assert!(crowded.is_empty(), "{crowded:#?}");
}

/// `scripts/layout` prints this output.
#[test]
fn the_layout_can_be_printed() {
    let entries = entries();
    println!("entries  lines  longest  folder");
    for (folder, names) in &entries {
        let of_folder = |file: &String| file.starts_with(&format!("{folder}/"));
        let lines: Vec<usize> = rust_files("src")
            .iter()
            .filter(|file| of_folder(file))
            .map(|file| text(file).lines().count())
            .collect();
        let longest = lines.iter().max().copied().unwrap_or_default();
        println!("{:7} {:6} {longest:8}  {folder}", names.len(), lines.iter().sum::<usize>());
    }
    println!("cycles: {}", usize::from(imports::cycle(&imports::graph()).is_some()));
    println!("imports that go upward: {}", wrong_imports().len());
    assert!(entries.contains_key("src/steps"), "{:?}", entries.keys());
}

#[test]
fn the_steps_never_name_vapi() {
    for (file, imported) in imports::graph() {
        let names_vapi = imported.iter().any(|other| module_of(other) == "vapi");
        assert!(!(file.starts_with("src/steps/") && names_vapi), "{file}");
    }
}

#[test]
fn each_resource_has_one_module() {
    let mut wrong = Vec::new();
    for file in rust_files("src").iter().filter(|file| !is_unit_test(file)) {
        let code = code(file);
        for (what, owners) in OWNERS {
            if code.contains(what) && !owners.iter().any(|owner| file.starts_with(owner)) {
                wrong.push(format!("{file} writes `{what}`, which belongs into {}", owners[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (what, owners) in OWNERS {
        let used = rust_files("src").iter().any(|file| {
            owners.iter().any(|owner| file.starts_with(owner)) && code(file).contains(what)
        });
        let forbidden_everywhere = ["Local::now", "Utc::now", "PreEscaped"].contains(&what);
        assert!(used || forbidden_everywhere, "nobody writes `{what}` any more: drop the rule");
    }
}

#[test]
fn domain_touches_no_resource() {
    for file in rust_files("src/domain") {
        let code = code(&file);
        for word in NOT_IN_DOMAIN {
            assert!(!code.contains(word), "{file} names {word}");
        }
    }
}

#[test]
fn provider_is_the_only_public_trait() {
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
        if lines > LONGEST_FILE {
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
    // The words are in parts, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["unimple", "mented!"], ["to", "do!("]];
    for file in ["src", "tests"].into_iter().flat_map(rust_files) {
        let text = text(&file);
        for word in &words {
            assert!(!text.contains(&word.concat()), "{file} holds {}", word.concat());
        }
    }
}

/// The map of `src/` in the documents: a fenced block under "Map". A line that begins with `NAME/`
/// opens a folder, and the words of deeper lines are its files, without `.rs`.
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
        // Skips data files, and the script that passes everything on to the installed program.
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
