//! The page of one customer: editing with a preview, and every act of a support person.

use serde_json::json;

use crate::house::{Answer, House, Plan, customer};
use crate::pages::{Visitor, read};

const AT: &str = "SELECT call_time FROM customers WHERE id = 1";

fn edit(visitor: &Visitor<'_>, form: &str) -> Answer {
    let form = format!("mark={}&{form}", visitor.mark());
    visitor.post("/customers/id:1/edit", &form)
}

fn text(house: &House, sql: &str) -> String {
    house.database().query_one(sql, [], |row| row.get::<_, String>(0)).expect("a text")
}

#[test]
fn a_preview_shows_the_next_call_before_and_after_and_saves_nothing() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let form = visitor.get("/customers/id:1/edit");
    assert!(form.contains("name=\"call_time\"") && form.contains("value=\"07:00\""), "{form}");
    assert!(!form.contains("2125550101"), "the form shows a whole number");
    let answer = edit(&visitor, "call_time=9%3A30+am&was.call_time=07%3A00&step=preview");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let page = read(&answer.body);
    assert!(page.contains("Call time07:0009:30"), "{page}");
    assert!(page.contains("Next call nowMon 23 Nov, 07:00 UTC-5 in America/New_York"), "{page}");
    assert!(page.contains("Next call afterMon 23 Nov, 09:30 UTC-5 in America/New_York"), "{page}");
    assert!(answer.body.contains("value=\"9:30 am\""), "the typed value is kept: {}", answer.body);
    assert_eq!(text(&house, AT), "07:00");
    let unpaid = edit(&visitor, "payment_status=Pending&step=preview");
    let page = read(&unpaid.body);
    assert!(page.contains("Next call afterNo call is coming: not eligible"), "{page}");
}

#[test]
fn an_edit_is_saved_with_its_reason_and_the_waiting_call_moves() {
    let house = House::build(&Plan::default());
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    let visitor = Visitor::signed_in(&house);
    let answer = edit(
        &visitor,
        "name=Ada+L&call_time=08%3A15&timezone=America%2FChicago&new-variable=topic&new-value=sea\
         &reason=she+moved&step=save",
    );
    assert_eq!(answer.status, 303, "{}", answer.body);
    let location = answer.header("location").expect("a page");
    assert!(location.starts_with("/customers/id:1?done=edited&edit="), "{location}");
    assert!(read(&visitor.get("/customers/id:1?done=edited")).contains("The change is saved."));
    assert_eq!(text(&house, AT), "08:15");
    assert_eq!(text(&house, "SELECT variables ->> 'topic' FROM customers WHERE id = 1"), "sea");
    let due = "SELECT scheduled_for FROM call_queue WHERE customer_id = 1";
    assert_eq!(text(&house, due), "2026-11-23T14:15:00.000Z");
    let why = "SELECT why FROM journal WHERE what = 'customer' AND who = 'page'";
    assert_eq!(text(&house, why), "she moved");
    let named = "SELECT count(*) FROM journal WHERE new LIKE '%Ada%' OR old LIKE '%Person%'";
    assert_eq!(house.count(named), 0, "the journal holds a name");
    let again = edit(&visitor, "call_time=08%3A15&reason=again");
    assert_eq!(again.header("location"), Some("/customers/id:1?done=unchanged"));
}

#[test]
fn an_edit_is_refused_beside_its_field_in_the_words_of_the_command_line() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    for (form, words) in [
        ("timezone=Londn&reason=x", "\"Londn\" is not an IANA zone; nearest: Europe/London"),
        ("call_time=25%3A00&reason=x", "25:00"),
        ("email=ada&reason=x", "\"ada\" is not an e-mail address"),
        ("phone=12125550101&reason=x", "write it as +1 212 555 0101"),
        ("call_schedule=7+30&reason=x", "7 30"),
        ("consent_at=yesterday&reason=x", "is not an instant"),
        ("new-value=sea&reason=x", "give the variable one"),
        ("call_time=08%3A00&reason=", "Say why"),
    ] {
        let answer = edit(&visitor, form);
        let page = answer.body.replace("&quot;", "\"");
        assert_eq!(answer.status, 422, "{form}: {page}");
        assert!(page.contains(words), "{form}: {}", read(&page));
        assert!(page.contains("Nothing was changed"), "{form}");
    }
    assert_eq!(text(&house, AT), "07:00");
    assert_eq!(house.count("SELECT count(*) FROM journal WHERE who = 'page'"), 0);
}

#[test]
fn an_edit_overwrites_no_value_that_changed_after_its_form_was_opened() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let other = json!({ "external_id": "u1", "call_time": "08:00" });
    assert_eq!(house.api("POST", "/api/customers", &other).status, 200);
    let both = "call_time=09%3A00&was.call_time=07%3A00&reason=late+form";
    let answer = edit(&visitor, both);
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("as changed to &quot;08:00&quot;"), "{}", answer.body);
    // Another field of the same form is saved without touching that one.
    let answer = edit(&visitor, "call_time=07%3A00&was.call_time=07%3A00&name=Ada&reason=her+name");
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(text(&house, AT), "08:00");
}

#[test]
fn a_call_at_a_time_waits_in_the_queue_until_that_local_time_and_can_be_undone() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let call = |at: &str| {
        let form = format!("mark={}&at={at}&reason=she+asked", visitor.mark());
        visitor.post("/customers/id:1/call", &form)
    };
    let night = call("2026-11-24T03%3A00");
    assert_eq!(night.status, 422);
    assert!(night.body.contains("outside the calling window"), "{}", night.body);
    // What was typed is still there, in this form only.
    assert_eq!(night.body.matches("value=\"2026-11-24T03:00\"").count(), 1, "{}", night.body);
    assert_eq!(night.body.matches("value=\"she asked\"").count(), 1, "{}", night.body);
    assert_eq!(call("soon").status, 422);
    let answer = call("2026-11-23T15%3A00");
    assert_eq!(answer.status, 303, "{}", answer.body);
    let due = "SELECT scheduled_for FROM call_queue WHERE call_type = 'extra'";
    assert_eq!(text(&house, due), "2026-11-23T20:00:00.000Z");
    assert_eq!(house.fake.rings().len(), 0, "the page itself dialed");
    let back = answer.header("location").expect("a page").to_string();
    let page = visitor.get(&back);
    assert!(page.contains("The extra call is in the queue"), "{page}");
    let (_, rest) = page.split_once("action=\"/queue/").expect("an undo");
    let id = rest.split('/').next().expect("an id");
    let undo = format!("mark={}&reason=taken+back&back=%2Fcustomers%2Fid:1", visitor.mark());
    let undone = visitor.post(&format!("/queue/{id}/cancel"), &undo);
    assert_eq!(undone.header("location"), Some("/customers/id:1?done=cancelled"));
    let reason = "SELECT reason FROM call_queue WHERE call_type = 'extra'";
    assert_eq!(text(&house, reason), "cancelled");
}

#[test]
fn a_number_is_listed_and_taken_off_again_and_each_act_confirms_itself() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let act = |path: &str| {
        let form = format!("mark={}&reason=she+asked", visitor.mark());
        let answer = visitor.post(&format!("/customers/id:1/{path}"), &form);
        assert_eq!(answer.status, 303, "{path}: {}", answer.body);
        read(&visitor.get(answer.header("location").expect("a page")))
    };
    let page = act("do-not-call");
    assert!(page.contains("this number is never calledUndo") || page.contains("Undo"), "{page}");
    assert!(page.contains("never call: on the do-not-call list"), "{page}");
    assert!(act("do-not-call").contains("already."));
    let page = act("allow");
    assert!(page.contains("Taken off the do-not-call list"), "{page}");
    assert_eq!(house.count("SELECT count(*) FROM do_not_call"), 0);
    let page = act("pause");
    assert!(page.contains("paused by page") && page.contains("Undo"), "{page}");
    assert!(act("resume").contains("Resumed: calls are made again."));
}

#[test]
fn erasing_asks_first_and_an_export_is_a_file_that_the_journal_notes() {
    let house = House::build(&Plan::default());
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    let post = |path: &str, form: &str| {
        visitor.post(&format!("/customers/id:1/{path}"), &format!("mark={}&{form}", visitor.mark()))
    };
    let export = post("export", "");
    assert_eq!(export.status, 200);
    assert_eq!(
        export.header("content-disposition"),
        Some("attachment; filename=\"customer-1.json\"")
    );
    assert_eq!(export.json()["customer"]["phone"], "+12125550101");
    assert_eq!(text(&house, "SELECT who FROM journal WHERE what = 'reveal'"), "page");
    assert!(visitor.get("/customers/id:1/erase").contains("cannot be undone"));
    assert_eq!(post("erase", "reason=by+letter").status, 422);
    let named = post("erase", "reason=Person+1+asked&confirm=yes");
    assert!(named.status == 422 && named.body.contains("names the person"), "{}", named.body);
    assert_eq!(house.count("SELECT count(*) FROM customers"), 1);
    let erased = post("erase", "reason=by+letter&confirm=yes");
    assert_eq!(erased.header("location"), Some("/customers?done=erased"));
    assert_eq!(house.count("SELECT count(*) FROM customers"), 0);
}

#[test]
fn the_badge_says_what_a_person_means() {
    let unpaid = customer(2, "08:00").replace("Paid", "Pending");
    let house =
        House::build(&Plan { customers: vec![customer(1, "07:00"), unpaid], ..Plan::default() });
    house.wait_until_well();
    let visitor = Visitor::signed_in(&house);
    assert!(read(&visitor.get("/customers/id:1")).contains("not called yet"));
    assert!(read(&visitor.get("/customers/id:2")).contains("not eligible: payment is Pending"));
    house.place_calls(1);
    house.set_clock("2026-11-23T12:10:00Z");
    let answered = "SELECT count(*) FROM call_attempts WHERE disposition = 'answered'";
    house.wait_for("the end", || house.count(answered) == 1);
    assert!(read(&visitor.get("/customers/id:1")).contains("reached today"));
    house.set_clock("2026-11-24T11:00:00Z");
    let visitor = Visitor::signed_in(&house);
    assert!(read(&visitor.get("/customers/id:1")).contains("reached yesterday"));
    // The rules that allow the call are folded.
    let page = visitor.get("/customers/id:2");
    assert!(page.contains("rules that allow it") && !page.contains("<details open"), "{page}");
}

#[test]
fn an_edit_is_taken_back_at_once_unless_the_field_was_changed_again() {
    let house = House::build(&Plan::default());
    house.wait_for("the scan", || house.get("/api/queue")["items"][0].is_object());
    let visitor = Visitor::signed_in(&house);
    let due = "SELECT scheduled_for FROM call_queue WHERE customer_id = 1";
    let (before, name) = (text(&house, due), "SELECT name FROM customers WHERE id = 1");
    let old_name = text(&house, name);
    let save = |form: &str| {
        let answer = edit(&visitor, &format!("{form}&reason=she+moved&step=save"));
        let location = answer.header("location").expect("a page").to_string();
        let page = visitor.get(&location);
        let (_, rest) = page.split_once("name=\"edit\" value=\"").expect("an undo");
        rest.split('"').next().expect("a word").to_string()
    };
    let undo = |word: &str| {
        let form = format!("mark={}&reason=taken+back&edit={word}", visitor.mark());
        visitor.post("/customers/id:1/undo", &form)
    };
    let word = save("name=Ada+L&call_time=08%3A15&new-variable=topic&new-value=sea");
    assert_ne!(text(&house, due), before);
    let undone = undo(&word);
    assert_eq!(undone.header("location"), Some("/customers/id:1?done=taken-back"));
    assert_eq!((text(&house, name), text(&house, AT)), (old_name, "07:00".to_string()));
    assert_eq!(text(&house, due), before, "the waiting call moves back");
    assert_eq!(
        house.count("SELECT count(*) FROM customers WHERE variables ->> 'topic' = 'sea'"),
        0
    );
    let whys = "SELECT group_concat(why, '; ') FROM (SELECT why FROM journal
        WHERE what = 'customer' AND who = 'page' ORDER BY id)";
    assert_eq!(text(&house, whys), "she moved; taken back");
    // Somebody else changes the time in between.
    let word = save("call_time=08%3A15");
    let other = json!({ "external_id": "u1", "call_time": "10:00" });
    assert_eq!(house.api("POST", "/api/customers", &other).status, 200);
    let refused = undo(&word);
    assert_eq!((refused.status, text(&house, AT)), (409, "10:00".to_string()));
    assert!(refused.body.contains("Call time was changed again since"), "{}", refused.body);
    for unknown in ["", "0f", &word.replace(|c: char| c.is_ascii_digit(), "0")] {
        assert_eq!(undo(unknown).status, 409, "{unknown}");
    }
}
