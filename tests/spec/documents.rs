//! What the documents say is what the program has: messages, configuration keys, length.

use std::path::Path;

use ringonce::config::file::known_keys;

use crate::architecture::rust_files;

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All strings of the source on one line each, as the program prints them.
fn source() -> String {
    let all: String = rust_files("src").iter().map(|file| text(file)).collect();
    let mut joined = String::with_capacity(all.len());
    let mut pieces = all.split("\\\n");
    joined.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        joined.push_str(piece.trim_start());
    }
    joined.replace("\\\"", "\"")
}

/// The fixed parts of the messages that a page quotes: `…` stands for a value.
fn quoted_messages(page: &str) -> Vec<String> {
    let blocks = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let parts = blocks.flat_map(|block| block.split(['\n', '…']));
    let parts = parts.map(|part| part.trim_matches(&[' ', ':', ';', ',', '.', '(', ')', '`'][..]));
    parts.filter(|part| part.len() >= 8).map(str::to_string).collect()
}

#[test]
fn every_message_that_the_operating_page_quotes_is_one_of_the_program() {
    let (source, messages) = (source(), quoted_messages(&text("docs/operating.md")));
    assert!(messages.len() > 30, "only {} messages are quoted", messages.len());
    let unknown: Vec<&String> =
        messages.iter().filter(|message| !source.contains(message.as_str())).collect();
    assert!(unknown.is_empty(), "docs/operating.md quotes what no file says: {unknown:#?}");
}

#[test]
fn every_configuration_key_is_documented() {
    let page = text("docs/configuration.md");
    let missing: Vec<String> = known_keys()
        .into_iter()
        .filter(|key| !page.contains(key.rsplit('.').next().unwrap_or(key)))
        .collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:?}");
}

#[test]
fn the_readme_is_one_page() {
    assert!(text("README.md").lines().count() <= 150);
}
