//! Checks `web.base_path`: the path below which a reverse proxy serves the page.

use crate::config::settings::Web;

/// First segments of ringonce's own paths. With one of them as base, a path would be ambiguous.
pub const OWN: [&str; 18] = [
    "api",
    "calls",
    "calls.csv",
    "customers",
    "customers.csv",
    "do-not-call",
    "do-not-call.csv",
    "doubts",
    "healthz",
    "journal",
    "login",
    "logout",
    "metrics",
    "queue",
    "queue.csv",
    "reports",
    "style.css",
    "webhooks",
];

/// The base without a slash at its end; empty: the page is at the root of its host.
pub fn base_path(web: &Web) -> &str {
    web.base_path.as_deref().unwrap_or_default().trim_end_matches('/')
}

/// Why the value cannot be used.
pub fn problem(web: &Web) -> Option<String> {
    let base = base_path(web);
    if base.is_empty() {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~/".contains(c);
    let mut segments = base.split('/').skip(1);
    if !base.starts_with('/')
        || !base.chars().all(is_plain)
        || segments.clone().any(|segment| ["", ".", ".."].contains(&segment))
    {
        let what = "is not a path of letters, digits and - _ . ~: write it as \"/ringonce\"";
        return Some(format!("{base:?} {what}"));
    }
    let first = segments.next().unwrap_or_default();
    OWN.contains(&first)
        .then(|| format!("{base:?} begins like a path of ringonce itself: choose another name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: &str) -> Web {
        Web { base_path: Some(base.to_string()), ..Web::default() }
    }

    #[test]
    fn a_plain_path_is_taken_and_anything_else_is_refused() {
        for good in ["", "/", "/ringonce", "/ringonce/", "/ops/calls.v2", "/a-b_c~d"] {
            assert_eq!(problem(&of(good)), None, "{good}");
        }
        for bad in ["ringonce", "/a//b", "/a/../b", "//example.com", "/a b", "/ä", "/a?b", "/\"x"]
        {
            assert!(problem(&of(bad)).is_some_and(|why| why.contains("write it as")), "{bad}");
        }
        for own in ["/calls", "/api/x", "/queue/"] {
            assert!(problem(&of(own)).is_some_and(|why| why.contains("itself")), "{own}");
        }
        assert_eq!(base_path(&of("/ringonce/")), "/ringonce");
    }
}
