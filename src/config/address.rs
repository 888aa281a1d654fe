//! The provider's base URL. Refuses plain http beyond loopback, and all parts that could hide the
//! real host: user names, queries, odd characters.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;

/// A base URL in its parts, without an end slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    pub https: bool,
    /// Lower case; an IPv6 address without its brackets.
    pub host: String,
    pub port: Option<u16>,
    /// Empty, or starts with a slash and does not end with one.
    pub path: String,
}

impl BaseUrl {
    /// Reads `https://host[:port][/path]`. The error names the fault.
    pub fn parse(text: &str) -> Result<BaseUrl, String> {
        let url = BaseUrl::parts(text)?;
        if !url.https && !url.is_loopback() {
            return Err(
                "must be https, because the key travels in it (http only on loopback)".to_string()
            );
        }
        Ok(url)
    }

    /// Reads the parts of either scheme, for any host.
    fn parts(text: &str) -> Result<BaseUrl, String> {
        let (https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("must start with https://".to_string()),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("must not hold a user name or password".to_string());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        if !path.chars().all(plain) {
            return Err("must be plain: no query, fragment or special characters".to_string());
        }
        let (host, port) = split_port(authority)?;
        Ok(BaseUrl {
            https,
            host: host.to_ascii_lowercase(),
            port,
            path: path.trim_end_matches('/').to_string(),
        })
    }

    /// Whether the host is this machine by name or number: 127.0.0.0/8, `::1` or `localhost`.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Checks an address that events or alerts are sent to: https, or http on loopback. It may have a
/// query. The error names the fault and does not repeat the address, which may hold a secret.
pub fn outgoing(text: &str) -> Result<BaseUrl, String> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    if !query.chars().all(|c| c.is_ascii_graphic() && c != '#') {
        return Err("holds a blank, a # or a character outside ASCII in its query".to_string());
    }
    let url = BaseUrl::parts(place)?;
    if !url.https && !url.is_loopback() {
        return Err("must be https, because others could read along (http only on loopback)".into());
    }
    Ok(url)
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let no_host = || "names no host".to_string();
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(no_host)?;
            host.parse::<Ipv6Addr>().map_err(|_| "holds no IPv6 address".to_string())?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(no_host()),
            };
            (host, port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if host.is_empty() || !host.chars().all(plain) {
                return Err(no_host());
            }
            (host, port)
        }
    };
    let port = match port {
        Some(text) => {
            Some(text.parse::<NonZeroU16>().map_err(|_| format!("{text:?} is not a port"))?.get())
        }
        None => None,
    };
    Ok((host, port))
}

/// Whether a listen address is on this machine only. The error names the fault.
pub fn listens_on_loopback(text: &str) -> Result<bool, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address.ip().is_loopback());
    }
    match text.split_once(':') {
        // `localhost` is the one name without a look-up: reading a configuration uses no network.
        Some(("localhost", port)) if port.parse::<u16>().is_ok() => Ok(true),
        _ => Err("must be ADDRESS:PORT, for example 127.0.0.1:8787".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<bool, &str>) {
        let found = BaseUrl::parse(text).map(|url| url.is_loopback());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn only_https_or_loopback_is_a_base_url() {
        check("https://api.vapi.ai", Ok(false));
        check("https://proxy.example.com:8443/vapi/", Ok(false));
        check("http://127.0.0.1:8080", Ok(true));
        check("http://127.9.8.7", Ok(true));
        check("http://LOCALHOST:1", Ok(true));
        check("http://[::1]:8080", Ok(true));
        check("https://localhost", Ok(true));
        check("http://api.vapi.ai", Err("must be https"));
        check("http://0.0.0.0:80", Err("must be https"));
        check("ftp://127.0.0.1", Err("must start"));
        check("api.vapi.ai", Err("must start"));
        check("", Err("must start"));
    }

    #[test]
    fn a_foreign_host_dressed_as_loopback_is_refused() {
        check("http://127.0.0.1.example.com", Err("must be https"));
        check("http://127.0.0.1@example.com", Err("user name"));
        check("http://localhost:80@example.com", Err("user name"));
        check("http://localhost.example.com", Err("must be https"));
        check("http://127.0.0.1\\example.com", Err("no host"));
        check("http://example.com/#127.0.0.1", Err("plain"));
        check("http://127.0.0.1 /", Err("no host"));
        check("http://[::1].example.com", Err("no host"));
        check("http://[::ffff:192.0.2.1]", Err("must be https"));
        check("https://host:99999", Err("not a port"));
        check("https://:443", Err("no host"));
    }

    #[test]
    fn a_listen_address_needs_a_port() {
        assert_eq!(listens_on_loopback("127.0.0.1:8787"), Ok(true));
        assert_eq!(listens_on_loopback("[::1]:0"), Ok(true));
        assert_eq!(listens_on_loopback("localhost:8787"), Ok(true));
        assert_eq!(listens_on_loopback("0.0.0.0:8787"), Ok(false));
        assert!(listens_on_loopback("8787").is_err());
        assert!(listens_on_loopback("example.com:80").is_err());
    }
}
