//! What people read about rows that cannot be read: which rows, why, and whether anybody is called.

use serde_json::json;

use crate::odd_rows::{Days, NO_DAY};

#[test]
fn do_not_call_entry_that_names_no_number_keeps_everybody_uncalled() {
    let mut days = Days::new();
    days.next();
    days.write("INSERT INTO do_not_call VALUES ('unknown', 'x', 'x', 'x')");
    days.tick("12:00");
    assert_eq!(days.called(), [""; 0]);
    assert_eq!(days.quarantine().len(), 1);
    let status = days.world.command(&["status", "--json"]).json();
    let cause = &status["causes"][0];
    assert_eq!((&cause["cause"], &cause["stops_calls"]), (&json!("odd_rows"), &json!(true)));
    let words = "nobody at all is called, because a do-not-call entry may name any number";
    assert!(cause["text"].to_string().contains(words), "{status}");
    // An entry that can only mean other numbers stops nobody else.
    days.write(
        "DELETE FROM do_not_call; INSERT INTO do_not_call VALUES ('2079460199', 'x', 'x', 'x')",
    );
    let status = days.world.command(&["status", "--json"]).json();
    assert_eq!(status["causes"][0]["stops_calls"], json!(false), "{status}");
}

#[test]
fn each_row_that_cannot_be_read_is_named_with_its_own_fault() {
    let mut days = Days::new();
    days.next();
    let ada = days.ada;
    let more: Vec<String> = (0..8)
        .map(|n| format!("INSERT INTO do_not_call VALUES ('207946019{n}', 'x', 'x', 'x')"))
        .collect();
    days.write(&format!(
        "UPDATE call_attempts SET created_at = {NO_DAY} WHERE customer_id = {ada}; {}",
        more.join(";")
    ));
    let check = days.world.command(&["check"]).stdout;
    let audit = days.world.command(&["audit", "--offline"]).stdout;
    let rows = days.world.command(&["status", "--json"]).json()["quarantine"].clone();
    let rows = rows.as_array().expect("a list");
    assert!(rows.len() > 5, "{rows:?}");
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in rows {
        let (place, key) = (row["place"].as_str().unwrap(), row["row"].as_str().unwrap());
        let (why, name) = (row["why"].as_str().unwrap(), format!("{place} {key}"));
        for (view, said) in [("check", &check), ("audit", &audit)] {
            let said = squeeze(said);
            assert!(said.contains(why) && said.contains(key), "{view} lacks {name}: {said}");
        }
    }
}
