//! The path below which a reverse proxy serves everything. Inside, all paths begin at the root. A
//! request loses the base before it is routed, and an answer gets it back in every place that
//! names a path of ours. So no page can forget it.

use crate::config::base_path::base_path;
use crate::config::settings::Web;
use crate::http::request::Request;
use crate::http::response::Response;

/// The base, without a slash at its end; empty: the root.
pub struct BasePath(String);

/// The attributes of a page that name a path. `html!` escapes the quotes in texts, so these
/// characters appear in markup only.
const ATTRIBUTES: [&str; 4] = [" href=\"/", " action=\"/", " src=\"/", " formaction=\"/"];

impl BasePath {
    pub fn of(web: &Web) -> BasePath {
        BasePath(base_path(web).to_string())
    }

    /// The base as text, for addresses that people see.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Takes the base off the path. A path without it stays: some proxies take it off themselves.
    pub fn enter(&self, request: &mut Request) {
        if self.0.is_empty() {
            return;
        }
        match request.path.strip_prefix(self.0.as_str()) {
            Some("") => request.path = "/".to_string(),
            Some(rest) if rest.starts_with('/') => request.path = rest.to_string(),
            _ => {}
        }
    }

    /// Puts the base before every path of ours in an answer.
    pub fn leave(&self, mut answer: Response) -> Response {
        if self.0.is_empty() {
            return answer;
        }
        let mut is_page = false;
        for (name, value) in &mut answer.headers {
            match name.as_str() {
                "Location" if value.starts_with('/') => *value = format!("{}{value}", self.0),
                "Refresh" => *value = value.replacen("url=/", &format!("url={}/", self.0), 1),
                "Set-Cookie" => {
                    *value = value.replacen("; Path=/;", &format!("; Path={};", self.0), 1);
                }
                "Content-Type" => is_page = value.starts_with("text/html"),
                _ => {}
            }
        }
        if is_page && let Ok(page) = std::str::from_utf8(&answer.body) {
            let page = ATTRIBUTES.iter().fold(page.to_string(), |page, attribute| {
                let (start, slash) = attribute.split_at(attribute.len() - 1);
                page.replace(attribute, &format!("{start}{}{slash}", self.0))
            });
            answer.body = page.into_bytes();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::base_path::OWN;
    use crate::http::request::parse_head;
    use crate::web::router::ROUTES;

    fn base() -> BasePath {
        BasePath("/ops/ringonce".to_string())
    }

    fn inside(path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let peer = "127.0.0.1:1".parse().unwrap();
        let mut request = parse_head(head.as_bytes()).unwrap().with_body(Vec::new(), peer);
        base().enter(&mut request);
        request.path
    }

    #[test]
    fn a_request_loses_the_base_and_only_the_base() {
        for (path, expected) in [
            ("/ops/ringonce", "/"),
            ("/ops/ringonce/", "/"),
            ("/ops/ringonce/queue?x=1", "/queue"),
            ("/ops/ringonces", "/ops/ringonces"),
            ("/queue", "/queue"),
        ] {
            assert_eq!(inside(path), expected, "{path}");
        }
    }

    #[test]
    fn an_answer_gets_the_base_where_it_names_a_path_and_nowhere_else() {
        let page = "<a href=\"/queue\">x</a><form action=\"/\"><a href=\"?a=1\"> href=&quot;/q";
        let answer = base().leave(
            Response::html(200, page)
                .with_header("Location", "/login")
                .with_header("Refresh", "60; url=/?chart=days")
                .with_header("Set-Cookie", "a=b; Path=/; HttpOnly"),
        );
        let body = String::from_utf8(answer.body).unwrap();
        assert_eq!(
            body,
            "<a href=\"/ops/ringonce/queue\">x</a><form action=\"/ops/ringonce/\"><a \
             href=\"?a=1\"> href=&quot;/q"
        );
        for expected in ["/ops/ringonce/login", "60; url=/ops/ringonce/?chart=days"] {
            assert!(answer.headers.iter().any(|(_, value)| value == expected), "{expected}");
        }
        assert!(answer.headers.iter().any(|(_, v)| v == "a=b; Path=/ops/ringonce; HttpOnly"));
        let away = Response::new(303).with_header("Location", "https://example.com/r.wav");
        let away = base().leave(away);
        assert_eq!(away.headers[0].1, "https://example.com/r.wav");
    }

    #[test]
    fn no_base_may_begin_like_a_page() {
        for route in ROUTES.iter().filter(|route| route.method == "GET" && route.path != "/") {
            let first = route.path.split('/').nth(1).unwrap_or_default();
            assert!(OWN.contains(&first), "{first}");
        }
    }
}
