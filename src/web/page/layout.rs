//! The frame of every page, and the redirect after a form.

use maud::{DOCTYPE, Markup, html};

use crate::http::problem::Problem;
use crate::http::request::{Request, parse_head};
use crate::http::response::Response;
use crate::present::output;
use crate::web::asked::Asked;
use crate::web::caller;
use crate::web::front::Front;
use crate::web::page::done;
use crate::web::page::html::{any_form, capital, in_url, query};

const STYLE: &str = include_str!("style.css");

/// The links of the navigation.
const LINKS: [(&str, &str); 7] = [
    ("/", "Today"),
    ("/customers", "Customers"),
    ("/queue", "Queue"),
    ("/calls", "Calls"),
    ("/reports", "Reports"),
    ("/do-not-call", "Do not call"),
    ("/journal", "Journal"),
];

/// A whole page: the navigation, what the last act did, then `body`.
pub fn page(asked: &Asked<'_>, title: &str, body: Markup) -> Response {
    page_with(asked, 200, title, body)
}

/// The same with another status, for a form that was refused.
pub fn page_with(asked: &Asked<'_>, status: u16, title: &str, body: Markup) -> Response {
    let shown = &asked.request.path;
    let is_current =
        |link: &str| shown == link || (link != "/" && shown.starts_with(&format!("{link}/")));
    let top = html! {
        header.top {
            a.brand href="/" { "ring" b { "once" } }
            nav aria-label="Main" {
                ul {
                    @for (link, name) in LINKS {
                        @let current = is_current(link).then_some("page");
                        li { a href=(link) aria-current=[current] { (name) } }
                    }
                }
            }
            @if asked.session.is_some() {
                @if let Some(name) = asked.caller.as_ref().and_then(|caller| caller.name.as_ref()) {
                    span.dim { (name) " (" (asked.role()) ")" }
                }
                (any_form(asked, "/logout", html! { button.quiet { "Sign out" } }))
            }
        }
    };
    let body = html! {
        @if let Some(why) = asked.front.read_only { p.read-only role="note" { (why) } }
        (done::message(asked))
        (body)
    };
    Response::html(status, &document(title, top, body))
}

/// The whole document as text. `html!` has escaped the markup of others; `clean` removes control
/// characters and marks that turn the reading direction, which could make a name mislead a reader.
fn document(title: &str, top: Markup, body: Markup) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · ringonce" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href={ "/style.css?" (STYLE.len()) };
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (top)
                main #main tabindex="-1" { (body) }
            }
        }
    };
    output::clean(&document.into_string())
}

/// A document with one panel and no navigation.
fn panel(title: &str, content: Markup) -> String {
    let panel = html! {
        div.panel {
            p.brand { "ring" b { "once" } }
            h1 { (title) }
            (content)
        }
    };
    document(title, Markup::default(), panel)
}

/// A ring with one dot.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 \
     16'%3E%3Ccircle cx='8' cy='8' r='6' fill='none' stroke='%230d8a72' stroke-width='3'/%3E\
     %3Ccircle cx='8' cy='8' r='2' fill='%230d8a72'/%3E%3C/svg%3E";

/// The answer after a form was applied: the browser loads the page that shows the result.
pub fn go_to(path: &str) -> Response {
    Response::new(303).with_header("Location", path)
}

/// `GET /style.css`
pub fn style(_: &Asked<'_>) -> anyhow::Result<Response> {
    Ok(Response::new(200)
        .with_header("Content-Type", "text/css; charset=utf-8")
        .with_header("Cache-Control", "public, max-age=86400")
        .with_body(STYLE.as_bytes().to_vec()))
}

/// A page for a request that failed. A visitor without a session gets the form to sign in.
pub fn problem(front: &Front, request: &Request, problem: &Problem) -> Response {
    if problem.status == 401 && caller::is_open(front).unwrap_or(true) {
        let mut next = if request.method == "POST" { "/" } else { &request.path }.to_string();
        if !request.query.is_empty() {
            next.push_str(&format!("?{}", query(&request.query)));
        }
        return Response::html(401, &sign_in(&next, None))
            .with_header("WWW-Authenticate", "Bearer realm=\"ringonce\"");
    }
    let (back, place) = way_back(request);
    let content = html! {
        (why_refused(problem))
        p { a.button href=(back) { (place) } " " a href="/" { "Back to today" } }
    };
    let title = match (request.method.as_str(), problem.status) {
        ("POST", _) => "Nothing was changed",
        (_, 409) => "The state has changed",
        _ => problem.title(),
    };
    problem.with_wait(Response::html(problem.status, &panel(title, content)))
}

fn why_refused(problem: &Problem) -> Markup {
    html! {
        p { (sentence(&problem.detail)) }
        p { (next_step(problem)) }
    }
}

/// The request for the page on which a form stood: the one that the browser names, or the one that
/// has such forms.
pub(crate) fn page_of_form(front: &Front, request: &Request) -> Option<Request> {
    let read = |target: &str| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: page\r\n\r\n");
        let read = parse_head(head.as_bytes()).ok()?.with_body(Vec::new(), request.peer);
        let mut page = request.clone();
        (page.method, page.body) = ("GET".to_string(), Vec::new());
        (page.path, page.query) = (read.path, read.query);
        front.base.enter(&mut page);
        // What an earlier act did is over.
        page.query.retain(|(name, _)| name != "done");
        Some(page)
    };
    named_page(request).and_then(read).or_else(|| read(&way_back(request).0))
}

/// The path of the page that sent a form, if it is one of ours.
fn named_page(request: &Request) -> Option<&str> {
    let (_, page) = request.header("referer")?.split_once("://")?;
    page.strip_prefix(request.header("host")?).filter(|path| path.starts_with('/'))
}

/// A page with a refusal on top, and the status of that refusal.
pub(crate) fn with_refusal(page: Response, problem: &Problem) -> Response {
    let refusal = html! {
        div.refused role="alert" {
            h2 { "Nothing was changed" }
            (why_refused(problem))
        }
    };
    let body = String::from_utf8_lossy(&page.body);
    let body = body.replacen(MAIN, &format!("{MAIN}{}", output::clean(&refusal.into_string())), 1);
    let (status, body) = (problem.status, body.into_bytes());
    Response { status, body, ..page }
}

/// Where the content of a page begins, as `document` writes it.
const MAIN: &str = "<main id=\"main\" tabindex=\"-1\">";

/// A text of the program as a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{}{end}", capital(text))
}

/// The page with the form that was refused, and its name.
fn way_back(request: &Request) -> (String, &'static str) {
    let mut parts = request.path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next()) {
        (Some("customers"), Some(customer)) => {
            (format!("/customers/{}", in_url(customer)), "Back to the customer")
        }
        (Some("customers"), None) => ("/customers".to_string(), "Back to the customers"),
        (Some("calls"), _) => ("/calls?state=in_doubt".to_string(), "Back to the calls in doubt"),
        (Some("do-not-call"), _) => ("/do-not-call".to_string(), "Back to the do-not-call list"),
        (Some("queue"), _) => ("/queue".to_string(), "Back to the queue"),
        _ => ("/".to_string(), "Back"),
    }
}

/// What a person does after a refusal.
fn next_step(problem: &Problem) -> &'static str {
    match problem.status {
        403 if matches!(problem.field.as_deref(), Some("role" | "read_only")) => {
            "Everything else on the page still works."
        }
        403 => "Open the page again, and send its form once more.",
        404 => "Look for it in the list, or search on the first page.",
        409 => "Look at the page again: it shows what is so now, and what can be done.",
        422 => "Correct the value, and send the form again.",
        429 | 503 => "Wait a moment, then try again.",
        500.. => "Read the log of ringonce, then try again.",
        _ => "Go back, and try again.",
    }
}

/// The form to sign in. `next` is the path to open afterwards.
pub(crate) fn sign_in(next: &str, complaint: Option<&str>) -> String {
    let content = html! {
        @if let Some(complaint) = complaint { p.complaint role="alert" { (complaint) } }
        form method="post" action="/login" {
            input type="hidden" name="next" value=(own_path(next));
            label.field for="token" {
                span { "Token" }
                input #token name="token" type="password" required autocomplete="current-password";
            }
            button.main { "Sign in" }
        }
        p.hint {
            "The token is the one that " code { "ringonce tokens add" } " printed for you, or the \
             value of " code { "RINGONCE_API_TOKEN" } " on the server. A session lasts twelve hours."
        }
    };
    panel("Sign in", content)
}

/// `next` if it is a path of this site, else the first page.
pub(crate) fn own_path(next: &str) -> &str {
    let is_own = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\n']);
    if is_own { next } else { "/" }
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
        let html = sign_in("/\"><script>", Some("<b>"));
        assert!(!html.contains("<script>") && !html.contains("<b>\""), "{html}");
        assert!(html.contains("&lt;b&gt;"));
    }

    #[test]
    fn what_others_wrote_stays_text() {
        let text = "<script>alert('x')</script> & \"q\"\u{202e}\u{7}";
        let body = html! { p title=(text) { (text) } };
        let page = document(text, Markup::default(), body);
        let escaped = "&lt;script&gt;alert('x')&lt;/script&gt; &amp; &quot;q&quot;";
        assert!(page.contains(&format!("<p title=\"{escaped}\">{escaped}</p>")), "{page}");
        assert!(page.contains(&format!("<title>{escaped} · ringonce</title>")), "{page}");
    }
}
