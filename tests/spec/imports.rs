//! The imports between the files of `src/`, read from their text. The sources are `use` trees,
//! `crate::` paths in the code, and a folder's `mod.rs` that names its children.
//!
//! Unit tests may import anything, so they are left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::architecture::{code, is_unit_test, rust_files};

/// The files that each file imports, without itself.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// The module path below the crate: `["steps", "dial", "intent"]`.
type Path = Vec<String>;

/// Reads the imports of every file.
pub fn graph() -> Graph {
    let files: Vec<String> = rust_files("src").into_iter().filter(|f| !is_unit_test(f)).collect();
    let modules: BTreeMap<Path, String> =
        files.iter().map(|file| (module(file), file.clone())).collect();
    files.iter().map(|file| (file.clone(), imports_of(file, &modules))).collect()
}

/// A shortest cycle of imports, with its first file repeated at the end; `None` if there is none.
pub fn cycle(graph: &Graph) -> Option<Vec<String>> {
    graph.keys().filter_map(|start| way_back(graph, start)).min_by_key(Vec::len)
}

fn way_back(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in &graph[file] {
            if next == start {
                let mut way = vec![start.to_string()];
                let mut at = file;
                while at != start {
                    way.push(at.to_string());
                    at = came_from[at];
                }
                way.push(start.to_string());
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

fn module(file: &str) -> Path {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    match inside {
        "lib" | "main" => vec![inside.to_string()],
        _ => inside.split('/').map(str::to_string).collect(),
    }
}

fn imports_of(file: &str, modules: &BTreeMap<Path, String>) -> BTreeSet<String> {
    let own = module(file);
    let code = code(file);
    let mut paths = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        match use_tree(statement) {
            Some((before, tree)) => {
                rest.push_str(before);
                leaves(tree, &[], &mut paths);
            }
            None => rest.push_str(statement),
        }
    }
    paths.extend(written_out(&rest));
    let found = paths.iter().filter_map(|path| resolve(path, &own, modules));
    found.filter(|other| *other != file).map(str::to_string).collect()
}

/// The text before a `use` statement, and its tree.
fn use_tree(statement: &str) -> Option<(&str, &str)> {
    let start = statement
        .match_indices("use ")
        .map(|(at, _)| at)
        .find(|at| statement[..*at].chars().next_back().is_none_or(|c| c.is_whitespace()))?;
    let line_start = statement[..start].rfind('\n').map_or(0, |at| at + 1);
    let before = statement[line_start..start].trim();
    let is_statement = before.is_empty() || before.starts_with("pub");
    let tree = statement[start + 4..].trim_end_matches(';');
    (is_statement && statement.ends_with(';')).then_some((&statement[..line_start], tree))
}

/// Every path of a `use` tree.
fn leaves(tree: &str, prefix: &[String], found: &mut Vec<Path>) {
    let tree = tree.trim();
    if let Some(list) = tree.strip_prefix('{').and_then(|tree| tree.strip_suffix('}')) {
        for part in top_level(list) {
            leaves(part, prefix, found);
        }
        return;
    }
    let name = first_word(tree);
    let mut path = prefix.to_vec();
    if !name.is_empty() {
        path.push(name.clone());
    }
    match tree[name.len()..].trim_start().strip_prefix("::") {
        Some(rest) => leaves(rest, &path, found),
        None => found.push(path),
    }
}

fn top_level(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Paths that are written in the code itself.
fn written_out(code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let head = &code[..at];
        let name: String = {
            let from =
                head.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
            head[from..].to_string()
        };
        let begins = !head[..head.len() - name.len()].ends_with("::");
        if name.is_empty() || !begins {
            continue;
        }
        let mut path = vec![name];
        let mut rest = &code[at..];
        while let Some(after) = rest.strip_prefix("::") {
            let word = first_word(after);
            if word.is_empty() {
                break;
            }
            rest = &after[word.len()..];
            path.push(word);
        }
        found.push(path);
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The file that a path leads to, as seen from the module `own`.
fn resolve<'m>(path: &Path, own: &Path, modules: &'m BTreeMap<Path, String>) -> Option<&'m str> {
    let mut absolute = match path.first()?.as_str() {
        "crate" | "ringonce" => path[1..].to_vec(),
        "self" => [own.as_slice(), &path[1..]].concat(),
        "super" => {
            let ups = path.iter().take_while(|word| *word == "super").count();
            let kept = own.len().saturating_sub(ups);
            [&own[..kept], &path[ups..]].concat()
        }
        child => {
            let inside = [own.as_slice(), &[child.to_string()]].concat();
            if !modules.contains_key(&inside) {
                return None;
            }
            [own.as_slice(), path.as_slice()].concat()
        }
    };
    while !absolute.is_empty() {
        if let Some(file) = modules.get(&absolute) {
            return Some(file);
        }
        absolute.pop();
    }
    None
}
