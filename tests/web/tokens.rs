//! Named tokens: each opens the page and the API with its role, and the journal says the name.

use serde_json::json;

use crate::house::{Answer, House, Plan};

/// A visitor with a token of their own.
struct Person<'a> {
    house: &'a House,
    token: String,
    cookie: String,
}

impl<'a> Person<'a> {
    fn signed_in(house: &'a House, name: &str, role: &str) -> Person<'a> {
        let token = house.said(&["tokens", "add", name, "--role", role]).trim().to_string();
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = house.ask("POST", "/login", &form, &format!("token={token}&next=%2F"));
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer.header("set-cookie").expect("a cookie");
        assert!(!cookie.contains(&token), "the cookie holds the token");
        let cookie = cookie.split(';').next().expect("a pair").to_string();
        Person { house, token, cookie }
    }

    fn get(&self, path: &str) -> Answer {
        self.house.ask("GET", path, &[("Cookie", &self.cookie)], "")
    }

    fn post(&self, path: &str, form: &str) -> Answer {
        let page = self.get("/").body;
        let (_, rest) = page.split_once("name=\"mark\" value=\"").expect("a form");
        let mark = rest.split('"').next().expect("a mark");
        let headers =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", &self.cookie)];
        self.house.ask("POST", path, &headers, &format!("mark={mark}&{form}"))
    }

    fn api(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.house.ask(method, path, &[("Authorization", &bearer)], body)
    }
}

const PAUSE: &str = "SELECT count(*) FROM meta WHERE key = 'pause:all'";

#[test]
fn each_role_may_do_its_own_and_the_journal_says_the_name() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let viewer = Person::signed_in(&house, "Vera", "viewer");
    let support = Person::signed_in(&house, "Sam", "support");
    let operator = Person::signed_in(&house, "Olga", "operator");
    let page = viewer.get("/customers/id:1").body;
    assert!(page.contains("Vera (viewer)") && page.contains("Person 1"), "{page}");
    assert!(!page.contains("Pause calls") && page.contains("Sign out"), "{page}");
    assert!(!page.contains("/erase") && !page.contains("/edit"), "{page}");
    let refused = viewer.post("/customers/id:1/pause", "reason=x");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("Vera has the role viewer, and this needs the role support"));
    assert_eq!(viewer.api("GET", "/api/customers", "").status, 200);
    assert_eq!(viewer.api("GET", "/api/customers?reveal=true", "").status, 403);
    assert_eq!(viewer.api("GET", "/api/customers/1/export", "").status, 403);
    let body = json!({ "reason": "x" }).to_string();
    assert_eq!(viewer.api("POST", "/api/pause", &body).status, 403);

    assert_eq!(support.post("/customers/id:1/pause", "reason=asked").status, 303);
    let who = "SELECT count(*) FROM journal WHERE what = 'pause' AND who = 'Sam'";
    assert_eq!(house.count(who), 1);
    assert!(support.get("/customers/id:1").body.contains("paused by Sam"));
    assert_eq!(support.post("/customers/id:1/resume", "reason=back").status, 303);
    assert_eq!(support.post("/pause", "scope=all&reason=odd").status, 303);
    assert_eq!(house.count(PAUSE), 1);
    // No undo is offered that the role may not do.
    assert!(!support.get("/?done=paused&scope=all").body.contains("Undo"));
    assert!(operator.get("/?done=paused&scope=all").body.contains("Undo"));
    house.hold("flag");
    for form in ["scope=all&reason=x", "scope=breaker&reason=x", "hold=flag&reason=x"] {
        let refused = support.post("/resume", form);
        assert_eq!(refused.status, 403, "{form}");
        assert!(refused.body.contains("this needs the role operator"), "{}", refused.body);
    }
    assert_eq!(support.api("POST", "/api/resume", &body).status, 403);
    assert!(support.get("/").body.contains("Somebody with the role operator lifts this."));
    assert_eq!(house.count(PAUSE), 1);
    assert_eq!(operator.post("/resume", "scope=all&reason=looked").status, 303);
    assert_eq!(operator.post("/resume", "hold=flag&reason=looked").status, 303);
    assert_eq!(house.count(PAUSE), 0);
    assert_eq!(house.count("SELECT count(*) FROM journal WHERE who = 'Olga'"), 2);
}

#[test]
fn a_revoked_token_closes_its_sessions_and_is_stored_only_as_a_hash() {
    let house = House::build(&Plan { with_token: false, ..Plan::default() });
    let closed = house.ask("GET", "/", &[], "");
    assert_eq!(closed.status, 403, "without any token nobody gets in");
    let person = Person::signed_in(&house, "Ada", "support");
    assert_eq!(person.get("/").status, 200);
    assert_eq!(person.api("GET", "/api/status", "").status, 200);
    let stored = "SELECT hash || name || role FROM tokens";
    let stored: String = house.database().query_one(stored, [], |row| row.get(0)).expect("a row");
    assert!(!stored.contains(&person.token), "{stored}");
    let listed = house.said(&["tokens", "list"]);
    assert!(listed.contains("Ada") && !listed.contains(&person.token), "{listed}");
    house.said(&["tokens", "revoke", "Ada"]);
    assert_eq!(person.api("GET", "/api/status", "").status, 403, "no token opens anything");
    let again = Person::signed_in(&house, "Ada", "viewer");
    assert_eq!(again.get("/").status, 200);
    assert_eq!(person.get("/").status, 401, "the old session is over");
    assert_eq!(person.api("GET", "/api/status", "").status, 401);
    let journaled = "SELECT count(*) FROM journal WHERE what = 'token' AND subject = 'token:Ada'";
    assert_eq!(house.count(journaled), 3);
}
