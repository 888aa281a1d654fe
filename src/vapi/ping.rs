//! The ping of a dead-man's switch: one GET, of which only the status counts.

use std::time::Duration;

use ureq::Agent;

/// The timeout of the whole ping.
const PATIENCE: Duration = Duration::from_secs(2);

/// Fetches the URL. The error is one line without the URL, which may hold a secret.
pub fn ping(url: &str) -> Result<(), String> {
    let settings = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(3)
        .user_agent(concat!("ringonce/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(PATIENCE))
        .build();
    let response = settings.new_agent().get(url).call().map_err(|error| error.to_string())?;
    match response.status().as_u16() {
        200..400 => Ok(()),
        status => Err(format!("it answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::http::connections::Limits;
    use crate::http::listener::Listener;
    use crate::http::request::Request;
    use crate::http::response::{Delivery, Response};

    fn pinged(answer: Response) -> Result<(), String> {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handler = Arc::new(move |_: Request| answer.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let _serving = listener.serve(handler, Limits::default(), stop).unwrap();
        ping(&format!("http://{address}/secret-path"))
    }

    #[test]
    fn a_ping_is_done_when_somebody_answers_well() {
        assert_eq!(pinged(Response::text(200, "ok")), Ok(()));
        let error = pinged(Response::text(500, "no")).unwrap_err();
        assert!(error.contains("500") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_silent_server_is_given_up_on() {
        let silent = Response::text(200, "ok").with_delivery(Delivery::Hang(PATIENCE * 2));
        assert!(pinged(silent).is_err());
    }
}
