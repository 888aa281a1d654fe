//! `check --online`: reads the provider's list once and each assistant once. It places no call.

use chrono::Duration;

use crate::cli::setup::check::assistants;
use crate::cli::setup::check::finding::{CheckFinding, State};
use crate::clock;
use crate::config::load::LoadedConfig;
use crate::domain::instant_text;
use crate::provider::{Provider, ReadError};
use crate::vapi::{ApiKey, Vapi};

/// The largest difference of two clocks that agree; beyond it dialing would hold.
const DISAGREE: Duration = Duration::seconds(60);

pub fn ask(loaded: &LoadedConfig) -> Vec<CheckFinding> {
    let problem = |detail: String| vec![CheckFinding::new("online", State::Problem, detail)];
    let Some(key) = &loaded.api_key else {
        return problem("VAPI_API_KEY is not set: the provider was not asked".to_string());
    };
    let now = match loaded.clock.now() {
        Ok(now) => now,
        Err(error) => return problem(format!("{error:#}")),
    };
    let vapi = &loaded.config.vapi;
    let client = match Vapi::new(&vapi.base_url, ApiKey::new(key.expose()), vapi.timeout_secs) {
        Ok(client) => client,
        Err(error) => return problem(format!("{error:#}")),
    };
    match client.list(now - Duration::minutes(1)) {
        Ok(listing) => {
            let mut found =
                vec![CheckFinding::new("online", State::Ok, "the provider takes the key")];
            found.extend(listing.date.map(|date| their_clock(date, loaded, now)));
            found.extend(assistants::online(loaded, &client));
            found
        }
        Err(error @ ReadError::Unauthorized(_)) => {
            problem(format!("{error}: is VAPI_API_KEY the private key of this account?"))
        }
        Err(error) => problem(error.to_string()),
    }
}

fn their_clock(
    date: crate::domain::Instant,
    loaded: &LoadedConfig,
    now: crate::domain::Instant,
) -> CheckFinding {
    // A server that does not use the test clock uses the machine's clock.
    let ours = match loaded.clock.is_test() {
        true if (date - clock::machine_now()).abs() <= DISAGREE => clock::machine_now(),
        _ => now,
    };
    let apart = date - ours;
    let detail = format!("{} there, {} seconds from here", instant_text(date), apart.num_seconds());
    let state = if DISAGREE < apart.abs() { State::Problem } else { State::Ok };
    CheckFinding::new("provider's clock", state, detail)
}
