//! The pages: signing in, their content, and that only their own forms act.

use serde_json::{Value, json};

use crate::house::{Answer, House, Plan, TOKEN, customer};

pub struct Visitor<'a> {
    house: &'a House,
    pub cookie: String,
}

impl<'a> Visitor<'a> {
    pub fn signed_in(house: &'a House) -> Visitor<'a> {
        let answer = post(house, "/login", &format!("token={TOKEN}&next=%2Fqueue"), "");
        assert_eq!((answer.status, answer.header("location")), (303, Some("/queue")));
        let cookie = answer.header("set-cookie").expect("a cookie");
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains(TOKEN));
        let cookie = cookie.split(';').next().expect("a pair").to_string();
        Visitor { house, cookie }
    }

    pub fn get(&self, path: &str) -> String {
        let answer = self.house.ask("GET", path, &[("Cookie", &self.cookie)], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    pub fn post(&self, path: &str, form: &str) -> Answer {
        post(self.house, path, form, &self.cookie)
    }

    /// The same from the page at this address.
    pub fn post_from(&self, path: &str, form: &str, page: &str) -> Answer {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.house.ask("POST", path, &[kind, ("Cookie", &self.cookie), ("Referer", page)], form)
    }

    /// The mark in the forms of a page.
    pub fn mark(&self) -> String {
        let page = self.get("/");
        let (_, rest) = page.split_once("name=\"mark\" value=\"").expect("a form");
        rest.split('"').next().expect("a mark").to_string()
    }
}

fn post(house: &House, path: &str, form: &str, cookie: &str) -> Answer {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie)];
    house.ask("POST", path, &headers, form)
}

const PAUSES: &str = "SELECT count(*) FROM meta WHERE key = 'pause:all'";

#[test]
fn a_retry_is_shown_at_the_instant_at_which_it_may_ring() {
    let nobody = "ended-reason=customer-did-not-answer";
    let house = House::build(&Plan { faults: nobody, ..Plan::default() });
    house.place_calls(1);
    house.set_clock("2026-11-23T12:20:00Z");
    let waits = || house.get("/api/queue")["items"][0]["status"] == json!("retrying");
    house.wait_for("the end of the call", waits);
    let due = house.get("/api/queue")["items"][0]["due_at"].as_str().map(str::to_string);
    let due = due.and_then(|due| ringonce::domain::parse_instant(&due)).expect("an instant");
    let there = |at: ringonce::domain::Instant| at.format("%a %e %b, %H:%M").to_string();
    let (in_utc, in_new_york) = (there(due), there(due - chrono::Duration::hours(5)));
    for (path, at) in [("/", &in_utc), ("/queue", &in_utc), ("/customers/id:1", &in_new_york)] {
        let page = house.api("GET", path, &json!(null)).body;
        assert!(page.contains(at.as_str()), "{path} {at}: {page}");
        let again = path != "/customers/id:1" || page.contains("Attempt 2 of it comes in ");
        assert!(again && !page.contains("Its instant comes"), "{path}: {page}");
    }
}

#[test]
fn without_a_session_a_page_is_the_form_to_sign_in() {
    let house = House::build(&Plan::default());
    for cookie in ["", "ringonce_session=1.2.3", "ringonce_session=9999999999.n.00"] {
        let answer = house.ask("GET", "/customers?q=Person", &[("Cookie", cookie)], "");
        assert_eq!(answer.status, 401);
        assert!(answer.body.contains("Sign in") && !answer.body.contains("Person 1"));
        assert!(answer.body.contains("value=\"/customers?q=Person\""), "{}", answer.body);
    }
    let wrong = post(&house, "/login", "token=wrong", "");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
}

#[test]
fn every_page_answers_with_a_strict_policy_and_masked_phones() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let visitor = Visitor::signed_in(&house);
    for path in ["/", "/customers", "/customers/u1", "/queue", "/calls", "/do-not-call", "/journal"]
    {
        let answer = house.ask("GET", path, &[("Cookie", &visitor.cookie)], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert!(!answer.body.contains("<script") && !answer.body.contains(" style="), "{path}");
        assert!(!answer.body.contains("2125550101"), "{path} shows a whole number");
        assert!(answer.body.contains("<html lang=\"en\">") && answer.body.contains("<h1>"));
    }
    let today = visitor.get("/");
    assert!(today.contains("Called today</span><span class=\"value\">1<"), "{today}");
    assert!(visitor.get("/customers/u1").contains("daily, 2026-11-23"));
}

/// The text of a page as a person reads it, without tags.
pub fn read(page: &str) -> String {
    page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect()
}

#[test]
fn a_page_says_in_words_why_somebody_waits_and_why_nothing_is_called() {
    let unpaid = customer(2, "08:00").replace("Paid", "Pending");
    let house =
        House::build(&Plan { customers: vec![customer(1, "07:00"), unpaid], ..Plan::default() });
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    let visitor = Visitor::signed_in(&house);
    for path in ["/", "/queue", "/customers/u1"] {
        assert!(read(&visitor.get(path)).contains("waiting in 15 min"), "{path}");
    }
    let nobody = read(&visitor.get("/customers/u2"));
    assert!(nobody.contains("Nothing was queued yet."), "{nobody}");
    // When its instant is long past, the reason is still the same.
    house.set_clock("2026-11-23T20:00:00Z");
    house.wait_until_well();
    let waits = "It waits: not eligible (payment or status); until something changes.";
    let story = read(&visitor.get("/customers/u2"));
    assert!(story.contains(waits) && story.contains("none since Mon 23 Nov"), "{story}");
    assert!(read(&visitor.get("/customers")).contains("Pendingnot eligible: payment is Pending–"));
    let pause = format!("scope=all&reason=a+test&mark={}", visitor.mark());
    assert_eq!(visitor.post("/pause", &pause).status, 303);
    assert!(read(&visitor.get("/")).contains("Next callpaused"));
    for path in ["/", "/queue", "/customers/u1", "/customers/u2"] {
        let page = read(&visitor.get(path));
        assert!(!page.contains("T20:00") && !page.contains(".000Z"), "{path}: {page}");
    }
}

#[test]
fn what_people_are_called_cannot_become_markup() {
    let mut rows = vec![customer(1, "07:00")];
    rows[0] = rows[0].replace("Person 1", "<script>alert(1)</script>\"'");
    let house = House::build(&Plan { customers: rows, ..Plan::default() });
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    for path in ["/", "/customers", "/customers/u1", "/queue", "/customers?q=%3Cscript%3E"] {
        let page = visitor.get(path);
        assert!(!page.contains("<script"), "{path}");
    }
    assert!(visitor.get("/customers").contains("&lt;script&gt;"));
}

#[test]
fn only_a_form_of_ones_own_session_acts() {
    let house = House::build(&Plan::default());
    let (visitor, other) = (Visitor::signed_in(&house), Visitor::signed_in(&house));
    let fields = "scope=all&reason=the+text+is+wrong";
    for mark in ["".to_string(), "0".repeat(64), other.mark()] {
        let answer = visitor.post("/pause", &format!("{fields}&mark={mark}"));
        assert_eq!(answer.status, 403, "{mark}");
    }
    let own = format!("{fields}&mark={}", visitor.mark());
    assert_eq!(post(&house, "/pause", &own, "").status, 401);
    let crossed = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Cookie", visitor.cookie.as_str()),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    assert_eq!(house.ask("POST", "/pause", &crossed, &own).status, 403);
    assert_eq!(house.count(PAUSES), 0);
    assert_eq!(visitor.post("/pause", &own).status, 303);
    assert_eq!(house.count(PAUSES), 1);
    assert!(visitor.get("/").contains("All calls are paused"));
    assert!(visitor.get("/journal").contains("the text is wrong"));
    let resume = format!("scope=all&reason=fixed&mark={}", visitor.mark());
    assert_eq!(visitor.post("/resume", &resume).status, 303);
    assert_eq!(house.count(PAUSES), 0);
}

#[test]
fn each_button_lifts_the_one_thing_that_it_stands_beside() {
    let house = House::build(&Plan::default());
    let visitor = Visitor::signed_in(&house);
    house.hold("flag");
    let page = visitor.get("/");
    assert!(page.contains("name=\"hold\" value=\"flag\""), "{page}");
    let act = |path: &str, what: &str| {
        let form = format!("{what}&reason=looked+at&mark={}", visitor.mark());
        visitor.post(path, &form).status
    };
    let holds = "SELECT count(*) FROM meta WHERE key LIKE 'hold:%'";
    assert_eq!(act("/pause", "scope=all"), 303);
    // The button is pressed twice, or on a page from before another person ended the pause.
    for _ in 0..2 {
        assert_eq!(act("/resume", "scope=all"), 303);
        assert_eq!((house.count(PAUSES), house.count(holds)), (0, 1));
    }
    assert_eq!(act("/resume", "scope=breaker"), 303);
    assert_eq!(house.count(holds), 1);
    assert_eq!(act("/resume", "hold=flag"), 303);
    assert_eq!(house.count(holds), 0);
}

#[test]
fn a_customer_is_paused_listed_and_revealed_from_their_page() {
    let house = House::build(&Plan::default());
    let visitor = Visitor::signed_in(&house);
    let mark = visitor.mark();
    let act = |path: &str| {
        let form = format!("mark={mark}&reason=she+asked+us");
        visitor.post(&format!("/customers/id:1/{path}"), &form)
    };
    assert_eq!(act("pause").status, 303);
    assert!(visitor.get("/customers/id:1").contains("Resume calls"));
    assert_eq!(act("resume").status, 303);
    assert!(visitor.get("/customers/id:1").contains("Pause calls"));
    assert_eq!(act("do-not-call").status, 303);
    assert_eq!(house.count("SELECT count(*) FROM do_not_call"), 1);
    let without_reason = visitor.post("/customers/id:1/pause", &format!("mark={mark}"));
    assert_eq!(without_reason.status, 422);

    let revealed = act("reveal");
    assert!(revealed.status == 200 && revealed.body.contains("+12125550101"));
    assert_eq!(house.count("SELECT count(*) FROM journal WHERE what = 'reveal'"), 1);
}

#[test]
fn a_doubt_is_settled_on_its_page() {
    let house = House::build(&Plan { faults: "reset-before-accept", ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    house.set_clock("2026-11-23T12:00:00Z");
    let doubts = "SELECT count(*) FROM call_attempts WHERE state = 'in_doubt'";
    house.wait_for("the doubt", || house.count(doubts) == 1);
    let visitor = Visitor::signed_in(&house);
    let page = visitor.get("/calls?state=in_doubt");
    let (_, rest) = page.split_once("action=\"/calls/").expect("the form");
    let id = rest.split('/').next().expect("an id");
    let form = format!("mark={}&outcome=placed&call_id=&reason=it+rang", visitor.mark());
    assert_eq!(visitor.post(&format!("/calls/{id}/resolve"), &form).status, 303);
    assert_eq!(house.count(doubts), 0);
    let resolved = "SELECT count(*) FROM journal WHERE who = 'page' AND what = 'resolve'";
    assert_eq!(house.count(resolved), 1);
}

#[test]
fn a_search_that_names_one_person_leads_to_them() {
    let rows = vec![customer(1, "07:00"), customer(2, "08:00")];
    let house = House::build(&Plan { customers: rows, ..Plan::default() });
    let visitor = Visitor::signed_in(&house);
    let cookie = [("Cookie", visitor.cookie.as_str())];
    for word in ["u2", "p2%40example.com", "%2B12125550102"] {
        let answer = house.ask("GET", &format!("/customers?q={word}"), &cookie, "");
        assert_eq!(answer.header("location"), Some("/customers/id:2"), "{word}");
    }
    let both = visitor.get("/customers?q=person");
    assert!(both.contains("Person 1") && both.contains("Person 2"));
    assert!(visitor.get("/customers?q=nobody").contains("Nobody fits"));
}

#[test]
fn signing_out_takes_the_cookie_away_and_ends_its_copies() {
    let house = House::build(&Plan::default());
    let visitor = Visitor::signed_in(&house);
    let other = Visitor::signed_in(&house);
    let answer = visitor.post("/logout", &format!("mark={}", visitor.mark()));
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    let copy = house.ask("GET", "/queue", &[("Cookie", &visitor.cookie)], "");
    assert_eq!(copy.status, 401, "a copy of the cookie still opens the page");
    assert!(other.get("/queue").contains("Queue"));
    assert_eq!(house.api("GET", "/login", &Value::Null).status, 200);
}

#[test]
fn a_refusal_on_the_page_is_a_sentence_with_the_next_step_and_a_way_back() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let mark = visitor.mark();
    let customer = "/customers/id:1";
    for (path, form, status, sentence, back) in [
        (format!("{customer}/pause"), "reason=", 422, "Say why", "/customers/id"),
        ("/do-not-call".to_string(), "phone=12&reason=x", 422, "", "/do-not-call"),
        ("/resume".to_string(), "hold=flags&reason=x", 422, "There is no hold", "/"),
        ("/calls/01a0b1c2/resolve".to_string(), "outcome=placed&reason=x", 404, "", "/calls"),
    ] {
        let answer = visitor.post(&path, &format!("mark={mark}&{form}"));
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let page = &answer.body;
        assert!(page.contains("Nothing was changed"), "{path}: {page}");
        assert!(page.contains(sentence) && page.contains(".</p>"), "{path}: {page}");
        assert!(page.contains(&format!("href=\"{back}")), "{path}: {page}");
        let says_what_to_do = ["Correct the value", "Look for it in the list"];
        assert!(says_what_to_do.iter().any(|next| page.contains(next)), "{path}: {page}");
        // The page with the form is shown again, with the refusal on top of it.
        let content = page.split("<main").nth(1).expect("the content");
        assert!(content.contains("class=\"refused\" role=\"alert\""), "{path}: {page}");
        assert!(page.contains("aria-label=\"Main\""), "{path}: {page}");
    }
    let form = format!("mark={mark}&reason=");
    let answer = visitor.post_from(&format!("{customer}/pause"), &form, "http://x/journal");
    assert!(
        answer.body.contains("Say why") && answer.body.contains("<title>Journal"),
        "{}",
        answer.body
    );
    let elsewhere = "http://example.com/journal";
    let answer = visitor.post_from(&format!("{customer}/pause"), &form, elsewhere);
    assert!(!answer.body.contains("<title>Journal"), "{}", answer.body);
}

#[test]
fn every_time_on_a_page_says_its_distance_from_utc() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let visitor = Visitor::signed_in(&house);
    for path in ["/", "/customers", "/customers/id:1", "/queue", "/calls", "/journal"] {
        let page = visitor.get(path);
        for part in page.split("<time ").skip(1) {
            let text = part.split_once('>').expect("a tag").1.split('<').next().expect("a text");
            assert!(text.contains("UTC"), "{path}: {text}");
        }
    }
    assert!(visitor.get("/customers/id:1").contains("Mon 23 Nov, 07:00 UTC-5"));
}

#[test]
fn the_page_of_a_customer_tells_everything_that_concerns_them_in_one_list() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let visitor = Visitor::signed_in(&house);
    let act = |path: &str, reason: &str| {
        let form = format!("mark={}&reason={reason}", visitor.mark());
        assert_eq!(visitor.post(&format!("/customers/id:1/{path}"), &form).status, 303, "{path}");
    };
    act("pause", "on+a+journey");
    act("resume", "back+again");
    act("do-not-call", "she+asked+us");
    let edit = json!({ "external_id": "u1", "call_time": "08:00" });
    assert_eq!(house.api("POST", "/api/customers", &edit).status, 200);
    let page = read(&visitor.get("/customers/id:1"));
    for told in [
        "calls paused by page: on a journey",
        "calls resumed by page: back again",
        "put on the do-not-call list by page: she asked us",
        "edited by api · call time 07:00",
        "daily, 2026-11-23 · attempt 1",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let journal = read(&visitor.get("/journal"));
    assert!(journal.contains("Person 1") && journal.contains("next call"), "{journal}");
    assert!(!journal.contains("next_call_scheduled_at"), "{journal}");
    // The next date ends without a call, and the page says whose word that was.
    house.set_clock("2026-11-24T13:00:00Z");
    house.wait_for("the skip", || {
        house.count("SELECT count(*) FROM call_queue WHERE reason = 'do_not_call'") == 1
    });
    let visitor = Visitor::signed_in(&house);
    let page = read(&visitor.get("/customers/id:1?on=2026-11-24"));
    assert!(page.contains("Tue 24 Nov 2026: not called on the do-not-call list"), "{page}");
    assert!(page.contains("she asked us"), "{page}");
    let told = house.get("/api/customers/u1/explain?on=2026-11-24");
    assert_eq!(
        (&told["on"]["verdict"], &told["reason"]),
        (&json!("skipped"), &json!("do_not_call"))
    );
    let told = house.get("/api/customers/u1/explain?on=2026-11-23");
    assert_eq!(told["on"]["verdict"], "called", "{told:#}");
}

#[test]
fn the_journal_is_found_by_every_key_of_a_customer() {
    let house = House::build(&Plan::default());
    house.place_calls(1);
    let visitor = Visitor::signed_in(&house);
    let mark = visitor.mark();
    let form = format!("mark={mark}&reason=she+asked+us");
    assert_eq!(visitor.post("/customers/id:1/do-not-call", &form).status, 303);
    let form = format!("mark={mark}&reason=on+a+journey");
    assert_eq!(visitor.post("/customers/id:1/pause", &form).status, 303);
    for key in ["1", "id%3A1", "customer%3A1", "u1", "p1%40example.com", "%2B12125550101"] {
        let page = read(&visitor.get(&format!("/journal?subject={key}")));
        for told in ["she asked us", "on a journey", "placed"] {
            assert!(page.contains(told), "{key} {told}: {page}");
        }
    }
    let nobody = read(&visitor.get("/journal?subject=nobody"));
    assert!(nobody.contains("No line of the journal is about this."), "{nobody}");
}
