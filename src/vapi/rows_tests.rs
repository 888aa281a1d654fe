//! Tests lists whose records are long, deep, broken or cut.

use std::io::{BufReader, Read};

use serde_json::json;

use super::*;

/// The records of a list, read through buffers of this size.
fn through(list: &[u8], buffer: usize) -> (Vec<Record>, Result<(), Broken>) {
    let mut found = Vec::new();
    let mut from = BufReader::with_capacity(buffer, list);
    let end = each(&mut from, LONGEST_IN_A_LIST, &mut |record| found.push(record));
    (found, end)
}

fn records(list: &[u8]) -> Vec<Record> {
    let (found, end) = through(list, 7);
    assert!(end.is_ok(), "{end:?}");
    found
}

fn values(list: &[u8]) -> Vec<Value> {
    let read = |record| match record {
        Record::Read(value) => value,
        Record::Unreadable(mark) => panic!("{mark} cannot be read"),
    };
    records(list).into_iter().map(read).collect()
}

#[test]
fn every_value_is_read_as_it_is_whatever_the_buffer() {
    let list = json!([
        {"id": "c1", "cost": 0.25, "tags": ["a", "b,]}\"\\"], "nothing": null},
        "text \u{1F600} é \n", -1.5e3, true, null, [], {}, [[1], {"a": {"b": 2}}],
    ]);
    for text in [list.to_string(), serde_json::to_string_pretty(&list).unwrap()] {
        for buffer in [1, 2, 3, 64, 100_000] {
            let (found, end) = through(text.as_bytes(), buffer);
            assert!(end.is_ok());
            let read = |record: &Record| match record {
                Record::Read(value) => value.clone(),
                Record::Unreadable(_) => json!("unreadable"),
            };
            let read: Vec<Value> = found.iter().map(read).collect();
            assert_eq!(Value::Array(read), list, "buffer {buffer}");
        }
    }
    assert_eq!(values(b" [ ] "), Vec::<Value>::new());
}

#[test]
fn a_long_text_is_cut_between_characters_and_the_rest_of_its_record_is_read() {
    let lengths = (LONGEST_IN_A_LIST - 8)..(LONGEST_IN_A_LIST + 8);
    for filler in ["x", "é", "\u{1F600}", "\\n", "\\u00e9", "\\\"", "\\\\"] {
        for length in lengths.clone() {
            let long = "a".repeat(length) + &filler.repeat(40);
            let list = format!(r#"[{{"transcript":"{long}","id":"c1"}},{{"id":"c2"}}]"#);
            let read = values(list.as_bytes());
            assert_eq!((&read[0]["id"], &read[1]["id"]), (&json!("c1"), &json!("c2")), "{filler}");
            let text = read[0]["transcript"].as_str().unwrap();
            assert!(text.len() <= LONGEST_IN_A_LIST + 400, "{filler} {length}: {}", text.len());
        }
    }
}

#[test]
fn a_deep_record_keeps_its_upper_part() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(5000), close.repeat(5000));
        let list = format!(r#"[{{"messages":{deep},"id":"c1"}},{{"id":"c2"}}]"#);
        let read = values(list.as_bytes());
        assert_eq!((&read[0]["id"], &read[1]["id"]), (&json!("c1"), &json!("c2")));
    }
}

#[test]
fn numbers_beyond_every_reader_and_half_surrogates_lose_no_record() {
    let list =
        br#"[{"id":"c1","a":1e999,"b":[-1e999]},{"id":"c2","name":"\ud83d and \uD83D\uDE00"},
        {"id":"c3","name":"bytes "#;
    let list = [&list[..], b"\xff\xfe", br#"","n":123456789012345678901234567890}]"#].concat();
    let ids: Vec<Value> = values(&list).into_iter().map(|value| value["id"].clone()).collect();
    assert_eq!(ids, [json!("c1"), json!("c2"), json!("c3")]);
}

#[test]
fn a_broken_record_hides_no_other_and_is_told_by_the_same_mark_each_time() {
    let list = br#"[{"id":"c1"},{"id": NaN},{"id":"c2"},{"id" "c3"},{"id":"c4"}]"#;
    let marks = |found: Vec<Record>| -> Vec<String> {
        let mark = |record| match record {
            Record::Unreadable(mark) => Some(mark),
            Record::Read(_) => None,
        };
        found.into_iter().filter_map(mark).collect()
    };
    let first = marks(records(list));
    assert_eq!(first.len(), 2);
    assert_ne!(first[0], first[1]);
    assert_eq!(marks(through(list, 1000).0), first);
}

#[test]
fn a_record_without_end_takes_bounded_memory_and_hides_no_other() {
    let entry = r#"{"role":"user","message":"hello"},"#;
    let many = entry.repeat(2 * LONGEST_RECORD / entry.len());
    let list = format!(r#"[{{"messages":[{many}null],"id":"c1"}},{{"id":"c2"}}]"#);
    let found = records(list.as_bytes());
    assert!(matches!(&found[0], Record::Unreadable(_)));
    assert!(matches!(&found[1], Record::Read(value) if value["id"] == "c2"));
}

#[test]
fn what_is_no_list_or_breaks_off_is_an_error_after_the_records_before_it() {
    for (list, read) in [
        (&br#"{"message":"no"}"#[..], 0),
        (b"<html>", 0),
        (b"", 0),
        (br#"[{"id":"c1"},{"id":"c2""#, 1),
        (br#"[{"id":"c1"},"#, 1),
        (br#"[{"id":"c1"}] and more"#, 1),
    ] {
        let (found, end) = through(list, 5);
        assert!(end.is_err(), "{}", String::from_utf8_lossy(list));
        assert_eq!(found.len(), read, "{}", String::from_utf8_lossy(list));
    }
}

#[test]
fn a_stream_that_fails_keeps_the_records_before_it() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("slow"))
        }
    }
    let mut found = 0;
    let begun: &[u8] = br#"[{"id":"c1"},{"id":"c2"},{"id":"#;
    let mut from = BufReader::new(begun.chain(Fails));
    let end = each(&mut from, LONGEST_IN_A_LIST, &mut |_| found += 1);
    assert!(matches!(end, Err(Broken::Io(_, None))));
    assert_eq!(found, 2);

    let begun: &[u8] =
        br#"[{"id":"c1","createdAt":"2026-11-22T17:01:00Z","artifact":{"messages":["#;
    let mut from = BufReader::new(begun.chain(Fails));
    let Err(Broken::Io(_, Some(members))) = each(&mut from, LONGEST_IN_A_LIST, &mut |_| {}) else {
        panic!("the members before the error");
    };
    assert_eq!(members, json!({"id": "c1", "createdAt": "2026-11-22T17:01:00Z"}));
}

#[test]
fn one_value_is_read_alone() {
    let read = |text: &str| one(&mut BufReader::new(text.as_bytes()), 10);
    assert_eq!(read(r#" {"id":"c1"} "#).unwrap(), json!({"id": "c1"}));
    assert_eq!(read(r#"{"t":"0123456789abc"}"#).unwrap(), json!({"t": "0123456789"}));
    for broken in ["", "{", r#"{"id":"c1"} x"#, "nonsense"] {
        assert!(read(broken).is_err(), "{broken}");
    }
}
