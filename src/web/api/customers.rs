//! Customers over HTTP: list, look up, call, and the one upsert that a web application needs.
//! Fields have the same names and meaning as the columns of a file and the flags of a command.

use serde_json::{Map, Value, json};

use crate::domain::customer::columns::{Column, parse_date};
use crate::domain::customer::entry::{CustomerEntry, FieldChange};
use crate::domain::customer::{CallStatus, Customer};
use crate::domain::{Instant, instant_text};
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::present::customer::as_json;
use crate::present::explain as present_explain;
use crate::steps::customers::find::{self, Unclear};
use crate::steps::customers::{change, create, edit, plan_new};
use crate::steps::forecast::explain::{self, Question};
use crate::steps::import::field_values::{Draft, Reader};
use crate::steps::operate::call_now::ExtraWish;
use crate::steps::readiness::clock_check;
use crate::store::customers::{self, Filter, Found, matching, source};
use crate::store::journal::By;
use crate::store::{Conn, Tx};
use crate::web::api::{self, body, limit, number, only, page_of, reveals, said};
use crate::web::asked::Asked;
use crate::web::operate;

/// The field that says as of when the data is.
const AS_OF: &str = "as_of";
/// How far the application's clock may be ahead of ours.
const AHEAD_AT_MOST: chrono::Duration = chrono::Duration::hours(1);
/// The field for the country of a phone that has no country code.
pub const DEFAULT_COUNTRY: &str = "default_country";

/// `GET /api/customers`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["search", "call_status", "payment_status", "after", "limit", "reveal"])?;
    let known: Vec<&str> = CallStatus::ALL.iter().map(|status| status.as_str()).collect();
    let filter = Filter {
        call_status: api::word(asked, "call_status", CallStatus::parse, &known)?,
        payment_status: said(asked, "payment_status")?.map(str::to_string),
        text: said(asked, "search")?.map(str::to_string),
    };
    let (limit, after) = (limit(asked)?, number(asked, "after")?.unwrap_or(0));
    let reveal = reveals(asked)?;
    let store = &asked.front.cx().store;
    let found = store.read(|conn| customers::list(conn, &filter, limit, after))?;
    if reveal {
        asked.note_reveal("customers", None)?;
    }
    let next_after = found.last().filter(|_| found.len() == limit).map(|last| last.id);
    let rows = found.iter().map(|customer| as_json(customer, reveal)).collect();
    Ok(page_of("customers", rows, next_after))
}

/// `GET /api/customers/{id}`
pub fn show(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["reveal"])?;
    let reveal = reveals(asked)?;
    let customer = asked.front.cx().store.read(|conn| one(conn, asked.named()))?;
    if reveal {
        asked.note_reveal(&format!("customer:{}", customer.id), None)?;
    }
    Ok(Response::json(200, &as_json(&customer, reveal)))
}

/// `GET /api/customers/{id}/explain`: explains what a tick at `at`, or now, would do and why. An
/// earlier `at`, or a date `on`, is judged by what was true then.
pub fn explained(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    only(asked, &["at", "on"])?;
    let date = |text| parse_date(text).map_err(|why| Problem::field("on", format!("on: {why}")));
    let on = said(asked, "on")?.map(date).transpose()?;
    let at = match said(asked, "at")? {
        None => asked.now,
        Some(text) => api::instant("at", text)?,
    };
    if on.is_some() && asked.query("at").is_some() {
        return Err(Problem::field("on", "give either at or on").into());
    }
    let customer = cx.store.read(|conn| one(conn, asked.named()))?;
    if on.is_some() && cx.zones.get(&customer.timezone).is_none() {
        let detail = "on needs the customer's time zone, which is not known";
        return Err(Problem::field("on", detail).into());
    }
    match explain::answer(cx, customer.id, &Question { now: asked.now, at, on }, None)? {
        Some(explained) => Ok(Response::json(200, &present_explain::json(&explained))),
        None => Err(Problem::not_found("the customer is gone").into()),
    }
}

/// `POST /api/customers/{id}/call` with `reason`: queues an extra call for now, or for `at`. The
/// same `key` answers the same item.
pub fn call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["reason", "at", "key"])?;
    let why = api::reason(&fields)?;
    let at = api::optional_text(&fields, "at")?;
    let at = at.map(|text| api::instant("at", text)).transpose()?;
    let key = api::optional_text(&fields, "key")?;
    let customer = asked.front.cx().store.read(|conn| one(conn, asked.named()))?;
    let queued =
        operate::call(asked, &customer, &ExtraWish { who: asked.who(), why: &why, at, key })?;
    let item = &queued.item;
    let told = json!({
        "queued": true,
        "created": queued.is_new,
        "item_id": item.id,
        "occasion": item.occasion,
        "scheduled_for": instant_text(item.scheduled_for),
        "status": item.status.as_str(),
    });
    Ok(Response::json(if queued.is_new { 202 } else { 200 }, &told))
}

/// Finds the one customer that a text names: an id, external id, e-mail or phone.
pub fn one(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    find::one(conn, text).map_err(as_problem)
}

/// The answer about a text that names nobody, or several customers.
pub fn as_problem(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Unclear>() {
        Ok(why @ Unclear::Nobody(_)) => Problem::not_found(why.to_string()).into(),
        Ok(why @ Unclear::Several(_)) => Problem::new(409, why.to_string()).into(),
        Err(error) => error,
    }
}

/// The result of an upsert.
enum Upserted {
    Created(Customer),
    Known(Customer, Vec<FieldChange>),
    /// The request is older than what is known.
    Ignored(Customer),
}

impl Upserted {
    fn customer(&self) -> &Customer {
        match self {
            Upserted::Created(customer)
            | Upserted::Known(customer, _)
            | Upserted::Ignored(customer) => customer,
        }
    }
}

/// `POST` or `PUT /api/customers`: creates a customer or changes the one with this `external_id`,
/// else with this `email`. The same request again changes nothing.
pub fn upsert(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let mut known: Vec<&str> =
        Column::ALL.iter().filter(|c| is_said(**c)).map(|c| c.as_str()).collect();
    known.extend([DEFAULT_COUNTRY, AS_OF]);
    let fields = body(asked, &known)?;
    let country = api::optional_text(&fields, DEFAULT_COUNTRY)?;
    let as_of = as_of(asked, &fields)?;
    let mut reader = asked.reader(country);
    let entry = entry(&fields, &mut reader)?;
    if entry.external_id.is_none() && !matches!(entry.email, Some(Some(_))) {
        let detail = "external_id or email must say who it is";
        return Err(Problem::field("external_id", detail).into());
    }
    let zone = entry.timezone.as_deref().and_then(|name| reader.zone(name));
    if let Some((field, reason)) = entry.contradiction(zone.as_deref(), asked.now) {
        return Err(Problem::field(field, format!("{field}: {reason}")).into());
    }
    let store = &asked.front.cx().store;
    let (done, same_phone_as) = store.write(|tx| {
        let done = write(asked, tx, &mut reader, entry, as_of)?;
        let others = customers::with_same_phone(tx, done.customer())?;
        Ok((done, others))
    })?;
    let (status, customer, changes) = match &done {
        Upserted::Created(customer) => (201, customer, Vec::new()),
        Upserted::Known(customer, changes) => {
            (200, customer, changes.iter().map(|change| change.field).collect())
        }
        Upserted::Ignored(customer) => (200, customer, Vec::new()),
    };
    let answer = json!({
        "created": status == 201,
        "ignored": matches!(done, Upserted::Ignored(_)),
        "changed": changes,
        "same_phone_as": same_phone_as,
        "customer": as_json(customer, false),
    });
    Ok(Response::json(status, &answer))
}

/// When the application read the data. An instant that is far ahead would make every later upsert
/// older than it.
fn as_of(asked: &Asked<'_>, fields: &Map<String, Value>) -> Result<Option<Instant>, Problem> {
    let Some(text) = api::optional_text(fields, AS_OF)? else { return Ok(None) };
    let at = api::instant(AS_OF, text)?;
    if at <= asked.now + AHEAD_AT_MOST {
        return Ok(Some(at));
    }
    Err(Problem::field(AS_OF, "as_of is more than an hour ahead: check the clock"))
}

/// Whether a request may set the column. Others are internal, or exist only in old files.
fn is_said(column: Column) -> bool {
    let of_files = [Column::Id, Column::CallTimeHour, Column::CallTimeMinute];
    !column.is_ours() && !of_files.contains(&column)
}

fn entry(fields: &Map<String, Value>, reader: &mut Reader<'_>) -> Result<CustomerEntry, Problem> {
    let mut draft = Draft::default();
    for (name, value) in fields {
        let Some(column) = Column::parse(name) else { continue };
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.trim().to_string(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Object(_) if column == Column::Variables => value.to_string(),
            _ => return Err(Problem::field(name, format!("{name} must be one value"))),
        };
        reader.set(&mut draft, column, &text).map_err(|reason| {
            // The error text is shared with the command line, where the field is a flag.
            let reason = reason.replace("--default-country", DEFAULT_COUNTRY);
            Problem::field(name, format!("{name}: {reason}"))
        })?;
    }
    Ok(draft.finish())
}

fn write(
    asked: &Asked<'_>,
    tx: &Tx<'_>,
    reader: &mut Reader<'_>,
    entry: CustomerEntry,
    as_of: Option<Instant>,
) -> anyhow::Result<Upserted> {
    let reading = asked.front.service.clock.read()?;
    if let Some(why) = clock_check::wrong_clock(tx, &reading)? {
        return Err(Problem::new(503, format!("nothing was written: {why}")).into());
    }
    let now = reading.now;
    let phone = entry.phone.as_ref().map_or("", |phone| phone.e164.as_str());
    let email = entry.email.as_ref().and_then(|email| email.as_deref());
    match matching(tx, entry.external_id.as_deref(), email, phone)? {
        Found::Several(candidates) => {
            let why = find::several(tx, "this customer", &candidates)?;
            Err(Problem::new(409, why.to_string()).into())
        }
        Found::Nobody => {
            for (field, is_missing) in
                [("phone", entry.phone.is_none()), ("timezone", entry.timezone.is_none())]
            {
                if is_missing {
                    let detail =
                        format!("nobody is known by this key, and a new one needs {field}");
                    return Err(Problem::field(field, detail).into());
                }
            }
            let customer = plan_new(reader, &entry, now)
                .map_err(|error| Problem::new(422, error.to_string()))?;
            let id = create(tx, reader, &customer, By { who: asked.who(), now })?;
            if let Some(at) = as_of {
                source::set_as_of(tx, id, at)?;
            }
            Ok(Upserted::Created(read_back(tx, id)?))
        }
        Found::One(known) => {
            if let Some(at) = as_of {
                if source::as_of(tx, known.id)?.is_some_and(|newest| at < newest) {
                    return Ok(Upserted::Ignored(*known));
                }
                source::set_as_of(tx, known.id, at)?;
            }
            let after = edit::planned(tx, reader, &known, entry, now)?;
            let changes = change(tx, reader, &known, &after, By { who: asked.who(), now })?;
            Ok(Upserted::Known(read_back(tx, known.id)?, changes))
        }
    }
}

fn read_back(tx: &Tx<'_>, id: i64) -> anyhow::Result<Customer> {
    let written = customers::by_id(tx, id)?;
    written.ok_or_else(|| anyhow::anyhow!("customer {id} is gone right after it was written"))
}
