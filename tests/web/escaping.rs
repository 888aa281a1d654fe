//! Text that people or the provider wrote stays text on every page.

use serde_json::json;

use crate::house::{House, Plan, customer};
use crate::pages::Visitor;

/// Markup that breaks out of an element and out of an attribute, and names where it came from.
fn markup(source: &str) -> String {
    format!("<script>{source}</script>\"'><b onclick=1>")
}

/// Each source of text, and the statement that writes its text into the database.
const SOURCES: [(&str, &str); 15] = [
    ("name", "UPDATE customers SET name = ?1 WHERE id = 1"),
    ("e-mail", "UPDATE customers SET email = ?1 WHERE id = 1"),
    ("external-id", "UPDATE customers SET external_id = ?1 WHERE id = 1"),
    ("payment", "UPDATE customers SET payment_status = ?1 WHERE id = 2"),
    ("zone", "UPDATE customers SET timezone = ?1 WHERE id = 2"),
    ("schedule", "UPDATE customers SET call_schedule = ?1 WHERE id = 2"),
    (
        "validation",
        "UPDATE customers SET phone_validated = 0, phone_validation_error = ?1 WHERE id = 2",
    ),
    ("item", "UPDATE call_queue SET error_message = ?1"),
    ("attempt", "UPDATE call_attempts SET error_message = ?1"),
    (
        "number",
        "INSERT INTO do_not_call VALUES ('+12125550199', ?1, ?1, '2026-11-01T00:00:00.000Z')",
    ),
    (
        "journal",
        "INSERT INTO journal (at, who, what, subject, old, new, why, build)
         VALUES (?1, ?1, ?1, ?1, ?1, ?1, ?1, '')",
    ),
    ("pause", "INSERT INTO meta VALUES ('pause:all', ?2)"),
    ("pause-of-type", "INSERT INTO meta VALUES ('pause:type:' || ?1, ?2)"),
    ("hold", "INSERT INTO meta VALUES ('hold:x', ?2)"),
    ("breaker", "INSERT INTO meta VALUES ('breaker', ?2)"),
];

#[test]
fn no_text_of_others_becomes_markup() {
    let rows = vec![customer(1, "07:00"), customer(2, "08:00")];
    let lost = Plan { faults: "reset-before-accept", customers: rows, ..Plan::default() };
    let house = House::build(&lost);
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    let doubts = "SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'";
    house.wait_for("the doubt", || house.count(doubts) == 1);
    let database = house.database();
    for (source, statement) in SOURCES {
        let text = markup(source);
        let opened = "2026-11-23T11:00:00.000Z";
        let value = json!({
            "who": text, "why": text, "since": text, "kind": text,
            "opened_at": opened, "probe_at": opened,
        });
        let values = [text, value.to_string()];
        let mut statement = database.prepare(statement).expect("a statement");
        for (index, value) in (1..=statement.parameter_count()).zip(values) {
            statement.raw_bind_parameter(index, value).expect("a parameter");
        }
        statement.raw_execute().expect(source);
    }

    let visitor = Visitor::signed_in(&house);
    let asked: String = markup("query").bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut seen = String::new();
    for path in [
        "/",
        "/customers",
        "/customers/id:1",
        "/customers/id:2",
        "/queue",
        "/calls",
        "/do-not-call",
        "/journal",
        "/customers?q=A",
        "/customers/A",
        "/journal?subject=A",
        "/queue?status=A",
        "/calls?disposition=A",
        "/login?next=/A",
    ] {
        let path = path.replace('A', &asked);
        for cookie in [visitor.cookie.as_str(), ""] {
            let page = house.ask("GET", &path, &[("Cookie", cookie)], "").body;
            for raw in ["<script", "<b onclick", "\"'>"] {
                assert!(!page.contains(raw), "{path} holds {raw}: {page}");
            }
            seen.push_str(&page);
        }
    }
    for source in SOURCES.map(|(source, _)| source).into_iter().chain(["query"]) {
        let escaped =
            format!("&lt;script&gt;{source}&lt;/script&gt;&quot;'&gt;&lt;b onclick=1&gt;");
        assert!(seen.contains(&escaped), "no page shows the text of {source}");
    }
}
