//! Customers files in the forms in which programs write them. Every form is read as the same rows, a
//! damaged cell is named with line and column, and then nothing is written.

use std::io::Write;
use std::process::Stdio;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ringonce::domain::parse_instant;
use ringonce::steps::import::customers::{Options, check};
use ringonce::steps::import::report::{ImportOutcome, ImportReport};
use ringonce::store::Store;
use ringonce::zones::Zones;

use crate::world::{World, run_of};

const PEOPLE: &str = "SELECT group_concat(external_id || '|' || name || '|' || phone || '|' || \
     coalesce(call_time, '-') || '|' || payment_status || '|' || welcome_call_completed || '|' || \
     variables, x'0a') FROM customers ORDER BY id";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("packed");
    packed.finish().expect("packed")
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn latin_1(text: &str) -> Vec<u8> {
    encoding_rs::WINDOWS_1252.encode(text).0.into_owned()
}

#[test]
fn a_file_is_read_alike_in_every_form_and_the_form_is_reported() {
    let text = "external_id,name,phone,timezone,call_time,payment_status,welcome_call_completed,plan\n\
                00123,Zoë Müller,+12125550101,America/New_York,07:00,Paid,yes,gold\n\
                ada,'t Hart,+12125550102,America/New_York,08:00,Paid,no,007\n";
    let expected = "00123|Zoë Müller|+12125550101|07:00|Paid|1|{\"plan\":\"gold\"}\n\
                    ada|'t Hart|+12125550102|08:00|Paid|0|{\"plan\":\"007\"}";
    let marked = text.replace("+1", "'+1").replace("00123", "=\"00123\"").replace("007", "'007");
    let forms: [(Vec<u8>, &str); 14] = [
        (text.into(), ""),
        (marked.into(), ""),
        (format!("\u{FEFF}{text}").into(), ""),
        (text.replace(',', ";").into(), "file: separated by semicolons"),
        (text.replace(',', "\t").into(), "file: separated by tabs"),
        (text.replace(',', "|").into(), "file: separated by pipes"),
        (format!("sep=;\r\n{}", text.replace(',', ";")).into(), "separated by semicolons"),
        (text.replace('\n', "\r").into(), ""),
        (text.replace('\n', "\r\n").into(), ""),
        (latin_1(text), "read as Windows-1252 (Latin-1)"),
        (utf_16(text), "file: read as UTF-16LE"),
        (utf_16(&format!("\u{FEFF}{}", text.replace(',', "\t"))), "UTF-16LE; separated by tabs"),
        (gzip(text.as_bytes()), "file: decompressed from gzip"),
        (gzip(&latin_1(text)), "decompressed from gzip"),
    ];
    for (bytes, words) in forms {
        let world = World::new();
        let run = world.import(&bytes, &[]);
        assert!(run.code == Some(0) && run.stdout.contains(words), "{words}: {run:?}");
        assert_eq!(world.one(PEOPLE), expected, "{words}");
        let again = world.import(&bytes, &["--json"]).json();
        assert_eq!((&again["changed"], &again["unchanged"]), (&0.into(), &2.into()), "{words}");
    }
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let text = "phone;timezone\n+12125550101;Europe/London\n";
    for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
        let world = World::new();
        let mut program = world.program(&["customers", "import", "-"]);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(&bytes).expect("written");
        let run = run_of(child.wait_with_output().expect("it ends"));
        assert!(run.stdout.contains("1 new, 0 changed"), "{run:?}");
        assert_eq!(world.count("SELECT count(*) FROM customers"), 1);
    }
    let world = World::new();
    let mut program = world.program(&["customers", "import", "-"]);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(b"phone,timezone\nx,y\n").expect("written");
    let run = run_of(child.wait_with_output().expect("it ends"));
    assert!(run.stdout.contains("standard input line 2, column phone"), "{run:?}");
}

#[test]
fn a_line_number_is_right_with_every_line_end_and_after_a_line_that_names_the_separator() {
    let text = "phone,timezone\n+12125550101,Europe/London\nabc,Europe/London\n";
    for (file, line) in [
        (text.to_string(), 3),
        (text.replace('\n', "\r"), 3),
        (text.replace('\n', "\r\n"), 3),
        (format!("sep=,\r{}", text.replace('\n', "\r")), 4),
    ] {
        let world = World::new();
        let run = world.import(file.as_bytes(), &[]);
        assert!(run.stdout.contains(&format!("people.csv line {line}, column phone: ")), "{run:?}");
        assert_eq!(run.code, Some(2));
    }
}

#[test]
fn missing_cells_at_the_end_of_a_row_are_empty_but_not_at_the_end_of_a_file() {
    let world = World::new();
    let text = "external_id,phone,timezone,call_time,note,welcome_call_completed\n\
                ada,+12125550101,America/New_York,07:00,vip,yes\n\
                bob,+12125550102,America/New_York,07:00\n";
    let run = world.import(text.as_bytes(), &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("rows that end before the header does: 1"), "{run:?}");
    assert_eq!(world.one("SELECT variables FROM customers WHERE external_id = 'bob'"), "{}");
    // A missing cell is not a blank one: it erases nothing.
    let short = "external_id,phone,timezone,call_time,note,welcome_call_completed\n\
                 ada,+12125550101,America/New_York\n";
    assert_eq!(world.import(short.as_bytes(), &["--clear-blanks"]).code, Some(0));
    assert_eq!(world.one("SELECT call_time FROM customers WHERE external_id = 'ada'"), "07:00");
    let run = world.import(text.trim_end().as_bytes(), &[]);
    let words = "people.csv line 3: is the end of the file, 2 cells early: is it cut off?";
    assert!(run.code == Some(2) && run.stdout.contains(words), "{run:?}");
}

#[test]
fn words_for_nothing_are_empty_cells() {
    let world = World::new();
    let text = "external_id,name,phone,timezone,call_time,plan\n\
                a1,NULL,+12125550101,America/New_York,\\N,gold\n\
                a2,\\N,+12125550102,America/New_York,NULL,\\N\n\
                NULL,Null,p:+12125550103,America/New_York,#N/A,#N/A\n";
    assert_eq!(world.import(text.as_bytes(), &[]).code, Some(0));
    let stored = "SELECT group_concat(coalesce(external_id, '-') || name || phone || \
                  coalesce(call_time, '-') || variables, ' ') FROM customers";
    assert_eq!(
        world.one(stored),
        "a1+12125550101-{\"plan\":\"gold\"} a2+12125550102-{} -Null+12125550103-{}"
    );
}

#[test]
fn what_is_not_a_table_is_refused_with_the_step_that_helps() {
    for (bytes, words) in [
        (
            &b"PK\x03\x04 [Content_Types].xml"[..],
            "is an Excel workbook: in Excel choose File > Save As",
        ),
        (b"[{\"phone\": \"+12125550101\"}]", "is JSON: send its objects to POST /api/customers"),
        (b"%PDF-1.7", "is a PDF: export the table as CSV"),
        (&gzip(b"phone,timezone\n")[..20], "people.csv: cannot be read"),
    ] {
        let world = World::new();
        let run = world.import(bytes, &[]);
        assert!(run.code == Some(2) && run.stderr.contains(words), "{run:?}");
    }
    let world = World::new();
    let run = world.import(b"phone,timezone\n", &["--encoding", "klingon"]);
    assert!(run.code == Some(2) && run.stderr.contains("is not an encoding"), "{run:?}");
    let cyrillic =
        encoding_rs::WINDOWS_1251.encode("phone,timezone,name\n+12125550101,Europe/London,Юля\n");
    assert_eq!(world.import(&cyrillic.0, &["--encoding", "windows-1251"]).code, Some(0));
    assert_eq!(world.one("SELECT name FROM customers"), "Юля");
}

/// One value of each column of [`HEADER`].
type Row = (String, String, u32, u32);

const HEADER: [&str; 6] = ["external_id", "name", "phone", "timezone", "call_time", "Plan"];

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = "[a-zA-Zäöüéß][a-zA-Zäöüéß ,;|\t\"'\n=+-]{0,12}[a-zA-Zé]";
    proptest::collection::vec((text, text, 0..100_u32, 0..1440_u32), 1..6)
}

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let header: Vec<String> = HEADER.map(str::to_string).into();
    let row = |(index, (name, plan, phone, minute)): (usize, &Row)| {
        vec![
            format!("id{index}"),
            name.clone(),
            format!("+12125550{index}{phone:02}"),
            "America/New_York".to_string(),
            format!("{:02}:{:02}", minute / 60, minute % 60),
            plan.clone(),
        ]
    };
    std::iter::once(header).chain(rows.iter().enumerate().map(row)).collect()
}

/// A form: separator, line end, quotes everywhere, encoding, mark, gzip.
type Form = (usize, usize, bool, usize, bool, bool);

fn written(cells: &[Vec<String>], form: &Form) -> Vec<u8> {
    let &(separator, line_end, quotes, encoding, mark, is_packed) = form;
    let separator = [',', ';', '\t', '|'][separator];
    let cell = |text: &String| match quotes || text.contains([',', ';', '\t', '|', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.clone(),
    };
    let mut text = String::new();
    for row in cells {
        let row: Vec<String> = row.iter().map(cell).collect();
        text += &row.join(&separator.to_string());
        text += ["\n", "\r", "\r\n"][line_end];
    }
    let mark = if mark && encoding != 1 { "\u{FEFF}" } else { "" };
    let bytes = match encoding {
        0 => format!("{mark}{text}").into_bytes(),
        1 => latin_1(&text),
        2 => utf_16(&format!("{mark}{text}")),
        _ => format!("{mark}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect(),
    };
    if is_packed { gzip(&bytes) } else { bytes }
}

fn forms() -> impl Strategy<Value = Form> {
    (0..4_usize, 0..3_usize, any::<bool>(), 0..4_usize, any::<bool>(), any::<bool>())
}

fn imported(folder: &std::path::Path, bytes: &[u8]) -> (ImportReport, Vec<Vec<String>>) {
    let now = parse_instant("2026-02-02T11:30:00Z").expect("an instant");
    let (store, zones) = (Store::in_memory(now).expect("a store"), Zones::bundled_only());
    let path = folder.join("people.csv");
    std::fs::write(&path, bytes).expect("written");
    let checked =
        check(&store, &zones, &path, Options::default(), now, &mut |_| {}).expect("a table");
    let report = match checked.may_apply() {
        true => checked.apply(&store, &zones, now, &mut |_| {}).expect("written"),
        false => checked.into_report(),
    };
    let people = store
        .read(|conn| {
            let all = ringonce::store::customers::Filter::default();
            ringonce::store::customers::list(conn, &all, 100, 0)
        })
        .expect("read");
    let row = |person: &ringonce::domain::customer::Customer| {
        let plan = person.variables.get("Plan").and_then(|plan| plan.as_str()).unwrap_or_default();
        vec![
            person.external_id.clone().unwrap_or_default(),
            person.name.clone(),
            person.phone.clone(),
            person.timezone.clone(),
            person.call_time.clone().unwrap_or_default(),
            plan.to_string(),
        ]
    };
    let mut people: Vec<Vec<String>> = people.iter().map(row).collect();
    people.sort();
    (report, people)
}

fn cases(few: u32) -> Config {
    let cases = if std::env::var_os("FULL_TESTS").is_some() { few * 20 } else { few };
    Config { cases, failure_persistence: None, ..Config::default() }
}

#[test]
fn any_sheet_in_any_form_is_read_back_equal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut runner = TestRunner::new(cases(40));
    let read_back = |(rows, form): (Vec<Row>, Form)| {
        let cells = cells(&rows);
        let (report, people) = imported(folder.path(), &written(&cells, &form));
        prop_assert_eq!(report.outcome, ImportOutcome::Applied, "{:?}", report.problems);
        let mut expected = cells[1..].to_vec();
        expected.sort();
        prop_assert_eq!(people, expected);
        Ok(())
    };
    runner.run(&(rows(), forms()), read_back).expect("equal");
}

#[test]
fn any_single_damaged_cell_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut runner = TestRunner::new(cases(40));
    let damages = [("phone", 2, "12"), ("timezone", 3, "Europe/Londn"), ("call_time", 4, "25:61")];
    let named = |(rows, form, damage, at): (Vec<Row>, Form, usize, prop::sample::Index)| {
        let (column, index, text) = damages[damage];
        let mut cells = cells(&rows);
        let row = 1 + at.index(rows.len());
        cells[row][index] = text.to_string();
        // The line on which the row begins: a quoted cell may hold line ends.
        let line =
            1 + cells[..row].iter().flatten().map(|c| c.matches('\n').count()).sum::<usize>() + row;
        let (report, people) = imported(folder.path(), &written(&cells, &form));
        prop_assert_eq!(report.outcome, ImportOutcome::Refused);
        let found: Vec<_> = report.problems.iter().map(|p| (p.line, p.column.clone())).collect();
        prop_assert_eq!(found, [(line as u64, Some(column.to_string()))]);
        prop_assert!(people.is_empty());
        Ok(())
    };
    let damaged = (rows(), forms(), 0..damages.len(), any::<prop::sample::Index>());
    runner.run(&damaged, named).expect("named");
}
