//! Which path does what, and who may. One table; everything that is not in it is not there.

use crate::domain::Instant;
use crate::web::access::{Session, is_from_another_site, shows_bearer};
use crate::web::api::{calls, customers, numbers, service};
use crate::web::delivery::Response;
use crate::web::front::{Front, GuessedAt};
use crate::web::http::{Request, percent_decode};
use crate::web::page::{self, acts, people, today, work};
use crate::web::problem::{Problem, of_error};
use crate::web::{health, metrics, webhook};

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody; the act itself looks at the sender where it must.
    Open,
    /// Whoever knows the token.
    Token,
    /// The same, or a session; others see the form to sign in.
    Page,
    /// A form of a page of this session.
    Form,
}

/// A request on its way.
pub struct Asked<'a> {
    pub front: &'a Front,
    pub request: &'a Request,
    pub now: Instant,
    /// `None`: it came with the token itself, or openly.
    pub session: Option<Session>,
    /// What stands in the braces of the route's path.
    pub place: Option<String>,
    form: Vec<(String, String)>,
}

impl Asked<'_> {
    /// A field of the form; empty when it was not sent.
    pub fn form(&self, name: &str) -> &str {
        self.form.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.trim())
    }

    /// A value of the query; `None` when it is not there or empty.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.request.query_value(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Whether a program asked, not a page's form.
    pub fn is_api(&self) -> bool {
        self.request.path.starts_with("/api/")
    }

    /// What stands in the braces of the route's path.
    pub fn named(&self) -> &str {
        self.place.as_deref().unwrap_or_default()
    }
}

type Act = fn(&Asked<'_>) -> anyhow::Result<Response>;

/// One method of one path.
pub struct Route {
    pub method: &'static str,
    /// At most one segment in braces, which takes any text.
    pub path: &'static str,
    pub access: Access,
    act: Act,
}

const fn route(method: &'static str, path: &'static str, access: Access, act: Act) -> Route {
    Route { method, path, access, act }
}

/// Where the provider sends its messages.
pub const WEBHOOK: &str = "/webhooks/vapi";

/// Everything there is.
pub const ROUTES: &[Route] = &[
    route("GET", "/healthz", Access::Open, health::healthz),
    route("POST", WEBHOOK, Access::Open, webhook::take),
    route("GET", "/style.css", Access::Open, page::style),
    route("GET", "/login", Access::Open, page::login_form),
    route("POST", "/login", Access::Open, page::login),
    route("POST", "/logout", Access::Form, page::logout),
    route("GET", "/metrics", Access::Token, metrics::metrics),
    route("GET", "/api/openapi.json", Access::Token, service::openapi),
    route("GET", "/api/status", Access::Token, service::status),
    route("POST", "/api/pause", Access::Token, service::pause),
    route("POST", "/api/resume", Access::Token, service::resume),
    route("GET", "/api/customers", Access::Token, customers::list),
    route("POST", "/api/customers", Access::Token, customers::upsert),
    route("PUT", "/api/customers", Access::Token, customers::upsert),
    route("GET", "/api/customers/{id}", Access::Token, customers::show),
    route("GET", "/api/customers/{id}/explain", Access::Token, customers::explained),
    route("POST", "/api/customers/{id}/call", Access::Token, customers::call),
    route("GET", "/api/dnc", Access::Token, numbers::list),
    route("POST", "/api/dnc", Access::Token, numbers::add),
    route("DELETE", "/api/dnc", Access::Token, numbers::remove),
    route("GET", "/api/queue", Access::Token, calls::queue),
    route("GET", "/api/attempts", Access::Token, calls::attempts),
    route("POST", "/api/attempts/{id}/resolve", Access::Token, calls::resolve),
    route("GET", "/", Access::Page, today::page),
    route("POST", "/pause", Access::Form, acts::pause),
    route("POST", "/resume", Access::Form, acts::resume),
    route("GET", "/customers", Access::Page, people::list),
    route("GET", "/customers/{id}", Access::Page, people::one),
    route("POST", "/customers/{id}/reveal", Access::Form, people::reveal),
    route("POST", "/customers/{id}/pause", Access::Form, acts::pause_customer),
    route("POST", "/customers/{id}/resume", Access::Form, acts::resume_customer),
    route("POST", "/customers/{id}/call", Access::Form, acts::call),
    route("POST", "/customers/{id}/do-not-call", Access::Form, acts::never_call),
    route("GET", "/queue", Access::Page, work::queue),
    route("GET", "/calls", Access::Page, work::calls),
    route("POST", "/calls/{id}/resolve", Access::Form, acts::resolve),
    route("GET", "/do-not-call", Access::Page, work::numbers),
    route("POST", "/do-not-call", Access::Form, acts::never_call_number),
    route("GET", "/journal", Access::Page, work::journal),
];

/// Answers one request.
pub fn answer(front: &Front, request: &Request) -> Response {
    let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(place) = matched(route.path, &request.path) else { continue };
        if route.method == method {
            return guarded(front, request, route, place);
        }
        allowed.push(route.method);
    }
    let problem = match allowed.is_empty() {
        true => Problem::not_found("there is nothing here"),
        false => Problem::new(405, format!("only {} is known here", allowed.join(", "))),
    };
    let response = hardened(problem.response());
    match allowed.is_empty() {
        true => response,
        false => response.with_header("Allow", &allowed.join(", ")),
    }
}

/// What stands in the braces, when the path fits: `Some(None)` where the route has no braces.
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
    let answer = admitted(front, request, route, place);
    let answer = match answer {
        Ok(response) => response,
        Err(error) => {
            let problem = of_error(error);
            match route.access {
                Access::Page | Access::Form => page::problem(front, request, &problem),
                Access::Open | Access::Token => problem.response(),
            }
        }
    };
    log::debug!("{} {}: {}", request.method, route.path, answer.status);
    hardened(answer)
}

fn admitted(
    front: &Front,
    request: &Request,
    route: &Route,
    place: Option<String>,
) -> anyhow::Result<Response> {
    let now = front.service.clock.now()?;
    let mut asked = Asked { front, request, now, session: None, place, form: Vec::new() };
    if route.access == Access::Open {
        asked.form = form(request)?;
        return (route.act)(&asked);
    }
    let Some(keys) = &front.keys else {
        let why = "RINGONCE_API_TOKEN is not set, so nobody gets in; set it and start again";
        return Err(Problem::new(403, why).into());
    };
    let by_token = keys.has_bearer(request);
    if !by_token {
        asked.session = match route.access {
            Access::Page | Access::Form => keys.session_of(request, now),
            Access::Open | Access::Token => None,
        };
        if asked.session.is_none() {
            // A wrong token is answered 429 when there were many; the right one never is.
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
    let turn = if route.method == "GET" { front.turn_to_read() } else { front.turn_to_write() };
    if turn.is_none() {
        return Err(Problem::new(503, "too many requests at once; try again").into());
    }
    (route.act)(&asked)
}

/// The fields of a form; nothing when the body is something else.
fn form(request: &Request) -> anyhow::Result<Vec<(String, String)>> {
    let kind = request.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(Vec::new());
    }
    let unreadable = || Problem::new(400, "the form cannot be read");
    let text = std::str::from_utf8(&request.body).map_err(|_| unreadable())?;
    let mut fields = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text| percent_decode(text, true).map_err(|_| unreadable());
        fields.push((decoded(name)?, decoded(value)?));
    }
    Ok(fields)
}

/// The headers that every answer carries. Nothing is kept, framed, or run.
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
