//! A provider in miniature: it keeps the posted calls and answers the two kinds of GET.

use std::sync::{Arc, Mutex};

use chrono::{Duration, TimeZone, Utc};
use ringonce::domain::{Instant, instant_text, parse_instant};
use serde_json::{Value, json};

use super::server::{Request, Server, answer, own_form};

/// How this provider orders and bounds its lists.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
    /// Any rows that fit, in no order.
    Mixed,
    /// Newest first, and all that fit, whatever limit the request has.
    LimitIgnored,
}

pub fn start_of_day() -> Instant {
    Utc.with_ymd_and_hms(2026, 11, 22, 17, 0, 0).unwrap()
}

pub fn row(number: usize, ms: i64) -> Value {
    let at = instant_text(start_of_day() + Duration::milliseconds(ms));
    json!({"id": format!("call-{number:05}"), "orgId": "org-1", "createdAt": at, "status": "ended"})
}

/// Serves these rows, and the calls that are posted to it.
pub fn little_vapi(rows: Vec<Value>, order: Order) -> Server {
    let rows = Arc::new(Mutex::new(rows));
    Server::replying(move |request| {
        let mut rows = rows.lock().unwrap();
        let date = "Date: Sun, 22 Nov 2026 17:01:00 GMT\r\n";
        let path = request.target().split('?').next().unwrap_or_default();
        match (request.method(), path.strip_prefix("/call/")) {
            ("POST", _) => {
                let call = created(request, rows.len());
                rows.push(call.clone());
                answer(201, date, &call.to_string())
            }
            (_, Some(id)) => match rows.iter().find(|row| row["id"] == id) {
                Some(row) => answer(200, date, &row.to_string()),
                None => own_form(404, "Not Found"),
            },
            _ => answer(200, date, &answered_rows(request, &rows, order).to_string()),
        }
    })
}

fn created(request: &Request, number: usize) -> Value {
    let mut call: Value = serde_json::from_slice(&request.body).unwrap();
    let base = row(number, 1000 + number as i64);
    for (field, value) in base.as_object().unwrap() {
        call[field.as_str()] = value.clone();
    }
    call["status"] = json!("queued");
    call
}

/// The page that a request asks for.
pub fn answered_rows(request: &Request, rows: &[Value], order: Order) -> Value {
    let query = request.target().split_once('?').map(|(_, query)| query).unwrap_or_default();
    let mut limit = 100;
    let (mut from, mut to) = (None, None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "limit" => limit = value.parse().unwrap(),
            "createdAtGe" => from = Some(parse_instant(value).unwrap()),
            "createdAtLe" => to = Some(parse_instant(value).unwrap()),
            other => panic!("filtered by {other}"),
        }
    }
    assert!(limit <= 1000, "the provider takes at most 1000");
    let at = |row: &Value| parse_instant(row["createdAt"].as_str().unwrap_or_default());
    let inside = |row: &&Value| {
        at(row).is_none_or(|at| from.is_none_or(|f| f <= at) && to.is_none_or(|t| at <= t))
    };
    let mut rows: Vec<&Value> = rows.iter().filter(inside).collect();
    rows.sort_by_key(|row| at(row));
    match order {
        Order::OldestFirst => {}
        Order::NewestFirst | Order::LimitIgnored => rows.reverse(),
        Order::Mixed => rows.sort_by_key(|row| {
            let text = row["id"].as_str().unwrap_or_default();
            text.bytes().fold(7_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01B3))
        }),
    }
    if order != Order::LimitIgnored {
        rows.truncate(limit);
    }
    json!(rows)
}
