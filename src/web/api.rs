//! JSON under `/api/`, for the web application and scripts. Bodies are read strictly: an unknown
//! field is an error that names the nearest known field.

pub mod calls;
pub mod customers;
pub mod events;
pub mod numbers;
pub mod person;
pub mod report;
pub mod results;
pub mod service;

use serde_json::{Map, Value, json};

use crate::domain::customer::columns::{nearest, shown};
use crate::domain::role::Role;
use crate::domain::{Instant, has_offset, parse_instant};
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::web::asked::Asked;

/// The number of rows in a list, unless the query gives a `limit`.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// Parses the body as a JSON object; refuses fields that are not in `known`.
pub fn body(asked: &Asked<'_>, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let fields = match serde_json::from_slice(&asked.request.body) {
        // An empty body lacks a field, and the error names the field.
        _ if asked.request.body.trim_ascii().is_empty() => Map::new(),
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(Problem::new(400, "the body must be a JSON object")),
        Err(error) => return Err(Problem::new(400, format!("the body is not JSON: {error}"))),
    };
    for name in fields.keys() {
        if !known.contains(&name.as_str()) {
            let name = shown(name);
            let hint = match nearest(&name, known.iter().copied()) {
                Some(near) => format!("; did you mean {near}?"),
                None => format!("; known are {}", known.join(", ")),
            };
            return Err(Problem::field(&name, format!("\"{name}\" is not a field here{hint}")));
        }
    }
    Ok(fields)
}

/// An instant of a request. One without an offset could be anybody's local time.
pub fn instant(name: &str, text: &str) -> Result<Instant, Problem> {
    const WRITE: &str = "write 2026-11-22T17:01:00Z or 2026-11-22T12:01:00-05:00";
    match parse_instant(text) {
        Some(at) if has_offset(text) => Ok(at),
        Some(_) => Err(Problem::field(name, format!("{name} has no offset from UTC: {WRITE}"))),
        None => Err(Problem::field(name, format!("{name} is not an instant: {WRITE}"))),
    }
}

/// A text of the body, trimmed; an error if it is missing or blank.
pub fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Problem> {
    optional_text(fields, name)?
        .ok_or_else(|| Problem::field(name, format!("{name} is missing or blank")))
}

/// A text of the body, trimmed; `None` if it is missing or blank.
pub fn optional_text<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, Problem> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Some(_) => Err(Problem::field(name, format!("{name} must be a text"))),
    }
}

/// The reason for an act, recorded in the journal. It must be short and without line breaks,
/// because nobody can change the journal.
pub fn reason(fields: &Map<String, Value>) -> Result<String, Problem> {
    one_line("reason", text(fields, "reason")?)
}

/// Checks a person's text for the journal: one line, at most 500 characters.
pub fn one_line(name: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::field(name, "say why: it goes into the journal"));
    }
    if 500 < text.chars().count() || text.chars().any(char::is_control) {
        return Err(Problem::field(
            name,
            format!("{name} must be one line of at most 500 letters"),
        ));
    }
    Ok(text.to_string())
}

/// Refuses a query with a parameter that is not in `known`, or with one parameter twice.
pub fn only(asked: &Asked<'_>, known: &[&str]) -> Result<(), Problem> {
    let query = &asked.request.query;
    for (index, (name, _)) in query.iter().enumerate() {
        let name = shown(name);
        if !known.contains(&name.as_ref()) {
            let hint = match nearest(&name, known.iter().copied()) {
                Some(near) => format!("; did you mean {near}?"),
                None if known.is_empty() => "; it takes none".to_string(),
                None => format!("; known are {}", known.join(", ")),
            };
            let detail = format!("\"{name}\" is not a parameter of this query{hint}");
            return Err(Problem::field(&name, detail));
        }
        if query[..index].iter().any(|(before, _)| *before == name) {
            return Err(Problem::field(&name, format!("{name} is given twice")));
        }
    }
    Ok(())
}

/// A value of the query. On a page an empty value means "no choice". In the API it is an error,
/// because ignoring it would answer a different question.
pub fn said<'a>(asked: &'a Asked<'_>, name: &str) -> Result<Option<&'a str>, Problem> {
    let text = asked.query(name);
    match asked.request.query_value(name) {
        Some(_) if text.is_none() && asked.is_api() => {
            Err(Problem::field(name, format!("{name} is empty: give a value or leave it out")))
        }
        _ => Ok(text),
    }
}

/// The number of rows that the query requests.
pub fn limit(asked: &Asked<'_>) -> Result<usize, Problem> {
    let Some(text) = said(asked, "limit")? else { return Ok(LIMIT) };
    text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        Problem::field("limit", format!("limit must be a number from 1 to {LIMIT_MAX}"))
    })
}

/// A whole number of the query.
pub fn number(asked: &Asked<'_>, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = said(asked, name)? else { return Ok(None) };
    let number = text.parse().ok().filter(|number| 0 <= *number);
    number.map(Some).ok_or_else(|| Problem::field(name, format!("{name} must be a whole number")))
}

/// A word of the query from a closed list.
pub fn word<T>(
    asked: &Asked<'_>,
    name: &str,
    parse: fn(&str) -> Option<T>,
    known: &[&str],
) -> Result<Option<T>, Problem> {
    let Some(text) = said(asked, name)? else { return Ok(None) };
    parse(text)
        .map(Some)
        .ok_or_else(|| Problem::field(name, format!("{name} must be one of {}", known.join(", "))))
}

/// Whether the query requests whole phone numbers.
pub fn reveals(asked: &Asked<'_>) -> Result<bool, Problem> {
    let is_wanted = flag(asked, "reveal")?;
    if is_wanted {
        asked.needs(Role::Support)?;
    }
    Ok(is_wanted)
}

/// A yes or no of the query; no if it is missing.
pub fn flag(asked: &Asked<'_>, name: &str) -> Result<bool, Problem> {
    match said(asked, name)? {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(Problem::field(name, format!("{name} must be true or false"))),
    }
}

/// A list and `next`: the value for `after` or `before` in the request for the next page.
pub fn page_of(name: &str, rows: Vec<Value>, next: Option<i64>) -> Response {
    Response::json(200, &json!({ name: rows, "next": next }))
}
