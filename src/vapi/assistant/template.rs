//! Finds the variables that a text of an assistant reads. The provider replaces them by the rules of
//! Liquid: `{{ name | filter: other }}`, `{% if plan == "pro" %}`.

use std::collections::BTreeSet;

/// Variables that the provider fills.
const OF_THE_PROVIDER: [&str; 11] = [
    "customer",
    "call",
    "phoneNumber",
    "transport",
    "assistant",
    "now",
    "date",
    "time",
    "month",
    "day",
    "year",
];
/// Words of the language that are not variables.
const WORDS: [&str; 17] = [
    "true", "false", "nil", "null", "empty", "blank", "and", "or", "not", "contains", "in", "with",
    "as", "limit", "offset", "reversed", "forloop",
];
/// Tags whose words are read as an expression.
const READING: [&str; 6] = ["if", "elsif", "unless", "case", "when", "echo"];

/// The variables that a customer or ringonce must fill: those that the text reads, neither sets
/// itself nor gets from the provider.
pub fn variables(text: &str) -> BTreeSet<String> {
    let mut found = Found::default();
    let mut rest = text;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let is_tag = rest[start..].starts_with("{%");
        let inner = &rest[start + 2..];
        let Some(end) = inner.find(if is_tag { "%}" } else { "}}" }) else { break };
        let code = inner[..end].trim_matches('-').trim();
        rest = &inner[end + 2..];
        if !is_tag {
            found.read(code);
            continue;
        }
        let (tag, code) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
        match tag {
            // Nothing in between is replaced.
            "raw" | "comment" => {
                let close = rest.find(&format!("end{tag}")).unwrap_or(rest.len());
                rest = &rest[close..];
            }
            _ => found.tag(tag, code),
        }
    }
    let Found { read, set } = found;
    let is_filled = |name: &String| set.contains(name) || OF_THE_PROVIDER.contains(&name.as_str());
    read.into_iter().filter(|name| !is_filled(name)).collect()
}

#[derive(Default)]
struct Found {
    read: BTreeSet<String>,
    /// Set by the text itself.
    set: BTreeSet<String>,
}

impl Found {
    fn tag(&mut self, tag: &str, code: &str) {
        let (name, value) = match tag {
            "assign" => code.split_once('=').unwrap_or((code, "")),
            "capture" => (code, ""),
            "for" => code.split_once(" in ").unwrap_or((code, "")),
            _ if READING.contains(&tag) => return self.read(code),
            _ => return,
        };
        self.set.insert(name.trim().to_string());
        self.read(value);
    }

    /// Adds the variables of an expression. A name after a dot is a part of the variable before it,
    /// and one after a bar is a filter.
    fn read(&mut self, code: &str) {
        let mut before = ' ';
        let mut rest = code;
        while let Some(first) = rest.chars().next() {
            if first == '"' || first == '\'' {
                let inner = &rest[1..];
                rest = inner.find(first).map_or("", |end| &inner[end + 1..]);
                before = first;
                continue;
            }
            let is_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let length = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
            if length == 0 {
                if !first.is_whitespace() {
                    before = first;
                }
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (name, after) = rest.split_at(length);
            let is_argument = after.trim_start().starts_with(':');
            let is_variable = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && !['.', '|'].contains(&before)
                && !is_argument
                && !WORDS.contains(&name);
            if is_variable {
                self.read.insert(name.to_string());
            }
            before = 'a';
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_that_somebody_must_fill_are_found() {
        for (text, expected) in [
            ("Hello {{name}}, it is {{ local_time }}.", "local_time name"),
            ("{{- plan | upcase -}} {{ goal | default: \"rest\" }}", "goal plan"),
            ("{{ a | default: b }} {{ c | truncate: 20, mark: d }}", "a b c d"),
            ("{{ pet.name }} {{ pets[0].name }} {{ pets[which] }}", "pet pets which"),
            (
                "{% if plan == \"pro\" and streak > 3 %}x{% elsif trial %}y{% endif %}",
                "plan streak trial",
            ),
            ("{% for day in days limit:3 %}{{ day }}{{ forloop.index }}{% endfor %}", "days"),
            ("{% assign first = name | split: ' ' %}{{ first }}", "name"),
            ("{% capture x %}{{ y }}{% endcapture %}{{ x }}", "y"),
            ("{% case mood %}{% when 'good' %}{% else %}{% endcase %}", "mood"),
            ("{% raw %}{{ not_one }}{% endraw %}{% comment %}{{ nor_this }}{% endcomment %}", ""),
            (
                "{{ \"now\" | date: \"%H:%M\", \"America/New_York\" }} {{now}} {{customer.number}}",
                "",
            ),
            ("{{ 3 }} {{ true }} {{ 'text' }} {{}} {{ unclosed", ""),
            ("plain { text } with {single} braces", ""),
        ] {
            let found: Vec<String> = variables(text).into_iter().collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }
}
