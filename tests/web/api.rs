//! The API: authentication, and the effect of each request.

use serde_json::{Value, json};

use crate::house::{House, Plan};

#[test]
fn without_a_token_set_nobody_gets_in_but_the_health_check_answers() {
    let house = House::build(&Plan { with_token: false, ..Plan::default() });
    house.wait_until_well();
    for path in ["/", "/queue", "/metrics", "/api/status", "/api/customers", "/login"] {
        let answer = house.ask("GET", path, &[("Authorization", "Bearer ")], "");
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.body.contains("Person 1"), "{path}");
    }
}

#[test]
fn a_wrong_or_missing_token_is_refused_everywhere() {
    let house = House::build(&Plan::default());
    for route in ringonce::web::router::ROUTES {
        if matches!(route.path, "/healthz" | "/webhooks/vapi" | "/style.css" | "/login") {
            continue;
        }
        let path = route.path.replace("{id}", "u1");
        for header in ["", "Bearer wrong", "Basic YTpi"] {
            let answer = house.ask(route.method, &path, &[("Authorization", header)], "");
            assert_eq!(answer.status, 401, "{} {path} {header}", route.method);
            assert!(answer.header("www-authenticate").is_some(), "{path}");
            assert!(!answer.body.contains("Person 1"), "{path}");
        }
    }
}

#[test]
fn a_payment_is_one_request_and_repeating_it_changes_nothing() {
    let house = House::build(&Plan::default());
    let new = json!({
        "external_id": "u9", "phone": "+1 212 555 0109", "timezone": "Europe/London",
        "call_time": "7:30", "name": "Ada", "variables": {"plan": "gold"},
    });
    let created = house.api("POST", "/api/customers", &new);
    assert_eq!((created.status, created.json()["created"].clone()), (201, json!(true)));
    let known = &created.json()["customer"];
    assert_eq!((&known["call_time"], &known["phone"]), (&json!("07:30"), &json!("+1•••••••0109")));
    assert_eq!(known["variables"], json!({"plan": "gold"}));

    let paid = json!({"external_id": "u9", "payment_status": "Paid"});
    let first = house.api("POST", "/api/customers", &paid);
    assert_eq!((first.status, first.json()["changed"].clone()), (200, json!(["payment_status"])));
    let second = house.api("POST", "/api/customers", &paid);
    assert_eq!((second.status, second.json()["changed"].clone()), (200, json!([])));
    let by_email = json!({"email": "P1@example.com", "payment_status": "Pending"});
    assert_eq!(house.api("PUT", "/api/customers", &by_email).json()["customer"]["id"], json!(1));
    assert_eq!(house.count("SELECT count(*) FROM customers"), 2);
}

#[test]
fn the_answer_names_other_customers_with_the_same_phone() {
    let house = House::build(&Plan::default());
    let upsert = |body: &Value| house.api("POST", "/api/customers", body).json();
    let ada = json!({
        "external_id": "0042", "phone": "+442079460171", "timezone": "Europe/London",
    });
    let alone = upsert(&ada);
    assert_eq!(alone["same_phone_as"], json!([]), "{alone}");
    let id = &alone["customer"]["id"];
    let again = json!({
        "external_id": "42", "phone": "+44 (0)20 7946 0171", "timezone": "Europe/London",
    });
    let second = upsert(&again);
    assert_eq!(second["same_phone_as"], json!([id]), "{second}");
    // A change that does not name the phone reports it too; a pair that shares the phone does not.
    let named = upsert(&json!({"external_id": "42", "name": "Ada"}));
    assert_eq!(named["same_phone_as"], json!([id]), "{named}");
    upsert(&json!({"external_id": "0042", "shared_phone": true}));
    let shared = upsert(&json!({"external_id": "42", "shared_phone": true}));
    assert_eq!(shared["same_phone_as"], json!([]), "{shared}");
}

#[test]
fn an_error_names_the_field_that_is_wrong() {
    let house = House::build(&Plan::default());
    let cases = [
        ("POST", "/api/customers", json!({"payment_status": "Paid"}), 422, "external_id"),
        ("POST", "/api/customers", json!({"external_id": "new"}), 422, "phone"),
        ("POST", "/api/customers", json!({"external_id": "u1", "phone": "1.2E10"}), 422, "phone"),
        (
            "POST",
            "/api/customers",
            json!({"external_id": "u1", "timezone": "Mars"}),
            422,
            "timezone",
        ),
        ("POST", "/api/customers", json!({"external_id": "u1", "call_tme": "7"}), 422, "call_tme"),
        ("POST", "/api/customers", json!({"external_id": "u1", "name": ["x"]}), 422, "name"),
        ("POST", "/api/dnc", json!({"phone": "+12125550101"}), 422, "reason"),
        ("POST", "/api/dnc", json!({"phone": "x", "reason": "y"}), 422, "phone"),
        ("POST", "/api/dnc", json!({"phone": "+15555550101", "reason": "y"}), 422, "phone"),
        ("POST", "/api/dnc", json!({"phone": "2125550101", "reason": "y"}), 422, "phone"),
        ("POST", "/api/pause", json!({"type": "weekly", "reason": "y"}), 422, "type"),
        ("POST", "/api/resume", json!({"number": null, "reason": "y"}), 422, "number"),
        ("POST", "/api/resume", json!({"customer": " ", "reason": "y"}), 422, "customer"),
        ("POST", "/api/resume", json!({"hold": "flags", "reason": "y"}), 422, "hold"),
        ("POST", "/api/resume", json!({"hold": " ", "reason": "y"}), 422, "hold"),
        (
            "POST",
            "/api/resume",
            json!({"hold": "flag", "type": "daily", "reason": "y"}),
            422,
            "hold",
        ),
        ("POST", "/api/pause", json!({"hold": "flag", "reason": "y"}), 422, "hold"),
        ("POST", "/api/pause", json!({"type": "", "reason": "y"}), 422, "type"),
        ("GET", "/api/queue?status=lost", Value::Null, 422, "status"),
        ("GET", "/api/queue?stauts=failed", Value::Null, 422, "stauts"),
        ("GET", "/api/queue?type=", Value::Null, 422, "type"),
        ("GET", "/api/queue?type=daily&type=extra", Value::Null, 422, "type"),
        ("GET", "/api/queue?customer=", Value::Null, 422, "customer"),
        ("GET", "/api/attempts?before=", Value::Null, 422, "before"),
        ("GET", "/api/attempts?before=-1", Value::Null, 422, "before"),
        ("GET", "/api/customers?reveal=", Value::Null, 422, "reveal"),
        ("GET", "/api/customers?reveal=yes", Value::Null, 422, "reveal"),
        ("GET", "/api/customers?search=", Value::Null, 422, "search"),
        ("GET", "/api/customers?payment_status=", Value::Null, 422, "payment_status"),
        ("GET", "/api/customers/u1?reveal=2", Value::Null, 422, "reveal"),
        ("GET", "/api/dnc?reveal=2", Value::Null, 422, "reveal"),
        ("GET", "/api/customers/u1/explain?at=", Value::Null, 422, "at"),
        ("GET", "/api/attempts?limit=0", Value::Null, 422, "limit"),
        ("GET", "/api/queue?customer=nobody", Value::Null, 404, "customer"),
        ("GET", "/api/customers/u1/explain?at=soon", Value::Null, 422, "at"),
    ];
    for (method, path, body, status, field) in cases {
        let answer = house.api(method, path, &body);
        let problem = answer.json();
        assert_eq!((answer.status, problem["field"].clone()), (status, json!(field)), "{problem}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{kind}");
    }
    let unreadable = house.ask(
        "POST",
        "/api/customers",
        &[("Authorization", &format!("Bearer {}", crate::house::TOKEN))],
        "{",
    );
    assert_eq!(unreadable.status, 400);
    let hint = house.api("POST", "/api/customers", &json!({"call_tme": "7"})).body;
    assert!(hint.contains("did you mean call_time?"), "{hint}");
}

#[test]
fn a_number_on_the_list_is_not_called() {
    let house = House::build(&Plan::default());
    let number = json!({"phone": "+12125550101", "reason": "asked us to"});
    assert_eq!(house.api("POST", "/api/dnc", &number).status, 201);
    assert_eq!(house.api("POST", "/api/dnc", &number).status, 200);
    let listed = house.get("/api/dnc");
    assert_eq!(listed["numbers"][0]["phone"], json!("+1•••••••0101"));
    house.wait_until_well();
    house.set_clock("2026-11-23T12:00:00Z");
    house.wait_for("the skip", || {
        house.get("/api/queue?status=skipped")["items"][0]["reason"] == json!("do_not_call")
    });
    assert_eq!(house.fake.rings().len(), 0);
    let gone = house.api("DELETE", "/api/dnc?phone=%2B12125550101&reason=mistake", &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(house.api("DELETE", "/api/dnc", &number).status, 404);
    let journal = "SELECT count(*) FROM journal WHERE who = 'api' AND what = 'do not call'";
    assert_eq!(house.count(journal), 2);
}

#[test]
fn a_number_in_an_old_form_or_with_a_country_is_listed_as_what_would_be_dialed() {
    let house = House::build(&Plan::default());
    let told = [
        json!({"phone": "+52 1 55 1234 5678", "reason": "asked"}),
        json!({"phone": "212 555 0109", "default_country": "US", "reason": "asked"}),
    ];
    for number in &told {
        assert_eq!(house.api("POST", "/api/dnc", number).status, 201, "{number}");
    }
    let listed = house.get("/api/dnc?reveal=true");
    let rows = listed["numbers"].as_array().expect("a list");
    let mut phones: Vec<&str> = rows.iter().filter_map(|row| row["phone"].as_str()).collect();
    phones.sort_unstable();
    assert_eq!(phones, ["+12125550109", "+525512345678"]);
    let two = json!({"phone": "491713920012", "default_country": "DE", "reason": "asked"});
    let refused = house.api("POST", "/api/dnc", &two);
    assert!(refused.status == 422 && refused.body.contains("two readings"), "{}", refused.body);
    let gone = house.api("DELETE", "/api/dnc?phone=%2B5215512345678&reason=back", &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.body);
}

#[test]
fn a_pause_holds_calls_back_and_a_resume_lets_them_go() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    let pause = json!({"reason": "the text is wrong"});
    assert_eq!(house.api("POST", "/api/pause", &pause).json()["changed"], json!(true));
    house.set_clock("2026-11-23T12:00:00Z");
    house.wait_for("the item to be held back", || {
        house.get("/api/queue")["items"][0]["reason"] == json!("paused")
    });
    assert_eq!(house.fake.rings().len(), 0);
    let resumed = house.api("POST", "/api/resume", &json!({"reason": "it is right now"}));
    assert_eq!(resumed.json()["lifted"]["pause"], json!(true));
    house.set_clock("2026-11-23T12:01:00Z");
    house.wait_for("the call", || house.fake.rings().len() == 1);
}

#[test]
fn a_resume_ends_a_pause_alone_and_a_hold_is_lifted_by_its_name() {
    let house = House::build(&Plan::default());
    for kind in ["flag", "foreign"] {
        house.hold(kind);
    }
    let why = json!({"reason": "a deploy"});
    assert_eq!(house.api("POST", "/api/pause", &why).status, 200);
    let kinds = |answer: &Value| -> Vec<String> {
        let holds = answer["standing"]["holds"].as_array().expect("a list");
        holds.iter().map(|hold| hold["kind"].as_str().expect("a kind").to_string()).collect()
    };
    let ended = house.api("POST", "/api/resume", &why).json();
    assert_eq!((&ended["changed"], &ended["lifted"]["pause"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&ended["lifted"]["holds"], kinds(&ended)),
        (&json!([]), vec!["flag".into(), "foreign".into()])
    );
    let unnamed = house.api("POST", "/api/resume", &why);
    assert_eq!((unnamed.status, &unnamed.json()["field"]), (409, &json!("hold")));
    let named = json!({"hold": "flag", "reason": "looked at"});
    let lifted = house.api("POST", "/api/resume", &named).json();
    assert_eq!(
        (&lifted["lifted"]["holds"], kinds(&lifted)),
        (&json!(["flag"]), vec!["foreign".into()])
    );
    assert_eq!(house.api("POST", "/api/resume", &named).json()["changed"], json!(false));
    let noted = "SELECT count(*) FROM journal WHERE what = 'hold' AND subject = 'dialing:flag'
         AND old = 'the cause of flag' AND who = 'api'";
    assert_eq!(house.count(noted), 1);
}

#[test]
fn a_whole_number_is_shown_only_on_request_and_the_journal_notes_it() {
    let house = House::build(&Plan::default());
    assert_eq!(house.get("/api/customers/u1")["phone"], json!("+1•••••••0101"));
    let reveals = "SELECT count(*) FROM journal WHERE what = 'reveal'";
    assert_eq!(house.count(reveals), 0);
    assert_eq!(house.get("/api/customers/u1?reveal=1")["phone"], json!("+12125550101"));
    assert_eq!(house.count(reveals), 1);
}
