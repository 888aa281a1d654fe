//! Recognizes files that are not a table of text, by their first bytes.

const WORKBOOK: &str =
    "is an Excel workbook: in Excel choose File > Save As > \"CSV UTF-8\", and import that file";
const OLD_WORKBOOK: &str = "is an old Office file (xls): open it in Excel, choose File > Save As > \"CSV UTF-8\", and \
     import that file";
const OPEN_DOCUMENT: &str = "is an OpenDocument sheet: in LibreOffice choose File > Save As > \"Text CSV\", and import \
     that file";
const ZIP: &str = "is a zip archive: unzip it, and import the CSV file inside";
const PDF: &str = "is a PDF: export the table as CSV";
const PARQUET: &str = "is Parquet: export the table as CSV";
const MARKUP: &str = "is HTML or XML: open it in a spreadsheet, and save it as CSV";
const JSON: &str = "is JSON: send its objects to POST /api/customers, or make a CSV of them with \
     jq -r '(.[0]|keys_unsorted) as $k | $k, (.[]|[.[$k[]]]) | @csv'";
const SQLITE: &str = "is a SQLite database: export the table as CSV, with sqlite3 -header -csv";
const ZSTD: &str = "is compressed with zstd: zstd -dc FILE | ringonce customers import -";
const XZ: &str = "is compressed with xz: xz -dc FILE | ringonce customers import -";
const BZIP: &str = "is compressed with bzip2: bzip2 -dc FILE | ringonce customers import -";

/// Files by their first bytes.
const MAGIC: [(&[u8], &str); 8] = [
    (&[0xD0, 0xCF, 0x11, 0xE0], OLD_WORKBOOK),
    (b"%PDF", PDF),
    (b"PAR1", PARQUET),
    (b"SQLite format 3", SQLITE),
    (&[0x28, 0xB5, 0x2F, 0xFD], ZSTD),
    (&[0xFD, b'7', b'z', b'X', b'Z'], XZ),
    (b"BZh", BZIP),
    (b"<", MARKUP),
];

/// What a file is and the step that makes a table of it. `None`: it may be a table.
pub fn not_a_table(beginning: &[u8]) -> Option<&'static str> {
    let text = beginning.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(beginning).trim_ascii_start();
    let holds = |part: &[u8]| beginning.windows(part.len()).any(|window| window == part);
    if beginning.starts_with(b"PK\x03\x04") {
        return Some(match () {
            () if holds(b"[Content_Types].xml") || holds(b"xl/") => WORKBOOK,
            () if holds(b"opendocument") => OPEN_DOCUMENT,
            () => ZIP,
        });
    }
    let known = MAGIC.iter().find(|(magic, _)| text.starts_with(magic));
    known.map(|(_, what)| *what).or_else(|| is_json(text).then_some(JSON))
}

/// An object or a list. A header may begin with a brace too: `{{x}},phone`.
fn is_json(text: &[u8]) -> bool {
    let rest = |open: u8| text.strip_prefix(&[open]).map(<[u8]>::trim_ascii_start);
    match (rest(b'['), rest(b'{')) {
        (Some(list), _) => list.starts_with(b"{") || list.starts_with(b"[") || list == b"]",
        (_, Some(object)) => object.starts_with(b"\"") || object.starts_with(b"}"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_a_table_is_named_by_its_first_bytes() {
        for (bytes, part) in [
            (&b"PK\x03\x04....[Content_Types].xml"[..], "Excel workbook"),
            (b"PK\x03\x04....mimetypeapplication/vnd.oasis.opendocument", "OpenDocument"),
            (b"PK\x03\x04....customers.csv", "zip archive"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1", "xls"),
            (b"[{\"phone\": 1}]", "JSON"),
            (b"\xEF\xBB\xBF \n{\"phone\": 1}", "JSON"),
            (b"{ }", "JSON"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"\x28\xB5\x2F\xFD\0", "zstd"),
        ] {
            assert!(not_a_table(bytes).is_some_and(|what| what.contains(part)), "{part}");
        }
        for bytes in
            [&b"phone,timezone\n"[..], b"", b"{{x}},phone\n", b"[x],phone\n", b"\xFF\xFEp\0"]
        {
            assert_eq!(not_a_table(bytes), None, "{bytes:?}");
        }
    }
}
