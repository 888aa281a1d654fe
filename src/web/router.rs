//! The table of routes, each with its handler and the access that it requires. All other paths
//! answer 404.

use crate::domain::role::Role;
use crate::http::problem::{Problem, of_error};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::web::access::{is_from_another_site, shows_bearer};
use crate::web::api::{calls, customers, events, numbers, person, report, results, service};
use crate::web::asked::{Access, Asked, form};
use crate::web::front::{Front, GuessedAt};
use crate::web::page::calls::{self as page_calls, one as one_call};
use crate::web::page::customer::{self, acts, edit};
use crate::web::page::forms::{self, customer as acted};
use crate::web::page::lists::{journal, numbers as listed, queue};
use crate::web::page::{customers as customer_pages, kept_input, layout, login, reports, today};
use crate::web::{caller, health, metrics, webhook};

type RouteHandler = fn(&Asked<'_>) -> anyhow::Result<Response>;

/// The handler of one method of one path.
pub struct Route {
    pub method: &'static str,
    /// At most one segment is in braces; it matches any text that is not empty.
    pub path: &'static str,
    pub access: Access,
    act: RouteHandler,
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    act: RouteHandler,
) -> Route {
    Route { method, path, access, act }
}

/// The path to which the provider sends its messages.
pub const WEBHOOK: &str = "/webhooks/vapi";

/// All routes.
pub const ROUTES: &[Route] = &[
    route("GET", "/healthz", Access::Open, health::healthz),
    route("POST", WEBHOOK, Access::Open, webhook::take),
    route("GET", "/style.css", Access::Open, layout::style),
    route("GET", "/login", Access::Open, login::login_form),
    route("POST", "/login", Access::Open, login::login),
    route("POST", "/logout", Access::Form, login::logout),
    route("GET", "/metrics", Access::Token, metrics::metrics),
    route("GET", "/api/openapi.json", Access::Token, service::openapi),
    route("GET", "/api/status", Access::Token, service::status),
    route("POST", "/api/pause", Access::Token, service::pause),
    route("POST", "/api/resume", Access::Token, service::resume),
    route("GET", "/api/customers", Access::Token, customers::list),
    route("POST", "/api/customers", Access::Token, customers::upsert),
    route("PUT", "/api/customers", Access::Token, customers::upsert),
    route("GET", "/api/customers/{id}", Access::Token, customers::show),
    route("DELETE", "/api/customers/{id}", Access::Token, person::erase),
    route("GET", "/api/customers/{id}/export", Access::Token, person::export),
    route("GET", "/api/customers/{id}/explain", Access::Token, customers::explained),
    route("POST", "/api/customers/{id}/call", Access::Token, customers::call),
    route("GET", "/api/dnc", Access::Token, numbers::list),
    route("POST", "/api/dnc", Access::Token, numbers::add),
    route("DELETE", "/api/dnc", Access::Token, numbers::remove),
    route("GET", "/api/queue", Access::Token, calls::queue),
    route("POST", "/api/queue/{id}/cancel", Access::Token, calls::cancel),
    route("GET", "/api/attempts", Access::Token, calls::attempts),
    route("GET", "/api/attempts/{id}", Access::Token, results::one),
    route("GET", "/api/attempts/{id}/recording", Access::Token, results::recording),
    route("POST", "/api/attempts/{id}/resolve", Access::Token, calls::resolve),
    route("POST", "/api/attempts/{id}/close", Access::Token, calls::close),
    route("GET", "/api/report", Access::Token, report::report),
    route("GET", "/api/events", Access::Token, events::list),
    route("GET", "/", Access::Page, today::page),
    route("POST", "/pause", Access::Form, forms::pause),
    route("POST", "/resume", Access::Form, forms::resume),
    route("GET", "/customers", Access::Page, customer_pages::list),
    route("GET", "/customers.csv", Access::Page, customer_pages::file),
    route("GET", "/customers/{id}", Access::Page, customer::one),
    route("GET", "/customers/{id}/edit", Access::Page, edit::open),
    route("POST", "/customers/{id}/edit", Access::Form, edit::send),
    route("POST", "/customers/{id}/undo", Access::Form, edit::take_back),
    route("GET", "/customers/{id}/erase", Access::Page, acts::erasure),
    route("POST", "/customers/{id}/erase", Access::Form, acted::erase),
    route("POST", "/customers/{id}/export", Access::Form, acted::export),
    route("POST", "/customers/{id}/reveal", Access::Form, customer::reveal),
    route("POST", "/customers/{id}/pause", Access::Form, acted::pause),
    route("POST", "/customers/{id}/resume", Access::Form, acted::resume),
    route("POST", "/customers/{id}/call", Access::Form, acted::call),
    route("POST", "/customers/{id}/do-not-call", Access::Form, acted::never_call),
    route("POST", "/customers/{id}/allow", Access::Form, acted::allow),
    route("GET", "/queue", Access::Page, queue::list),
    route("GET", "/queue.csv", Access::Page, queue::file),
    route("POST", "/queue/{id}/cancel", Access::Form, forms::cancel),
    route("GET", "/calls", Access::Page, page_calls::list),
    route("GET", "/calls.csv", Access::Page, page_calls::file),
    route("GET", "/calls/{id}", Access::Page, one_call::one),
    route("GET", "/calls/{id}/recording", Access::Page, results::recording),
    route("POST", "/doubts/settle", Access::Form, forms::settle_all),
    route("POST", "/calls/{id}/resolve", Access::Form, forms::resolve),
    route("POST", "/calls/{id}/close", Access::Form, forms::close),
    route("POST", "/calls/{id}/transcript", Access::Form, one_call::transcript),
    route("GET", "/reports", Access::Page, reports::reports),
    route("GET", "/do-not-call", Access::Page, listed::list),
    route("GET", "/do-not-call.csv", Access::Page, listed::file),
    route("POST", "/do-not-call", Access::Form, forms::never_call_number),
    route("GET", "/journal", Access::Page, journal::list),
];

/// Answers one request by the table of routes. Each answer carries the request's id, so that a log
/// line of the application and one of ringonce can be matched.
pub fn answer(front: &Front, request: &Request) -> Response {
    let id = request_id(request);
    let answer = routed(front, request);
    // Not the path: it may hold a phone number.
    log::debug!("request {id}: {} was answered {}", request.method, answer.status);
    answer.with_header(REQUEST_ID, &id)
}

/// The header of the request's id.
const REQUEST_ID: &str = "X-Request-Id";

/// The id that the caller gave, if it is a plain word; else a new one.
fn request_id(request: &Request) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let given = request.header(REQUEST_ID).filter(|id| (1..=64).contains(&id.len()));
    match given.filter(|id| id.chars().all(plain)) {
        Some(id) => id.to_string(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

fn routed(front: &Front, request: &Request) -> Response {
    let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(place) = matched(route.path, &request.path) else { continue };
        if route.method == method {
            return guarded(front, request, route, place);
        }
        allowed.push(route.method);
    }
    let problem = if allowed.is_empty() {
        Problem::not_found("there is nothing here")
    } else {
        Problem::new(405, format!("only {} is known here", allowed.join(", ")))
    };
    let response = hardened(problem.response());
    if allowed.is_empty() { response } else { response.with_header("Allow", &allowed.join(", ")) }
}

/// Matches a path. `None`: no match. `Some(None)`: a match without braces. `Some(Some(…))`: the
/// segment that matches the braces.
fn matched(pattern: &str, path: &str) -> Option<Option<String>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut place = None;
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(place),
            (Some(name), Some(text)) if name.starts_with('{') && !text.is_empty() => {
                place = Some(text.to_string());
            }
            (Some(name), Some(text)) if name == text => {}
            _ => return None,
        }
    }
}

fn guarded(front: &Front, request: &Request, route: &Route, place: Option<String>) -> Response {
    let answer = match read_only(front, route) {
        Some(problem) => Err(problem.into()),
        None => admitted(front, request, route, place),
    };
    let answer = match answer {
        Ok(response) => response,
        Err(error) => {
            let problem = of_error(error);
            match route.access {
                Access::Page => layout::problem(front, request, &problem),
                Access::Form => refused_form(front, request, &problem),
                Access::Open | Access::Token => problem.response(),
            }
        }
    };
    log::debug!("{} {}: {}", request.method, route.path, answer.status);
    hardened(answer)
}

/// A form that was refused: its page again with the refusal on top, or a page of its own if that one
/// cannot be shown.
fn refused_form(front: &Front, request: &Request, problem: &Problem) -> Response {
    let is_of_the_visitor =
        problem.status == 401 || problem.status == 403 && problem.field.as_deref() != Some("role");
    let page = layout::page_of_form(front, request)
        .filter(|_| !is_of_the_visitor)
        .map(|page| routed(front, &page))
        .filter(|page| page.status == 200);
    match page {
        Some(page) => {
            let sent = form(request).unwrap_or_default();
            let text = String::from_utf8_lossy(&page.body);
            let body = kept_input::filled(&text, &request.path, &sent).into_bytes();
            problem.with_wait(layout::with_refusal(Response { body, ..page }, problem))
        }
        None => layout::problem(front, request, problem),
    }
}

fn admitted(
    front: &Front,
    request: &Request,
    route: &Route,
    place: Option<String>,
) -> anyhow::Result<Response> {
    let now = front.service.clock.now()?;
    let (session, caller, fields) = (None, None, Vec::new());
    let mut asked = Asked { front, request, now, session, caller, place, form: fields };
    if route.access == Access::Open {
        asked.form = form(request)?;
        return (route.act)(&asked);
    }
    let keys = &front.keys;
    if !caller::is_open(front)? {
        let why = "RINGONCE_API_TOKEN is not set, so every request is refused; set it and restart";
        return Err(Problem::new(403, why).into());
    }
    asked.caller = caller::of_bearer(front, request)?;
    if asked.caller.is_none() {
        asked.session = match route.access {
            Access::Page | Access::Form => keys.session_of(request, now),
            Access::Open | Access::Token => None,
        };
        if let Some(session) = &asked.session {
            asked.caller = caller::of_session(front, session)?;
        }
        if asked.caller.is_none() {
            // Many wrong tokens are answered 429; the right token never is.
            if shows_bearer(request) {
                front.count_guess(GuessedAt::Bearer, request, now)?;
            }
            return Err(Problem::new(401, "the token is wrong or missing").into());
        }
    }
    if route.access == Access::Form {
        asked.form = form(request)?;
        if let Some(session) = &asked.session {
            let marked = keys.is_form_mark(session, asked.form("mark"));
            if !marked || is_from_another_site(request) {
                let why = "the form is too old or came from elsewhere; go back and try again";
                return Err(Problem::new(403, why).into());
            }
        }
    }
    asked.needs(needed(route))?;
    let turn = match route.method {
        // A slow provider must not use up the turns of those who read the database.
        "GET" if route.path.ends_with("/recording") => front.turn_to_ask(),
        "GET" => front.turn_to_read(),
        _ => front.turn_to_write(),
    };
    if turn.is_none() {
        return Err(Problem::new(503, "too many requests at once; try again").into());
    }
    (route.act)(&asked)
}

/// The refusal of a front that changes nothing. A recording would be asked of the provider.
fn read_only(front: &Front, route: &Route) -> Option<Problem> {
    let is_refused = match route.method {
        "GET" => route.path.ends_with("/recording"),
        _ => !matches!(route.path, "/login" | "/logout"),
    };
    let why = front.read_only.filter(|_| is_refused)?;
    let detail = format!("{why}, so this is refused; use the page of `ringonce run` instead");
    Some(Problem { field: Some("read_only".to_string()), ..Problem::new(403, detail) })
}

/// The role that a route requires. A recording and an export hold a person's words; signing out is
/// for everybody.
fn needed(route: &Route) -> Role {
    let is_personal = route.path.ends_with("/recording") || route.path.ends_with("/export");
    match route.method {
        "GET" if !is_personal => Role::Viewer,
        _ if route.path == "/logout" => Role::Viewer,
        _ => Role::Support,
    }
}

/// Adds the security headers of every answer: no caching, no framing, no scripts.
fn hardened(response: Response) -> Response {
    let keeps = response.headers.iter().any(|(name, _)| name == "Cache-Control");
    let response = response
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "same-origin")
        .with_header("X-Frame-Options", "DENY")
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY);
    if keeps { response } else { response.with_header("Cache-Control", "no-store") }
}

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
     img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_whole_or_not_at_all() {
        for (pattern, path, expected) in [
            ("/", "/", Some(None)),
            ("/api/dnc", "/api/dnc", Some(None)),
            ("/api/dnc", "/api/dnc/", None),
            ("/api/dnc", "/api", None),
            ("/customers/{id}", "/customers/ada@example.com", Some(Some("ada@example.com"))),
            ("/customers/{id}", "/customers/", None),
            ("/customers/{id}/pause", "/customers/7/pause", Some(Some("7"))),
            ("/customers/{id}", "/customers/7/pause", None),
        ] {
            let found = matched(pattern, path);
            let found = found.as_ref().map(|place| place.as_deref());
            assert_eq!(found, expected, "{pattern} {path}");
        }
    }

    #[test]
    fn only_what_must_is_open() {
        let open: Vec<&str> = ROUTES
            .iter()
            .filter(|route| route.access == Access::Open)
            .map(|route| route.path)
            .collect();
        assert_eq!(open, ["/healthz", "/webhooks/vapi", "/style.css", "/login", "/login"]);
    }

    #[test]
    fn what_changes_something_is_never_a_page_that_is_only_looked_at() {
        for route in ROUTES.iter().filter(|route| route.method != "GET") {
            assert_ne!(route.access, Access::Page, "{} {}", route.method, route.path);
        }
    }
}
