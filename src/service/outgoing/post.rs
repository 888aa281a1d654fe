//! One POST to the application or to a person's channel. It has its own connection, a short timeout,
//! no redirect and no proxy. Of the answer only the status is read, so a long or slow body costs
//! nothing.

use std::time::Duration;

use ureq::Agent;

/// The limit of each phase before the answer: resolving, connecting and sending.
const LONGEST_PHASE: Duration = Duration::from_secs(5);

/// Sends one POST and judges its status; `Ok` is a 2xx. The error is one line for a person, without
/// the address, which may hold a secret.
pub fn post(
    url: &str,
    headers: &[(&str, String)],
    body: &[u8],
    patience: Duration,
) -> Result<(), String> {
    let agent = settings(patience).new_agent();
    let mut request = agent.post(url).header("Connection", "close");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let sent = request.send(body);
    let response = sent.map_err(|error| match error {
        ureq::Error::Timeout(_) => "timeout: it did not answer in time".to_string(),
        error => one_line(&error.to_string(), url),
    })?;
    match response.status().as_u16() {
        200..300 => Ok(()),
        status @ 300..400 => Err(format!(
            "it answered {status}, and a redirect is not followed: write its final address into \
             the configuration"
        )),
        status => Err(format!("it answered {status}")),
    }
}

fn settings(patience: Duration) -> ureq::config::Config {
    let phase = Some(patience.min(LONGEST_PHASE));
    Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        .accept_encoding("identity")
        .user_agent(concat!("ringonce/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(phase)
        .timeout_connect(phase)
        .timeout_send_request(phase)
        .timeout_send_body(phase)
        .timeout_recv_response(Some(patience))
        .timeout_global(Some(patience))
        .build()
}

/// The longest error that is kept, in characters.
const LONGEST_ERROR: usize = 200;

fn one_line(error: &str, url: &str) -> String {
    let hidden = error.replace(url, "the address");
    let plain = hidden.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.chars().take(LONGEST_ERROR).collect()
}
