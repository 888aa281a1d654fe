//! The form that edits a customer. Before anything is saved it shows what the change does to the
//! next call; the real scan and gate answer on a copy in memory.

use maud::{Markup, Render, html};

use crate::domain::call::Reason;
use crate::domain::customer::columns::Column;
use crate::domain::customer::entry::{CustomerEntry, FieldChange, changes};
use crate::domain::customer::{Customer, mask_phone};
use crate::domain::{Instant, parse_instant};
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::steps::customers::edit::{EditRefused, planned, taken_back};
use crate::steps::customers::{change_because, same_phone_words};
use crate::steps::forecast::explain::{self, Explained, Outcome, Question};
use crate::steps::import::field_values::Reader;
use crate::steps::readiness::clock_check;
use crate::store::customers;
use crate::store::journal::By;
use crate::web::api::one_line;
use crate::web::asked::Asked;
use crate::web::front::saved_edits::SavedEdit;
use crate::web::page::customer::fields::{
    self, FIELDS, Field, Kind, NEW_NAME, NEW_VALUE, Refusal, SELDOM, VARIABLE, WAS,
};
use crate::web::page::done::Done;
use crate::web::page::html::{capital, form, or_dash, section, table, time};
use crate::web::page::layout::{page_with, sentence};
use crate::web::page::linked;
use crate::web::page::words;

/// The button that shows the change without saving it.
const PREVIEW: &str = "preview";

/// `GET /customers/{id}/edit`
pub fn open(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let customer = asked.front.cx().store.read(|conn| linked(conn, asked.named()))?;
    Ok(shown(asked, 200, &customer, &[], Markup::default()))
}

/// `POST /customers/{id}/edit`: with `step=preview` shows the change, else saves it.
pub fn send(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let known = cx.store.read(|conn| linked(conn, asked.named()))?;
    let mut reader = asked.reader(None);
    let mut refused = Vec::new();
    let entry = fields::entry(asked, &mut reader, &known, asked.now).unwrap_or_else(|found| {
        refused = found;
        CustomerEntry::default()
    });
    let is_preview = asked.form("step") == PREVIEW;
    let why = match one_line("reason", asked.form("reason")) {
        Ok(why) => why,
        Err(_) if is_preview => String::new(),
        Err(problem) => {
            refused.push(("reason".to_string(), problem.detail));
            String::new()
        }
    };
    if refused.is_empty() {
        match planned_after(asked, &mut reader, &known, entry)? {
            Ok(after) if is_preview => {
                let told = preview(asked, &known, &after)?;
                return Ok(shown(asked, 200, &known, &[], told));
            }
            Ok(_) => return save(asked, &why),
            Err(refusal) => refused.push(refusal),
        }
    }
    Ok(shown(asked, 422, &known, &refused, Markup::default()))
}

fn planned_after(
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
    known: &Customer,
    entry: CustomerEntry,
) -> anyhow::Result<Result<Customer, Refusal>> {
    let store = &asked.front.cx().store;
    match store.read(|conn| planned(conn, reader, known, entry, asked.now)) {
        Ok(after) => Ok(Ok(after)),
        Err(error) => match error.downcast::<EditRefused>() {
            Ok(refused @ EditRefused::ExternalIdTaken(_)) => {
                Ok(Err((Column::ExternalId.as_str().to_string(), refused.to_string())))
            }
            Ok(refused) => Err(refused.into()),
            Err(error) => Err(error),
        },
    }
}

fn save(asked: &Asked<'_>, why: &str) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let mut reader = asked.reader(None);
    let (changed, edit) = cx.store.write(|tx| {
        let reading = asked.front.service.clock.read()?;
        if let Some(why) = clock_check::wrong_clock(tx, &reading)? {
            return Err(Problem::new(503, format!("nothing was written: {why}")).into());
        }
        // Read again: somebody else may have written since.
        let known = linked(tx, asked.named())?;
        let now = reading.now;
        let entry = fields::entry(asked, &mut reader, &known, now).map_err(|refused| {
            let (name, why) = refused.into_iter().next().unwrap_or_default();
            Problem::new(409, format!("{name}: {why}"))
        })?;
        let after = planned(tx, &mut reader, &known, entry, now)?;
        let by = By { who: asked.who(), now };
        let changed = change_because(tx, &mut reader, &known, &after, by, Some(why))?;
        Ok((changed, SavedEdit { before: known, after }))
    })?;
    let page = format!("/customers/id:{}", edit.after.id);
    if changed.is_empty() {
        return Ok(Done::Unchanged.go_to(&page));
    }
    let word = asked.front.saved_edits.keep(edit);
    Ok(Done::Edited.with(&page, &[("edit", &word)]))
}

/// `POST /customers/{id}/undo`: takes back the edit that `edit` names.
pub fn take_back(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let why = one_line("reason", asked.form("reason"))?;
    let id = cx.store.read(|conn| linked(conn, asked.named()))?.id;
    let Some(edit) = asked.front.saved_edits.find(asked.form("edit"), id) else {
        let detail = "this change can no longer be taken back here: edit the customer instead";
        return Err(Problem::new(409, detail).into());
    };
    let mut reader = asked.reader(None);
    cx.store.write(|tx| {
        let reading = asked.front.service.clock.read()?;
        if let Some(why) = clock_check::wrong_clock(tx, &reading)? {
            return Err(Problem::new(503, format!("nothing was written: {why}")).into());
        }
        let known = linked(tx, asked.named())?;
        let pair = (&edit.before, &edit.after);
        let then = taken_back(tx, &mut reader, &known, pair, reading.now).map_err(|error| {
            match error.downcast::<EditRefused>() {
                Ok(refused) => Problem::new(409, refused.to_string()).into(),
                Err(error) => error,
            }
        })?;
        let by = By { who: asked.who(), now: reading.now };
        change_because(tx, &mut reader, &known, &then, by, Some(&why)).map(drop)
    })?;
    Ok(Done::TakenBack.go_to(&format!("/customers/id:{id}")))
}

/// What the change does: each field, and the next call before and after it.
fn preview(asked: &Asked<'_>, known: &Customer, after: &Customer) -> anyhow::Result<Markup> {
    let cx = asked.front.cx();
    let found: Vec<FieldChange> = changes(known, after);
    let question = Question::now(asked.now);
    let before = explain::answer(cx, known.id, &question, None)?;
    let coming = explain::edited(cx, after, asked.now, |tx| {
        let mut reader = asked.reader(None);
        let by = By { who: asked.who(), now: asked.now };
        change_because(tx, &mut reader, known, after, by, None).map(|_| ())
    })?;
    let same_phone = cx.store.read(|conn| customers::with_same_phone(conn, after))?;
    let rows =
        found.iter().filter(|change| change.field != "next_call_scheduled_at").map(|change| {
            let (old, new) = texts(change, known, after);
            [capital(&change.field.replace('_', " ")).render(), or_dash(old), or_dash(new)]
        });
    let notes: Vec<String> = [
        same_phone_words(&same_phone),
        after.phone_validation_error.clone().map(|why| format!("the number is not dialed: {why}")),
        coming.place.clone(),
    ]
    .into_iter()
    .flatten()
    .collect();
    Ok(section(
        "What this changes",
        html! {
            (table("What this changes", ["Field", "Now", "After"], rows, "Nothing is different."))
            @if !found.is_empty() {
                dl.facts {
                    div { dt { "Next call now" } dd { (before.as_ref().map(next_call).unwrap_or_default()) } }
                    div { dt { "Next call after" } dd { b { (next_call(&coming)) } } }
                }
            }
            @for note in &notes { p.why { "Note: " (note) "." } }
        },
    ))
}

/// The old and the new value. The numbers stay masked, and long texts are not repeated.
fn texts(
    change: &FieldChange,
    known: &Customer,
    after: &Customer,
) -> (Option<String>, Option<String>) {
    let text = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    match (&change.values, change.field) {
        (Some((old, new)), _) => (text(old), text(new)),
        (None, "phone") => (text(&mask_phone(&known.phone)), text(&mask_phone(&after.phone))),
        (None, "name") => (text(&known.name), text(&after.name)),
        (None, "email") => (known.email.clone(), after.email.clone()),
        (None, "external_id") => (known.external_id.clone(), after.external_id.clone()),
        (None, _) => (text("as it was"), text("as in the form")),
    }
}

/// When the phone rings next, or why it does not.
fn next_call(explained: &Explained) -> Markup {
    html! {
        @if let (Some(at), Some(zone)) = (explained.next_call_at, &explained.zone) {
            (time(at, zone)) " in " (zone.name)
        } @else {
            "No call is coming"
            @if let Some(why) = explained.verdict().and_then(|verdict| held_by(&verdict.outcome)) {
                ": " (words::reason(why))
            }
            "."
        }
    }
}

fn held_by(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Waits { reason, .. } => *reason,
        Outcome::Skipped(reason) => Some(*reason),
        _ => None,
    }
}

/// The page with the form. A form that was sent keeps its values.
fn shown(
    asked: &Asked<'_>,
    status: u16,
    customer: &Customer,
    refused: &[Refusal],
    told: Markup,
) -> Response {
    let path = format!("/customers/id:{}", customer.id);
    let is_previewed = asked.form("step") == PREVIEW && refused.is_empty();
    let name = if customer.name.is_empty() { "this customer" } else { &customer.name };
    let fields = html! {
        div.grid {
            @for field in &FIELDS { (input(asked, field, customer, refused)) }
        }
        details open[SELDOM.iter().any(|field| complaint(refused, field.column.as_str()).is_some())] {
            summary { "External id and consent" }
            div.grid { @for field in &SELDOM { (input(asked, field, customer, refused)) } }
        }
        (variables(asked, customer, refused))
        label.field.grow for="reason" {
            span { "Reason" }
            input #reason name="reason" required maxlength="500" autocomplete="off"
                placeholder="for the journal" value=(asked.form("reason"));
            (complained(refused, "reason"))
        }
        button.main[!is_previewed] name="step" value=(PREVIEW) formnovalidate { "Preview" }
        button.main[is_previewed] name="step" value="save" { "Save the change" }
        a.button href=(path) { "Leave it" }
    };
    let body = html! {
        div.head {
            div {
                h1 { "Edit " (name) }
                p.hint { "Nothing is saved by the preview. " a href=(path) { "Back to the customer" } }
            }
        }
        @if !refused.is_empty() {
            p.complaint role="alert" { "Nothing was changed. Correct what is marked, and send the form again." }
        }
        @if is_previewed { (told) }
        section.edit { (form(asked, &format!("{path}/edit"), fields)) }
    };
    page_with(asked, status, &format!("Edit {name}"), body)
}

fn complaint<'a>(refused: &'a [Refusal], name: &str) -> Option<&'a str> {
    refused.iter().find(|(field, _)| field == name).map(|(_, why)| why.as_str())
}

fn complained(refused: &[Refusal], name: &str) -> Markup {
    html! {
        @if let Some(why) = complaint(refused, name) {
            strong.wrong id={ "wrong-" (name) } { (sentence(why)) }
        }
    }
}

fn input(asked: &Asked<'_>, field: &Field, customer: &Customer, refused: &[Refusal]) -> Markup {
    let name = field.column.as_str();
    let now = fields::current(customer, field.column);
    let value = asked.sent(name).unwrap_or(&now);
    let is_wrong = complaint(refused, name).is_some();
    let described = is_wrong.then(|| format!("wrong-{name}"));
    let invalid = is_wrong.then_some("true");
    html! {
        label.field for=(name) {
            span { (field.label) }
            @match field.kind {
                Kind::YesNo => select id=(name) name=(name) {
                    @for (word, text) in [("true", "yes"), ("false", "no")] {
                        option value=(word) selected[value == word] { (text) }
                    }
                },
                Kind::Long => textarea id=(name) name=(name) rows="3" { (value) },
                Kind::Phone => input id=(name) name=(name) type="tel" value=(value)
                    placeholder=(mask_phone(&customer.phone)) autocomplete="off"
                    aria-invalid=[invalid] aria-describedby=[described];,
                Kind::Zone => input id=(name) name=(name) value=(value) required
                    autocomplete="off" spellcheck="false"
                    aria-invalid=[invalid] aria-describedby=[described];,
                Kind::Text(kind) => input id=(name) name=(name) type=(kind) value=(value)
                    autocomplete="off" aria-invalid=[invalid] aria-describedby=[described];,
            }
            input type="hidden" name={ (WAS) (name) } value=(asked.sent(&format!("{WAS}{name}")).unwrap_or(&now));
            (complained(refused, name))
            @if !field.hint.is_empty() { small { (field.hint) } }
        }
    }
}

fn variables(asked: &Asked<'_>, customer: &Customer, refused: &[Refusal]) -> Markup {
    let known = fields::variables(customer);
    html! {
        fieldset.grid {
            legend { "Variables for the assistant" }
            @for (variable, now) in &known {
                @let name = format!("{VARIABLE}{variable}");
                label.field for=(name) {
                    span { (variable) }
                    input id=(name) name=(name) value=(asked.sent(&name).unwrap_or(now)) autocomplete="off";
                    input type="hidden" name={ (WAS) (name) }
                        value=(asked.sent(&format!("{WAS}{name}")).unwrap_or(now));
                    (complained(refused, &name))
                }
            }
            label.field for=(NEW_NAME) {
                span { "A new variable" }
                input id=(NEW_NAME) name=(NEW_NAME) value=(asked.form(NEW_NAME)) autocomplete="off"
                    placeholder="favourite_topic";
                (complained(refused, NEW_NAME))
            }
            label.field for=(NEW_VALUE) {
                span { "Its value" }
                input id=(NEW_VALUE) name=(NEW_VALUE) value=(asked.form(NEW_VALUE)) autocomplete="off";
            }
        }
    }
}

/// The instant of a local time that a form sent, on the customer's own clock.
pub fn local_instant(text: &str, zone: &crate::domain::calendar::zone::Zone) -> Option<Instant> {
    let local = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M");
    match local {
        Ok(local) => Some(zone.resolve(local)),
        Err(_) => parse_instant(text),
    }
}
