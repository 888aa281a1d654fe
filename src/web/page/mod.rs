//! The operator's pages: plain HTML from the server, no script. Everything that a page can show or
//! do is also a command; a page only says which.

pub mod acts;
pub mod alarms;
pub mod chart;
pub mod html;
pub mod people;
pub mod story;
pub mod today;
pub mod words;
pub mod work;

use crate::domain::customer::Customer;
use crate::domain::customer_name::{Kind, id, with_kind};
use crate::store::{Conn, customers};
use crate::web::access::no_cookie;
use crate::web::api::customers::one;
use crate::web::delivery::Response;
use crate::web::front::{Front, GuessedAt};
use crate::web::http::Request;
use crate::web::problem::Problem;
use crate::web::router::Asked;
use html::{esc, in_url};

const STYLE: &str = include_str!("style.css");

/// The places of the navigation.
const PLACES: [(&str, &str); 6] = [
    ("/", "Today"),
    ("/customers", "Customers"),
    ("/queue", "Queue"),
    ("/calls", "Calls"),
    ("/do-not-call", "Do not call"),
    ("/journal", "Journal"),
];

/// `GET /style.css`
pub fn style(_: &Asked<'_>) -> anyhow::Result<Response> {
    Ok(Response::new(200)
        .with_header("Content-Type", "text/css; charset=utf-8")
        .with_header("Cache-Control", "public, max-age=86400")
        .with_body(STYLE.as_bytes().to_vec()))
}

/// The customer of a page's address. The pages' own links say `id:7` and mean that id, also when
/// another customer's external id reads so.
pub fn linked(conn: &Conn, text: &str) -> anyhow::Result<Customer> {
    let id = with_kind(text).filter(|(kind, _)| *kind == Kind::Id).and_then(|(_, name)| id(name));
    match id.map_or(Ok(None), |id| customers::by_id(conn, id))? {
        Some(customer) => Ok(customer),
        None => one(conn, text),
    }
}

/// A whole page with the navigation around its `body`, which is ready HTML.
pub fn page(asked: &Asked<'_>, title: &str, body: &str) -> Response {
    page_with(asked, 200, title, body)
}

fn page_with(asked: &Asked<'_>, status: u16, title: &str, body: &str) -> Response {
    let mut nav = String::new();
    for (path, name) in PLACES {
        let here = asked.request.path == path
            || (path != "/" && asked.request.path.starts_with(&format!("{path}/")));
        let current = if here { " aria-current=\"page\"" } else { "" };
        nav.push_str(&format!("<li><a href=\"{path}\"{current}>{name}</a></li>"));
    }
    let leave = match &asked.session {
        Some(_) => html::form("/logout", &mark(asked), "<button class=\"quiet\">Sign out</button>"),
        None => String::new(),
    };
    let top = format!(
        "<header class=\"top\"><a class=\"brand\" href=\"/\">ring<b>once</b></a>\
         <nav aria-label=\"Main\"><ul>{nav}</ul></nav>{leave}</header>"
    );
    Response::html(status, &document(title, &top, body))
}

/// The mark for the forms of this session; empty when the visitor came with the token itself.
pub fn mark(asked: &Asked<'_>) -> String {
    match (&asked.front.keys, &asked.session) {
        (Some(keys), Some(session)) => keys.form_mark(session),
        _ => String::new(),
    }
}

fn document(title: &str, top: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"robots\" content=\"noindex\">\
         <title>{} · ringonce</title>\
         <link rel=\"icon\" href=\"{ICON}\">\
         <link rel=\"stylesheet\" href=\"/style.css?{}\"></head><body>\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>{top}\
         <main id=\"main\" tabindex=\"-1\">{body}</main></body></html>",
        esc(title),
        STYLE.len(),
    )
}

/// A ring with one dot: one ring, once.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 \
     16'%3E%3Ccircle cx='8' cy='8' r='6' fill='none' stroke='%230d8a72' stroke-width='3'/%3E\
     %3Ccircle cx='8' cy='8' r='2' fill='%230d8a72'/%3E%3C/svg%3E";

/// `GET /login`
pub fn login_form(asked: &Asked<'_>) -> anyhow::Result<Response> {
    if asked.front.keys.is_none() {
        return Ok(problem(asked.front, asked.request, &no_token()));
    }
    let next = asked.query("next").unwrap_or("/");
    Ok(Response::html(200, &login_document(next, None)))
}

fn no_token() -> Problem {
    Problem::new(403, "RINGONCE_API_TOKEN is not set, so nobody gets in; set it and start again")
}

fn login_document(next: &str, wrong: Option<&str>) -> String {
    let complaint = match wrong {
        Some(why) => format!("<p class=\"complaint\" role=\"alert\">{}</p>", esc(why)),
        None => String::new(),
    };
    let body = format!(
        "<div class=\"door\"><p class=\"brand\">ring<b>once</b></p><h1>Sign in</h1>{complaint}\
         <form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"next\" \
         value=\"{}\"><label class=\"field\" for=\"token\"><span>Token</span>\
         <input id=\"token\" name=\"token\" type=\"password\" required \
         autocomplete=\"current-password\"></label>\
         <button class=\"main\">Sign in</button></form>\
         <p class=\"hint\">The token is the value of <code>RINGONCE_API_TOKEN</code> on the \
         server. A session lasts twelve hours.</p></div>",
        esc(own_path(next))
    );
    document("Sign in", "", &body)
}

/// A path of ours to go on to: never another site.
fn own_path(next: &str) -> &str {
    let is_own = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\n']);
    if is_own { next } else { "/" }
}

/// `POST /login`: the token for a cookie.
pub fn login(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let Some(keys) = &asked.front.keys else {
        return Ok(problem(asked.front, asked.request, &no_token()));
    };
    let next = asked.form("next");
    let wrong = || Response::html(401, &login_document(next, Some("This is not the token.")));
    // Another site must not use up the guesses of the person who looks at it.
    if crate::web::access::is_from_another_site(asked.request) {
        return Ok(wrong());
    }
    if let Err(problem) = asked.front.count_guess(GuessedAt::Form, asked.request, asked.now) {
        let page = Response::html(problem.status, &login_document(next, Some(&problem.detail)));
        return Ok(problem.with_wait(page));
    }
    if !keys.is_token(asked.form("token")) {
        log::warn!("somebody failed to sign in from {}", asked.front.sender(asked.request));
        return Ok(wrong());
    }
    asked.front.guessed_right(asked.request);
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let cookie = keys.session(asked.now, &nonce).cookie(asked.request);
    Ok(go_to(own_path(next)).with_header("Set-Cookie", &cookie))
}

/// `POST /logout`
pub fn logout(asked: &Asked<'_>) -> anyhow::Result<Response> {
    if let (Some(keys), Some(session)) = (&asked.front.keys, &asked.session) {
        keys.sign_out(session, asked.now);
    }
    Ok(go_to("/login").with_header("Set-Cookie", &no_cookie()))
}

/// The answer to a form that was done: look at the result.
pub fn go_to(path: &str) -> Response {
    Response::new(303).with_header("Location", path)
}

/// What a visitor of pages sees instead of one. Without a session: the form to sign in.
pub fn problem(front: &Front, request: &Request, problem: &Problem) -> Response {
    if problem.status == 401 && front.keys.is_some() {
        let next = if request.method == "POST" { "/" } else { &request.path };
        let query: Vec<String> = request
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", in_url(name), in_url(value)))
            .collect();
        let next = match query.is_empty() {
            true => next.to_string(),
            false => format!("{next}?{}", query.join("&")),
        };
        let bearer = "Bearer realm=\"ringonce\"";
        return Response::html(401, &login_document(&next, None))
            .with_header("WWW-Authenticate", bearer);
    }
    let body = format!(
        "<div class=\"door\"><p class=\"brand\">ring<b>once</b></p><h1>{}</h1><p>{}</p>\
         <p><a href=\"/\">Back to today</a></p></div>",
        esc(problem.title()),
        esc(&problem.detail)
    );
    problem.with_wait(Response::html(problem.status, &document(problem.title(), "", &body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_to_another_site() {
        for (next, expected) in [
            ("/queue?status=pending", "/queue?status=pending"),
            ("//example.com", "/"),
            ("https://example.com", "/"),
            ("/\\example.com", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(next), expected, "{next}");
        }
    }

    #[test]
    fn the_sign_in_form_holds_nothing_of_the_visitor_unescaped() {
        let html = login_document("/\"><script>", Some("<b>"));
        assert!(!html.contains("<script>") && !html.contains("<b>\""), "{html}");
        assert!(html.contains("&lt;b&gt;"));
    }
}
