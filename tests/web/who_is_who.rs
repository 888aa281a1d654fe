//! The page's search finds what the page shows, and page and API never open a customer by a guess.

use serde_json::{Value, json};

use crate::house::{House, Plan, customer};
use crate::pages::Visitor;

/// The ids 1, 2, 192 and 4. Person 2's external id is `id:1`. `…0192` is the number of customer 1,
/// and `…0103`, the number of customer 192, is the external id of customer 4.
fn house() -> House {
    let rows = vec![
        customer(92, "07:00"),
        customer(2, "08:00"),
        customer(3, "09:00"),
        customer(4, "10:00"),
    ];
    let house = House::build(&Plan { customers: rows, ..Plan::default() });
    let changes = "UPDATE customers SET phone = '+12125550192', name = 'Élodie' WHERE id = 1;
        UPDATE customers SET external_id = 'id:1' WHERE id = 2;
        UPDATE customers SET id = 192 WHERE id = 3;
        UPDATE customers SET external_id = '0103' WHERE id = 4;";
    house.database().execute_batch(changes).expect("the changes");
    house
}

#[test]
fn the_search_finds_a_customer_by_everything_that_the_page_shows() {
    let house = house();
    let visitor = Visitor::signed_in(&house);
    let cookie = [("Cookie", visitor.cookie.as_str())];
    let mask = "%2B1%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A20192";
    for text in ["0192", mask, "%E2%80%A60192", "phone:0192", "%C3%89lodie"] {
        let answer = house.ask("GET", &format!("/customers?q={text}"), &cookie, "");
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        assert!(answer.body.contains("/customers/id:1\""), "{text}: {}", answer.body);
        assert!(!answer.body.contains("/customers/id:192\""), "{text}: {}", answer.body);
    }
    for (text, id) in [
        ("192", 192),
        ("id:192", 192),
        ("u92", 1),
        ("P92%40Example.com", 1),
        ("%2B1+212+555+0192", 1),
        ("(212)+555-0192", 1),
        ("12125550192", 1),
    ] {
        let answer = house.ask("GET", &format!("/customers?q={text}"), &cookie, "");
        let to = format!("/customers/id:{id}");
        assert_eq!(answer.header("location"), Some(to.as_str()), "{text}: {}", answer.body);
    }
    let both = visitor.get("/customers?q=0103");
    assert!(both.contains("/customers/id:4\"") && both.contains("/customers/id:192\""), "{both}");
    // Both are listed, and each link opens its own id.
    let both = visitor.get("/customers?q=id:1");
    assert!(both.contains("/customers/id:1\"") && both.contains("/customers/id:2\""), "{both}");
    assert!(visitor.get("/customers/id:1").contains("Élodie"));
}

#[test]
fn the_api_opens_nobody_by_a_part_of_a_number_or_an_ambiguous_name() {
    let house = house();
    for (path, status) in [
        ("/api/customers/0192", 409),
        ("/api/customers/0192/explain", 409),
        ("/api/customers/id:1", 409),
        ("/api/customers/0077", 404),
        ("/api/customers/192", 200),
        ("/api/customers/external:u92", 200),
    ] {
        let answer = house.api("GET", path, &Value::Null);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(!answer.body.contains("+1212555"), "{path}: {}", answer.body);
    }
    let call = house.api("POST", "/api/customers/0192/call", &json!({"reason": "asked"}));
    assert_eq!(call.status, 409, "{}", call.body);
    assert!(call.body.contains("id:2") || call.body.contains("key:"), "{}", call.body);
    let shaped = json!({"external_id": "id:5", "phone": "+12125550144", "timezone": "Asia/Tokyo"});
    let answer = house.api("POST", "/api/customers", &shaped);
    assert_eq!((answer.status, &answer.json()["field"]), (422, &json!("external_id")));
    let found = house.get("/api/customers?search=0192");
    assert_eq!(found["customers"][0]["id"], json!(1), "{found}");
}
