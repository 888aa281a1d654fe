//! CSV for spreadsheets and programs. A spreadsheet runs no cell of it as a formula.

use serde_json::Value;

/// Characters with which a spreadsheet begins a formula, also in their wide forms.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// One line of cells, ready to be written.
pub fn line(cells: impl IntoIterator<Item = String>) -> String {
    let mut line = cells.into_iter().collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A text as a cell. What a spreadsheet would run as a formula gets an apostrophe in front, which
/// an import removes again.
pub fn cell(text: &str) -> String {
    let first =
        text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').chars().next();
    let runs =
        first.is_some_and(|first| FORMULA.contains(&first)) || text.starts_with(['\t', '\r', '\n']);
    let text = if runs { format!("'{text}") } else { text.to_string() };
    let is_plain = !text.contains([',', ';', '"', '\t', '\r', '\n'])
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    if is_plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// A value of JSON as a cell. A number stays a number, and nothing is an empty cell.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        Value::Number(number) => number.to_string(),
        other => cell(&other.to_string()),
    }
}

/// Rows of JSON objects under a header. A field that a row lacks is an empty cell.
pub fn table(columns: &[&str], rows: &[Value]) -> String {
    let mut text = line(columns.iter().map(|name| cell(name)));
    for row in rows {
        text.push_str(&line(columns.iter().map(|name| value(&row[*name]))));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_cell_is_run_as_a_formula() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+12125550101", "'+12125550101"),
            ("-1", "'-1"),
            ("@sum(a)", "'@sum(a)"),
            (" =1", "' =1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\t=1", "\"'\t=1\""),
            ("＝1", "'＝1"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("plain", "plain"),
            ("1-2", "1-2"),
            ("a;=1", "\"a;=1\""),
            ("two\nlines", "\"two\nlines\""),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn values_are_written_by_their_kind() {
        let row = json!({"a": 1.5, "b": null, "c": "=x", "d": [1], "e": true});
        let text = table(&["a", "b", "c", "d", "e", "f"], &[row]);
        assert_eq!(text, "a,b,c,d,e,f\n1.5,,'=x,[1],true,\n");
    }
}
