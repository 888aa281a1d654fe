//! The outbox over HTTP, for a developer who looks for a missing event.

use crate::http::response::Response;
use crate::present::event;
use crate::store::events::outbox::{self, EventFilter};
use crate::web::api::{flag, limit, number, only, page_of};
use crate::web::asked::Asked;

/// `GET /api/events`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &["undelivered", "before", "limit"])?;
    let undelivered = flag(asked, "undelivered")?;
    let (filter, limit) =
        (EventFilter { undelivered, before: number(asked, "before")? }, limit(asked)?);
    let found = asked.front.cx().store.read(|conn| outbox::list(conn, filter, limit))?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.seq);
    Ok(page_of("events", found.iter().map(event::as_json).collect(), next))
}
